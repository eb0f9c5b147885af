package pes

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
)

func data(n int) []byte {
	r := rand.New(rand.NewPCG(7, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32()) & 0x7f // no sync word inside
	}
	return b
}

// adtsFrame makes one frame of AAC-LC at 44.1 kHz in stereo.
func adtsFrame(payload []byte) []byte {
	b, _ := mpeg4audio.ADTSPackets{{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 44100, ChannelConfig: 2, ChannelCount: 2, AU: payload}}.Marshal()
	return b
}

// mpegFrame makes one frame of MPEG-1 layer II, 192 kbit/s at 48 kHz: 576 bytes.
func mpegFrame() []byte { return append([]byte{0xff, 0xfd, 0xa4, 0}, data(572)...) }

type gotFrame struct {
	pts     media.Ticks
	payload []byte
}

func collect(format AudioFormat) (*Audio, *[]gotFrame) {
	var got []gotFrame
	return NewAudio(format, func(f *media.Frame) {
		got = append(got, gotFrame{f.PTS, bytes.Clone(f.Payload)})
	}), &got
}

func TestFramesOfAACAreSplit(t *testing.T) {
	one, two, three := data(100), data(200), data(300)
	wire := append(append(adtsFrame(one), adtsFrame(two)...), adtsFrame(three)...)
	want := []gotFrame{{1000, one}, {1000 + 2089, two}, {1000 + 4179, three}} // 1024 samples are 2089.8 ticks
	t.Run("at once", func(t *testing.T) {
		a, got := collect(FormatADTS)
		a.Push(wire, 1000, true)
		require.Equal(t, want, *got)
		require.Equal(t, &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 44100, ChannelConfig: 2}, a.frame.Config)
	})
	t.Run("byte by byte", func(t *testing.T) {
		a, got := collect(FormatADTS)
		for i, b := range wire {
			a.Push([]byte{b}, 1000, i == 0)
		}
		require.Equal(t, want, *got)
		require.Zero(t, a.Skipped())
	})
	t.Run("the time is that of the first frame that begins", func(t *testing.T) {
		a, got := collect(FormatADTS)
		a.Push(wire[:150], 1000, true)
		a.Push(wire[150:], 90000, true)
		require.Equal(t, []gotFrame{{1000, one}, {1000 + 2089, two}, {90000, three}}, *got)
	})
	t.Run("the time of a frame that was cut at once", func(t *testing.T) {
		a, got := collect(FormatADTS)
		a.Push(adtsFrame(one), 0, true)
		a.Push(adtsFrame(two)[:3], 5000, true)
		a.Push(adtsFrame(two)[3:], 0, false)
		require.Equal(t, []gotFrame{{0, one}, {5000, two}}, *got)
	})
	t.Run("no times", func(t *testing.T) {
		a, got := collect(FormatADTS)
		a.Push(wire, 0, false)
		require.Equal(t, []gotFrame{{0, one}, {2089, two}, {4179, three}}, *got)
	})
}

func TestTimesOfFramesDoNotDrift(t *testing.T) {
	a, got := collect(FormatADTS)
	for range 441 {
		a.Push(adtsFrame([]byte{1}), 0, false)
	}
	require.Equal(t, media.Ticks(440*1024*90000/44100), (*got)[440].pts)
}

func TestGarbageBetweenFramesIsPassedOver(t *testing.T) {
	one, two := data(100), data(200)
	a, got := collect(FormatADTS)
	a.Push(append([]byte{0xff, 0xf1, 1, 0, 0, 0, 0}, adtsFrame(one)...), 0, true)
	a.Push(append([]byte("noise\xff"), adtsFrame(two)...), 9000, true)
	require.Equal(t, []gotFrame{{0, one}, {9000, two}}, *got)
	require.Equal(t, uint64(13), a.Skipped())
}

// What looks like a header of 8 KiB does not hold up the frames behind it.
func TestAFrameAtTheBeginningOfAPacketIsBelieved(t *testing.T) {
	a, got := collect(FormatADTS)
	a.Push(append([]byte{0xff, 0xf1, 0x50, 0x83, 0xff}, data(50)...), 0, true)
	a.Push(adtsFrame(data(60)), 9000, true)
	require.Equal(t, []gotFrame{{9000, data(60)}}, *got)
	require.Equal(t, uint64(55), a.Skipped())
}

func TestAFrameBeforeAGapIsDropped(t *testing.T) {
	a, got := collect(FormatADTS)
	a.Push(adtsFrame(data(100))[:50], 0, true)
	a.Gap()
	a.Gap()
	a.Push(adtsFrame(data(60)), 9000, true)
	require.Equal(t, []gotFrame{{9000, data(60)}}, *got)
	require.Equal(t, uint64(1), a.Damaged())
}

func TestAFrameWithSeveralBlocksIsNotHandedOn(t *testing.T) {
	a, got := collect(FormatADTS)
	b := adtsFrame(data(100))
	b[6] |= 1
	a.Push(append(b, adtsFrame(data(60))...), 0, true)
	require.Equal(t, []gotFrame{{0, data(60)}}, *got)
	require.Equal(t, uint64(107), a.Skipped())
}

func TestACRCIsNoPartOfTheFrame(t *testing.T) {
	a, got := collect(FormatADTS)
	b := adtsFrame(append([]byte{0xaa, 0xbb}, data(100)...))
	b[1] &^= 1
	a.Push(b, 0, true)
	require.Equal(t, []gotFrame{{0, data(100)}}, *got)
}

func TestTheConfigurationIsSharedUntilItChanges(t *testing.T) {
	var configs []*mpeg4audio.AudioSpecificConfig
	a := NewAudio(FormatADTS, func(f *media.Frame) { configs = append(configs, f.Config) })
	mono := adtsFrame(data(10))
	mono[3] = mono[3]&0x3f | 0x40
	private := adtsFrame(data(10))
	private[2] |= 2
	a.Push(bytes.Join([][]byte{adtsFrame(data(10)), private, mono, mono}, nil), 0, true)
	require.Len(t, configs, 4)
	require.Same(t, configs[0], configs[1])
	require.NotSame(t, configs[1], configs[2])
	require.Same(t, configs[2], configs[3])
	require.EqualValues(t, 1, configs[3].ChannelConfig)
}

func TestFramesOfMPEGAudioAreSplit(t *testing.T) {
	a, got := collect(FormatMPEG)
	wire := bytes.Repeat(mpegFrame(), 3)
	a.Push(wire[:1000], 500, true)
	a.Push(wire[1000:], 0, false)
	require.Equal(t, []gotFrame{{500, mpegFrame()}, {2660, mpegFrame()}, {4820, mpegFrame()}}, *got)
}

func TestMPEGAudioHeadersAreMeasured(t *testing.T) {
	for _, c := range []struct {
		name          string
		b             []byte
		size, samples int
		rate          int
	}{
		{"layer I, 384 kbit/s, 48 kHz", []byte{0xff, 0xff, 0xc4, 0}, 384, 384, 48000},
		{"layer II, 192 kbit/s, 48 kHz", []byte{0xff, 0xfd, 0xa4, 0}, 576, 1152, 48000},
		{"layer III, 128 kbit/s, 44.1 kHz", []byte{0xff, 0xfb, 0x90, 0}, 417, 1152, 44100},
		{"layer III with padding", []byte{0xff, 0xfb, 0x92, 0}, 418, 1152, 44100},
		{"layer III, 64 kbit/s, 22.05 kHz", []byte{0xff, 0xf3, 0x80, 0}, 208, 576, 22050},
		{"layer III, 8 kbit/s, 8 kHz", []byte{0xff, 0xe3, 0x18, 0}, 72, 576, 8000},
		{"layer II, 160 kbit/s, 24 kHz", []byte{0xff, 0xf5, 0xe4, 0}, 960, 1152, 24000},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, ok := ReadMPEGAudio(c.b)
			require.True(t, ok)
			h.Key = 0
			require.Equal(t, AudioHeader{Size: c.size, Samples: c.samples, Rate: c.rate}, h)
		})
	}
	for _, b := range [][]byte{{0xff, 0xef, 0x90, 0}, {0xff, 0xf9, 0x90, 0}, {0xff, 0xfb, 0xf0, 0}, {0xff, 0xfb, 0x00, 0}, {0xff, 0xfb, 0x9c, 0}, {0, 0, 0, 0}, {0xff, 0xfb}} {
		_, ok := ReadMPEGAudio(b)
		require.False(t, ok, "% x", b)
	}
}

// loasFrame makes one AudioSyncStream with its own configuration: AAC-LC, 48 kHz, stereo.
func loasFrame(t testing.TB, payload []byte, same bool) []byte {
	e := mpeg4audio.AudioMuxElement{
		MuxConfigPresent: true, UseSameStreamMux: same,
		StreamMuxConfig: &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{
			AudioSpecificConfig: &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2}, LatmBufferFullness: 255,
		}}}}},
		Payloads: [][][][]byte{{{payload}}},
	}
	b, err := e.Marshal()
	require.NoError(t, err)
	return append([]byte{0x56, 0xe0 | byte(len(b)>>8), byte(len(b))}, b...)
}

func TestFramesOfLATMAreSplit(t *testing.T) {
	var configs []*mpeg4audio.AudioSpecificConfig
	var got []gotFrame
	a := NewAudio(FormatLOAS, func(f *media.Frame) {
		got, configs = append(got, gotFrame{f.PTS, bytes.Clone(f.Payload)}), append(configs, f.Config)
	})
	a.Push(loasFrame(t, data(10), true), 0, true) // its configuration has not come yet
	require.Equal(t, uint64(1), a.Damaged())
	wire := append(append(loasFrame(t, data(100), false), loasFrame(t, data(200), true)...), loasFrame(t, data(50), false)...)
	a.Push(wire[:20], 1000, true)
	a.Push(wire[20:], 0, false)
	require.Equal(t, []gotFrame{{1000, data(100)}, {2920, data(200)}, {4840, data(50)}}, got)
	require.Equal(t, 48000, configs[0].SampleRate)
	require.Same(t, configs[0], configs[2])
}

func TestSplittingAudioAllocatesNothing(t *testing.T) {
	n := 0
	a := NewAudio(FormatADTS, func(*media.Frame) { n++ })
	wire := append(adtsFrame(data(300)), adtsFrame(data(200))...)
	a.Push(wire, 0, true)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		a.Push(wire[:400], 0, true)
		a.Push(wire[400:], 0, false)
	}))
}

// What is cut anywhere gives the same frames.
func TestCutsMakeNoDifference(t *testing.T) {
	var wire []byte
	for n := 1; n < 40; n++ {
		wire = append(wire, adtsFrame(data(n*13))...)
	}
	whole, want := collect(FormatADTS)
	whole.Push(wire, 77, true)
	rapid.Check(t, func(t *rapid.T) {
		a, got := collect(FormatADTS)
		rest, timed := wire, true
		for len(rest) > 0 {
			n := min(len(rest), rapid.IntRange(1, 2000).Draw(t, "cut"))
			a.Push(rest[:n], 77, timed)
			rest, timed = rest[n:], false
		}
		require.Equal(t, *want, *got)
	})
}

func FuzzAudio(f *testing.F) {
	f.Add(uint8(0), uint16(3), adtsFrame(data(100)))
	f.Add(uint8(1), uint16(50), loasFrame(f, data(100), false))
	f.Add(uint8(2), uint16(100), append(mpegFrame(), mpegFrame()...))
	f.Add(uint8(0), uint16(1), append([]byte{0xff, 0xf1}, adtsFrame(data(9))...))
	f.Fuzz(func(t *testing.T, format uint8, cut uint16, b []byte) {
		emitted := 0
		a := NewAudio(FormatADTS+AudioFormat(format%3), func(f *media.Frame) {
			emitted++
			if f.PTS < 0 || f.PTS != f.DTS || len(f.Payload) == 0 {
				t.Fatalf("%+v", f)
			}
		})
		for len(b) > 0 {
			n := min(len(b), int(cut)+1)
			a.Push(b[:n], 0, false)
			b = b[n:]
			if len(a.held) > 1<<13+3 {
				t.Fatalf("%d bytes held", len(a.held))
			}
		}
	})
}

func TestADTSHeadersComeOutAsTheyWentIn(t *testing.T) {
	for _, c := range []mpeg4audio.AudioSpecificConfig{
		{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 44100, ChannelConfig: 2},
		{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 8000, ChannelConfig: 1},
		{Type: 4, SampleRate: 96000, ChannelConfig: 7},
		{Type: 1, SampleRate: 7350, ChannelConfig: 0},
	} {
		a, got := collect(FormatADTS)
		for _, n := range []int{1, 300, 8184} {
			b, ok := AppendADTS(nil, &c, n)
			require.True(t, ok)
			a.Push(append(b, data(n)...), 0, false)
			require.Equal(t, data(n), (*got)[len(*got)-1].payload)
		}
		require.Equal(t, c, *a.frame.Config)
	}
	for _, c := range []*mpeg4audio.AudioSpecificConfig{nil, {Type: 5, SampleRate: 44100}, {Type: 2, SampleRate: 44000}, {Type: 2, SampleRate: 44100, FrameLengthFlag: true}} {
		_, ok := AppendADTS(nil, c, 100)
		require.False(t, ok)
	}
	_, ok := AppendADTS(nil, &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 44100}, 8185)
	require.False(t, ok)
}
