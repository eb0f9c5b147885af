package supervisor

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// growPercent is by how much the heap may grow before it is collected, unless GOGC says otherwise. Most of it is media of streams that are watched, in large pieces without pointers, which cost a collection
	// next to nothing: half as often, at the usual 100, saves a twentieth of the processor time of 200 receivers and takes half as much memory again.
	growPercent = 30
	// roomBytes is what it may grow by in any case. The few megabytes of a server without streams would else be collected several times a second while a platform opens and closes receivers, at a fifth of the
	// server's processor time.
	roomBytes = 8 << 20
	// mostPercent bounds what that makes of a heap of next to nothing.
	mostPercent = 400
)

// collector sets the garbage collector up for a media server: after each collection it says by how much the heap may grow until the next.
type collector struct {
	live []metrics.Sample // owned by whoever the runtime calls after a collection, one at a time

	mu      sync.Mutex // guards what follows
	ended   bool
	percent int // in force
	was     int // to go back to
}

// tuneCollector begins that, unless the operator has set GOGC. end undoes it.
func tuneCollector() (end func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	c := &collector{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}, percent: mostPercent, was: debug.SetGCPercent(mostPercent)}
	c.watch()
	return c.end
}

// mark is something that the next collection finds to be garbage.
type mark struct{ _ *collector }

// watch makes the runtime call collected after the next collection.
func (c *collector) watch() { runtime.AddCleanup(&mark{}, (*collector).collected, c) }

func (c *collector) collected() {
	metrics.Read(c.live)
	percent := growth(c.live[0].Value.Uint64())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	if percent != c.percent { // setting it stops the world for a moment
		c.percent = percent
		debug.SetGCPercent(percent)
	}
	c.watch()
}

// growth returns by how many per cent a heap of which so much is in use may grow.
func growth(live uint64) int {
	room := 100 * roomBytes / max(live, 1)
	room -= room % 10                                    // not another one after each collection
	return int(min(max(room, growPercent), mostPercent)) //nolint:gosec // small
}

// end leaves the collector as it was before.
func (c *collector) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended = true
		debug.SetGCPercent(c.was)
	}
}
