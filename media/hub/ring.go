package hub

import (
	"sync/atomic"
	"time"
)

// ring keeps the newest chunks. push belongs to the hub's lock; everything else may be called from any goroutine. A reader that is handed a chunk keeps it
// alive, so dropping one from the ring never waits for anybody.
type ring struct {
	slots atomic.Pointer[slots] // the present ones; replaced by twice as many when they are full, up to most
	most  int
	head  atomic.Uint64 // position of the next chunk
	tail  atomic.Uint64 // position of the oldest chunk kept

	packets atomic.Uint64 // ever published
	bytes   atomic.Uint64 // ever published
}

// slots hold the chunk of each position modulo their number, which is a power of two.
type slots []atomic.Pointer[Chunk]

func (s slots) of(pos uint64) *atomic.Pointer[Chunk] { return &s[pos&uint64(len(s)-1)] }

// firstSlots is enough for a second or two. Most streams need no more, and the garbage collector looks at every slot.
const firstSlots = 64

func newRing(chunks int) *ring {
	r := &ring{most: 2}
	for r.most < chunks && r.most < 1<<20 {
		r.most *= 2
	}
	first := make(slots, min(firstSlots, r.most))
	r.slots.Store(&first)
	return r
}

// get returns the chunk at a position, nil when it is not there yet or not any more.
func (r *ring) get(pos uint64) *Chunk {
	c := r.slots.Load().of(pos).Load()
	if c == nil || c.pos != pos {
		return nil
	}
	return c
}

// grow moves what is held to more slots. A reader that has the former ones in hand finds the same chunks there.
func (r *ring) grow(size int) {
	more := make(slots, size)
	for pos := r.tail.Load(); pos < r.head.Load(); pos++ {
		more.of(pos).Store(r.get(pos))
	}
	r.slots.Store(&more)
}

// held returns how much the ring keeps.
func (r *ring) held() (chunks int, bytes int64) {
	tail, head := r.tail.Load(), r.head.Load()
	if c := r.get(tail); c != nil {
		bytes = int64(r.bytes.Load() - c.bytesBefore)
	}
	return int(head - tail), bytes
}

// newest returns how far the ring is.
func (r *ring) newest() mark {
	head := r.head.Load()
	if head > 0 {
		if c := r.get(head - 1); c != nil {
			return mark{c.bytesBefore + uint64(len(c.Data)), c.Arrived}
		}
	}
	return mark{bytes: r.bytes.Load()}
}

// push publishes c, whose position is set here, and drops what the bounds do not allow any more, and what nobody needs: every reader has taken the first slowest packets. gop is the position of
// the chunk from which new readers begin; it is kept as long as no more than gopBytes have followed. ok is false when there is none.
func (r *ring) push(c *Chunk, opts *Options, gop uint64, gopOK bool, slowest uint64) {
	c.pos = r.head.Load()
	c.before, c.bytesBefore = r.packets.Load(), r.bytes.Load()
	if size := len(*r.slots.Load()); c.pos-r.tail.Load() == uint64(size) {
		if size < r.most {
			r.grow(2 * size)
		} else {
			r.drop()
		}
	}
	r.packets.Store(c.before + uint64(len(c.Packets)))
	r.bytes.Store(c.bytesBefore + uint64(len(c.Data)))
	r.slots.Load().of(c.pos).Store(c)
	r.head.Store(c.pos + 1)

	if gopOK {
		first := r.get(gop)
		gopOK = first != nil && int64(r.bytes.Load()-first.bytesBefore) <= opts.GOPBytes
	}
	for tail := r.tail.Load(); tail < c.pos; tail++ {
		oldest := r.get(tail)
		tooMuch := int64(r.bytes.Load()-oldest.bytesBefore) > opts.RingBytes
		if !tooMuch && gopOK && tail >= gop {
			return
		}
		after := oldest.before + uint64(len(oldest.Packets))
		tooOld := r.packets.Load()-after >= uint64(opts.RingPackets) || age(c, oldest) > opts.RingTime
		if !tooMuch && !tooOld && after > slowest {
			return
		}
		r.drop()
	}
}

func age(newest, oldest *Chunk) time.Duration { return newest.Arrived.Sub(oldest.Arrived) }

// drop lets go of the oldest chunk. The slot is emptied so that the slab behind it can be collected, or lent again, before the ring comes round.
func (r *ring) drop() {
	tail := r.tail.Load()
	r.tail.Store(tail + 1)
	r.slots.Load().of(tail).Swap(nil).lent.leave()
}
