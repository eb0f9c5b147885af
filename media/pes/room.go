package pes

// How the memory of a [Room] follows what its stream needs.
const (
	roomStep   = 4 << 10   // above it, buffers grow by whole steps; below, they double
	roomLeast  = 512       // bytes of the smallest
	roomKeep   = 64 << 10  // without shared buffers those up to this size are never given back
	roomWindow = 128       // units after which a buffer is held against what was needed
	roomOften  = 8         // one unit in so many that is too large for it makes a stream's own buffer larger
	roomMost   = 512 << 10 // and no larger than this
)

// Room is the memory in which one stream gathers its units, which lie in a slice that is the stream's: bytes are appended to it behind [Room.Grow], and what is done with is taken off its front by
// [Room.Settle]. With shared buffers the stream keeps what most of its units need, and larger ones are gathered in a buffer that belongs to it only as long. Without, it keeps what its largest unit of late needed.
type Room struct {
	shared   *Buffers // nil: nothing is shared
	most     int      // bytes that are ever asked for
	limit    int      // bytes that it may have of its own; with shared buffers alone
	own      []byte   // what it has of its own, while a larger one is borrowed
	borrowed bool
	units    int // since the window began
	over     int // of these, those for which a buffer was borrowed
	longest  int // bytes of the longest for which none was
	peak     int // bytes of the longest for which one was
	before   int // the same of the window before
}

// NewRoom makes the room of a stream that will never have more than most bytes at once. shared may be nil.
func NewRoom(shared *Buffers, most int) Room {
	r := Room{shared: shared, most: most}
	if shared != nil {
		r.limit = shared.own()
	}
	return r
}

// Borrowed reports whether the slice lies in a shared buffer. It is to be settled as soon as what is in it is done with.
func (r *Room) Borrowed() bool { return r.borrowed }

// Unit counts a unit that has been handed on.
func (r *Room) Unit() { r.units++ }

// Grow returns b with room for n more bytes.
func (r *Room) Grow(b []byte, n int) []byte {
	need := len(b) + n
	switch {
	case need <= cap(b):
		return b
	case r.shared == nil:
		return append(make([]byte, 0, min(size(max(need, cap(b)+cap(b)/4)), max(r.most, need))), b...)
	case !r.borrowed && need <= r.limit:
		return append(make([]byte, 0, min(size(max(need, cap(b)+cap(b)/4)), r.limit)), b...)
	}
	want := max(need, r.peak, r.before)
	if r.borrowed {
		want = max(need, 2*cap(b))
	}
	larger := append(r.shared.Take(min(want, max(r.most, need))), b...)
	if r.borrowed {
		r.shared.Put(b)
	} else {
		r.own, r.borrowed = b[:0], true
	}
	return larger
}

// size rounds up to what is worth having.
func size(n int) int {
	if n <= roomStep {
		size := roomLeast
		for size < n {
			size *= 2
		}
		return size
	}
	return (n + roomStep - 1) / roomStep * roomStep
}

// Settle drops the first n bytes of b and returns the rest, which has been moved. Nothing that lay in b may be used any more.
func (r *Room) Settle(b []byte, n int) []byte {
	if r.borrowed {
		r.peak = max(r.peak, len(b))
	} else {
		r.longest = max(r.longest, len(b))
	}
	rest := b[n:]
	switch {
	case r.borrowed && len(rest) <= r.limit:
		return r.giveBack(b, rest)
	case r.units >= roomWindow && !r.borrowed:
		return r.judge(b, rest)
	}
	return b[:copy(b, rest)]
}

// giveBack moves the rest into what the stream has of its own.
func (r *Room) giveBack(b, rest []byte) []byte {
	own := r.own
	if cap(own) < len(rest) {
		own = make([]byte, 0, min(size(len(rest)), r.limit))
	}
	own = append(own[:0], rest...)
	r.shared.Put(b)
	r.own, r.borrowed = nil, false
	switch r.over++; {
	case r.over > roomWindow/roomOften && r.limit < roomMost:
		r.limit *= 2
		r.begin()
	case r.units >= roomWindow:
		return r.judge(own, own)
	}
	return own
}

// judge ends a window: it makes the stream's own buffer smaller when that was larger than needed throughout.
func (r *Room) judge(b, rest []byte) []byte {
	needed := max(r.longest, len(rest))
	if r.shared == nil {
		if cap(b) > roomKeep && needed < cap(b)/4 {
			rest = append(make([]byte, 0, needed), rest...)
			r.begin()
			return rest
		}
	} else if half := r.limit / 2; needed <= half && half >= r.shared.own() {
		if r.limit = half; cap(b) > half {
			rest = append(make([]byte, 0, size(needed)), rest...)
			r.begin()
			return rest
		}
	}
	r.begin()
	return b[:copy(b, rest)]
}

// begin begins a window.
func (r *Room) begin() { r.units, r.over, r.longest, r.before, r.peak = 0, 0, 0, r.peak, 0 }
