package mpegts

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"berth/media"
)

// Fields of an opus_control_header (ETSI TS Opus 0.1.3, section 4).
const (
	opusPrefix    = 0x3ff // 11 bits
	opusStartTrim = 1 << 4
	opusEndTrim   = 1 << 3
	opusExtension = 1 << 2
	opusRate      = 48000
)

// opus hands on the packets of a PES packet, each of which has a control header.
func (s *stream) opus(at stamp) {
	pts := at.pts
	samples := media.Ticks(0)
	for b := s.buf; len(b) > 0; {
		packet, rest, ok := opusPacket(b)
		if !ok {
			s.d.stats.Damaged++
			return
		}
		f := &s.d.frame
		f.PTS = pts + media.ClockRate(opusRate).Convert(samples, media.FrameClock)
		f.DTS, f.Key, f.Payload = f.PTS, true, packet
		samples += media.Ticks(opus.PacketDuration2(packet))
		s.emit(f)
		b = rest
	}
}

// opusPacket takes the first packet out of an access unit.
func opusPacket(b []byte) (packet, rest []byte, ok bool) {
	if len(b) < 3 || binary.BigEndian.Uint16(b)>>5 != opusPrefix {
		return nil, nil, false
	}
	flags := b[1]
	b = b[2:]
	size := 0
	for {
		if len(b) == 0 {
			return nil, nil, false
		}
		v := b[0]
		b = b[1:]
		if size += int(v); v != 0xff {
			break
		}
	}
	skip := 0
	if flags&opusStartTrim != 0 {
		skip += 2
	}
	if flags&opusEndTrim != 0 {
		skip += 2
	}
	if flags&opusExtension != 0 {
		if len(b) <= skip {
			return nil, nil, false
		}
		skip += 1 + int(b[skip])
	}
	if size == 0 || len(b) < skip+size {
		return nil, nil, false
	}
	return b[skip : skip+size], b[skip+size:], true
}

// appendOpusHeader appends the control header of a packet of size bytes.
func appendOpusHeader(dst []byte, size int) []byte {
	dst = append(dst, opusPrefix>>3, opusPrefix<<5&0xff)
	for ; size >= 0xff; size -= 0xff {
		dst = append(dst, 0xff)
	}
	return append(dst, byte(size))
}
