package mpegps

import (
	"berth/media"
	"berth/media/annexb"
)

// none is an offset that is not set.
const none = -1

// learnAfter is how many access units in a row have to begin with their packet until the rest of packets is not looked through any more. Program streams of devices are so; those of DVDs
// cut access units wherever a packet is full.
const learnAfter = 8

// pictures is where the access unit in work stands. Offsets are into the stream's buf.
type pictures struct {
	begun  bool  // the unit at stream.from has begun; without, bytes are looked through for a beginning
	slice  bool  // it has a slice
	lost   bool  // bytes were missing: the unit is kept only if its first slice is the first of a picture
	headed bool  // a system header or a map came right before it
	time   stamp // of the unit
	older  stamp // of the packet before the present one, if no unit took it

	cut     int   // where the next unit begins if the next slice is the first of a picture, or none
	cutTime stamp // of that unit
	inner   bool  // cut is not at the beginning of a packet

	scan    int  // what is before has been looked through
	fresh   bool // the beginning of the present packet has not been judged yet
	whole   bool // the present packet begins with a NAL unit that has not been seen yet
	first   bool // the next NAL unit is the first of a packet with a time stamp
	looking bool // the present packet is looked through
	content bool // units begin anywhere in packets
	learned int  // units in a row that began with their packet

	early
}

// forget drops the unit in work.
func (v *pictures) forget() {
	v.begun, v.slice, v.fresh, v.whole, v.looking, v.first = false, false, false, false, false, false
	v.time, v.older, v.cut, v.scan, v.size = stamp{}, stamp{}, none, 0, 0
	v.forgetEarly()
}

// all reports whether every byte has to be looked through.
func (v *pictures) all() bool { return v.content || v.learned < learnAfter }

// undecided reports whether the stream is video of a codec that is not known yet.
func (s *stream) undecided() bool { return s.codec.Kind() == media.KindOther }

// plain reports whether the codec is none whose access units are looked into: then the time stamps alone tell them apart.
func (s *stream) plain() bool {
	return !s.undecided() && s.codec != media.CodecH264 && s.codec != media.CodecH265
}

func (s *stream) beginPictures(t stamp) {
	v := &s.video
	v.older = s.pesTime
	s.pes, s.pesTime = len(s.buf), t
	v.whole = false
	v.size, v.first, v.asked = 0, t.ok && !t.weak && !v.content, true
	if s.plain() {
		s.beginPlain(t)
		return
	}
	if !v.looking {
		v.scan = s.pes
	}
	v.fresh = true
}

// beginPlain begins a unit with each new time stamp.
func (s *stream) beginPlain(t stamp) {
	v := &s.video
	changed := !v.time.ok || t.pts != v.time.pts || t.dts != v.time.dts
	fresh := t.ok && changed || !t.ok && !s.stamped
	switch {
	case v.begun && fresh:
		v.resolve(true)
		s.finish(len(s.buf))
	case v.begun:
		v.resolve(false)
		return
	case v.lost && !fresh:
		s.drop = true
		return
	case v.out && !fresh:
		s.regret()
		return
	}
	v.lost = false
	v.headed, s.d.headed = s.d.headed, false
	s.beginUnit(len(s.buf))
}

// beginUnit begins a unit at an offset of the buffer.
func (s *stream) beginUnit(at int) {
	s.video.begun, s.from, s.video.time = true, at, s.stampAt(at)
}

// stampAt takes the stamp of the packet in which an offset lies. It belongs to the first unit that begins there (ISO/IEC 13818-1 section 2.4.3.7), which is the only one to get it.
func (s *stream) stampAt(at int) (t stamp) {
	from := &s.pesTime
	if at < s.pes {
		from = &s.video.older
	}
	t, *from = *from, stamp{}
	return t
}

// look judges the payload that came, as far as it is there. end says that the packet has no more.
func (s *stream) look(end bool) {
	v := &s.video
	if s.plain() && !s.unmask() {
		return
	}
	if v.fresh && !s.judge(end) {
		return
	}
	for v.looking && !s.drop {
		i := annexb.StartCode(s.buf, v.scan)
		if i < 0 {
			v.scan = max(v.scan, len(s.buf)-2)
			return
		}
		if len(s.buf) < i+3+nalHead {
			v.scan = i
			return
		}
		v.scan = i + 3
		s.unit(i)
	}
}

// judge decides by the first bytes of a packet what it means for the unit in work; false when they are too few.
func (s *stream) judge(end bool) bool {
	p, zeros := s.buf[s.pes:], 0
	for zeros < len(p) && p[zeros] == 0 {
		zeros++
	}
	const most = 8 // leading zeros; more are no start code
	if zeros == len(p) && zeros < most && !end {
		return false
	}
	s.video.fresh = false
	if s.video.content {
		s.video.looking = true
		return true
	}
	if zeros >= 2 && zeros < len(p) && p[zeros] == 1 {
		s.aligned()
	} else {
		s.continued()
	}
	return true
}

// aligned is called for a packet that begins with a NAL unit.
func (s *stream) aligned() {
	v := &s.video
	v.looking = true
	switch {
	case s.undecided():
		v.begun, v.whole, s.from = false, true, s.pes
	case !v.begun:
		if s.pesTime.differs(v.prev) {
			v.resolve(true)
		}
		s.beginUnit(s.pes)
		v.scan = s.pes
	case v.slice && s.pesTime.differs(v.time):
		v.resolve(true)
		v.learned++
		s.finish(s.pes)
		s.beginUnit(s.pes)
	case !v.slice && s.pesTime.ok:
		v.time = s.stampAt(s.pes)
	}
}

// continued is called for a packet that begins in the middle of a NAL unit.
func (s *stream) continued() {
	v := &s.video
	v.first = false
	switch {
	case v.begun && s.pesTime.differs(v.time):
		// Another picture begins somewhere in this packet.
		v.content, v.learned, v.looking = true, 0, true
		v.scan = max(min(v.scan, s.pes-2), s.from)
	case v.begun:
		v.fragment = max(v.fragment, v.lastSize)
		v.resolve(false)
		v.looking = v.all()
	case v.out:
		s.regret()
	case v.all():
		v.looking = true
	default:
		s.drop = true
	}
}

// unit judges the NAL unit behind the start code at i.
func (s *stream) unit(i int) {
	v := &s.video
	p := s.buf[i+3:]
	s.verify(p)
	v.first, v.whole = false, false
	if s.undecided() || s.plain() {
		return
	}
	if p[0]&0x80 != 0 {
		v.looking = false // the packet's length is wrong, and this is a start code of the program stream: its end will tell
		return
	}
	kind := classify(s.codec, p)
	switch {
	case kind&nalFirst != 0:
		s.firstSlice(s.unitStart(i))
	case kind&nalSlice != 0:
		s.laterSlice()
	case kind&nalOpens != 0 && !v.begun:
		s.beginInside(s.unitStart(i))
	case kind&nalOpens != 0 && v.slice && v.cut == none:
		v.cut = s.unitStart(i)
		v.inner = v.cut != s.pes
		v.cutTime = s.stampAt(v.cut)
	}
}

// unitStart returns where the NAL unit behind the start code at i begins with the zeros that belong to it: the zero_byte, or all from the beginning of the packet on.
func (s *stream) unitStart(i int) int {
	at := i
	for at > max(s.pes, s.from) && s.buf[at-1] == 0 {
		at--
	}
	if at == s.pes && !s.video.content {
		return at
	}
	if i > s.from && s.buf[i-1] == 0 {
		return i - 1
	}
	return i
}

// beginInside begins a unit that was found by looking through a packet.
func (s *stream) beginInside(at int) {
	if at != s.pes {
		s.video.content, s.video.learned = true, 0
	}
	s.beginUnit(at)
}

// firstSlice ends the unit in work if it has a picture already.
func (s *stream) firstSlice(at int) {
	v := &s.video
	switch {
	case !v.begun:
		s.beginInside(at)
		v.resolve(true)
	case v.slice:
		t, inner := v.cutTime, v.inner
		if v.cut == none {
			t, inner = s.stampAt(at), at != s.pes
		} else {
			at = v.cut
		}
		if inner {
			v.content, v.learned = true, 0
		} else {
			v.learned++
		}
		v.resolve(true)
		s.finish(at)
		v.begun, v.time = true, t
	default:
		v.resolve(true)
	}
	v.slice, v.lost, v.cut = true, false, none
	v.looking = v.all()
}

// laterSlice goes on with the picture in work, if there is one.
func (s *stream) laterSlice() {
	v := &s.video
	if !v.begun || v.lost && !v.slice {
		v.begun = false // its first slice is missing
		s.drop = !v.all()
		return
	}
	switch {
	case v.out: // the rest of a picture that was let out too early
		if !v.time.ok {
			v.time = v.prev
		}
		v.resolve(false)
	case v.slice:
		v.resolve(false)
	}
	v.slice, v.cut = true, none
	v.looking = v.all()
}

// verify holds a NAL unit against the codec that the map says.
func (s *stream) verify(p []byte) {
	c := evidence(p, s.video.first)
	switch {
	case c == media.CodecUnknown:
	case s.undecided():
		s.setCodec(c)
	case !s.video.first && !s.video.content: // where units begin anywhere, sequence parameter sets tell
	case c == s.codec:
		s.doubts = 0
	case s.sure && s.doubts == 0:
		s.doubts++ // once may be damage
	default:
		s.setCodec(c)
	}
}

// unmask looks at the first bytes of a packet of a plain codec: maps that say MPEG-4 or MPEG-2 for everything are known. True when it is H.264 or H.265.
func (s *stream) unmask() bool {
	const enough = 12
	p, zeros := s.buf[max(s.pes, s.from):], 0
	if !s.video.first || len(p) < enough {
		return false
	}
	for zeros < len(p) && p[zeros] == 0 {
		zeros++
	}
	if zeros >= 2 && zeros < enough-nalHead && p[zeros] == 1 {
		s.verify(p[zeros+1:])
	}
	s.video.first = false
	if s.plain() {
		return false
	}
	from, t := max(s.pes, s.from), s.video.time // the beginning of the packet may have been let out, and be gone
	s.video.forget()
	if !s.pesTime.ok {
		s.pesTime = t
	}
	s.video.lost, s.video.fresh, s.video.first = true, true, true
	s.pes, s.from, s.video.scan = from, from, from
	return true
}

// finish hands out the unit in work, which ends at an offset of the buffer. Offsets taken before it mean nothing after it.
func (s *stream) finish(end int) {
	v := &s.video
	if v.begun && (v.slice || s.plain()) && end > s.from && !s.undecided() {
		v.prev = v.time
		s.emitPicture(s.buf[s.from:end], v.time)
	}
	s.from = end
	v.begun, v.slice, v.cut, v.time = false, false, none, stamp{}
	s.release()
}

// forgetBefore drops what no unit begins in: all but what may belong to a start code.
func (s *stream) forgetBefore() {
	switch v := &s.video; {
	case v.begun || v.fresh || v.whole || s.plain():
	case v.looking:
		s.from = max(s.from, min(v.scan, len(s.buf)-2)-1)
	default:
		s.from = len(s.buf)
	}
}

func (s *stream) endPictures() {
	v := &s.video
	if v.fresh && !s.drop {
		s.look(true)
	}
	if s.undecided() {
		s.d.stats.Unknown++
	}
	v.lastSize = v.size
}

// gapPictures saves a picture whose packet had ended, where pictures of this stream are known to have one packet each.
func (s *stream) gapPictures(open bool) {
	v := &s.video
	if v.begun && !v.lost && !open && s.ended && v.learned > 0 && !v.content && !v.joins && !v.full() {
		s.finish(len(s.buf))
		return
	}
	if len(s.buf) > s.from {
		s.d.stats.Damaged++
	}
}
