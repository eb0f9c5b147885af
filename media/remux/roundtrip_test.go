package remux

import (
	"bytes"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
	"berth/media/annexb"
)

// Parameter sets of a real encoder.
var (
	testSPS = []byte{0x67, 0x64, 0x00, 0x0c, 0xac, 0x3b, 0x50, 0xb0, 0x4b, 0x42, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x3d, 0x08}
	testPPS = []byte{0x68, 0xee, 0x3c, 0x80}
	testVPS = []byte{0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0}
	hevcSPS = []byte{0x42, 0x01, 0x01, 0x02, 0x20, 0x00, 0x00, 0x03, 0x00, 0xb0}
	hevcPPS = []byte{0x44, 0x01, 0xc0, 0xf7, 0xc0, 0xcc, 0x90}
)

func trackOf(t require.TestingT, f format.Format) *media.Track {
	tr, err := media.NewTrack(f)
	require.NoError(t, err)
	return tr
}

func aacTrack(t require.TestingT) *media.Track {
	return trackOf(t, &format.MPEG4Audio{
		PayloadTyp: 97, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3,
		Config: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2},
	})
}

// stream makes a byte stream of NAL units.
func stream(units ...[]byte) (b []byte) {
	for _, u := range units {
		b = annexb.Append(b, u)
	}
	return b
}

// pack returns the packets of frames.
func pack(t require.TestingT, track *media.Track, mtu int, frames ...media.Frame) (packets [][]byte) {
	p, err := NewPacketizer(PacketizerOptions{
		Track: track, MTU: mtu, SSRC: 7, Seq: 65530, Offset: 0xffff_f000,
		Emit: func(pkt []byte) { packets = append(packets, bytes.Clone(pkt)) },
	})
	require.NoError(t, err)
	for i := range frames {
		p.Write(&frames[i])
	}
	return packets
}

// unpacker returns a depacketizer and where its frames go.
func unpacker(t require.TestingT, o DepacketizerOptions) (*Depacketizer, *[]media.Frame) {
	frames := &[]media.Frame{}
	o.Emit = func(f *media.Frame) {
		c := *f
		c.Payload = bytes.Clone(f.Payload)
		*frames = append(*frames, c)
	}
	d, err := NewDepacketizer(o)
	require.NoError(t, err)
	return d, frames
}

func unpack(t require.TestingT, track *media.Track, packets [][]byte) []media.Frame {
	d, frames := unpacker(t, DepacketizerOptions{Track: track, KeyPatience: -1})
	d.Align(0xffff_f000, 0)
	for _, p := range packets {
		d.Write(p)
	}
	require.Zero(t, d.Stats().Damaged)
	require.Zero(t, d.Stats().Invalid)
	return *frames
}

// TestFramesComeOutAsTheyWentIn is the promise that cascades rest on.
func TestFramesComeOutAsTheyWentIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h265 := rapid.Bool().Draw(t, "h265")
		mtu := rapid.IntRange(64, 1500).Draw(t, "mtu")
		var track *media.Track
		codec := media.CodecH264
		if h265 {
			codec, track = media.CodecH265, trackOf(t, &format.H265{PayloadTyp: 96})
		} else {
			track = trackOf(t, &format.H264{PayloadTyp: 96, PacketizationMode: 1})
		}
		var frames []media.Frame
		for i := range rapid.IntRange(1, 6).Draw(t, "pictures") {
			frames = append(frames, media.Frame{
				Codec: codec, PTS: media.Ticks(3600 * i), DTS: media.Ticks(3600 * i),
				Payload: picture(t, h265),
			})
		}
		got := unpack(t, track, pack(t, track, mtu, frames...))
		require.Len(t, got, len(frames))
		for i := range frames {
			require.Equal(t, frames[i].Payload, got[i].Payload)
			require.Equal(t, frames[i].PTS, got[i].PTS)
			require.LessOrEqual(t, got[i].DTS, got[i].PTS)
			require.Equal(t, annexb.Key(codec, frames[i].Payload), got[i].Key)
		}
	})
}

// picture draws an access unit: others, parameter sets, slices of any size.
func picture(t *rapid.T, h265 bool) []byte {
	unit := func(h264Type, h265Type byte, body []byte) []byte {
		if h265 {
			return append([]byte{h265Type << 1, 1}, body...)
		}
		return append([]byte{0x60 | h264Type}, body...)
	}
	body := func(n int, first byte) []byte {
		b := bytes.Repeat([]byte{byte(rapid.IntRange(2, 255).Draw(t, "filling"))}, n+1)
		b[0] = first
		return b
	}
	length := func(most int) int { return rapid.IntRange(1, most).Draw(t, "length") }
	var units [][]byte
	if rapid.Bool().Draw(t, "delimiter") {
		units = append(units, unit(9, 35, []byte{0x50}))
	}
	key := rapid.Bool().Draw(t, "key")
	if key {
		units = append(units, unit(7, 33, body(length(40), 0x42)), unit(8, 34, body(length(10), 0xee)))
	}
	if rapid.Bool().Draw(t, "message") {
		units = append(units, unit(6, 39, []byte{5, 2, 9, 9, 0x80}))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "slices") {
		first := byte(0x88)
		if i > 0 {
			first = 0x48
		}
		h264Type, h265Type := byte(1), byte(1)
		if key {
			h264Type, h265Type = 5, 19
		}
		units = append(units, unit(h264Type, h265Type, body(length(rapid.SampledFrom([]int{3, 60, 1400, 5000}).Draw(t, "most")), first)))
	}
	return stream(units...)
}

func TestAudioComesOutAsItWentIn(t *testing.T) {
	latm := &format.MPEG4AudioLATM{PayloadTyp: 97, StreamMuxConfig: &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{
		AudioSpecificConfig: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2}, LatmBufferFullness: 255,
	}}}}}}
	data := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 250)
	mpa := append([]byte{0xff, 0xfb, 0x90, 0x00}, data[:413]...) // 128 kbit/s at 44100 Hz: 417 bytes
	for _, c := range []struct {
		name    string
		track   *media.Track
		payload []byte
		mtu     int
		packets int
	}{
		{"aac", aacTrack(t), data[:371], 0, 1},
		{"aac in fragments", aacTrack(t), data, 600, 4},
		{"latm", trackOf(t, latm), data[:371], 0, 1},
		{"latm in fragments", trackOf(t, latm), data, 600, 4},
		{"latm of 510 bytes", trackOf(t, latm), data[:510], 0, 1},
		{"latm longer than its length fits", trackOf(t, latm), bytes.Repeat(data, 7), 64, 271},
		{"opus", trackOf(t, &format.Opus{PayloadTyp: 97, ChannelCount: 2}), data[:160], 0, 1},
		{"opus larger than a packet", trackOf(t, &format.Opus{PayloadTyp: 97, ChannelCount: 2}), data, 600, 1},
		{"mpeg audio", trackOf(t, &format.MPEG1Audio{}), mpa, 0, 1},
		{"mpeg audio in fragments", trackOf(t, &format.MPEG1Audio{}), mpa, 200, 3},
		{"g729", trackOf(t, &format.Generic{PayloadTyp: 18, ClockRat: 8000}), data[:20], 0, 1},
		{"pcma", trackOf(t, &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1}), data[:320], 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			frame := media.Frame{Codec: c.track.Codec, PTS: 90000, Payload: c.payload, Key: true}
			packets := pack(t, c.track, c.mtu, frame)
			require.Len(t, packets, c.packets)
			got := unpack(t, c.track, packets)
			require.Len(t, got, 1)
			require.Equal(t, frame.Payload, got[0].Payload)
			require.EqualValues(t, 90000, got[0].PTS)
			require.True(t, got[0].Key)
			require.Equal(t, c.track.Codec == media.CodecAAC, got[0].Config != nil)
		})
	}
}

func TestSamplesAreDividedWithTheirTimes(t *testing.T) {
	for _, c := range []struct {
		name  string
		track *media.Track
		bytes int
		sizes []int
		ticks []uint32
	}{
		{"g711", trackOf(t, &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1}), 1000, []int{588, 412}, []uint32{0, 588}},
		{"l16", trackOf(t, &format.LPCM{PayloadTyp: 97, BitDepth: 16, SampleRate: 44100, ChannelCount: 2}), 1000, []int{588, 412}, []uint32{0, 147}},
		{"g722", trackOf(t, &format.G722{}), 600, []int{588, 12}, []uint32{0, 588}},
	} {
		t.Run(c.name, func(t *testing.T) {
			packets := pack(t, c.track, 0, media.Frame{Codec: c.track.Codec, Payload: make([]byte, c.bytes)})
			require.Len(t, packets, len(c.sizes))
			for i, p := range packets {
				require.Len(t, p[12:], c.sizes[i])
				require.Equal(t, 0xffff_f000+c.ticks[i], uint32(p[4])<<24|uint32(p[5])<<16|uint32(p[6])<<8|uint32(p[7]))
			}
		})
	}
}

// TestEverySizeFits looks at the sizes around those at which packets are filled.
func TestEverySizeFits(t *testing.T) {
	for _, f := range []format.Format{&format.H264{PayloadTyp: 96}, &format.H265{PayloadTyp: 96}} {
		track := trackOf(t, f)
		head := []byte{0x41, 0x9a}
		if track.Codec == media.CodecH265 {
			head = []byte{2, 1, 0x80}
		}
		for n := range 400 {
			payload := stream(append(bytes.Clone(head), bytes.Repeat([]byte{7}, n)...), append(bytes.Clone(head), 9))
			packets := pack(t, track, 100, media.Frame{Codec: track.Codec, Payload: payload})
			for i, p := range packets {
				require.LessOrEqual(t, len(p), 100)
				require.Equal(t, i == len(packets)-1, p[1]&0x80 != 0, "the marker is on the last packet")
			}
			got := unpack(t, track, packets)
			require.Len(t, got, 1)
			require.Equal(t, payload, got[0].Payload)
		}
	}
}

// TestHeadersOfAggregatesSpeakForAll: the highest importance, the lowest layer and temporal id, and any error.
func TestHeadersOfAggregatesSpeakForAll(t *testing.T) {
	p := pack(t, trackOf(t, &format.H264{PayloadTyp: 96}), 0, media.Frame{Codec: media.CodecH264, Payload: stream([]byte{0x06, 1, 0x80}, []byte{0x41, 0x9a}, []byte{0xa1, 0x9a})})
	require.Equal(t, byte(0x80|0x40|24), p[0][12])
	p = pack(t, trackOf(t, &format.H265{PayloadTyp: 96}), 0, media.Frame{Codec: media.CodecH265, Payload: stream([]byte{39<<1 | 1, 3<<3 | 4, 5}, []byte{2, 2<<3 | 3, 0x80}, []byte{0x80 | 2, 7<<3 | 2, 0x80})})
	require.Equal(t, []byte{0x80 | 48<<1, 2<<3 | 2}, p[0][12:14])
}

func TestWhatCannotBePackedIsCounted(t *testing.T) {
	video, sound := trackOf(t, &format.H264{PayloadTyp: 96}), aacTrack(t)
	for _, c := range []struct {
		name    string
		track   *media.Track
		codec   media.Codec
		payload []byte
	}{
		{"nothing", video, media.CodecH264, nil},
		{"another codec", video, media.CodecH265, stream([]byte{2, 1, 0x80})},
		{"a unit type of rtp", video, media.CodecH264, stream([]byte{24, 1, 2})},
		{"aac larger than its size field", sound, media.CodecAAC, make([]byte, 8192)},
		{"mpeg audio larger than its offset", trackOf(t, &format.MPEG1Audio{}), media.CodecMP3, make([]byte, 65536)},
		{"opus larger than a datagram", trackOf(t, &format.Opus{PayloadTyp: 97, ChannelCount: 2}), media.CodecOpus, make([]byte, 65500)},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := NewPacketizer(PacketizerOptions{Track: c.track, SSRC: 9, Emit: func([]byte) { t.Fatal("packet") }})
			require.NoError(t, err)
			p.Write(&media.Frame{Codec: c.codec, Payload: c.payload})
			require.Equal(t, PacketizerStats{Dropped: 1}, p.Stats())
			require.EqualValues(t, 9, p.SSRC())
		})
	}
}
