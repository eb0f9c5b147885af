package hub

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"berth/media"
)

// Waker hears about published chunks.
type Waker interface {
	// Wake is called by the writer's goroutine inside the hub's lock: it must not block and must not call back into the hub. With within 0 a chunk has been published that is to be
	// sent now. Otherwise the waker has so long: then it calls Hub.Flush, for an access unit that is not complete, and sends what has been published.
	Wake(within time.Duration)
}

// Hub is one stream's packets. See the package comment for who may call what.
type Hub struct {
	tracks []*media.Track
	opts   Options
	ring   *ring
	lead   int             // the video track that readers begin with, -1 in a stream without video
	start  []atomic.Uint64 // per track: 1 + position where the newest random access point begins, 0 when there is none
	closed atomic.Bool

	mu          sync.Mutex // guards what follows
	state       []*track   // the slice itself never changes
	writer      *Writer    // the one that may write, nil between publishers
	build       builder
	holding     bool // wakers have been told of an unfinished access unit
	cadence     cadence
	waiting     time.Time // arrival of the oldest packet that waits for the next picture without the wakers' knowledge; zero when none does
	epoch       uint64    // of the chunk in work
	restarts    uint64
	firstPacket time.Time
	reporting   bool // sender reports are being made
	clock       sourceClock
	wakers      []Waker
	readers     []*Reader
	slowest     uint64    // every reader has taken at least so many of the published packets; what they have taken since the look at them is not in it
	looked      time.Time // arrival of the chunk with which slowest was looked up

	watched atomic.Int32 // len(wakers), for those who do not hold the lock
}

// lookEvery is how often the readers are asked how far they are.
const lookEvery = 100 * time.Millisecond

// New makes a hub for tracks; those beyond the 64th are ignored. The slice must not be changed afterwards.
func New(tracks []*media.Track, opts Options) *Hub {
	opts.setDefaults()
	tracks = slices.Clip(tracks[:min(len(tracks), maxTracks)])
	h := &Hub{
		tracks: tracks,
		opts:   opts,
		ring:   newRing(opts.RingChunks),
		start:  make([]atomic.Uint64, len(tracks)),
		lead:   slices.IndexFunc(tracks, func(t *media.Track) bool { return t.Kind == media.KindVideo }),
	}
	for i, m := range tracks {
		h.state = append(h.state, newTrack(i, m, opts.Rand))
	}
	h.disown()
	return h
}

// Tracks returns the tracks that viewers are told of, in the order of their canonical channels. It is not to be changed.
func (h *Hub) Tracks() []*media.Track { return h.tracks }

// SSRC returns the SSRC that the hub gives to the packets of a track (RFC 2326 section 12.39, parameter ssrc), 0 for a track out of range.
func (h *Hub) SSRC(track int) uint32 {
	if track < 0 || track >= len(h.state) {
		return 0
	}
	return h.state[track].ssrc
}

// Attach makes a publisher the hub's only one; a former Writer is dead from then on. sources are the publisher's tracks; a nil element is a track that is not wanted.
// The result maps each source to the hub's track that it continues, -1 for an unwanted one. Every track of the hub must be continued by exactly one compatible source (see
// [media.Compatible]), else the error is ErrTracks and the former writer stays. On a closed hub the error is ErrDetached.
func (h *Hub) Attach(sources []*media.Track) (*Writer, []int, error) {
	mapping, err := h.match(sources)
	if err != nil {
		return nil, nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed.Load() {
		return nil, nil, ErrDetached
	}
	h.detach()
	for i, t := range mapping {
		if t >= 0 {
			h.state[t].attach(sources[i])
			h.start[t].Store(0) // a reader that began before the gap would have to begin again after it
		}
	}
	h.clock, h.cadence = sourceClock{}, cadence{}
	h.writer = &Writer{hub: h}
	return h.writer, mapping, nil
}

// match finds the hub's track for each source.
func (h *Hub) match(sources []*media.Track) ([]int, error) {
	mapping := make([]int, len(sources))
	var taken uint64
	for i, s := range sources {
		mapping[i] = -1
		if s == nil {
			continue
		}
		for t, mine := range h.tracks {
			if taken>>t&1 == 0 && media.Compatible(mine, s) {
				mapping[i] = t
				taken |= 1 << t
				break
			}
		}
		if mapping[i] < 0 {
			return nil, fmt.Errorf("%w: its %s track %d (%s) has no counterpart", ErrTracks, s.Kind, i, s.Codec)
		}
	}
	for t, mine := range h.tracks {
		if taken>>t&1 == 0 {
			return nil, fmt.Errorf("%w: it lacks the %s track (%s)", ErrTracks, mine.Kind, mine.Codec)
		}
	}
	return mapping, nil
}

// detach ends the present publisher.
func (h *Hub) detach() {
	h.publish(0)
	if !h.waiting.IsZero() {
		h.wake(0)
	}
	h.writer = nil
}

// publish puts the chunk in work into the ring and wakes readers, who may take within to react.
func (h *Hub) publish(within time.Duration) {
	h.holding = false
	if h.build.empty() {
		return
	}
	c := h.build.take(h.epoch)
	next := h.ring.head.Load() + 1
	var gop uint64
	switch {
	case h.lead < 0:
	case c.starts>>h.lead&1 != 0:
		gop = next
	default:
		gop = h.start[h.lead].Load()
	}
	h.lookAtReaders(c.Arrived)
	h.ring.push(c, &h.opts, gop-1, gop > 0 && h.opts.GOPBytes > 0, h.slowest)
	for t := range h.start { // not before: a reader that begins meanwhile could not be told with what
		if c.starts>>t&1 != 0 {
			h.start[t].Store(next)
		}
	}
	if within > 0 {
		expected := h.cadence.expects(c.Arrived, within)
		if expected && h.waiting.IsZero() {
			h.waiting = c.Arrived
		}
		switch {
		case h.overdue(c.Arrived):
			within = 0
		case expected:
			return // the picture takes it along; should that fail to come, the next packet between pictures or the next Flush notices
		}
	}
	h.wake(within)
}

// overdue reports whether something waits for a picture that should have come.
func (h *Hub) overdue(now time.Time) bool {
	return !h.waiting.IsZero() && now.Sub(h.waiting) >= h.opts.MergeTime
}

// lookAtReaders finds out which chunks nobody waits for any more. Readers only go forward, so that an old answer keeps too much and never too little.
func (h *Hub) lookAtReaders(now time.Time) {
	if d := now.Sub(h.looked); d >= 0 && d < lookEvery {
		return
	}
	h.looked, h.slowest = now, math.MaxUint64
	for _, r := range h.readers {
		h.slowest = min(h.slowest, r.next.Load())
	}
}

// wake tells the wakers. After it nothing waits unknown to them, unless they are given time.
func (h *Hub) wake(within time.Duration) {
	if within == 0 {
		h.waiting = time.Time{}
	}
	for _, w := range h.wakers {
		w.Wake(within)
	}
}

// Flush publishes an unfinished access unit whose first packet came HoldTime or longer before now, so that a source which stops inside a picture, or never
// sets marker bits, does not keep packets from the viewers; and it wakes for sound whose picture has not come. Wakers call it when they were told to; the owner calls it some ten times a second as
// well (see [Writer.Flush]), because a source that has finished its pictures so far is not watched by a timer for each.
func (h *Hub) Flush(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flush(now)
}

func (h *Hub) flush(now time.Time) {
	if h.overdue(now) {
		h.wake(0)
	}
	if h.build.empty() {
		return
	}
	if left := h.opts.HoldTime - now.Sub(h.build.arrived); left > 0 {
		h.wake(max(left, time.Millisecond))
		return
	}
	h.cadence.whole = 0
	h.publish(0)
}

// Subscribe registers a waker. A waker that is registered twice is called twice.
func (h *Hub) Subscribe(w Waker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wakers = append(h.wakers, w)
	h.watched.Add(1)
}

// Unsubscribe removes a waker once. After it returns the waker is not called any more.
func (h *Hub) Unsubscribe(w Waker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(h.wakers, w); i >= 0 {
		h.wakers = slices.Delete(h.wakers, i, i+1)
		h.watched.Add(-1)
	}
}

// Close ends the stream: the writer is detached, readers get what is left and then [StateClosed]. Lent memory is given back, so a hub must be closed. It may be called again.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.detach()
	h.closed.Store(true)
	h.build.pool = nil
	if len(h.readers) == 0 {
		h.empty()
	}
	h.wake(0)
}
