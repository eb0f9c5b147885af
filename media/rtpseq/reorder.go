package rtpseq

import (
	"encoding/binary"
	"time"
)

// Options sets up a [Reorder].
type Options struct {
	// Packets is how many sequence numbers the window spans: a hole is given up when a packet this far ahead comes. Default 256, at most 2048.
	Packets int
	// Wait is how long a packet may wait for those before it. Default 100 ms.
	Wait time.Duration
	// Emit gets the packets in order. A packet is valid until Emit returns. Required.
	Emit func(now time.Time, pkt []byte)
}

// Counters of a [Reorder] since its start.
type Counters struct {
	Emitted    uint64 // packets handed on
	Reordered  uint64 // packets that came before one of their predecessors
	Lost       uint64 // sequence numbers given up
	Late       uint64 // packets that came after their place had been given up, dropped
	Duplicates uint64 // packets that came twice, dropped
	Restarts   uint64 // times the source began anew
	Invalid    uint64 // packets without a whole RTP header, dropped
}

// Reorder puts the packets of one source in order. What comes in order is handed on at once and not copied. Memory is bounded by the window.
type Reorder struct {
	opts     Options
	slots    []slot   // ring by sequence number, power of two; made when the first packet comes too early, which with most sources none does
	spare    [][]byte // buffers of slots, to be used again
	held     int
	started  bool
	ssrc     uint32
	next     uint16 // sequence number due
	suspect  slot   // first packet after a far jump, waiting for its successor
	counters Counters
	seen     uint64 // bit i: next-1-i was emitted, to tell duplicates from late ones
}

const (
	// maxSpare bounds the buffers that are kept for packets to come: what a source with much loss has in use at a time.
	maxSpare = 64
	// spareBytes is the largest of them.
	spareBytes = 4 << 10
)

// slot keeps a packet that came too early.
type slot struct {
	used bool
	seq  uint16
	at   time.Time
	buf  []byte
}

func (s *slot) fill(now time.Time, seq uint16, pkt []byte) {
	s.used, s.seq, s.at = true, seq, now
	s.buf = append(s.buf[:0], pkt...)
}

// rtpHeaderSize is the fixed RTP header (RFC 3550 section 5.1).
const rtpHeaderSize = 12

// NewReorder makes a window.
func NewReorder(opts Options) *Reorder {
	if opts.Packets <= 0 {
		opts.Packets = 256
	}
	opts.Packets = min(opts.Packets, 2048)
	if opts.Wait <= 0 {
		opts.Wait = 100 * time.Millisecond
	}
	return &Reorder{opts: opts}
}

// window makes the ring.
func (r *Reorder) window() {
	size := 1
	for size < r.opts.Packets {
		size *= 2
	}
	r.slots = make([]slot, size)
}

// Push takes a packet. It may call Emit any number of times.
func (r *Reorder) Push(now time.Time, pkt []byte) {
	if len(pkt) < rtpHeaderSize {
		r.counters.Invalid++
		return
	}
	seq, ssrc := binary.BigEndian.Uint16(pkt[2:]), binary.BigEndian.Uint32(pkt[8:])
	switch {
	case !r.started:
		r.begin(seq, ssrc)
	case ssrc != r.ssrc:
		r.restart(now, seq, ssrc)
	}
	ahead := int(int16(seq - r.next))
	switch {
	case ahead < 0 && ahead >= -maxMisorder:
		r.countLate(-ahead)
	case ahead < 0 || ahead >= maxDropout:
		r.far(now, seq, pkt)
	default:
		r.suspect.used = false
		r.place(now, seq, ahead, pkt)
	}
	r.Expire(now)
}

func (r *Reorder) begin(seq uint16, ssrc uint32) {
	r.started, r.next, r.ssrc, r.seen = true, seq, ssrc, 0
}

// restart hands on what is held and begins with another source or another place in it.
func (r *Reorder) restart(now time.Time, seq uint16, ssrc uint32) {
	for r.held > 0 {
		r.skip(now)
	}
	r.suspect.used = false
	r.counters.Restarts++
	r.begin(seq, ssrc)
}

// far handles a packet far from the window: its successor makes it the new beginning (RFC 3550 appendix A.1).
func (r *Reorder) far(now time.Time, seq uint16, pkt []byte) {
	if !r.suspect.used || seq != r.suspect.seq+1 {
		r.suspect.fill(now, seq, pkt)
		return
	}
	first := r.suspect.buf
	r.restart(now, r.suspect.seq, r.ssrc)
	r.emit(now, first)
	r.emit(now, pkt)
}

// place emits the packet that is due and its successors, or keeps one that is early. ahead is the distance from the one that is due.
func (r *Reorder) place(now time.Time, seq uint16, ahead int, pkt []byte) {
	for ahead >= r.opts.Packets {
		if r.held > 0 {
			r.skip(now)
		} else {
			r.giveUp(ahead)
		}
		ahead = int(int16(seq - r.next))
	}
	if ahead == 0 {
		r.emit(now, pkt)
		r.drain(now)
		return
	}
	if r.slots == nil {
		r.window()
	}
	s := &r.slots[int(seq)&(len(r.slots)-1)]
	if s.used {
		r.counters.Duplicates++
		return
	}
	if n := len(r.spare); n > 0 {
		s.buf, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	s.fill(now, seq, pkt)
	r.held++
	r.counters.Reordered++
}

// Expire gives up holes whose successors have waited long enough. Push does it as well; owners call it from a timer, see Deadline.
func (r *Reorder) Expire(now time.Time) {
	for r.held > 0 {
		oldest, _ := r.oldest()
		if now.Sub(oldest) < r.opts.Wait {
			return
		}
		r.skip(now)
	}
}

// Deadline returns when Expire has work to do if no packet comes; ok is false while nothing is held.
func (r *Reorder) Deadline() (at time.Time, ok bool) {
	oldest, ok := r.oldest()
	return oldest.Add(r.opts.Wait), ok
}

// Counters returns the counters.
func (r *Reorder) Counters() Counters { return r.counters }

// Held returns how many packets wait for their predecessors.
func (r *Reorder) Held() int { return r.held }

// oldest returns the arrival of the packet that waits longest. The window is small and holes are rare, so it is searched.
func (r *Reorder) oldest() (at time.Time, ok bool) {
	if r.held == 0 {
		return time.Time{}, false
	}
	for i := range r.slots {
		if s := &r.slots[i]; s.used && (!ok || s.at.Before(at)) {
			at, ok = s.at, true
		}
	}
	return at, ok
}

// skip gives up the hole before the first packet held and hands on what follows.
func (r *Reorder) skip(now time.Time) {
	n := 0
	for !r.slots[int(r.next+uint16(n))&(len(r.slots)-1)].used {
		n++
	}
	r.giveUp(n)
	r.drain(now)
}

func (r *Reorder) giveUp(n int) {
	r.counters.Lost += uint64(n)
	r.next += uint16(n)
	r.seen <<= n
}

func (r *Reorder) drain(now time.Time) {
	for r.held > 0 {
		s := &r.slots[int(r.next)&(len(r.slots)-1)]
		if !s.used {
			return
		}
		s.used = false
		r.held--
		r.emit(now, s.buf)
		if len(r.spare) < maxSpare && cap(s.buf) <= spareBytes {
			r.spare = append(r.spare, s.buf)
		}
		s.buf = nil
	}
}

func (r *Reorder) emit(now time.Time, pkt []byte) {
	r.next++
	r.seen = r.seen<<1 | 1
	r.counters.Emitted++
	r.opts.Emit(now, pkt)
}

func (r *Reorder) countLate(behind int) {
	if behind <= 64 && r.seen>>(behind-1)&1 != 0 {
		r.counters.Duplicates++
		return
	}
	r.counters.Late++
}
