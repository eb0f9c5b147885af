package gb28181

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
)

var byAgreement = PayloadTypes{PS: 96, H264: 98, H265: 99, Opus: 100}

func joined(parts ...[]byte) []byte { return slices.Concat(parts...) }

// fragment is a payload out of the middle of something: noise that begins like nothing in particular.
func fragment(n int) []byte { return joined([]byte{0xbe, 0x9d}, noise(n-2)) }

var (
	packHeader    = []byte{0, 0, 1, 0xba, 0x44, 0x26, 0x9c, 0x2e, 0xe4, 0x01, 0x02, 0x8f, 0x63, 0xf8}
	psKeyFrame    = joined(packHeader, []byte{0, 0, 1, 0xbb, 0, 12, 0x80, 0x7d, 0x49, 9}, noise(1300))
	psVideo       = joined([]byte{0, 0, 1, 0xe0, 0x40, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1}, noise(1300))
	psAnywhere    = joined(fragment(700), packHeader, noise(600))
	ehomeKeyFrame = joined([]byte{ehomeMark}, psKeyFrame)

	h264Parameters = []byte{0x67, 0x64, 0, 0x1f, 0xac, 0x2b, 0x40, 0x28, 0x02, 0xdd}
	h264Picture    = joined([]byte{0x68, 0xee, 0x3c, 0x80})
	h264Pair       = joined([]byte{0x78, 0, byte(len(h264Parameters))}, h264Parameters, []byte{0, byte(len(h264Picture))}, h264Picture)
	h264Start      = joined([]byte{0x7c, 0x85}, noise(1300))
	h264Middle     = joined([]byte{0x7c, 0x05}, noise(1300))
	h264Slices     = joined([]byte{0x41, 0x9a}, noise(900))

	h265Video      = joined([]byte{0x40, 1, 0x0c, 1, 0xff, 0xff}, noise(20))
	h265Sequence   = joined([]byte{0x42, 1, 1, 1, 0x60}, noise(40))
	h265Picture    = []byte{0x44, 1, 0xc1, 0x72, 0xb4}
	h265Aggregate1 = joined([]byte{0x60, 1, 0, byte(len(h265Video))}, h265Video, []byte{0, byte(len(h265Picture))}, h265Picture)
	h265Start      = joined([]byte{0x62, 1, 0x93}, noise(1300))
	h265Middle     = joined([]byte{0x62, 1, 0x13}, noise(1300))
	h265Slice      = joined([]byte{0x02, 1, 0xd0}, noise(700))

	aacOne  = joined([]byte{0, 16, 0x0c, 0x80}, noise(0x0c80>>3))
	aacTwo  = joined([]byte{0, 32, 0x0c, 0x80, 0x08, 0x00}, noise(0x0c80>>3+0x0800>>3))
	adtsOne = joined([]byte{0xff, 0xf1, 0x50, 0x80, byte(207 >> 3), byte(207&7)<<5 | 0x1f, 0xfc}, noise(200))
	alaw    = bytes.Repeat([]byte{0xd5, 0x55, 0x54, 0xd4}, 80)
)

func tsPackets(n, size int) []byte {
	var out []byte
	for i := range n {
		p := noise(size)
		copy(p, []byte{tsSync, 0x41, 0, 0x10 | byte(i&15)})
		out = append(out, p...)
	}
	return out
}

func times(n int, b []byte) [][]byte { return slices.Repeat([][]byte{b}, n) }

func TestOnePayloadIsJudgedByTypeAndContent(t *testing.T) {
	for _, c := range []struct {
		name        string
		payloadType uint8
		payload     []byte
		kind        Kind
		how         Certainty
	}{
		{"PS from a pack header on", 96, psKeyFrame, KindPS, CertainSure},
		{"PS of MPEG-1", 96, joined([]byte{0, 0, 1, 0xba, 0x21, 0, 1, 0, 1, 0x80, 0, 1}, noise(100)), KindPS, CertainSure},
		{"PS whose pack header is lost", 96, psVideo, KindPS, CertainSure},
		{"PS cut at any place", 96, psAnywhere, KindPS, CertainSure},
		{"PS under the type of H.264", 98, psKeyFrame, KindPS, CertainSure},
		{"PS under the type of A-law", 8, psKeyFrame, KindPS, CertainSure},
		{"PS under an unknown type", 127, psKeyFrame, KindPS, CertainSure},
		{"the middle of PS", 96, fragment(1400), KindPS, CertainNot},
		{"Ehome", 96, ehomeKeyFrame, KindEhome, CertainStrong},
		{"seven TS packets", 33, tsPackets(7, tsPacket), KindTS, CertainSure},
		{"TS packets of 204 bytes", 33, tsPackets(3, tsWithRS), KindTS, CertainSure},
		{"TS under the type of PS", 96, tsPackets(7, tsPacket), KindTS, CertainSure},
		{"one TS packet", 96, tsPackets(1, tsPacket), KindTS, CertainStrong},
		{"TS cut at any place", 96, tsPackets(7, tsPacket)[100:1300], KindTS, CertainStrong},
		{"H.264 parameter sets", 98, h264Parameters, KindH264, CertainStrong},
		{"H.264 STAP-A", 96, h264Pair, KindH264, CertainStrong},
		{"H.264 FU-A", 98, h264Start, KindH264, CertainFits},
		{"H.264 slice", 98, h264Slices, KindH264, CertainFits},
		{"H.264 delimiter", 96, []byte{9, 0xf0}, KindH264, CertainStrong},
		{"H.265 VPS", 99, h265Video, KindH265, CertainStrong},
		{"H.265 under the type of H.264", 98, h265Sequence, KindH265, CertainStrong},
		{"H.265 AP", 96, h265Aggregate1, KindH265, CertainStrong},
		{"H.265 FU", 99, h265Start, KindH265, CertainFits},
		{"AAC of RFC 3640", 97, aacOne, KindAAC, CertainStrong},
		{"AAC of RFC 3640, two frames", 97, aacTwo, KindAAC, CertainStrong},
		{"ADTS", 97, adtsOne, KindADTS, CertainStrong},
		{"two ADTS frames", 97, joined(adtsOne, adtsOne), KindADTS, CertainSure},
		{"A-law", 8, alaw, KindPCMA, CertainFits},
		{"µ-law", 0, alaw, KindPCMU, CertainFits},
		{"Opus", 100, joined([]byte{0xfc}, noise(90)), KindOpus, CertainFits},
		{"MPEG audio", 14, joined([]byte{0, 0, 0, 0, 0xff, 0xfd}, noise(300)), KindMPA, CertainStrong},
		{"G.722", 9, alaw, KindG722, CertainFits},
		{"G.723", 4, noise(24), KindG723, CertainFits},
		{"G.729", 18, noise(20), KindG729, CertainFits},
		{"nothing known", 97, fragment(300), KindUnknown, CertainNot},
		{"empty", 97, nil, KindUnknown, CertainNot},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind, how := Probe(c.payloadType, c.payload, byAgreement)
			require.Equal(t, c.kind.String(), kind.String())
			require.Equal(t, c.how, how)
		})
	}
}

// lookAll returns what a Prober says after all payloads, and after how many it had decided; 0 if it has not.
func lookAll(p *Prober, payloadType uint8, payloads ...[]byte) (kind Kind, after int) {
	for i, b := range payloads {
		k, decided := p.Look(payloadType, b)
		if kind = k; decided && after == 0 {
			after = i + 1
		}
	}
	return kind, after
}

func TestTheKindIsDecidedFromAsManyPayloadsAsItTakes(t *testing.T) {
	for _, c := range []struct {
		name        string
		payloadType uint8
		payloads    [][]byte
		kind        Kind
		after       int // payloads
	}{
		{"PS from its beginning", 96, times(1, psKeyFrame), KindPS, 1},
		{"PS from the middle on", 96, append(times(100, fragment(1400)), psKeyFrame), KindPS, 101},
		{"PS whose fragments look like H.264", 96, append(times(5, h264Middle), psKeyFrame), KindPS, 0},
		{"PS that is never recognised", 96, times(probePackets, fragment(1400)), KindPS, probePackets},
		{"Ehome is not believed at once", 96, times(1, ehomeKeyFrame), KindUnknown, 0},
		{"Ehome", 96, [][]byte{ehomeKeyFrame, fragment(1400), ehomeKeyFrame}, KindEhome, 3},
		{"PS with a fragment like Ehome", 96, [][]byte{ehomeKeyFrame, psVideo, psKeyFrame}, KindPS, 2},
		{"one fragment like H.264 decides nothing", 98, times(1, h264Middle), KindUnknown, 0},
		{"H.264 by type, from the middle on", 98, times(4, h264Middle), KindH264, 4},
		{"H.264 by content, from the middle on", 96, times(6, h264Middle), KindH264, 6},
		{"H.264 by type, from parameter sets on", 98, [][]byte{h264Parameters, h264Picture}, KindH264, 2},
		{"H.264 by content, from parameter sets on", 97, [][]byte{h264Pair, h264Start, h264Middle, h264Middle}, KindH264, 4},
		{"H.264 under the type of H.265", 99, [][]byte{h264Pair, h264Pair}, KindH264, 2},
		{"H.265 by type", 99, [][]byte{h265Video, h265Sequence}, KindH265, 2},
		{"H.265 by content", 96, [][]byte{h265Video, h265Sequence, h265Picture}, KindH265, 2},
		{"H.265 slices by type", 99, times(4, h265Slice), KindH265, 4},
		{"H.265 from the middle on", 98, times(6, h265Middle), KindH265, 6},
		{"AAC", 97, times(2, aacOne), KindAAC, 2},
		{"AAC fragments", 97, times(20, fragment(200)), KindUnknown, 0},
		{"ADTS", 97, times(2, adtsOne), KindADTS, 2},
		{"A-law", 8, times(4, alaw), KindPCMA, 4},
		{"µ-law", 0, times(4, alaw), KindPCMU, 4},
		{"A-law that is PS", 8, [][]byte{fragment(1400), fragment(1400), psKeyFrame}, KindPS, 3},
		{"TS", 33, times(1, tsPackets(7, tsPacket)), KindTS, 1},
		{"TS one by one", 96, times(2, tsPackets(1, tsPacket)), KindTS, 2},
		{"nothing known", 97, times(probePackets, fragment(100)), KindUnknown, probePackets},
		{"nothing known at first", 97, append(times(probePackets+50, fragment(100)), psKeyFrame), KindPS, probePackets},
		{"empty payloads tell nothing", 96, times(1000, nil), KindUnknown, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind, after := lookAll(NewProber(byAgreement), c.payloadType, c.payloads...)
			if c.name == "PS whose fragments look like H.264" {
				require.NotEqual(t, KindH264, kind)
				return
			}
			require.Equal(t, c.kind.String(), kind.String())
			require.Equal(t, c.after, after)
		})
	}
}

func TestADeviceThatChangesItsKindIsNoticed(t *testing.T) {
	video := append([][]byte{h264Pair, h264Start}, times(20, h264Middle)...)
	for _, c := range []struct {
		name          string
		first, second [][]byte
		from, to      Kind
		within        int
	}{
		{"H.264 to PS", video, [][]byte{psKeyFrame}, KindH264, KindPS, 1},
		{"H.264 to PS from the middle", video, append(times(30, fragment(1400)), psKeyFrame), KindH264, KindPS, 31},
		{"H.264 to H.265", video, append([][]byte{h265Video, h265Sequence, h265Picture}, times(20, h265Middle)...), KindH264, KindH265, 10},
		{"PS to H.264", times(3, psKeyFrame), times(600, h264Middle), KindPS, KindH264, containerWait + 10},
		{"Ehome to PS", times(3, ehomeKeyFrame), [][]byte{psKeyFrame}, KindEhome, KindPS, 1},
		{"A-law to PS", times(10, alaw), [][]byte{psKeyFrame}, KindPCMA, KindPS, 1},
		{"TS to PS", times(3, tsPackets(7, tsPacket)), [][]byte{psKeyFrame}, KindTS, KindPS, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := NewProber(byAgreement)
			payloadType := uint8(96)
			if c.from == KindPCMA {
				payloadType = 8
			}
			kind, _ := lookAll(p, payloadType, c.first...)
			require.Equal(t, c.from.String(), kind.String())
			for i, b := range c.second {
				kind, decided := p.Look(payloadType, b)
				require.True(t, decided, "a stream that was understood stays so")
				if kind == c.to {
					require.Less(t, i, c.within)
					return
				}
				require.Equal(t, c.from.String(), kind.String())
			}
			t.Fatal("not noticed")
		})
	}
}

func TestAHealthyStreamIsNotDoubted(t *testing.T) {
	for _, c := range []struct {
		kind     Kind
		payloads [][]byte
	}{
		{KindPS, append([][]byte{psKeyFrame}, times(400, h264Middle)...)}, // a large picture whose fragments look like something else
		{KindPS, append([][]byte{psAnywhere}, times(1000, fragment(1400))...)},
		{KindH264, append([][]byte{h264Pair, h264Start}, times(100, h264Middle)...)},
		{KindH264, append([][]byte{h264Parameters, h264Picture, {6, 5, 1, 0, 0x80}}, times(100, h264Slices)...)},
		{KindH265, append([][]byte{h265Aggregate1, h265Start}, times(100, h265Middle)...)},
	} {
		p := NewProber(byAgreement)
		for range 5 {
			for _, b := range c.payloads {
				kind, decided := p.Look(97, b)
				if decided {
					require.Equal(t, c.kind.String(), kind.String())
				}
			}
			require.Equal(t, c.kind, p.Kind())
		}
	}
}

func TestEhomeIsUnwrapped(t *testing.T) {
	always := [][]byte{ehomeKeyFrame, joined([]byte{ehomeMark}, fragment(50)), {ehomeMark, ehomeMark, 1}, {ehomeMark}}
	e := &Ehome{}
	for _, b := range always {
		require.Equal(t, b[1:], e.Unwrap(b))
	}
	sparse := &Ehome{}
	require.Equal(t, psKeyFrame, sparse.Unwrap(ehomeKeyFrame))
	require.Equal(t, fragment(50), sparse.Unwrap(fragment(50)))
	require.Equal(t, []byte{ehomeMark, 5, 6}, sparse.Unwrap([]byte{ehomeMark, 5, 6}), "a fragment may begin with that byte")
	require.Equal(t, psVideo, sparse.Unwrap(joined([]byte{ehomeMark}, psVideo)))
	require.Empty(t, sparse.Unwrap(nil))
}

func TestKindsHaveNamesAndCodecs(t *testing.T) {
	names := map[string]bool{}
	for k := KindPS; k < kinds; k++ {
		require.NotEmpty(t, k.String())
		require.False(t, names[k.String()], "%s twice", k)
		names[k.String()] = true
		require.NotEqual(t, media.CodecUnknown, k.Codec(), k.String())
		require.Equal(t, k.Codec() == media.CodecMP2P || k.Codec() == media.CodecMP2T, k.Container(), k.String())
	}
	require.Equal(t, media.CodecUnknown, Kind(200).Codec())
	require.Empty(t, fmt.Sprint(Kind(200)))
}

// What devices send out of the middle of pictures is as good as random. It must not be taken for bare video by chance.
func TestRandomPayloadsAreNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 1))
		p := NewProber(byAgreement)
		b := make([]byte, 300)
		for range 100 {
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			kind, _ := p.Look(97, b)
			require.Equal(t, KindUnknown, kind)
		}
	})
}

func TestProbingAllocatesNothing(t *testing.T) {
	p := NewProber(byAgreement)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		p.Look(96, psKeyFrame)
		p.Look(96, h264Middle)
	}))
}

func FuzzProber(f *testing.F) {
	for _, b := range [][]byte{psKeyFrame, psVideo, ehomeKeyFrame, h264Pair, h264Start, h265Aggregate1, h265Start, aacOne, aacTwo, adtsOne, alaw, tsPackets(3, tsPacket)} {
		f.Add(uint8(96), b, b)
		f.Add(uint8(8), b[:min(len(b), 5)], b)
	}
	f.Fuzz(func(t *testing.T, payloadType uint8, first, second []byte) {
		p := NewProber(byAgreement)
		e := &Ehome{}
		for range 10 {
			for _, b := range [][]byte{first, second} {
				kind, how := Probe(payloadType, b, byAgreement)
				if how > CertainNot && kind == KindUnknown || len(b) == 0 && how > CertainNot {
					t.Fatalf("certain of nothing: %v %v", kind, how)
				}
				if k, decided := p.Look(payloadType, b); !decided && k != KindUnknown {
					t.Fatalf("%v, but not decided", k)
				}
				if got := e.Unwrap(b); len(b)-len(got) > 1 || !bytes.HasSuffix(b, got) {
					t.Fatal("not the payload")
				}
			}
		}
	})
}
