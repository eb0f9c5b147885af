package annexb

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/media"
)

func TestStartCodeIsFoundWhereverItIs(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		from int
		want int
	}{
		{"nothing", nil, 0, -1},
		{"too short", []byte{0, 1}, 0, -1},
		{"alone", []byte{0, 0, 1}, 0, 0},
		{"long", []byte{0, 0, 0, 1}, 0, 1},
		{"behind many zeros", []byte{0, 0, 0, 0, 0, 1}, 0, 3},
		{"behind data", []byte{9, 1, 0, 1, 0, 0, 1}, 0, 4},
		{"behind ones", []byte{1, 1, 1, 0, 0, 1}, 0, 3},
		{"from its place", []byte{9, 0, 0, 1}, 1, 1},
		{"after its place", []byte{9, 0, 0, 1}, 2, -1},
		{"the second", []byte{0, 0, 1, 0, 0, 1}, 1, 3},
		{"cut", []byte{5, 0, 0}, 0, -1},
		{"from before", []byte{0, 0, 1}, -1, -1},
		{"from behind", []byte{0, 0, 1}, 9, -1},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, StartCode(c.b, c.from)) })
	}
}

func TestNextTakesUnitsApart(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want [][]byte
	}{
		{"nothing", nil, nil},
		{"no start code", []byte{1, 2, 3}, nil},
		{"start code alone", []byte{0, 0, 1}, nil},
		{"zeros alone", []byte{0, 0, 1, 0, 0, 0}, nil},
		{"one", []byte{0, 0, 1, 0x65, 1}, [][]byte{{0x65, 1}}},
		{"bytes before", []byte{7, 8, 0, 0, 0, 1, 0x65}, [][]byte{{0x65}}},
		{"two of either kind", []byte{0, 0, 0, 1, 0x67, 5, 0, 0, 1, 0x68}, [][]byte{{0x67, 5}, {0x68}}},
		{"zeros between", []byte{0, 0, 1, 0x67, 0, 0, 0, 0, 0, 1, 0x68, 0}, [][]byte{{0x67}, {0x68}}},
		{"empty units", []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0x68}, [][]byte{{0x68}}},
		{"a code at the end", []byte{0, 0, 1, 0x68, 0, 0, 1}, [][]byte{{0x68}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, all(c.b))
		})
	}
}

func all(b []byte) (units [][]byte) {
	for unit, rest := Next(b); unit != nil; unit, rest = Next(rest) {
		units = append(units, unit)
	}
	return units
}

func TestAppendedUnitsComeOutAgain(t *testing.T) {
	units := [][]byte{{0x67, 0x42}, {0x68}, {0x65, 0, 0, 3, 1}}
	var b []byte
	for _, u := range units {
		b = Append(b, u)
	}
	require.Equal(t, units, all(b))
}

func TestKeySaysWhereADecoderMayBegin(t *testing.T) {
	stream := func(units ...[]byte) (b []byte) {
		for _, u := range units {
			b = Append(b, u)
		}
		return b
	}
	recovery264, recovery265 := []byte{6, 6, 1, 0x84, 0x80}, []byte{39 << 1, 1, 6, 1, 0x84, 0x80}
	for _, c := range []struct {
		name  string
		codec media.Codec
		unit  []byte
		want  bool
	}{
		{"idr", media.CodecH264, stream([]byte{9, 0x10}, []byte{0x67, 1}, []byte{0x68, 1}, []byte{0x65, 0x88}), true},
		{"parameter sets alone", media.CodecH264, stream([]byte{0x67, 1}, []byte{0x68, 1}), false},
		{"parameter sets before a predicted picture", media.CodecH264, stream([]byte{0x67, 1}, []byte{0x68, 1}, []byte{0x41, 0x9a}), false},
		{"recovery point", media.CodecH264, stream(recovery264, []byte{0x41, 0x9a}), true},
		{"recovery point without a picture", media.CodecH264, stream(recovery264), false},
		{"an idr slice behind another slice", media.CodecH264, stream([]byte{0x41, 0x9a}, []byte{0x65, 0x88}), false},
		{"unit types of rtp", media.CodecH264, stream([]byte{24, 0, 2, 0x65, 0x88}), false},
		{"nothing", media.CodecH264, nil, false},
		{"h265 idr", media.CodecH265, stream([]byte{32 << 1, 1}, []byte{19 << 1, 1, 0x80}), true},
		{"h265 cra", media.CodecH265, stream([]byte{21 << 1, 1, 0x80}), true},
		{"h265 trailing picture", media.CodecH265, stream([]byte{1 << 1, 1, 0x80}), false},
		{"h265 recovery point", media.CodecH265, stream(recovery265, []byte{1 << 1, 1, 0x80}), true},
		{"h265 unit types of rtp", media.CodecH265, stream([]byte{48 << 1, 1, 0, 3, 19 << 1, 1, 0x80}), false},
		{"audio", media.CodecAAC, nil, true},
		{"other video", media.CodecVP8, stream([]byte{0x65, 0x88}), false},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, Key(c.codec, c.unit)) })
	}
}

func TestNothingIsAllocated(t *testing.T) {
	b := Append(Append(nil, []byte{0x41, 0x9a, 1, 2, 3}), []byte{0x41, 1})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for unit, rest := Next(b); unit != nil; unit, rest = Next(rest) {
			_ = unit
		}
		Key(media.CodecH264, b)
		Key(media.CodecH265, b)
	}))
}

func FuzzNext(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0x67, 0, 0, 0, 1, 0x68})
	f.Add([]byte{0, 0, 1, 0, 0, 1, 0, 0})
	f.Add([]byte{1, 1, 0, 0, 0, 0, 1, 6, 6, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := StartCode(b, 0); got != bytes.Index(b, []byte(startCode)) {
			t.Fatalf("start code at %d", got)
		}
		var again []byte
		units := all(b)
		for _, u := range units {
			if len(u) == 0 || u[len(u)-1] == 0 || bytes.Contains(u, []byte(startCode)) {
				t.Fatalf("unit % x", u)
			}
			again = Append(again, u)
		}
		if !slices.EqualFunc(units, all(again), bytes.Equal) {
			t.Fatal("units changed")
		}
		Key(media.CodecH264, b)
		Key(media.CodecH265, b)
	})
}

func BenchmarkNext(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	picture := make([]byte, 10000)
	for i := range picture {
		picture[i] = byte(rnd.UintN(256))
	}
	random := Append(Append(Append(nil, []byte{0x67, 1, 2}), []byte{0x68, 1}), picture)
	for _, c := range []struct {
		name string
		b    []byte
	}{{"picture", random}, {"ones", append([]byte{0, 0, 1}, bytes.Repeat([]byte{1}, 10000)...)}, {"zeros", append([]byte{0, 0, 1}, make([]byte, 10000)...)}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.b)))
			b.ReportAllocs()
			for b.Loop() {
				for unit, rest := Next(c.b); unit != nil; unit, rest = Next(rest) {
				}
			}
		})
	}
}
