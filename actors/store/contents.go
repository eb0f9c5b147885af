package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// contents is everything the database holds, as bucket -> key -> payload. Payloads are never changed in place.
type contents map[string]map[string][]byte

func newContents() contents {
	return contents{bucketProxies: {}, bucketOverrides: {}, bucketCooling: {}}
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

// decode turns contents into what the store answers with. A record whose JSON does not fit is an error: its checksum was right, so it is
// of another version, and must not be dropped quietly.
func (c contents) decode() (map[string]Proxy, map[string]string, error) {
	proxies, overrides := map[string]Proxy{}, map[string]string{}
	for key, payload := range c[bucketProxies] {
		var p Proxy
		if err := json.Unmarshal(payload, &p); err != nil {
			return nil, nil, fmt.Errorf("definition of proxy %s: %w", key, err)
		}
		if p.Key.String() != key {
			return nil, nil, fmt.Errorf("definition of proxy %s names another stream, %s", key, p.Key)
		}
		proxies[key] = p
	}
	for key, payload := range c[bucketOverrides] {
		var v string
		if err := json.Unmarshal(payload, &v); err != nil {
			return nil, nil, fmt.Errorf("override of %s: %w", key, err)
		}
		overrides[key] = v
	}
	return proxies, overrides, nil
}

// proxyOp encodes a definition.
func proxyOp(p Proxy) (op, error) {
	if !p.Key.Valid() {
		return op{}, fmt.Errorf("proxy %q names no stream: vhost, app and stream must be given", p.Key.String())
	}
	payload, err := json.Marshal(p)
	if err != nil {
		return op{}, fmt.Errorf("proxy %s: %w", p.Key, err)
	}
	return checkedOp(op{bucketProxies, p.Key.String(), payload})
}

// overrideOps encodes overrides, in key order.
func overrideOps(values map[string]*string) ([]op, error) {
	var out []op
	for _, key := range slices.Sorted(maps.Keys(values)) {
		o := op{bucketOverrides, key, nil}
		if v := values[key]; v != nil {
			// A string always has a JSON form.
			o.payload, _ = json.Marshal(*v)
		}
		o, err := checkedOp(o)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func checkedOp(o op) (op, error) {
	if o.key == "" || len(o.key) > maxKeyBytes {
		return op{}, fmt.Errorf("%s: a key of %d bytes cannot be kept, the limits are 1 and %d", o.bucket, len(o.key), maxKeyBytes)
	}
	if len(o.payload) > maxPayloadBytes {
		return op{}, fmt.Errorf("%s %.80q: %d bytes cannot be kept, the limit is %d", o.bucket, o.key, len(o.payload), maxPayloadBytes)
	}
	return o, nil
}
