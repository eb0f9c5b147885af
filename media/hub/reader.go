package hub

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"
)

// Policy says what happens to a reader that has fallen off the tail of the ring.
type Policy uint8

// Policies.
const (
	PolicyJump  Policy = iota // it continues at the newest key frame
	PolicyClose               // it gets StateBehind for good
)

// State is the second result of [Reader.Next].
type State uint8

// States of a reader.
const (
	StateReady  State = iota // a chunk has been returned
	StateWait                // nothing is due; a Waker will be called
	StateBehind              // fell too far behind under PolicyClose; nothing more will come
	StateClosed              // the stream has ended and everything has been returned
)

// ReaderOptions sets up a reader.
type ReaderOptions struct {
	// Tracks are the hub tracks that are wanted; nil means all, numbers out of range are ignored. Chunks without any of them are skipped; packets of others
	// inside a chunk must be skipped by the caller (see Reader.Wants).
	Tracks []int
	// Policy says what happens when the reader is too slow. Default PolicyJump.
	Policy Policy
	// MaxBytes and MaxTime are how far the reader may fall behind before Policy applies, beside the bounds of the ring: in bytes of all tracks, and from the arrival of the newest
	// chunk to that of the one that is due. What had been published before the reader began, or began again, does not count. 0 means the ring's bounds alone.
	MaxBytes int64
	MaxTime  time.Duration
}

// Reader is one viewer's cursor. Next and Start belong to one goroutine at a time, everything else may be called from anywhere. It must be closed
// when it is not read any more, since the ring keeps what it has not taken yet.
type Reader struct {
	hub   *Hub
	wants uint64 // bit per track
	all   bool
	lead  int // the video track it begins with, -1 without one
	opts  ReaderOptions

	// owned by the goroutine that calls Next
	pos     uint64 // position of the next chunk; while seeking, the first one that may be taken
	seeking bool   // waits for a random access point
	joined  bool   // has begun somewhere
	epoch   uint64
	behind  bool
	begun   mark // the newest of the stream when it began, or began again

	next    atomic.Uint64 // packets published before the chunk that is due
	bytes   atomic.Uint64
	packets atomic.Uint64
	dropped atomic.Uint64
	jumps   atomic.Uint64
}

// mark is a moment of the stream.
type mark struct {
	bytes   uint64 // published until then
	arrived time.Time
}

// NewReader makes a cursor that begins at the newest key frame, or waits for the next one. Without video it begins with the newest packets.
func (h *Hub) NewReader(opts ReaderOptions) *Reader {
	r := &Reader{hub: h, lead: -1, opts: opts}
	if opts.Tracks == nil {
		r.wants = 1<<len(h.tracks) - 1
	}
	for _, t := range opts.Tracks {
		if t >= 0 && t < len(h.tracks) {
			r.wants |= 1 << t
		}
	}
	r.all = r.wants == 1<<len(h.tracks)-1
	for t, s := range h.state {
		if s.video && r.Wants(t) {
			r.lead = t
			break
		}
	}
	if h.opts.GOPBytes < 0 {
		r.pos = h.ring.head.Load()
	}
	h.mu.Lock() // what it begins with must not be dropped before the ring knows of it
	defer h.mu.Unlock()
	r.seeking = true
	r.next.Store(h.ring.packets.Load())
	r.seek()
	r.open()
	return r
}

func (r *Reader) open() {
	h := r.hub
	if len(h.readers) == 0 {
		h.own()
	}
	h.readers = append(h.readers, r)
	h.slowest = min(h.slowest, r.next.Load())
}

// Close says that the reader will not be read any more, for now: nothing is kept for it. Its place and its counters stay. It may be called again.
func (r *Reader) Close() {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.readers, r); i >= 0 {
		h.readers = slices.Delete(h.readers, i, i+1)
		if len(h.readers) == 0 {
			h.disown()
		}
	}
}

// Open undoes Close. A reader whose place has been dropped meanwhile goes on as one that is too slow. It may be called on an open reader.
func (r *Reader) Open() {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.readers, r) {
		r.open()
	}
}

// Hub returns the hub that is read.
func (r *Reader) Hub() *Hub { return r.hub }

// seek moves to the newest random access point that is not before pos and reports whether there is one. What is passed over counts as dropped when the
// reader has been in the stream before.
func (r *Reader) seek() bool {
	ring := r.hub.ring
	pos := ring.head.Load()
	if r.lead >= 0 {
		start := r.hub.start[r.lead].Load()
		if start == 0 || start-1 < r.pos {
			return false
		}
		pos = start - 1
	} else if pos > r.pos {
		pos--
	}
	c := ring.get(pos)
	if c == nil {
		return false
	}
	if was := r.next.Swap(c.before); r.joined && c.before > was {
		r.dropped.Add(c.before - was)
	}
	r.pos, r.epoch, r.seeking, r.joined = pos, c.epoch, false, true
	r.begun = ring.newest()
	return true
}

// jump makes the reader look for the next place to begin.
func (r *Reader) jump() {
	r.jumps.Add(1)
	r.seeking = true
}

// Next returns the next chunk, or why there is none. It never blocks.
func (r *Reader) Next() (*Chunk, State) {
	for !r.behind {
		closed := r.hub.closed.Load() // before head: what was published before the end is returned
		if r.seeking && !r.seek() || r.pos >= r.hub.ring.head.Load() {
			if closed {
				return nil, StateClosed
			}
			return nil, StateWait
		}
		c := r.hub.ring.get(r.pos)
		switch {
		case (c == nil || r.late(c)) && r.opts.Policy == PolicyClose:
			r.jumps.Add(1)
			r.behind = true
		case c == nil:
			r.jump()
		case c.lent != nil: // the reader has been closed
			return nil, StateWait
		case r.late(c):
			r.pos++ // the place where it began last must not be found again
			r.jump()
		case c.epoch != r.epoch && r.lead >= 0 && r.lead == r.hub.lead && c.starts>>r.lead&1 == 0:
			r.jump()
		default:
			r.pos, r.epoch = r.pos+1, c.epoch
			r.next.Store(c.before + uint64(len(c.Packets)))
			if c.tracks&r.wants != 0 {
				r.count(c)
				return c, StateReady
			}
		}
	}
	return nil, StateBehind
}

// late reports whether the chunk that is due is further behind the newest one than the reader may be.
func (r *Reader) late(c *Chunk) bool {
	if r.opts.MaxBytes <= 0 && r.opts.MaxTime <= 0 {
		return false
	}
	newest := r.hub.ring.newest()
	if limit := r.opts.MaxBytes; limit > 0 && newest.bytes > max(c.bytesBefore, r.begun.bytes)+uint64(limit) {
		return true
	}
	from := c.Arrived
	if r.begun.arrived.After(from) {
		from = r.begun.arrived
	}
	return r.opts.MaxTime > 0 && newest.arrived.Sub(from) > r.opts.MaxTime
}

func (r *Reader) count(c *Chunk) {
	packets, bytes := len(c.Packets), len(c.Data)
	if !r.all {
		packets, bytes = 0, 0
		for _, p := range c.Packets {
			if r.Wants(p.Track()) {
				packets++
				bytes += HeaderSize + int(p.Size)
			}
		}
	}
	r.packets.Add(uint64(packets))
	r.bytes.Add(uint64(bytes))
}

// Wants reports whether the reader asked for a track.
func (r *Reader) Wants(track int) bool { return r.wants>>track&1 != 0 }

// All reports whether the reader asked for every track, so that chunks can be sent as they are.
func (r *Reader) All() bool { return r.all }

// TrackStart says where a track begins for a viewer, in the terms of RFC 2326 section 12.33 (RTP-Info).
type TrackStart struct {
	Track   int
	Seq     uint16 // sequence number of the first packet the reader will return
	RTPTime uint32 // timestamp of the instant at which the viewer begins, the same instant for all tracks
	// Known is false when the first packet has not been published yet. Seq is then what it will be unless packets are lost or skipped before, RTPTime an estimate: leave
	// both out of RTP-Info for video, whose first packet may be seconds away.
	Known bool
}

// Start returns, for each wanted track in order, where the reader will begin if Next is called now. Seq is exact. RTPTime is exact for the packet that the viewer
// begins with; for the other tracks it is the timestamp of the same instant, as RFC 2326 section 12.33 has it and as players need it to line tracks up. Their first packet may lie on either side of it.
func (r *Reader) Start() []TrackStart {
	r.hub.mu.Lock() // a reader that is closed may look at what lies in lent memory only so
	defer r.hub.mu.Unlock()
	var out []TrackStart
	first := -1 // of out, the track with the earliest packet
	if !r.seeking {
		out, first = r.published()
	}
	var instant []uint32
	if first >= 0 {
		instant = r.hub.sharedInstant(out[first].Track, out[first].RTPTime)
	}
	for t, s := range r.hub.state {
		if !r.Wants(t) {
			continue
		}
		i := 0
		for i < len(out) && out[i].Track < t {
			i++
		}
		if i == len(out) || out[i].Track != t {
			out = append(out[:i], append([]TrackStart{{Track: t, Seq: s.lastSeq + 1, RTPTime: s.lastTS}}, out[i:]...)...)
		}
		if instant != nil {
			out[i].RTPTime = instant[t]
		}
	}
	return out
}

// published finds the first packet of each wanted track between the reader's position and the newest chunk, in track order. lead is the index of the track that
// the viewer begins with: its video, else the first in the stream; -1 when there is none.
func (r *Reader) published() (out []TrackStart, lead int) {
	found := make([]*TrackStart, len(r.hub.tracks))
	leadTrack := -1
	missing := r.wants
	for pos := r.pos; missing != 0; pos++ {
		c := r.hub.ring.get(pos)
		if c == nil {
			break
		}
		for _, p := range c.Packets {
			t := p.Track()
			if p.RTCP() || missing>>t&1 == 0 {
				continue
			}
			missing &^= 1 << t
			b := c.Bytes(p)
			found[t] = &TrackStart{Track: t, Seq: binary.BigEndian.Uint16(b[2:]), RTPTime: binary.BigEndian.Uint32(b[4:]), Known: true}
			if leadTrack < 0 || t == r.lead {
				leadTrack = t
			}
		}
	}
	lead = -1
	for t, f := range found {
		if f == nil {
			continue
		}
		if t == leadTrack {
			lead = len(out)
		}
		out = append(out, *f)
	}
	return out, lead
}

// Stats returns the reader's counters.
func (r *Reader) Stats() ReaderStats {
	next := r.next.Load()
	return ReaderStats{
		Bytes:   r.bytes.Load(),
		Packets: r.packets.Load(),
		Dropped: r.dropped.Load(),
		Jumps:   r.jumps.Load(),
		Lag:     r.hub.ring.packets.Load() - min(next, r.hub.ring.packets.Load()),
	}
}
