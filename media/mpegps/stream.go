package mpegps

import (
	"bytes"

	"berth/media"
	"berth/media/annexb"
	"berth/media/pes"
)

// Bounds of one stream.
const (
	firstLook  = 4 << 10   // of a payload most of which may be dropped
	judgeBytes = 64        // of a packet mostly tell whether it goes on with a unit
	maxAudio   = 128 << 10 // bytes of audio that may wait for the end of their packet, or of their frame
)

// stamp is when a unit is to be shown and decoded. ok is false when the container did not say.
type stamp struct {
	pts, dts media.Ticks
	ok       bool
	weak     bool // from the pack's system clock, because the stream has no time stamps at all: it may differ within one unit
}

// differs reports whether the stamps belong to two units.
func (t stamp) differs(from stamp) bool {
	return t.ok && from.ok && !t.weak && !from.weak && (t.pts != from.pts || t.dts != from.dts)
}

// stream is one elementary stream: it gathers payload of PES packets in buf and cuts it into units.
type stream struct {
	d          *Demuxer
	id         byte
	streamType byte // of a map, 0 without
	mapped     bool // the present map names the stream
	codec      media.Codec
	packets    uint64
	frames     uint64
	sure       bool // a frame has gone out with this codec
	doubts     int  // units in a row that look like another codec

	room    pes.Room
	buf     []byte // of room
	from    int    // where the unit in work begins in buf
	pes     int    // where the payload of the present, or last, packet begins in buf
	pesTime stamp  // of that packet, until a unit takes it
	ended   bool   // that packet has ended
	drop    bool   // the rest of that packet is of no use

	clock   pes.Clock
	stamped bool  // a packet with a time stamp has come
	last    stamp // of the last frame
	told    stamp // of the last frame whose stamp was in the container
	untold  int   // frames since
	dur     media.Ticks

	video pictures
	audio sounds
}

func newStream(d *Demuxer, id byte) *stream {
	s := &stream{d: d, id: id, codec: media.CodecUnknown, ended: true, room: pes.NewRoom(d.opt.Buffers, max(d.opt.MaxUnit, maxAudio))}
	s.video = pictures{lost: true, cut: none}
	for k := range s.video.trust {
		s.video.trust[k].need = trustAfter
	}
	return s
}

// hears reports whether the stream is handled as audio.
func (s *stream) hears() bool {
	switch s.codec.Kind() {
	case media.KindAudio:
		return true
	case media.KindVideo:
		return false
	}
	return s.id < pes.IDVideo
}

// announce takes the stream_type of a map.
func (s *stream) announce(streamType byte) {
	if s.streamType == streamType {
		return
	}
	if s.streamType == 0 && s.sure && pes.CodecOf(streamType).Kind() == s.codec.Kind() && s.codec.Kind() == media.KindVideo {
		s.streamType = streamType // what the pictures say counts for more
		s.d.changed()
		return
	}
	s.streamType, s.audio.loas = streamType, streamType == pes.TypeLATM
	if c := pes.CodecOf(streamType); c != s.codec {
		heard := s.hears()
		s.flush() // a map comes between packets
		s.setCodec(c)
		if s.reset(); heard != s.hears() {
			s.video.lost, s.audio.lost = true, true
		}
	}
	s.d.changed()
}

// setCodec changes the codec of what is to come.
func (s *stream) setCodec(c media.Codec) {
	if s.codec == c {
		return
	}
	s.codec, s.sure, s.doubts = c, false, 0
	s.audio.misses = 0
	s.d.changed()
}

// begin is called with each packet's header.
func (s *stream) begin(t pes.Times) {
	s.packets++
	s.ended, s.drop = false, false
	st := s.stampOf(t)
	if s.hears() {
		s.pes, s.pesTime = len(s.buf), st
		return
	}
	s.beginPictures(st)
}

// stampOf unwraps the times of a packet.
func (s *stream) stampOf(t pes.Times) stamp {
	if !t.OK {
		if s.stamped || s.d.stats.Packs == 0 {
			return stamp{}
		}
		return stamp{pts: s.d.packed, dts: s.d.packed, ok: true, weak: true}
	}
	if !s.stamped {
		s.stamped = true
		s.clock = s.d.base
	}
	st := stamp{pts: s.clock.At(t.PTS), ok: true}
	s.d.base = s.clock
	st.dts = pes.Near(st.pts, t.DTS)
	const most = 10 * media.Ticks(media.FrameClock) // beyond, the DTS is nonsense
	if early := st.pts - st.dts; early < 0 || early >= most {
		st.dts = st.pts
	}
	return st
}

// append takes payload of the present packet.
func (s *stream) append(b []byte) {
	if s.drop || len(b) == 0 {
		return
	}
	switch {
	case s.video.fresh && len(b) > judgeBytes: // what ends the unit before is found before the rest is put behind it
		s.append(b[:judgeBytes])
		s.append(b[judgeBytes:])
		return
	case s.video.looking && !s.video.begun && len(b) > firstLook: // most of it will not be kept
		s.append(b[:firstLook])
		s.append(b[firstLook:])
		return
	}
	most := s.d.opt.MaxUnit
	if s.hears() {
		most = maxAudio
	} else if !s.readyForMore(b) {
		return
	}
	if s.from > 0 {
		s.compact()
	}
	if len(s.buf)+len(b) > most {
		s.d.stats.Oversize++
		s.reset()
		s.video.lost, s.drop = true, true
		return
	}
	if len(s.buf)+len(b) > cap(s.buf) {
		s.buf = s.room.Grow(s.buf, len(b))
	}
	s.buf = append(s.buf, b...)
	if !s.hears() {
		s.look(false)
	}
}

// readyForMore prepares for more payload of video; false when nothing is to be kept of b.
func (s *stream) readyForMore(b []byte) bool {
	v := &s.video
	v.size += len(b)
	if v.out && !v.begun && !v.fresh { // the picture was let out inside of its packet
		if len(bytes.TrimLeft(b, "\x00")) == 0 {
			return false
		}
		s.regret()
	}
	s.forgetBefore()
	return true
}

// end is called when the payload of the present packet is whole.
func (s *stream) end() {
	switch {
	case !s.hears():
		s.endPictures()
	case !s.drop:
		s.endSounds()
		s.release()
	}
	s.ended = true
}

// compact moves the unit in work to the front of the buffer. What is moved is little: it came after the end of the unit before was found.
func (s *stream) compact() {
	n := s.from
	s.buf = s.room.Settle(s.buf, n)
	s.from = 0
	s.pes -= n
	s.video.scan = max(s.video.scan-n, 0)
	if s.video.cut != none {
		s.video.cut -= n
	}
}

// release gives a buffer back that is shared with other streams, once what it was borrowed for has been handed on. Others are compacted when there is more.
func (s *stream) release() {
	if s.room.Borrowed() {
		s.compact()
	}
}

// reset forgets what is gathered.
func (s *stream) reset() {
	s.buf = s.room.Settle(s.buf, len(s.buf))
	s.from, s.pes, s.pesTime = 0, 0, stamp{}
	s.video.forget()
}

// gap drops what is not complete. open says that the gap is inside of a packet of this stream.
func (s *stream) gap(open bool) {
	if s.hears() {
		if len(s.buf) > s.from {
			s.d.stats.Damaged++
		}
		s.audio.lost, s.audio.cutTime = true, stamp{}
	} else {
		s.gapPictures(open)
		s.video.lost = true
	}
	s.reset()
	s.told.ok = false
	s.ended, s.drop = true, true
}

// flush lets out what is complete at the end of the input, or of a coding.
func (s *stream) flush() {
	if !s.hears() && s.ended {
		s.finish(len(s.buf))
	}
}

// emit hands a unit on.
func (s *stream) emit(f *media.Frame) {
	f.Codec = s.codec
	s.frames++
	s.sure = true
	s.room.Unit()
	s.d.stats.Frames++
	s.d.opt.Emit(int(s.id), f)
	*f = media.Frame{}
}

// time returns the stamp of the next frame: what the container says, or the one before and what a frame has taken so far.
func (s *stream) time(t stamp) stamp {
	if !t.ok {
		t = s.last
		t.dts += s.duration()
		t.pts = t.dts
		s.untold++
		s.last = t
		return t
	}
	if s.told.ok {
		if d := (t.dts - s.told.dts) / media.Ticks(s.untold+1); d > 0 && d <= media.Ticks(media.FrameClock) {
			s.dur = d
		}
	}
	s.told, s.last, s.untold = t, t, 0
	return t
}

// duration is how long a frame without stamp is taken to be: as those before, else 1/25 s.
func (s *stream) duration() media.Ticks {
	if s.dur > 0 {
		return s.dur
	}
	return media.Ticks(media.FrameClock) / 25
}

// emitPicture hands on a unit of video.
func (s *stream) emitPicture(unit []byte, at stamp) {
	at = s.time(at)
	key := annexb.Key(s.codec, unit)
	if s.codec != media.CodecH264 && s.codec != media.CodecH265 {
		key = s.video.headed // a system header or a map is put before what a decoder can begin with
	}
	f := &s.d.frame
	f.PTS, f.DTS, f.Key, f.Payload = at.pts, at.dts, key, unit
	s.emit(f)
}
