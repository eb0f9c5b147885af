package fanout

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"berth/media/hub"
)

// group is a hub with the sinks that play it, spread over the workers.
type group struct {
	hub    *hub.Hub
	shards []*shard // one a worker
	size   int      // sinks; guarded by the pool's lock

	mu    sync.Mutex
	timer *time.Timer // runs while due is set
	due   time.Time   // when what may wait must be served; zero: nothing waits
}

// shard is the part of a group that one worker serves.
type shard struct {
	worker  *worker
	queued  bool                     // guarded by the worker's lock
	members atomic.Pointer[[]member] // replaced, never changed
}

// member is a sink that plays. The plan is its worker's, and may be used until serve returns.
type member interface{ serve(shared *plan) }

// yieldEvery is how many members are served before others may use the processor: the runtime does not see the writes, and so does not take it away (see writeVec).
const yieldEvery = 128

func (s *shard) serve() {
	shared := &s.worker.plan
	defer shared.reset()
	if m := s.members.Load(); m != nil {
		for i, one := range *m {
			if i%yieldEvery == yieldEvery-1 {
				runtime.Gosched()
			}
			one.serve(shared)
		}
	}
}

func (s *shard) len() int {
	if m := s.members.Load(); m != nil {
		return len(*m)
	}
	return 0
}

// Wake implements hub.Waker.
func (g *group) Wake(within time.Duration) {
	g.mu.Lock()
	if within <= 0 {
		if !g.due.IsZero() {
			g.due = time.Time{}
			g.timer.Stop()
		}
		g.mu.Unlock()
		g.enqueue()
		return
	}
	defer g.mu.Unlock()
	due := time.Now().Add(within)
	switch {
	case g.timer == nil:
		g.timer = time.AfterFunc(within, g.expire)
	case g.due.IsZero() || due.Before(g.due):
		g.timer.Reset(within)
	default:
		return
	}
	g.due = due
}

// expire serves what could wait no longer. The hub's lock comes before the group's, so none is held here.
func (g *group) expire() {
	g.mu.Lock()
	waits := !g.due.IsZero()
	g.due = time.Time{}
	g.mu.Unlock()
	if waits {
		g.hub.Flush(time.Now())
		g.enqueue()
	}
}

func (g *group) enqueue() {
	for _, s := range g.shards {
		if s.len() > 0 {
			s.worker.enqueue(s)
		}
	}
}

// join makes the pool serve m whenever h publishes, and once at the beginning.
func (p *Pool) join(h *hub.Hub, m member) *shard {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.groups[h]
	if g == nil {
		g = &group{hub: h}
		for _, w := range p.workers {
			g.shards = append(g.shards, &shard{worker: w})
		}
		p.groups[h] = g
		h.Subscribe(g)
	}
	g.size++
	p.turn++
	best := g.shards[p.turn%len(g.shards)]
	for _, s := range g.shards {
		if s.len() < best.len() {
			best = s
		}
	}
	var list []member
	if old := best.members.Load(); old != nil {
		list = *old
	}
	list = append(slices.Clip(list), m)
	best.members.Store(&list)
	best.worker.enqueue(best)
	return best
}

// leave undoes join; m may still be served once by a worker that is under way.
func (p *Pool) leave(h *hub.Hub, s *shard, m member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := *s.members.Load()
	list := slices.DeleteFunc(slices.Clone(old), func(x member) bool { return x == m })
	if len(list) == len(old) {
		return
	}
	s.members.Store(&list)
	g := p.groups[h]
	if g.size--; g.size > 0 {
		return
	}
	delete(p.groups, h)
	h.Unsubscribe(g)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.due = time.Time{}
	if g.timer != nil {
		g.timer.Stop()
	}
}
