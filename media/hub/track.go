package hub

import (
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"

	"berth/media"
	"berth/media/h264"
	"berth/media/h265"
	"berth/media/rtpseq"
)

const (
	// keyPatience is how long a stream that has had key frames may go without before parameter sets count as random access points.
	keyPatience = 10 * time.Second
	// firstKeyPatience is the same for a stream that has had none yet.
	firstKeyPatience = 3 * time.Second
	// anyPatience is how long a stream without key frames and without parameter sets is waited for before any picture counts as a beginning.
	anyPatience = 20 * time.Second
	// timeStep is how far the source's timestamps may differ from the passing of time before they count as begun anew.
	timeStep = 10 * time.Second
	// switchPatience is how long a source must be silent for another SSRC to replace it at its first packet rather than at the second.
	switchPatience = time.Second
)

// content is what the hub needs to know of a payload.
type content struct {
	picture bool // picture data; false for parameter sets and messages before it
	key     bool // a decoder can start at this access unit
	params  bool // a sequence parameter set
}

// track is the state of one of the hub's tracks. Owned by the hub's lock.
type track struct {
	index int
	media *media.Track
	clock media.ClockRate
	video bool
	scan  func([]byte) content // nil: every access unit is a beginning
	pt    uint8
	ssrc  uint32

	// what viewers see
	started     bool
	lastSeq     uint16
	lastTS      uint32 // the greatest so far
	time        timeline
	sentPackets uint64
	sentOctets  uint64
	nextReport  time.Time
	lastReport  time.Time

	source  source
	unit    unit
	realKey time.Time // of the last key frame that the payload told of
	params  bool      // parameter sets come in the stream
	stats   trackCounters
}

// source is what a track knows of its present publisher.
type source struct {
	pt        uint8
	known     bool
	ssrc      uint32
	seq       rtpseq.Receiver
	seqOffset uint16
	tsOffset  uint32
	shift     uint32 // to be added to tsOffset at the next timestamp: one picture keeps one
	lastTS    uint32 // on the source's scale
	lastAt    time.Time
	reported  time.Time     // arrival of the last sender report taken in
	pending   *sourceReport // came before the first packet
	pendingOf uint32        // SSRC of pending

	other     bool // a packet of another SSRC has come
	otherSSRC uint32
	otherSeq  uint16
}

// unit is the access unit that a video track is receiving.
type unit struct {
	used    bool // there has been one
	open    bool
	ts      uint32
	start   uint64 // position of the chunk in which it begins
	picture bool   // picture data has come
	key     bool
	params  bool
}

func newTrack(index int, m *media.Track, random func() uint32) *track {
	t := &track{
		index: index, media: m, clock: m.ClockRate, video: m.Kind == media.KindVideo, pt: m.PayloadType(), ssrc: random(),
		lastSeq: uint16(random()), lastTS: random(),
	}
	t.time.rate = m.ClockRate
	t.source.seq.ClockRate = m.ClockRate
	t.stats.lossPercent = -1
	switch f := m.Format.(type) {
	case *format.H264:
		t.scan = scanH264
	case *format.H265:
		t.scan = scanH265
		if f.MaxDONDiff > 0 {
			t.scan = scanH265WithOrder
		}
	}
	return t
}

func scanH264(payload []byte) content {
	f := h264.Scan(payload)
	return content{
		picture: f == 0 || f.Has(h264.FlagPicture), // continuation fragments hold nothing that can be told
		key:     f&(h264.FlagIDR|h264.FlagRecovery) != 0,
		params:  f.Has(h264.FlagSPS),
	}
}

func scanH265(payload []byte) content { return contentH265(h265.Scan(payload, false)) }

func scanH265WithOrder(payload []byte) content { return contentH265(h265.Scan(payload, true)) }

func contentH265(f h265.Flags) content {
	return content{
		picture: f == 0 || f.Has(h265.FlagPicture),
		key:     f&(h265.FlagIRAP|h265.FlagRecovery) != 0,
		params:  f.Has(h265.FlagSPS),
	}
}

// attach forgets the former source.
func (t *track) attach(m *media.Track) {
	t.foldLoss()
	t.source = source{pt: m.PayloadType()}
	t.source.seq.ClockRate = t.clock
	t.unit = unit{}
}

// verdict of admit.
type verdict uint8

const (
	take      verdict = iota
	drop              // not passed on, counted
	takeAnew          // the source begins anew here
	takeJumps         // its timestamps do, nothing else
)

// admit judges a packet by SSRC, sequence number and timestamp.
func (t *track) admit(now time.Time, h *media.RTP) verdict {
	s := &t.source
	switch {
	case !s.known:
		s.known, s.ssrc = true, h.SSRC
		s.seq.Packet(now, h.Seq, h.Timestamp)
		return takeAnew
	case h.SSRC != s.ssrc:
		return t.admitOther(now, h)
	}
	s.other = false
	_, v := s.seq.Packet(now, h.Seq, h.Timestamp)
	switch v {
	case rtpseq.Late, rtpseq.Duplicate, rtpseq.Suspect:
		return drop
	case rtpseq.Restarted:
		return takeAnew
	}
	moved := t.clock.Duration(media.TimestampDiff(h.Timestamp, s.lastTS))
	if off := moved - now.Sub(s.lastAt); t.clock != 0 && (moved > timeStep || moved < -timeStep) && (off > timeStep || off < -timeStep) {
		return takeJumps
	}
	return take
}

// admitOther lets another SSRC take over when two of its packets follow each other, or when the present one is silent.
func (t *track) admitOther(now time.Time, h *media.RTP) verdict {
	s := &t.source
	follows := s.other && s.otherSSRC == h.SSRC && h.Seq == s.otherSeq+1
	if !follows && now.Sub(s.lastAt) < switchPatience {
		s.other, s.otherSSRC, s.otherSeq = true, h.SSRC, h.Seq
		return drop
	}
	t.foldLoss()
	s.other, s.ssrc, s.reported, s.pending = false, h.SSRC, time.Time{}, nil
	s.seq = rtpseq.Receiver{ClockRate: t.clock}
	s.seq.Packet(now, h.Seq, h.Timestamp)
	return takeAnew
}

// anchor makes the source's numbers continue what viewers have seen. seqToo is false when only timestamps jumped.
func (t *track) anchor(now time.Time, h *media.RTP, seqToo bool) {
	s := &t.source
	if seqToo {
		s.seqOffset = t.lastSeq + 1 - h.Seq
	}
	want := t.lastTS
	switch {
	case t.time.known:
		want = t.time.rtpAt(now)
		if least := t.lastTS + uint32(t.clock.Ticks(20*time.Millisecond)); media.TimestampDiff(want, least) < 0 {
			want = least
		}
	default:
		t.time.anchor(want, now)
	}
	s.tsOffset, s.shift = want-h.Timestamp, 0
}

// due says whether the present access unit, which has no key frame, is to count as a beginning because the stream has none to offer: some encoders refresh
// their picture gradually and never send one.
func (t *track) due(now, first time.Time) bool {
	t.params = t.params || t.unit.params
	switch {
	case t.unit.params && t.realKey.IsZero():
		return now.Sub(first) >= firstKeyPatience
	case t.unit.params:
		return now.Sub(t.realKey) >= keyPatience
	}
	return t.realKey.IsZero() && !t.params && now.Sub(first) >= anyPatience
}
