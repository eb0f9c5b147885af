package fanout

import (
	"math"
	"slices"

	"berth/media/hub"
)

// plan is what is due, collected once for the viewers of a shard that are in step: those that have the same chunks in work. It belongs to the worker, which serves them one after the other; what a viewer
// sends from its timer is never in it.
type plan struct {
	work     []*hub.Chunk // what the last viewer who was served had in work
	channels [][2]layout  // by canonical channel; the second for ways on which the kernel cuts messages
	own      *batch       // lent to each viewer for what is not in the plan; nil: not needed yet
}

// layout is one channel of a plan.
type layout struct {
	batch *batch // nil: never needed
	laid  bool   // for the chunks in work
	whole bool   // all of the channel's packets are in it
}

// shares reports whether the viewer before had the same chunks in work; else the plan begins anew for those that follow. So nothing is laid out for a viewer who is alone.
func (p *plan) shares(work []*hub.Chunk) bool {
	if slices.Equal(p.work, work) {
		return true
	}
	p.reset()
	p.work = append(p.work, work...)
	return false
}

// spare returns the batch for what is not in the plan.
func (p *plan) spare() *batch {
	if p.own == nil {
		p.own = newBatch()
	}
	return p.own
}

// channel returns all of a channel's packets that are in work, nil when they do not leave by one system call.
func (p *plan) channel(n int, gso bool) *batch {
	for n >= len(p.channels) {
		p.channels = append(p.channels, [2]layout{})
	}
	l := &p.channels[n][0]
	if gso {
		l = &p.channels[n][1]
	}
	if !l.laid {
		l.lay(p.work, n, gso)
	}
	if !l.whole {
		return nil
	}
	return l.batch
}

func (l *layout) lay(work []*hub.Chunk, channel int, gso bool) {
	if l.batch == nil {
		l.batch = newBatch()
	}
	l.batch.gso = gso
	l.laid = true
	l.whole = l.batch.fill(work, place{channel: channel}, math.Inf(1)).channel > channel
	if l.whole {
		l.batch.list()
	}
}

// reset lets go of the chunks; the memory stays for the next.
func (p *plan) reset() {
	clear(p.work)
	p.work = p.work[:0]
	for i := range p.channels {
		for j := range p.channels[i] {
			if l := &p.channels[i][j]; l.laid {
				l.batch.reset()
				l.laid = false
			}
		}
	}
}
