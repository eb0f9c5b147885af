package mpegps

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
)

// MuxerOptions says what a [Muxer] carries.
type MuxerOptions struct {
	// Tracks are those of the stream; Append takes the index. Those for which Carries is false are left out. A program stream has room for 16 of video and 32 of audio.
	Tracks []*media.Track
}

// Carries reports whether a muxer takes tracks of a codec.
func Carries(c media.Codec) bool { return typeOf(&media.Track{Codec: c}) != 0 }

// Bounds and constants of what the muxer writes.
const (
	maxPESLength = 65000 // PES_packet_length, a little below what 16 bits hold: receivers exist that take the largest values for something else
	muxRate      = 50000 // program_mux_rate in units of 50 bytes a second: 20 Mb/s, as an upper bound
	mapEvery     = media.Ticks(media.FrameClock) / 2
	audioBuffer  = 4 << 10
	videoBuffer  = 1 << 20
)

// muxTrack is what the muxer knows of a track; id is 0 for one that is left out.
type muxTrack struct {
	codec      media.Codec
	id         byte
	streamType byte
	config     *mpeg4audio.AudioSpecificConfig // of the header adts
	adts       [adtsHeader]byte                // without the frame's length; adts[0] is 0 when config has none
}

// Muxer makes a program stream: a pack for each access unit, with a system header and a program stream map before each that a decoder may begin with. The same frames give the same bytes.
type Muxer struct {
	tracks []muxTrack
	heads  []byte // system header and program stream map
	video  bool
	mapped media.Ticks // DTS of the last frame with heads
	begun  bool
}

// NewMuxer makes a muxer. Streams get the ids from 0xe0 (video) and 0xc0 (audio) on, in the order of the tracks.
func NewMuxer(o MuxerOptions) *Muxer {
	m := &Muxer{}
	nextVideo, nextAudio := byte(idVideo), byte(idAudio)
	for _, t := range o.Tracks {
		mt := muxTrack{codec: t.Codec, streamType: typeOf(t)}
		switch {
		case mt.streamType == 0:
		case t.Codec.Kind() == media.KindVideo && nextVideo <= idVideoLast:
			mt.id, m.video = nextVideo, true
			nextVideo++
		case t.Codec.Kind() == media.KindAudio && nextAudio < idVideo:
			mt.id = nextAudio
			nextAudio++
		}
		m.tracks = append(m.tracks, mt)
	}
	m.heads = appendMap(appendSystemHeader(nil, m.tracks), m.tracks)
	return m
}

// Append adds the bytes of one access unit to dst. A frame of a track that is left out, an empty one, and AAC that has no ADTS header (a sampling rate or object type of its own, more than
// 8 KB) add nothing.
func (m *Muxer) Append(dst []byte, track int, f *media.Frame) []byte {
	if track < 0 || track >= len(m.tracks) || m.tracks[track].id == 0 || len(f.Payload) == 0 {
		return dst
	}
	t := &m.tracks[track]
	var head []byte
	if t.codec == media.CodecAAC {
		if head = t.adtsFor(f); head == nil {
			return dst
		}
	}
	dst = appendPack(dst, f.DTS)
	if m.wantsHeads(t, f) {
		dst = append(dst, m.heads...)
		m.begun, m.mapped = true, f.DTS
	}
	return appendPES(dst, t.id, f, head)
}

// wantsHeads reports whether a receiver that begins with this frame has to be told what the streams are.
func (m *Muxer) wantsHeads(t *muxTrack, f *media.Frame) bool {
	switch {
	case !m.begun:
		return true
	case m.video:
		return f.Key && t.codec.Kind() == media.KindVideo
	}
	since := f.DTS - m.mapped
	return since >= mapEvery || since < 0
}

// adtsFor returns the header of a frame of AAC, nil when there is none.
func (t *muxTrack) adtsFor(f *media.Frame) []byte {
	if f.Config == nil || len(f.Payload) > 1<<13-1-adtsHeader {
		return nil
	}
	if t.config != f.Config {
		t.config, t.adts = f.Config, adtsOf(f.Config)
	}
	if t.adts[0] == 0 {
		return nil
	}
	size := len(f.Payload) + adtsHeader
	t.adts[3] = t.adts[3]&0xc0 | byte(size>>11)
	t.adts[4] = byte(size >> 3)
	t.adts[5] = byte(size)<<5 | 0x1f // a buffer fullness of all ones says: variable rate
	return t.adts[:]
}

// adtsOf returns a header without length; its first byte is 0 when ADTS cannot say what the configuration says.
func adtsOf(c *mpeg4audio.AudioSpecificConfig) (h [adtsHeader]byte) {
	for i, rate := range adtsRates {
		if rate == c.SampleRate && c.Type >= 1 && c.Type <= 4 && c.ChannelConfig <= 7 {
			return [adtsHeader]byte{0xff, 0xf1, byte(c.Type-1)<<6 | byte(i)<<2 | c.ChannelConfig>>2, c.ChannelConfig << 6, 0, 0, 0xfc}
		}
	}
	return h
}

// appendPack adds a pack header (section 2.5.3.3) whose system_clock_reference is a time of decoding.
func appendPack(dst []byte, at media.Ticks) []byte {
	t := uint64(at) & (wrap - 1)
	return append(dst, 0, 0, 1, idPack,
		0b01_000_1_00|byte(t>>27)&0x38|byte(t>>28)&3, byte(t>>20), byte(t>>12)&0xf8|0b100|byte(t>>13)&3, byte(t>>5), byte(t<<3)|0b100, 1,
		byte(muxRate>>14&0xff), byte(muxRate>>6&0xff), byte(muxRate<<2&0xff)|0b11, 0xf8)
}

// appendPES adds the packets of one access unit: head and payload, in several packets if need be, the times in the first (section 2.4.3.7).
func appendPES(dst []byte, id byte, f *media.Frame, head []byte) []byte {
	pts, dts := uint64(f.PTS)&(wrap-1), uint64(f.DTS)&(wrap-1)
	flags, fields := byte(0x80), 5
	if pts != dts {
		flags, fields = 0xc0, 10
	}
	payload := f.Payload
	for first := true; first || len(payload) > 0; first = false {
		if !first {
			flags, fields, head = 0, 0, nil
		}
		n := min(len(payload), maxPESLength-3-fields-len(head))
		length := 3 + fields + len(head) + n
		alignment := byte(0)
		if first {
			alignment = 0x04 // data_alignment_indicator
		}
		dst = append(dst, 0, 0, 1, id, byte(length>>8), byte(length), 0x80|alignment, flags, byte(fields))
		switch flags {
		case 0x80:
			dst = appendStamp(dst, 0b0010, pts)
		case 0xc0:
			dst = appendStamp(appendStamp(dst, 0b0011, pts), 0b0001, dts)
		}
		dst = append(append(dst, head...), payload[:n]...)
		payload = payload[n:]
	}
	return dst
}

// appendStamp adds a time stamp of 33 bits behind its four bits of prefix.
func appendStamp(dst []byte, prefix byte, t uint64) []byte {
	return append(dst, prefix<<4|byte(t>>29)&0x0e|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
}

// appendSystemHeader adds a system header (section 2.5.3.5).
func appendSystemHeader(dst []byte, tracks []muxTrack) []byte {
	var streams []byte
	var video, audio byte
	for _, t := range tracks {
		switch {
		case t.id == 0:
		case t.id >= idVideo:
			video++
			streams = append(streams, t.id, 0xc0|0x20|byte(videoBuffer/1024>>8), byte(videoBuffer/1024&0xff)) // P-STD_buffer_bound_scale 1: units of 1024 bytes
		default:
			audio++
			streams = append(streams, t.id, 0xc0|byte(audioBuffer/128>>8), byte(audioBuffer/128&0xff))
		}
	}
	length := 6 + len(streams)
	dst = append(dst, 0, 0, 1, idSystem, byte(length>>8), byte(length),
		0x80|byte(muxRate>>15), byte(muxRate>>7&0xff), byte(muxRate<<1&0xff)|1, // rate_bound
		audio<<2, 0x20|video, 0x7f) // neither fixed rate nor CSPS, no locks; marker, video_bound; no packet rate restriction
	return append(dst, streams...)
}

// appendMap adds a program stream map (section 2.5.4.1).
func appendMap(dst []byte, tracks []muxTrack) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 1, idMap, 0, 0, 0xe0, 0xff, 0, 0, 0, 0) // current_next_indicator, version 0; no descriptors
	for _, t := range tracks {
		if t.id != 0 {
			dst = append(dst, t.streamType, t.id, 0, 0)
		}
	}
	entries := len(dst) - at - 12
	binary.BigEndian.PutUint16(dst[at+10:], uint16(entries))
	binary.BigEndian.PutUint16(dst[at+4:], uint16(6+entries+4))
	return binary.BigEndian.AppendUint32(dst, crc32(dst[at:]))
}
