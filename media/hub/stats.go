package hub

import (
	"time"

	"berth/media/rtpseq"
)

// Stats are a stream's counters since the hub was made.
type Stats struct {
	Packets    uint64    // RTP packets taken in
	Bytes      uint64    // bytes of these, RTP headers included
	Chunks     uint64    // chunks published
	Dropped    uint64    // packets not passed on: invalid, late, duplicate, of another payload type or source
	Lost       uint64    // packets that the source sent, by its sequence numbers, but which never came
	Restarts   uint64    // times the stream was continued after a gap, counted per track: new publisher, new SSRC, jump in sequence or time
	RingChunks int       // chunks held now
	RingBytes  int64     // bytes held now
	LastPacket time.Time // arrival of the last packet; zero before the first
}

// TrackStats are a track's counters since the hub was made.
type TrackStats struct {
	Packets     uint64
	Bytes       uint64
	Frames      uint64        // access units of video, packets of anything else
	KeyFrames   uint64        // random access points of video
	GOPSize     int           // frames from the last key frame but one to the last; 0 while unknown
	GOPInterval time.Duration // the time between these; 0 while unknown
	FPS         float64       // frames a second, over the last two seconds; 0 while unknown
	Dropped     uint64        // as in Stats
	Lost        uint64        // as in Stats
	LossPercent float64       // share of packets lost in the last 5 seconds, 0-100; -1 while unknown
	Jitter      time.Duration // interarrival jitter (RFC 3550 section 6.4.1)
	LastPacket  time.Time     // zero before the first
}

// ReaderStats are a reader's counters.
type ReaderStats struct {
	Bytes   uint64 // returned by Next, wanted tracks only, interleaved headers included
	Packets uint64 // returned by Next, wanted tracks only
	Dropped uint64 // packets skipped by jumps, all tracks
	Jumps   uint64 // times the reader had to look for a key frame because it was too slow or the stream had a gap
	Lag     uint64 // packets published but not yet returned
}

const (
	fpsWindow  = 2 * time.Second
	lossWindow = 5 * time.Second
)

// trackCounters is the inside of TrackStats. Owned by the hub's lock.
type trackCounters struct {
	packets, bytes    uint64
	frames, keyFrames uint64
	dropped           uint64
	formerLost        uint64 // of sources that have gone

	keyAtFrame  uint64
	lastKey     time.Time
	gopSize     int
	gopInterval time.Duration

	fpsSince  time.Time
	fpsFrames uint64
	fps       float64

	lossSince    time.Time
	lossExpected uint64
	lossLost     uint64
	lossPercent  float64

	lastPacket time.Time
}

func (c *trackCounters) hear(now time.Time, bytes int) {
	c.packets++
	c.bytes += uint64(bytes)
	c.lastPacket = now
}

// frame counts an access unit.
func (c *trackCounters) frame(now time.Time) {
	c.frames++
	if c.fpsSince.IsZero() {
		c.fpsSince, c.fpsFrames = now, c.frames
		return
	}
	if d := now.Sub(c.fpsSince); d >= fpsWindow {
		c.fps = float64(c.frames-c.fpsFrames) / d.Seconds()
		c.fpsSince, c.fpsFrames = now, c.frames
	}
}

// starts counts a random access point. The frame it belongs to may be counted already or a moment later, always the same for one codec.
func (t *track) starts(now time.Time) {
	c := &t.stats
	frame := c.frames
	if !t.unit.picture {
		frame++ // told by a message before the picture
	}
	if c.keyFrames > 0 {
		c.gopSize = int(frame - c.keyAtFrame)
		c.gopInterval = now.Sub(c.lastKey)
	}
	c.keyFrames++
	c.keyAtFrame, c.lastKey = frame, now
}

// window rolls the loss over.
func (c *trackCounters) window(now time.Time, r *rtpseq.Receiver) {
	if c.lossSince.IsZero() {
		c.lossSince = now
		return
	}
	if now.Sub(c.lossSince) < lossWindow {
		return
	}
	expected, lost := r.Expected(), r.Lost()
	if d := expected - c.lossExpected; expected > c.lossExpected {
		c.lossPercent = min(100*float64(lost-min(lost, c.lossLost))/float64(d), 100)
	}
	c.lossSince, c.lossExpected, c.lossLost = now, expected, lost
}

// foldLoss keeps the losses of a source that goes.
func (t *track) foldLoss() {
	c := &t.stats
	c.formerLost += t.source.seq.Lost()
	c.lossExpected, c.lossLost, c.lossSince = 0, 0, time.Time{}
}

// TrackStats returns a track's counters, zero for a track out of range.
func (h *Hub) TrackStats(track int) TrackStats {
	if track < 0 || track >= len(h.state) {
		return TrackStats{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.state[track]
	c := &t.stats
	return TrackStats{
		Packets: c.packets, Bytes: c.bytes, Frames: c.frames, KeyFrames: c.keyFrames,
		GOPSize: c.gopSize, GOPInterval: c.gopInterval, FPS: c.fps,
		Dropped: c.dropped, Lost: c.formerLost + t.source.seq.Lost(), LossPercent: c.lossPercent,
		Jitter: t.source.seq.Jitter(), LastPacket: c.lastPacket,
	}
}

// Stats returns the stream's counters.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{Restarts: h.restarts, Chunks: h.ring.head.Load()}
	s.RingChunks, s.RingBytes = h.ring.held()
	for _, t := range h.state {
		s.Packets += t.stats.packets
		s.Bytes += t.stats.bytes
		s.Dropped += t.stats.dropped
		s.Lost += t.stats.formerLost + t.source.seq.Lost()
		if t.stats.lastPacket.After(s.LastPacket) {
			s.LastPacket = t.stats.lastPacket
		}
	}
	return s
}
