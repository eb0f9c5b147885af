package store

import (
	"cmp"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
)

// Bounds of what waits for the disk. Receivers and senders come and go by the thousand a second, and a disk may stall for seconds; what is put and deleted
// again meanwhile takes one place.
const (
	maxChanges = 1 << 16 // keys
	maxAskers  = 1 << 15 // and those who wait for an answer
)

// change is what becomes of one key. apply does to the decoded form what the op does to the file.
type change struct {
	op
	apply func(*definitions)
	asked bool // it is answered, and nothing of it counts when the answer is an error
	// under is what it displaced, when that is answered to nobody and so must not be lost together with it; nil otherwise.
	under *change
}

// place is where a change happens.
type place struct{ bucket, key string }

// pending gathers writes until the disk is ready for them: of each key the last change only.
type pending struct {
	changes map[place]*change
	askers  []*actor.PID
	last    uint64 // number of its last answered write; they are counted from 1
	urgent  bool   // somebody waits for it
}

// room reports whether these changes, and their asker if there is one, fit in.
func (p *pending) room(changes []*change) bool {
	more := 0
	for _, c := range changes {
		if _, known := p.changes[place{c.bucket, c.key}]; !known {
			more++
		}
	}
	return len(p.changes)+more <= maxChanges && len(p.askers) < maxAskers
}

// add takes the changes of one write. asker is nil for one that is not answered, and then has no number.
func (p *pending) add(changes []*change, asker *actor.PID, number uint64) {
	for _, c := range changes {
		c.asked = asker != nil
		p.put(c)
	}
	if asker != nil {
		p.askers, p.urgent, p.last = append(p.askers, asker), true, number
	}
}

func (p *pending) put(c *change) {
	if p.changes == nil {
		p.changes = map[place]*change{}
	}
	at := place{c.bucket, c.key}
	if c.asked {
		c.under = p.changes[at].unanswered()
	}
	p.changes[at] = c
}

// unanswered is what is left of a change when those who asked have been refused; nil for nothing.
func (c *change) unanswered() *change {
	if c == nil || !c.asked {
		return c
	}
	return c.under
}

// refuse takes the askers out, with all that was theirs, and leaves what nobody is told about.
func (p *pending) refuse() []*actor.PID {
	for at, c := range p.changes {
		if left := c.unanswered(); left == nil {
			delete(p.changes, at)
		} else {
			p.changes[at] = left
		}
	}
	askers := p.askers
	p.askers, p.urgent = nil, false
	return askers
}

// restore puts changes back that did not reach the disk, below what has come since.
func (p *pending) restore(older *pending) {
	for _, c := range older.changes {
		newer := p.changes[place{c.bucket, c.key}]
		switch {
		case newer == nil:
			p.put(c)
		case newer.asked && newer.under == nil:
			newer.under = c
		}
	}
}

// ops returns what has to be written, in the order of the file. What is deleted and not on disk has come and gone in between; with all set it is written
// nevertheless.
func (p *pending) ops(onDisk *definitions, all bool) []op {
	out := make([]op, 0, len(p.changes))
	for _, c := range p.changes {
		if all || c.payload != nil || onDisk.has(c.bucket, c.key) {
			out = append(out, c.op)
		}
	}
	slices.SortFunc(out, func(a, b op) int { return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.key, b.key)) })
	return out
}

func (p *pending) apply(to *definitions) {
	for _, c := range p.changes {
		c.apply(to)
	}
}

// foresee does as apply, for those changes alone that nobody can be refused any more.
func (p *pending) foresee(to *definitions) {
	for _, c := range p.changes {
		if c = c.unanswered(); c != nil {
			c.apply(to)
		}
	}
}
