package store

import (
	"bytes"
	"maps"
)

// contents is everything the database holds, as bucket -> key -> payload. Payloads are never changed in place.
type contents map[string]map[string][]byte

func newContents() contents {
	c := contents{}
	for bucket := range recordKinds {
		c[bucket] = map[string][]byte{}
	}
	return c
}

// op is one change: a nil payload deletes.
type op struct {
	bucket, key string
	payload     []byte
}

func (c contents) apply(ops []op) {
	for _, o := range ops {
		if o.payload == nil {
			delete(c[o.bucket], o.key)
		} else {
			c[o.bucket][o.key] = o.payload
		}
	}
}

func (c contents) clone() contents {
	out := make(contents, len(c))
	for bucket, values := range c {
		out[bucket] = maps.Clone(values)
	}
	return out
}

func (c contents) size() int {
	n := 0
	for _, values := range c {
		n += len(values)
	}
	return n
}

// ops returns the changes that lead from c to want.
func (c contents) ops(want contents) []op {
	var out []op
	for bucket, values := range c {
		for key := range values {
			if _, ok := want[bucket][key]; !ok {
				out = append(out, op{bucket, key, nil})
			}
		}
	}
	for bucket, values := range want {
		for key, payload := range values {
			if have, ok := c[bucket][key]; !ok || !bytes.Equal(have, payload) {
				out = append(out, op{bucket, key, payload})
			}
		}
	}
	return out
}

// gather makes contents out of what an inspection found. Of a damaged file it takes the records of the tree, and for those whose page is lost the
// latest copy that lies elsewhere in the file. recovered is how many came from such copies.
func gather(found inspection) (c contents, sequence uint64, recovered int) {
	c, sequence = newContents(), found.sequence
	for _, r := range found.records {
		c[r.bucket][r.key] = bytes.Clone(r.payload)
		sequence = max(sequence, r.sequence)
	}
	latest := map[[2]string]uint64{}
	for _, r := range found.older {
		id := [2]string{r.bucket, r.key}
		if _, live := c[r.bucket][r.key]; live && latest[id] == 0 {
			continue
		}
		if latest[id] == 0 {
			recovered++
		}
		if r.sequence > latest[id] {
			c[r.bucket][r.key], latest[id] = bytes.Clone(r.payload), r.sequence
		}
		sequence = max(sequence, r.sequence)
	}
	return c, sequence, recovered
}
