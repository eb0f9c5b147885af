package mpegts

import (
	"errors"
	"fmt"

	"berth/media"
	"berth/media/pes"
)

// ErrNoTracks is returned by [NewMuxer] without tracks.
var ErrNoTracks = errors.New("a transport stream needs at least one track")

// CodecError is returned by [NewMuxer] for a track that transport streams have no place for.
type CodecError struct{ Codec media.Codec }

// Error names the codec.
func (e *CodecError) Error() string {
	return fmt.Sprintf("%s cannot be carried in an MPEG transport stream", e.Codec)
}

// Carries reports whether transport streams have a place for a codec.
func Carries(codec media.Codec) bool {
	switch codec {
	case media.CodecOpus:
		return true
	case media.CodecSVACV, media.CodecSVACA:
		return false // known in program streams only
	}
	return pes.TypeOf(&media.Track{Codec: codec}) != 0
}

// MuxerOptions say what a [Muxer] makes.
type MuxerOptions struct {
	Tracks []*media.Track // at most 8, in the order of the index that [Muxer.Append] takes
}

const (
	program     = 1
	pidPMT      = 0x1000
	pidFirst    = 0x100 // of the tracks
	maxTracks   = 8     // then the map fits into one packet
	tablesEvery = media.Ticks(media.FrameClock) / 2
	// pcrLead is by how much the clock of the stream is behind the times of decoding: what a receiver has to get a frame in.
	pcrLead     = media.Ticks(media.FrameClock) / 10
	maxOpus     = 8192  // more than RFC 6716 has use for
	maxAudioPES = 60000 // payload of a packet that is not video: PES_packet_length must say how long it is
)

// muxTrack is one track of a Muxer.
type muxTrack struct {
	pid      uint16
	streamID byte
	codec    media.Codec
	counter  byte
	pcr      bool // with the clock
}

// Muxer makes a transport stream with one program. A frame becomes one PES packet; what it holds is not changed: no access unit delimiters are added. The result is a whole number of packets of
// 188 bytes, so that seven of them fill an RTP payload of 1,316 bytes.
type Muxer struct {
	tracks     []muxTrack
	tables     [2][packetSize]byte // PAT and PMT, but for their counters
	counter    byte                // of both
	started    bool
	tablesAt   media.Ticks // DTS when they were last sent
	head       []byte      // scratch: PES header, and what stands before the frame
	dropped    uint64
	clockTrack int // carries the clock
}

// NewMuxer makes a muxer. Errors are [ErrNoTracks], [*CodecError] and that there are more than 8 tracks.
func NewMuxer(o MuxerOptions) (*Muxer, error) {
	if len(o.Tracks) == 0 {
		return nil, ErrNoTracks
	}
	if len(o.Tracks) > maxTracks {
		return nil, fmt.Errorf("%d tracks, a transport stream takes %d here", len(o.Tracks), maxTracks)
	}
	m := &Muxer{head: make([]byte, 0, 128)}
	audio, video := byte(pes.IDAudio), byte(pes.IDVideo)
	first := -1 // track of video
	for i, t := range o.Tracks {
		if !Carries(t.Codec) {
			return nil, &CodecError{t.Codec}
		}
		k := muxTrack{pid: uint16(pidFirst + i), codec: t.Codec}
		switch {
		case t.Codec == media.CodecOpus:
			k.streamID = pes.IDPrivate1
		case t.Codec.Kind() == media.KindVideo:
			k.streamID = video
			video++
			if first < 0 {
				first = i
			}
		default:
			k.streamID = audio
			audio++
		}
		m.tracks = append(m.tracks, k)
	}
	m.clockTrack = max(first, 0)
	m.tracks[m.clockTrack].pcr = true
	m.makeTables(o.Tracks)
	return m, nil
}

// Dropped returns how many frames were left out because a transport stream cannot hold them: AAC without a configuration that ADTS can say, and audio of more than 60,000 bytes.
func (m *Muxer) Dropped() uint64 { return m.dropped }

// Append appends the packets of one frame of a track to dst: PAT and PMT before key frames of video and at least each half second, the clock (PCR) with each frame of the first video track, or of the
// first track without video. It does not allocate if dst has room for len(f.Payload) and 1/32 of it, and 1 KiB.
func (m *Muxer) Append(dst []byte, track int, f *media.Frame) []byte {
	t := &m.tracks[track]
	m.head = m.head[:0]
	prefix, ok := m.prefix(t, f)
	if !ok {
		m.dropped++
		return dst
	}
	video := t.codec.Kind() == media.KindVideo
	if !m.started || video && f.Key || f.DTS-m.tablesAt >= tablesEvery || f.DTS < m.tablesAt {
		m.started, m.tablesAt = true, f.DTS
		dst = m.appendTables(dst)
	}
	// The PES header comes before the prefix, but its length is known only now.
	var scratch [64]byte
	n := copy(scratch[:], prefix)
	m.head = pes.AppendHeader(m.head[:0], t.streamID, n+len(f.Payload), f.PTS, f.DTS)
	m.head = append(m.head, scratch[:n]...)
	return t.appendPackets(dst, m.head, f.Payload, f.DTS, video && f.Key)
}

// prefix returns what stands before the frame in its PES packet; ok is false for a frame that cannot be carried.
func (m *Muxer) prefix(t *muxTrack, f *media.Frame) (b []byte, ok bool) {
	n := len(f.Payload)
	switch {
	case n == 0, t.codec.Kind() != media.KindVideo && n > maxAudioPES:
		return nil, false
	case t.codec == media.CodecAAC:
		return pes.AppendADTS(m.head, f.Config, n)
	case t.codec == media.CodecOpus:
		if n > maxOpus {
			return nil, false
		}
		return appendOpusHeader(m.head, n), true
	}
	return nil, true
}

// appendPackets cuts a PES packet, which is head and body, into transport stream packets. The last is filled up in its adaptation field.
func (t *muxTrack) appendPackets(dst, head, body []byte, dts media.Ticks, random bool) []byte {
	for first := true; len(head)+len(body) > 0; first = false {
		field := 0 // bytes of the adaptation field, with that of its length
		if first && t.pcr {
			field = 8
		} else if first && random {
			field = 2
		}
		const room = packetSize - 4
		n := min(room-field, len(head)+len(body))
		control, start := byte(0x10), byte(0)
		if field = room - n; field > 0 {
			control |= 0x20
		}
		if first {
			start = 0x40
		}
		dst = append(dst, syncByte, start|byte(t.pid>>8), byte(t.pid), control|t.counter)
		t.counter = (t.counter + 1) & 15
		dst = appendField(dst, field, first && random, first && t.pcr, dts-pcrLead)
		k := min(n, len(head))
		dst, head, n = append(dst, head[:k]...), head[k:], n-k
		dst, body = append(dst, body[:n]...), body[n:]
	}
	return dst
}

// stuffing is what fills adaptation fields.
const stuffing = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"

// appendField appends an adaptation field of size bytes (section 2.4.3.4).
func appendField(dst []byte, size int, random, pcr bool, clock media.Ticks) []byte {
	if size == 0 {
		return dst
	}
	dst = append(dst, byte(size-1))
	if size--; size == 0 {
		return dst
	}
	flags := byte(0)
	if random {
		flags |= 0x40
	}
	if pcr {
		flags |= 0x10
	}
	dst = append(dst, flags)
	size--
	if pcr { // 33 bits of 90 kHz, 6 reserved, 9 of 27 MHz
		v := uint64(clock)
		dst = append(dst, byte(v>>25), byte(v>>17), byte(v>>9), byte(v>>1), byte(v)<<7|0x7e, 0)
		size -= 6
	}
	for size > 0 {
		n := min(size, len(stuffing))
		dst = append(dst, stuffing[:n]...)
		size -= n
	}
	return dst
}
