package mpegps

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/pes"
)

// Pieces of program streams as devices send them.

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

// packAt is a pack header with a system clock.
func packAt(scr media.Ticks) []byte { return appendPack(nil, scr) }

// stuffedPack has as much stuffing as fits.
func stuffedPack(scr media.Ticks) []byte {
	p := packAt(scr)
	p[13] |= 7
	return append(p, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
}

func systemHeader(ids ...byte) []byte {
	var tracks []muxTrack
	for _, id := range ids {
		tracks = append(tracks, muxTrack{id: id})
	}
	return appendSystemHeader(nil, tracks)
}

// streamMap takes pairs of stream_type and stream_id.
func streamMap(pairs ...byte) []byte {
	var tracks []muxTrack
	for i := 0; i < len(pairs); i += 2 {
		tracks = append(tracks, muxTrack{streamType: pairs[i], id: pairs[i+1]})
	}
	return appendMap(nil, tracks)
}

// appendStamp adds a time stamp of 33 bits behind its four bits of prefix.
func appendStamp(dst []byte, prefix byte, t media.Ticks) []byte {
	return append(dst, prefix<<4|byte(t>>29)&0x0e|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
}

// packet is a PES packet. Without times it continues.
type packet struct {
	id      byte
	pts     media.Ticks // none when negative
	dts     media.Ticks // of its own when not 0
	payload []byte
	length  func(right int) int // PES_packet_length; right by default
	mpeg1   bool
}

func (p packet) bytes() []byte {
	var fields []byte
	flags := byte(0)
	if p.pts >= 0 {
		flags = 0x80
		prefix := byte(0b0010)
		if p.dts != 0 {
			flags, prefix = 0xc0, 0b0011
		}
		fields = appendStamp(fields, prefix, p.pts)
		if p.dts != 0 {
			fields = appendStamp(fields, 0b0001, p.dts)
		}
	}
	head := append([]byte{0x80, flags, byte(len(fields))}, fields...)
	if p.mpeg1 {
		head = append([]byte{0xff, 0xff, 0x60, 0x20}, fields...) // stuffing and buffer size
		if flags == 0 {
			head = append(head, 0x0f)
		}
	}
	length := len(head) + len(p.payload)
	if p.length != nil {
		length = p.length(length)
	}
	b := binary.BigEndian.AppendUint16([]byte{0, 0, 1, p.id}, uint16(length))
	return join(b, head, p.payload)
}

// video is a PES packet of stream 0xe0, audio one of 0xc0; a negative pts is none.
func video(pts media.Ticks, payload ...[]byte) []byte {
	return packet{id: pes.IDVideo, pts: pts, payload: join(payload...)}.bytes()
}

func audio(pts media.Ticks, payload ...[]byte) []byte {
	return packet{id: pes.IDAudio, pts: pts, payload: join(payload...)}.bytes()
}

func unbounded(int) int { return 0 }

// filler returns n bytes that hold no zero, different for each seed.
func filler(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + (i*7+seed*31)%251)
	}
	return b
}

// nal is a NAL unit behind a start code of four bytes.
func nal(head ...byte) []byte { return append([]byte{0, 0, 0, 1}, head...) }

// Units of H.264: first slices have first_mb_in_slice 0.
func sps() []byte            { return join(nal(0x67, 0x42, 0xc0, 0x1e), filler(1, 12)) }
func pps() []byte            { return nal(0x68, 0xce, 0x3c, 0x80) }
func sei() []byte            { return join(nal(0x06, 0x05), filler(2, 20), []byte{0x80}) }
func aud() []byte            { return nal(0x09, 0x10) }
func idr(seed, n int) []byte { return join(nal(0x65, 0x88), filler(seed, n)) }
func inter(seed, n int) []byte {
	return join(nal(0x41, 0x9a), filler(seed, n))
}
func moreSlice(seed, n int) []byte { return join(nal(0x41, 0x22), filler(seed, n)) }
func moreIDR(seed, n int) []byte   { return join(nal(0x65, 0x22), filler(seed, n)) }

// Units of H.265.
func vps5() []byte              { return join(nal(0x40, 0x01), filler(3, 20)) }
func sps5() []byte              { return join(nal(0x42, 0x01), filler(4, 30)) }
func pps5() []byte              { return join(nal(0x44, 0x01), filler(5, 6)) }
func idr5(seed, n int) []byte   { return join(nal(0x26, 0x01, 0xaf), filler(seed, n)) }
func inter5(seed, n int) []byte { return join(nal(0x02, 0x01, 0xd0), filler(seed, n)) }

// adts is a frame of AAC-LC, 44.1 kHz, stereo, with its header.
func adts(payload []byte) []byte {
	h, _ := pes.AppendADTS(nil, &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 44100, ChannelConfig: 2}, len(payload))
	return append(h, payload...)
}

// got is a frame that came out.
type got struct {
	stream  int
	codec   media.Codec
	pts     media.Ticks
	dts     media.Ticks
	key     bool
	payload []byte
	config  *mpeg4audio.AudioSpecificConfig
}

func (g got) String() string {
	return fmt.Sprintf("{%x %v pts %d dts %d key %t, %d bytes % x}", g.stream, g.codec, g.pts, g.dts, g.key, len(g.payload), g.payload[:min(len(g.payload), 8)])
}

// sink collects.
type sink struct {
	d      *Demuxer
	frames []got
}

func newSink(o Options) *sink {
	k := &sink{}
	o.Emit = func(stream int, f *media.Frame) {
		k.frames = append(k.frames, got{stream, f.Codec, f.PTS, f.DTS, f.Key, slices.Clone(f.Payload), f.Config})
	}
	k.d = NewDemuxer(o)
	return k
}

// demux runs input through a demuxer in pieces of a size, 0 for all at once, to its end.
func demux(piece int, input ...[]byte) *sink {
	k := newSink(Options{})
	for _, b := range input {
		if piece == 0 {
			k.d.Write(b)
			continue
		}
		for c := range slices.Chunk(b, piece) {
			k.d.Write(c)
		}
	}
	k.d.Flush()
	return k
}

// pieces are the sizes in which tables are tried: whole, as RTP cuts, and so small that everything is cut.
var pieces = []int{0, 1400, 1, 3, 7, 64}

func requireFrames(t *testing.T, want, have []got) {
	t.Helper()
	require.Equal(t, len(want), len(have), "have %v", have)
	for i := range want {
		w, h := want[i], have[i]
		require.True(t, slices.Equal(w.payload, h.payload), "frame %d: want %v, have %v", i, w, h)
		w.payload, h.payload = nil, nil
		require.Equal(t, w, h, "frame %d", i)
	}
}
