package pes

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
)

func TestHeadersAreMeasured(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want int
	}{
		{"nothing", nil, 7},
		{"a zero", []byte{0}, 7},
		{"start code alone", []byte{0, 0, 1}, 7},
		{"no start code", []byte{0, 1}, NoHeader},
		{"no PES packet", []byte{0, 0, 1, 0xba}, NoHeader},
		{"no PES packet, whole", []byte{0, 0, 1, 0x67, 0, 0, 0, 0}, NoHeader},
		{"padding", []byte{0, 0, 1, IDPadding, 0, 9}, 6},
		{"private 2", []byte{0, 0, 1, IDPrivate2, 0, 9, 0x80, 0, 5}, 6},
		{"flags are missing", []byte{0, 0, 1, IDVideo, 0, 0, 0x80}, 9},
		{"no times", []byte{0, 0, 1, IDVideo, 0, 0, 0x80, 0, 0}, 9},
		{"stuffing", []byte{0, 0, 1, IDVideo, 0, 200, 0x80, 0, 100}, 109},
		{"more header than packet", []byte{0, 0, 1, IDVideo, 0, 20, 0x80, 0, 100}, NoHeader},
		{"private 1", []byte{0, 0, 1, IDPrivate1, 0, 9, 0x81, 0x80, 5}, 14},
		{"extended", []byte{0, 0, 1, IDExtended, 0, 9, 0x81, 0x80, 5}, 14},
		{"MPEG-1 without times", []byte{0, 0, 1, IDAudio, 0, 9, 0x0f}, 7},
		{"MPEG-1 with stuffing and buffer", []byte{0, 0, 1, IDAudio, 0, 19, 0xff, 0xff, 0x40, 0x20, 0x21}, 15},
		{"MPEG-1 with both times", []byte{0, 0, 1, IDAudio, 0, 19, 0x31}, 16},
		{"MPEG-1, cut", []byte{0, 0, 1, IDAudio, 0, 19, 0xff}, 8},
		{"MPEG-1, cut in the buffer", []byte{0, 0, 1, IDAudio, 0, 19, 0x40}, 9},
		{"MPEG-1 with too much stuffing", append([]byte{0, 0, 1, IDAudio, 0, 30}, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255), NoHeader},
		{"neither", []byte{0, 0, 1, IDAudio, 0, 30, 0x00}, NoHeader},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, HeaderSize(c.b)) })
	}
}

func TestHeadersComeOutAsTheyWentIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pts := media.Ticks(rapid.Uint64Range(0, stampModulus-1).Draw(t, "pts"))
		dts := media.Ticks(rapid.SampledFrom([]uint64{uint64(pts), uint64(pts) / 2}).Draw(t, "dts"))
		payload := rapid.IntRange(0, 70000).Draw(t, "payload")
		b := AppendHeader(nil, IDVideo, payload, pts, dts)
		require.Equal(t, len(b), HeaderSize(b))
		for n := range b {
			require.Greater(t, HeaderSize(b[:n]), n, "a cut header asks for more")
		}
		require.Equal(t, Times{PTS: uint64(pts), DTS: uint64(dts), OK: true}, ReadTimes(b))
		if whole := len(b) - 6 + payload; whole <= 65535 {
			require.Equal(t, whole, Length(b))
		} else {
			require.Zero(t, Length(b))
		}
	})
	b := AppendContinuation(nil, IDAudio, 100)
	require.Equal(t, 9, HeaderSize(b))
	require.Equal(t, 103, Length(b))
	require.Equal(t, Times{}, ReadTimes(b))
}

func TestTimesAreRead(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want Times
	}{
		{"none", []byte{0, 0, 1, IDVideo, 0, 0, 0x80, 0, 0}, Times{}},
		{"a DTS without PTS is forbidden", []byte{0, 0, 1, IDVideo, 0, 0, 0x80, 0x40, 5, 0x11, 0, 1, 0, 1}, Times{}},
		{"announced, but not there", []byte{0, 0, 1, IDVideo, 0, 0, 0x80, 0x80, 2, 0x21, 0}, Times{}},
		{"wrong marker bits", []byte{0, 0, 1, IDVideo, 0, 0, 0x80, 0x80, 5, 0, 0, 0, 0, 4}, Times{PTS: 2, DTS: 2, OK: true}},
		{"DTS announced, but not there", []byte{0, 0, 1, IDVideo, 0, 0, 0x80, 0xc0, 5, 0x31, 0, 1, 0, 5}, Times{PTS: 2, DTS: 2, OK: true}},
		{"MPEG-1", []byte{0, 0, 1, IDAudio, 0, 0, 0x21, 0, 1, 0, 7}, Times{PTS: 3, DTS: 3, OK: true}},
		{"MPEG-1 with both", []byte{0, 0, 1, IDAudio, 0, 0, 0xff, 0x40, 0x20, 0x31, 0, 1, 0, 7, 0x11, 0, 1, 0, 3}, Times{PTS: 3, DTS: 1, OK: true}},
		{"MPEG-1 without", []byte{0, 0, 1, IDAudio, 0, 0, 0x0f}, Times{}},
		{"padding has none", []byte{0, 0, 1, IDPadding, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 7}, Times{}},
		{"too short", []byte{0, 0, 1, IDVideo, 0, 0}, Times{}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, ReadTimes(c.b)) })
	}
}

func TestTheClockDoesNotWrap(t *testing.T) {
	var c Clock
	require.Equal(t, media.Ticks(stampModulus-10), c.At(stampModulus-10))
	require.Equal(t, media.Ticks(stampModulus+5), c.At(5))
	require.Equal(t, media.Ticks(stampModulus-1), c.At(stampModulus-1), "backwards over the end")
	require.Equal(t, media.Ticks(stampModulus+90000), c.At(90000))
	require.Equal(t, media.Ticks(stampModulus), Near(stampModulus+90000, 0))
	require.Equal(t, media.Ticks(stampModulus+90000), c.At(90000), "Near leaves it alone")
	var first Clock
	require.Equal(t, media.Ticks(0), first.At(0))
	require.Equal(t, media.Ticks(-1), first.At(stampModulus-1))
}

func TestStreamTypesGoBothWays(t *testing.T) {
	for codec := media.CodecUnknown; codec <= media.CodecMPA; codec++ {
		streamType := TypeOf(&media.Track{Codec: codec})
		if streamType == 0 {
			continue
		}
		want := codec
		if codec == media.CodecMPA {
			want = media.CodecMP3
		}
		require.Equal(t, want, CodecOf(streamType))
	}
	require.Equal(t, media.CodecAAC, CodecOf(TypeLATM))
	require.Equal(t, media.CodecUnknown, CodecOf(TypePrivate))
	require.EqualValues(t, TypeMPEG2Audio, TypeOf(&media.Track{Codec: media.CodecMP3, SampleRate: 22050}))
	require.Zero(t, TypeOf(&media.Track{Codec: media.CodecVP8}))
}

func TestTheCRCIsThatOfTheStandard(t *testing.T) {
	require.Equal(t, uint32(0x0376e6e7), CRC32([]byte("123456789"))) // CRC-32/MPEG-2
	pat := []byte{0, 0xb0, 0x0d, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0, 0x2a, 0xb1, 0x04, 0xb2}
	require.Zero(t, CRC32(pat))
}

func FuzzHeader(f *testing.F) {
	f.Add(AppendHeader(nil, IDVideo, 1000, 1234567, 1230000))
	f.Add([]byte{0, 0, 1, IDAudio, 0, 19, 0xff, 0xff, 0x40, 0x20, 0x21, 0, 1, 0, 1})
	f.Add([]byte{0, 0, 1, IDVideo, 0, 0, 0x84})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := HeaderSize(b)
		switch {
		case n == NoHeader:
		case n <= 0 || n > MaxHeader && n > len(b):
			t.Fatalf("size %d", n)
		case n <= len(b):
			if got := ReadTimes(b[:n]); got.PTS >= stampModulus || got.DTS >= stampModulus {
				t.Fatalf("%+v", got)
			}
		}
		ReadTimes(b)
	})
}
