package mpegps

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
	"berth/media/pes"
)

// Packets after which a decision about the codec of audio falls.
const (
	guessAfter    = 4  // where a map does not name the stream
	guessUnmapped = 50 // where no map has come: one may be late, as long as two pictures that a decoder can begin with are apart
	missesMost    = 8  // without a frame of the codec that the map says
)

// sounds is where a stream of audio stands.
type sounds struct {
	lost      bool // bytes were missing: a header counts only with another behind its frame
	loas      bool // AAC comes in LATM
	misses    int  // packets in a row in which nothing was found
	sumA      int  // of how loud the bytes of these would be as A law
	sumMu     int  // and as µ law
	odd       int  // of these, packets of a size that G.711 does not have
	config    *mpeg4audio.AudioSpecificConfig
	configKey uint32
	latm      pes.LATM
	cutTime   stamp // of the frame whose rest comes with the next packet

	base    stamp // time of a frame
	samples int64 // from there to the next
	rate    int   // Hz
}

// headerReader reads the header of a frame that tells its size.
type headerReader func([]byte) (pes.AudioHeader, bool)

// endSounds takes the payload of a whole packet apart. What is left of it belongs to the next.
func (s *stream) endSounds() {
	s.reconsider(s.buf[max(s.pes, s.from):])
	a := &s.audio
	switch s.codec {
	case media.CodecUnknown:
		s.d.stats.Unknown++
		s.from = len(s.buf)
	case media.CodecAAC:
		if a.loas {
			s.split(pes.ReadLOAS, pes.LOASHeader)
		} else {
			s.split(pes.ReadADTS, pes.ADTSHeader)
		}
	case media.CodecMP3, media.CodecMPA:
		s.split(pes.ReadMPEGAudio, pes.MPEGAudioHeader)
	default:
		s.whole()
	}
}

// reconsider looks whether the payload of a packet is of another codec than it is taken for.
func (s *stream) reconsider(p []byte) {
	if len(p) == 0 {
		return
	}
	a := &s.audio
	found, loas := framing(p, s.codec == media.CodecUnknown || a.misses > 0)
	switch {
	case found == media.CodecUnknown && (s.codec == media.CodecUnknown || a.misses > 0):
		s.guessLaw(p)
		return
	case found == media.CodecUnknown || found == s.codec && loas == a.loas:
		s.doubts = 0
		return
	case found != media.CodecAAC && s.codec == media.CodecMP3, found != media.CodecAAC && s.codec == media.CodecMPA:
		// A change between the layers of MPEG audio is seen frame by frame.
		return
	case s.sure && s.doubts == 0:
		s.doubts++ // once may be chance
		return
	}
	s.setCodec(found)
	a.loas, a.lost = loas, true
}

// framing recognises codecs whose frames tell their size. search says that p may begin in the middle of a frame.
func framing(p []byte, search bool) (c media.Codec, loas bool) {
	for at := range p {
		if at > 0 && !search {
			break
		}
		switch rest := p[at:]; {
		case rest[0] == 0xff:
			if ok, _ := chained(rest, pes.ReadADTS, at > 0); ok {
				return media.CodecAAC, false
			}
			if ok, h := chained(rest, pes.ReadMPEGAudio, at > 0); ok {
				return pes.MPEGAudioCodec(h.Key), false
			}
		case rest[0] == 0x56:
			if ok, _ := chained(rest, pes.ReadLOAS, at > 0); ok {
				return media.CodecAAC, true
			}
		}
	}
	return media.CodecUnknown, false
}

// chained reports whether headers of one kind follow on each other: two of them, or one whose frame ends with p, which counts for less than two inside of a packet.
func chained(p []byte, read headerReader, inside bool) (ok bool, first pes.AudioHeader) {
	first, ok = read(p)
	if !ok || first.Size > len(p) {
		return false, first
	}
	if first.Size == len(p) {
		return !inside, first
	}
	next, ok := read(p[first.Size:])
	return ok && next.Key == first.Key, first
}

// guessLaw decides for G.711 when nothing else fits, as most devices without a map, or with a wrong one, send it: whichever law makes the sound quieter.
func (s *stream) guessLaw(p []byte) {
	a := &s.audio
	a.misses++
	for _, v := range p {
		a.sumA += int((v ^ 0x55) & 0x7f)
		a.sumMu += int(^v & 0x7f)
	}
	if len(p) < 80 || len(p)%8 != 0 { // 10 ms, and whole milliseconds
		a.odd++
	}
	after := missesMost
	if s.codec == media.CodecUnknown {
		if after = guessUnmapped; s.d.lastMap != nil {
			after = guessAfter
		}
	}
	if a.misses < after {
		return
	}
	c := media.CodecPCMA
	if a.sumMu < a.sumA {
		c = media.CodecPCMU
	}
	if named := s.streamType != 0 && s.codec == media.CodecUnknown; a.odd == 0 && !named {
		s.setCodec(c)
		s.from = max(s.pes, s.from)
	}
	a.misses, a.sumA, a.sumMu, a.odd = 0, 0, 0, 0
}

// split hands out the frames that are whole, one by one.
func (s *stream) split(read headerReader, least int) {
	a := &s.audio
	at, found, skipped := s.from, 0, 0
	for len(s.buf)-at >= least {
		h, ok := read(s.buf[at:])
		if ok && a.lost && at+h.Size <= len(s.buf) {
			ok = followed(s.buf[at+h.Size:], read, least)
		}
		if !ok {
			if skipped == 0 && !a.lost {
				s.d.stats.Damaged++
			}
			a.lost = true
			skipped++
			at++
			continue
		}
		if at+h.Size > len(s.buf) {
			break
		}
		t := a.cutTime
		if a.cutTime = (stamp{}); at >= s.pes {
			t, s.pesTime = s.pesTime, stamp{}
		}
		s.framed(s.buf[at+h.Header:at+h.Size], h, t)
		a.lost = false
		at += h.Size
		found++
	}
	s.from = at
	if at >= s.pes && at < len(s.buf) {
		a.cutTime, s.pesTime = s.pesTime, stamp{}
	}
	s.d.stats.Skipped += uint64(skipped)
	if found > 0 {
		a.misses, a.sumA, a.sumMu, a.odd = 0, 0, 0, 0
	} else if skipped > 0 && a.misses == 0 {
		a.misses = 1
	}
}

// followed reports whether what comes behind a frame may be the next, as far as it is there.
func followed(b []byte, read headerReader, least int) bool {
	if len(b) < least {
		return true
	}
	_, ok := read(b)
	return ok
}

// framed hands out one frame that was found by its header.
func (s *stream) framed(payload []byte, h pes.AudioHeader, t stamp) {
	a := &s.audio
	switch {
	case s.codec != media.CodecAAC:
		if c := pes.MPEGAudioCodec(h.Key); c != s.codec {
			s.setCodec(c)
		}
		s.emitSound(payload, t, h.Samples, h.Rate, nil)
	case a.loas:
		s.emitLATM(payload, t)
	default:
		if a.config == nil || a.configKey != h.Key {
			a.config, a.configKey = pes.ADTSConfig(h.Key), h.Key
		}
		s.emitSound(payload, t, h.Samples, h.Rate, a.config)
	}
}

// whole hands out the payload of a packet as one frame.
func (s *stream) whole() {
	p := s.buf[max(s.pes, s.from):]
	s.from = len(s.buf)
	if len(p) == 0 {
		return
	}
	s.audio.lost = false
	samples, rate := 0, 0
	if s.codec == media.CodecPCMA || s.codec == media.CodecPCMU {
		samples, rate = len(p), 8000
	}
	t := s.pesTime
	s.pesTime = stamp{}
	s.emitSound(p, t, samples, rate, nil)
}

// emitSound hands on one frame. Without a stamp it comes where the one before ends; samples are 0 where nothing tells how long a frame is.
func (s *stream) emitSound(payload []byte, t stamp, samples, rate int, c *mpeg4audio.AudioSpecificConfig) {
	a := &s.audio
	if !t.ok && a.base.ok && a.rate > 0 {
		span := media.ClockRate(a.rate).Convert(media.Ticks(a.samples), media.FrameClock)
		t = stamp{pts: a.base.pts + span, dts: a.base.dts + span, ok: true}
	} else {
		t = s.time(t)
		a.base, a.samples = t, 0
		a.base.ok = true
	}
	if a.rate != rate {
		a.base, a.samples, a.rate = t, 0, rate
		a.base.ok = true
	}
	a.samples += int64(samples)
	f := &s.d.frame
	f.PTS, f.DTS, f.Key, f.Config, f.Payload = t.pts, t.dts, true, c, payload
	s.emit(f)
}

// emitLATM takes one AudioMuxElement apart.
func (s *stream) emitLATM(element []byte, t stamp) {
	rate := s.audio.latm.Frames(element, func(unit []byte, c *mpeg4audio.AudioSpecificConfig, samples int) {
		s.emitSound(unit, t, samples, c.SampleRate, c)
		t = stamp{} // of the first alone
	})
	if rate == 0 {
		s.d.stats.Damaged++
	}
}
