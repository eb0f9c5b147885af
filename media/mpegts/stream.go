package mpegts

import (
	"berth/media"
	"berth/media/annexb"
	"berth/media/pes"
)

const maxAudio = 64 << 10 // bytes of an audio packet that holds frames without headers

// stamp is when a unit is to be shown and decoded. ok is false when the container did not say.
type stamp struct {
	pts, dts media.Ticks
	ok       bool
}

// stream is one elementary stream: it gathers the payload of PES packets and hands on access units.
type stream struct {
	d          *Demuxer
	pid        int
	streamType byte
	named      media.Codec // by the map
	codec      media.Codec // the same, or what frames of MPEG audio say more exactly
	audio      *pes.Audio  // for audio whose frames have headers; nil for all else
	counters

	head   []byte // of a PES packet, while it is not whole
	inHead bool
	open   bool  // a PES packet is under way
	left   int   // bytes of it still to come; -1 when it does not say
	told   stamp // of the PES packet, until the audio of it has begun

	room   pes.Room
	buf    []byte // of room
	begun  bool   // buf holds the unit in work
	unsure bool   // whether the PES packet that has begun goes on with it
	at     stamp  // of that unit
	random bool   // it begins with a packet that has the random_access_indicator
	fresh  bool   // the next unit begins with such a packet
	ended  endings

	last stamp       // of the last unit
	step media.Ticks // from unit to unit, for those without stamp
}

func newStream(d *Demuxer, pid int, streamType byte, codec media.Codec) *stream {
	s := &stream{d: d, pid: pid, streamType: streamType, named: codec, codec: codec, step: media.Ticks(media.FrameClock) / 25}
	s.room = pes.NewRoom(d.opt.Buffers, max(d.opt.MaxUnit, maxAudio))
	if format, ok := pes.AudioFormatOf(streamType); ok {
		s.audio = pes.NewAudio(format, s.emit)
	}
	return s
}

func (s *stream) video() bool { return s.codec.Kind() == media.KindVideo }

// packet takes a transport stream packet.
func (s *stream) packet(h header) {
	switch s.next(h) {
	case twice:
		s.d.stats.Duplicates++
		return
	case broken:
		s.d.stats.Holes++
		s.hole()
	}
	if h.payload == nil {
		return
	}
	if h.start {
		s.endPacket(true)
		s.ended.begins()
		s.head, s.inHead, s.open = s.head[:0], true, true
		s.fresh = h.random
	}
	p := h.payload
	if s.inHead {
		p = s.header(p)
	}
	if s.open && !s.inHead {
		s.payload(p)
	}
	if h.stuffed {
		s.hint(hintStuffing)
	}
}

// header gathers the header of a PES packet and returns what is behind it.
func (s *stream) header(p []byte) []byte {
	for {
		view := p
		if len(s.head) > 0 {
			view = s.head
		}
		n := pes.HeaderSize(view)
		switch {
		case n == pes.NoHeader || len(view) > 3 && !pes.HasHeader(view[3]):
			s.open, s.inHead = false, false
			if n == pes.NoHeader {
				s.d.stats.Damaged++
			}
			return nil
		case n <= len(view):
			s.begin(view[:n])
			s.inHead = false
			if len(s.head) > 0 {
				s.head = s.head[:0]
				return p
			}
			return p[n:]
		case len(p) == 0:
			return nil
		}
		n = min(n-len(s.head), len(p))
		s.head = append(s.head, p[:n]...)
		p = p[n:]
	}
}

// begin is called with the whole header of a PES packet.
func (s *stream) begin(h []byte) {
	s.left = -1
	if length := pes.Length(h); length > 0 {
		s.left = 6 + length - len(h)
	}
	t := stamp{}
	if times := pes.ReadTimes(h); times.OK {
		t.pts, t.dts = s.d.clock.unwrap(times)
		t.ok = true
	}
	if s.audio != nil {
		s.told = t
		return
	}
	switch {
	case s.begun && s.video() && !t.ok:
		s.unsure = true // its first bytes tell
		return
	case s.begun && s.video() && s.at.ok && t == s.at:
		s.ended.goesOn()
		return // more of the same picture
	case s.ended.out && t.ok && t == s.last:
		s.ended.goesOn() // it was let out too early; the rest follows it
	case s.begun || s.ended.out:
		s.ended.alone()
		s.finish()
	}
	s.beginUnit(t)
}

func (s *stream) beginUnit(t stamp) {
	s.begun, s.at, s.random, s.unsure, s.ended.out = true, t, s.fresh, false, false
}

// decide says whether a PES packet without time stamp that begins with p goes on with the picture in work.
func (s *stream) decide(p []byte) {
	s.unsure = false
	if !opensPicture(s.codec, p) || !hasPicture(s.codec, s.buf) {
		s.ended.goesOn()
		return
	}
	s.ended.alone()
	s.finish()
	s.beginUnit(stamp{})
}

// payload takes payload of the PES packet that is under way.
func (s *stream) payload(p []byte) {
	if s.left >= 0 {
		p = p[:min(len(p), s.left)] // what is behind is stuffing
		s.left -= len(p)
	}
	if len(p) > 0 {
		s.ended.resolve(false)
		s.take(p)
	}
	if s.left == 0 {
		s.endPacket(false)
	}
}

func (s *stream) take(p []byte) {
	if s.audio != nil {
		s.audio.Push(p, s.told.pts, s.told.ok)
		s.told.ok = false
		return
	}
	if s.unsure {
		s.decide(p)
	}
	if s.begun || s.resume() {
		s.append(p)
	}
}

// resume begins a unit with what follows one that was let out in the middle of its packet.
func (s *stream) resume() bool {
	if !s.ended.out {
		return false
	}
	s.ended.goesOn()
	s.fresh = false
	s.beginUnit(s.last)
	return true
}

func (s *stream) append(p []byte) {
	most := s.d.opt.MaxUnit
	if !s.video() {
		most = maxAudio
	}
	if len(s.buf)+len(p) > most {
		s.d.stats.Oversize++
		s.drop()
		s.open = false
		return
	}
	if len(s.buf)+len(p) > cap(s.buf) {
		s.buf = s.room.Grow(s.buf, len(p))
	}
	s.buf = append(s.buf, p...)
}

// endPacket ends the PES packet that is under way. next says that another one has begun.
func (s *stream) endPacket(next bool) {
	if !s.open {
		return
	}
	if next && s.inHead {
		s.d.stats.Damaged++
	} else if next && s.left > 0 {
		s.d.stats.Lengths++ // nothing is missing, or the counters would have said so
	}
	s.open, s.inHead = false, false
	if s.begun && (!s.video() || s.ended.single()) {
		s.ended.out = s.video()
		s.finish()
	}
}

// finish hands on the unit in work.
func (s *stream) finish() {
	begun := s.begun
	s.begun = false
	if !begun || len(s.buf) == 0 {
		return
	}
	at := s.time()
	if s.codec == media.CodecOpus {
		s.opus(at)
	} else {
		f := &s.d.frame
		f.PTS, f.DTS, f.Payload = at.pts, at.dts, s.buf
		switch s.codec {
		case media.CodecH264, media.CodecH265:
			f.Key = annexb.Key(s.codec, s.buf)
		default:
			f.Key = s.random || !s.video()
		}
		s.emit(f)
	}
	s.buf = s.room.Settle(s.buf, len(s.buf))
}

// time returns the stamp of the unit in work: what the container says, or that of the one before and what a unit took so far.
func (s *stream) time() stamp {
	const most = media.Ticks(media.FrameClock)
	at := s.at
	switch step := at.dts - s.last.dts; {
	case !at.ok:
		at.dts = s.last.dts + s.step
		at.pts = at.dts
	case s.last.ok && step > 0 && step < most:
		s.step = step
	}
	s.last = at
	return at
}

// emit hands a frame on.
func (s *stream) emit(f *media.Frame) {
	if s.audio != nil && f.Codec != s.codec {
		s.codec = f.Codec
		s.d.version++
	}
	f.Codec = s.codec
	s.room.Unit()
	s.d.stats.Frames++
	s.d.opt.Emit(s.pid, f)
}

// drop forgets the unit in work.
func (s *stream) drop() {
	s.buf = s.room.Settle(s.buf, len(s.buf))
	s.begun, s.unsure, s.ended.out = false, false, false
}

// hole says that packets of this stream are missing: what they belong to is dropped.
func (s *stream) hole() {
	if s.audio != nil {
		s.audio.Gap()
	} else if s.begun {
		if s.open || !s.ended.likely() {
			s.d.stats.Damaged++
			s.drop()
		} else {
			s.finish()
		}
	}
	s.ended.forget()
	s.open, s.inHead, s.head = false, false, s.head[:0]
}

// gap says that packets of any stream are missing.
func (s *stream) gap() {
	s.hole()
	s.known = false
}

// flush lets out what is complete at the end of the input. A packet that does not say how long it is ends there.
func (s *stream) flush() {
	if s.begun && (!s.open || s.left < 0) {
		s.finish()
	}
}

// retire ends a stream that a new map does not name any more.
func (s *stream) retire() {
	s.flush()
	s.hole()
	s.addAudio(&s.d.stats)
}

func (s *stream) addAudio(stats *Stats) {
	if s.audio != nil {
		stats.Damaged += s.audio.Damaged()
		stats.Skipped += s.audio.Skipped()
	}
}
