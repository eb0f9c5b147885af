package mpegps

import (
	"encoding/binary"

	"berth/media"
	"berth/media/pes"
)

// MuxerOptions says what a [Muxer] carries.
type MuxerOptions struct {
	// Tracks are those of the stream; Append takes the index. Those for which Carries is false are left out. A program stream has room for 16 of video and 32 of audio.
	Tracks []*media.Track
}

// Carries reports whether a muxer takes tracks of a codec.
func Carries(c media.Codec) bool { return pes.TypeOf(&media.Track{Codec: c}) != 0 }

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
	nextVideo, nextAudio := byte(pes.IDVideo), byte(pes.IDAudio)
	for _, t := range o.Tracks {
		mt := muxTrack{codec: t.Codec, streamType: pes.TypeOf(t)}
		switch {
		case mt.streamType == 0:
		case t.Codec.Kind() == media.KindVideo && nextVideo <= pes.IDVideoLast:
			mt.id, m.video = nextVideo, true
			nextVideo++
		case t.Codec.Kind() == media.KindAudio && nextAudio < pes.IDVideo:
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
	var adts [pes.ADTSHeader]byte
	head := adts[:0]
	if t.codec == media.CodecAAC {
		var ok bool
		if head, ok = pes.AppendADTS(head, f.Config, len(f.Payload)); !ok {
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

// appendPack adds a pack header (section 2.5.3.3) whose system_clock_reference is a time of decoding.
func appendPack(dst []byte, at media.Ticks) []byte {
	t := uint64(at) & (wrap - 1)
	return append(dst, 0, 0, 1, idPack,
		0b01_000_1_00|byte(t>>27)&0x38|byte(t>>28)&3, byte(t>>20), byte(t>>12)&0xf8|0b100|byte(t>>13)&3, byte(t>>5), byte(t<<3)|0b100, 1,
		byte(muxRate>>14&0xff), byte(muxRate>>6&0xff), byte(muxRate<<2&0xff)|0b11, 0xf8)
}

// appendPES adds the packets of one access unit: head and payload, in several packets if need be, the times in the first (section 2.4.3.7).
func appendPES(dst []byte, id byte, f *media.Frame, head []byte) []byte {
	const header = 3 + 2*5 // behind PES_packet_length: flags and two time stamps
	n := min(len(f.Payload), maxPESLength-header-len(head))
	dst = pes.AppendHeader(dst, id, len(head)+n, f.PTS, f.DTS)
	dst = append(append(dst, head...), f.Payload[:n]...)
	for rest := f.Payload[n:]; len(rest) > 0; rest = rest[n:] {
		n = min(len(rest), maxPESLength-header)
		dst = append(pes.AppendContinuation(dst, id, n), rest[:n]...)
	}
	return dst
}

// appendSystemHeader adds a system header (section 2.5.3.5).
func appendSystemHeader(dst []byte, tracks []muxTrack) []byte {
	var streams []byte
	var video, audio byte
	for _, t := range tracks {
		switch {
		case t.id == 0:
		case t.id >= pes.IDVideo:
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
	dst = append(dst, 0, 0, 1, pes.IDMap, 0, 0, 0xe0, 0xff, 0, 0, 0, 0) // current_next_indicator, version 0; no descriptors
	for _, t := range tracks {
		if t.id != 0 {
			dst = append(dst, t.streamType, t.id, 0, 0)
		}
	}
	entries := len(dst) - at - 12
	binary.BigEndian.PutUint16(dst[at+10:], uint16(entries))
	binary.BigEndian.PutUint16(dst[at+4:], uint16(6+entries+4))
	return binary.BigEndian.AppendUint32(dst, pes.CRC32(dst[at:]))
}
