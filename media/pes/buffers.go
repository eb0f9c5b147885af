package pes

import (
	"math/bits"
	"slices"
	"sync"
)

// Bounds of what [Buffers] keep while nobody uses it.
const (
	keptBuffers   = 16
	keptBytes     = 4 << 20 // of all together
	largestKept   = 1 << 20
	leastBorrowed = 32 << 10
)

// Buffers are what streams gather their large units in: a key picture comes once in some seconds and is there for some milliseconds, so that the streams of many demuxers can do with a few large buffers among
// them. A stream takes one when a unit outgrows what the stream has of its own, and gives it back when the unit has been handed on. One value serves any number of demuxers, in any goroutines. The zero value is
// ready. At most 16 are kept while nobody uses them, 4 MiB together, and none above 1 MiB.
//
// This is no sync.Pool: that forgets its contents with every second garbage collection, and these are large.
type Buffers struct {
	// Own is how many bytes a stream may have of its own at least, whatever its units are like; a stream most of whose units are larger has more ([Room]). Default 8 KiB. It must not be changed after the first use.
	Own int
	// Returned is called with each buffer that comes back, up to its capacity, before another can take it: tests spoil it. Default nothing. It must not be changed after the first use.
	Returned func(b []byte)

	mu    sync.Mutex
	idle  [][]byte // the one that came back last stands last
	bytes int      // of these
}

// Take returns an empty buffer for n bytes or more: the smallest that fits, else a new one. With nil it always makes one.
func (p *Buffers) Take(n int) []byte {
	if b := p.find(n); b != nil {
		return b
	}
	return make([]byte, 0, max(leastBorrowed, 1<<bits.Len(uint(max(n, 1)-1))))
}

func (p *Buffers) find(n int) []byte {
	if p == nil || n > largestKept {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	best := -1
	for i, b := range slices.Backward(p.idle) {
		if cap(b) >= n && (best < 0 || cap(b) < cap(p.idle[best])) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	b := p.idle[best]
	p.bytes -= cap(b)
	p.idle = slices.Delete(p.idle, best, best+1)
	return b
}

// Put gives a buffer back: nobody may use it any more. Where there are too many, the one that was not needed for longest goes.
func (p *Buffers) Put(b []byte) {
	if p == nil || cap(b) == 0 {
		return
	}
	if p.Returned != nil {
		p.Returned(b[:cap(b)])
	}
	if cap(b) > largestKept {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) == keptBuffers || p.bytes+cap(b) > keptBytes {
		p.bytes -= cap(p.idle[0])
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	p.idle = append(p.idle, b[:0])
	p.bytes += cap(b)
}

// own is Own with its default.
func (p *Buffers) own() int {
	if p.Own > 0 {
		return p.Own
	}
	return 8 << 10
}
