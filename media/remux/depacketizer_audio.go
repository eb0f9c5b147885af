package remux

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
)

// maxAudioFrame bounds a frame of audio that comes in pieces; none in use comes near.
const maxAudioFrame = 64 << 10

// readWhole takes a packet that is a frame.
func (d *Depacketizer) readWhole(payload []byte, _ bool) {
	pts := d.pts(d.ext)
	d.emit(pts, pts, true, payload)
}

// readAAC takes RFC 3640 apart: any number of whole access units, or a fragment of one. Packets that begin with an ADTS header instead (which no standard knows, and cameras send) are
// told by their first bytes, which as AU-headers-length would not fit.
func (d *Depacketizer) readAAC(payload []byte, _ bool) {
	if d.opts.Track == nil && (len(d.part) > 0 && d.need == 0 || adtsSize(payload) > 0) {
		d.readADTS(payload)
		return
	}
	if len(payload) < 2 {
		d.stats.Invalid++
		return
	}
	bits := int(binary.BigEndian.Uint16(payload))
	heads := payload[2:]
	d.guessClock()
	if bits == 0 || (bits+7)/8 > len(heads) {
		d.stats.Invalid++
		return
	}
	data := heads[(bits+7)/8:]
	at := d.ext
	for pos, first := 0, true; bits-pos >= d.aac.size+d.index(first); first = false {
		size := readBits(heads, pos, d.aac.size)
		skip := readBits(heads, pos+d.aac.size, d.index(first))
		pos += d.aac.size + d.index(first)
		if !first {
			at += d.frameTicks() * media.Ticks(1+skip) // more than one apart when units are interleaved (section 3.2.3.2)
		}
		if size > len(data) {
			if !first || bits-pos >= d.aac.size+d.aac.delta {
				d.stats.Invalid++
				return
			}
			d.fragmentAAC(size, data)
			return
		}
		d.part, d.need = d.part[:0], 0
		d.emitAAC(at, data[:size])
		data = data[size:]
	}
}

// index returns the length of an index field.
func (d *Depacketizer) index(first bool) int {
	if first {
		return d.aac.index
	}
	return d.aac.delta
}

// readBits reads n bits, at most 16, that are known to be there.
func readBits(b []byte, pos, n int) (v int) {
	for ; n > 0; n-- {
		v = v<<1 | int(b[pos>>3]>>(7-pos&7)&1)
		pos++
	}
	return v
}

// fragmentAAC collects an access unit whose packets all tell its size.
func (d *Depacketizer) fragmentAAC(size int, data []byte) {
	if d.need != size {
		if d.need != 0 {
			d.stats.Damaged++
		}
		d.part, d.need = d.part[:0], size
	}
	d.part = append(d.part, data...)
	if len(d.part) < size {
		return
	}
	if len(d.part) == size {
		d.emitAAC(d.ext, d.part)
	} else {
		d.stats.Damaged++
	}
	d.part, d.need = d.part[:0], 0
}

// emitAAC hands on one access unit without the ADTS header that some cameras leave on it.
func (d *Depacketizer) emitAAC(ext media.Ticks, unit []byte) {
	if n := adtsSize(unit); n > 0 && n == len(unit) {
		if d.opts.Track == nil {
			d.configure(adtsConfig(unit))
		}
		unit = unit[adtsHeader(unit):]
	}
	if d.conf == nil || len(unit) == 0 {
		d.stats.Invalid++
		return
	}
	pts := d.pts(ext)
	d.emit(pts, pts, true, unit)
}

// frameTicks is the length of an access unit in the track's clock (ISO/IEC 14496-3 section 4.5.1.1).
func (d *Depacketizer) frameTicks() media.Ticks {
	if d.conf == nil || d.conf.SampleRate <= 0 {
		return 0
	}
	return media.Ticks(int64(frameSamples(d.conf)) * int64(d.clock) / int64(d.conf.SampleRate))
}

// frameSamples is the number of samples, before spectral band replication, in an access unit of AAC.
func frameSamples(c *mpeg4audio.AudioSpecificConfig) int {
	if c.FrameLengthFlag {
		return 960
	}
	return 1024
}

// configure takes how AAC is coded from within the stream. The pointer stays as long as the coding does.
func (d *Depacketizer) configure(c *mpeg4audio.AudioSpecificConfig) {
	if c == nil || d.conf != nil && *d.conf == *c {
		return
	}
	d.conf = c
	if d.guess {
		d.setClock(media.ClockRate(c.SampleRate), d.ext)
	}
}

// guessClock tells sources whose AAC has a clock of 90 kHz, as all of their other media, from those that count samples (RFC 3640 section 4.1): by the step between packets of one frame.
func (d *Depacketizer) guessClock() {
	step, frames := d.ext-d.lastExt, d.stats.Frames-d.lastFrames
	d.lastExt, d.lastFrames = d.ext, d.stats.Frames
	if !d.guess || d.conf == nil || d.conf.SampleRate <= 0 || frames != 1 || d.clock == media.FrameClock {
		return
	}
	want := media.Ticks(frameSamples(d.conf)) * media.Ticks(media.FrameClock) / media.Ticks(d.conf.SampleRate)
	if off := step - want; off >= -want/50 && off <= want/50 && step != media.Ticks(frameSamples(d.conf)) {
		d.setClock(media.FrameClock, d.ext-step)
	}
}

// readADTS takes packets of ADTS frames, which need not end where packets end.
func (d *Depacketizer) readADTS(payload []byte) {
	if len(d.part)+len(payload) > maxAudioFrame {
		d.part = d.part[:0]
		d.stats.Damaged++
	}
	d.guessClock()
	at := d.ext
	d.part = append(d.part, payload...)
	rest := d.part
	for len(rest) >= 7 {
		n := adtsSize(rest)
		if n == 0 {
			d.stats.Damaged++
			rest = nil
			break
		}
		if n > len(rest) {
			break
		}
		d.emitAAC(at, rest[:n])
		at += d.frameTicks()
		rest = rest[n:]
	}
	d.part = d.part[:copy(d.part, rest)]
}

// adtsSize returns the length of the ADTS frame at the start of b, 0 when there is none (ISO/IEC 13818-7 section 6.2).
func adtsSize(b []byte) int {
	if len(b) < 7 || b[0] != 0xff || b[1]&0xf6 != 0xf0 || b[2]>>2&0xf > 12 {
		return 0
	}
	n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	if n < adtsHeader(b) {
		return 0
	}
	return n
}

// adtsHeader is the length of the header, which has two bytes more when a checksum follows.
func adtsHeader(b []byte) int {
	if b[1]&1 == 0 {
		return 9
	}
	return 7
}

func adtsConfig(b []byte) *mpeg4audio.AudioSpecificConfig {
	rates := [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
	channels := b[2]&1<<2 | b[3]>>6
	if channels == 0 {
		channels = 1 // its layout is in the stream
	}
	return &mpeg4audio.AudioSpecificConfig{
		Type:       mpeg4audio.ObjectType(b[2]>>6 + 1),
		SampleRate: rates[b[2]>>2&0xf], ChannelConfig: channels,
	}
}

// readLATM collects an AudioMuxElement, which ends with the marker (RFC 6416 section 6.1).
func (d *Depacketizer) readLATM(payload []byte, marker bool) {
	if len(d.part)+len(payload) > maxAudioFrame {
		d.part = d.part[:0]
		d.stats.Damaged++
		return
	}
	d.part = append(d.part, payload...)
	if !marker {
		return
	}
	e := mpeg4audio.AudioMuxElement{MuxConfigPresent: d.inBand, StreamMuxConfig: d.latm}
	err := e.Unmarshal(d.part)
	d.part = d.part[:0]
	if err != nil {
		d.stats.Invalid++
		return
	}
	d.emitLATM(&e)
}

// emitLATM hands on the access units of the first layer.
func (d *Depacketizer) emitLATM(e *mpeg4audio.AudioMuxElement) {
	d.latm = e.StreamMuxConfig
	if d.inBand && len(d.latm.Programs) > 0 && len(d.latm.Programs[0].Layers) > 0 {
		d.configure(d.latm.Programs[0].Layers[0].AudioSpecificConfig)
	}
	at := d.ext
	for _, sub := range e.Payloads {
		if len(sub) == 0 || len(sub[0]) == 0 || d.conf == nil {
			d.stats.Invalid++
			return
		}
		d.emitAAC(at, sub[0][0])
		at += d.frameTicks()
	}
}

// readMPEGAudio takes off the four bytes of RFC 2250 section 3.5 and puts fragments together. Several whole frames stay together.
func (d *Depacketizer) readMPEGAudio(payload []byte, _ bool) {
	if len(payload) < 5 {
		d.stats.Invalid++
		return
	}
	offset, body := int(binary.BigEndian.Uint16(payload[2:])), payload[4:]
	if offset == 0 {
		var head mpeg1audio.FrameHeader
		if head.Unmarshal(body) != nil {
			d.stats.Invalid++
			return
		}
		d.part, d.need = d.part[:0], mpegFrameSize(&head)
		if len(body) >= d.need {
			d.need = 0
			pts := d.pts(d.ext)
			d.emit(pts, pts, true, body)
			return
		}
	}
	if d.need == 0 || offset != len(d.part) || len(d.part)+len(body) > d.need {
		d.part, d.need = d.part[:0], 0
		d.stats.Damaged++
		return
	}
	if d.part = append(d.part, body...); len(d.part) == d.need {
		pts := d.pts(d.ext)
		d.emit(pts, pts, true, d.part)
		d.part, d.need = d.part[:0], 0
	}
}

// mpegFrameSize is the length of a frame in bytes (ISO/IEC 11172-3 section 2.4.3.1).
func mpegFrameSize(h *mpeg1audio.FrameHeader) int {
	n := h.SampleCount() / 8 * h.Bitrate / h.SampleRate
	if h.Padding {
		n++
	}
	return n
}
