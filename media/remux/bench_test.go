package remux

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/annexb"
)

// second is one second of 2 Mb/s at 25 pictures a second.
func second() []media.Frame {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.UintN(256))
		}
		// what an encoder makes has no start codes
		for at := annexb.StartCode(b, 0); at >= 0; at = annexb.StartCode(b, at) {
			b[at+2] = 3
		}
		return b
	}
	frames := []media.Frame{{Codec: media.CodecH264, Key: true, Payload: stream(testSPS, testPPS, append([]byte{0x65, 0x88}, random(40000)...))}}
	for i := range 24 {
		pts := media.Ticks(3600 * (i + 1))
		frames = append(frames, media.Frame{Codec: media.CodecH264, PTS: pts, DTS: pts, Payload: stream(append([]byte{0x41, 0x9a}, random(8750)...))})
	}
	return frames
}

func BenchmarkPacketizer(b *testing.B) {
	frames, n := second(), 0
	p, err := NewPacketizer(PacketizerOptions{Track: trackOf(b, &format.H264{PayloadTyp: 96}), Emit: func(pkt []byte) { n += len(pkt) }})
	require.NoError(b, err)
	b.ReportAllocs()
	b.SetBytes(250_000)
	for b.Loop() {
		for i := range frames {
			p.Write(&frames[i])
		}
	}
}

func BenchmarkDepacketizer(b *testing.B) {
	track := trackOf(b, &format.H264{PayloadTyp: 96})
	packets := pack(b, track, 0, second()...)
	d, err := NewDepacketizer(DepacketizerOptions{Track: track, Emit: func(*media.Frame) {}})
	require.NoError(b, err)
	b.ReportAllocs()
	b.SetBytes(250_000)
	seq := uint16(0)
	for b.Loop() {
		for _, p := range packets {
			p[2], p[3] = byte(seq>>8), byte(seq)
			seq++
			d.Write(p)
		}
	}
	require.Zero(b, d.Stats().Damaged+d.Stats().Lost)
}

func BenchmarkAssembler(b *testing.B) {
	frames, n := second(), 0
	a := NewAssembler(AssemblerOptions{OnlyTrack: 2, Write: func(_ int, _ time.Time, pkt []byte) { n += len(pkt) }, WriteRTCP: func(int, time.Time, []byte) {}})
	a.opts.Ready = func([]*media.Track) { a.Attached([]int{0}) }
	now, pts := start(), media.Ticks(0)
	b.ReportAllocs()
	b.SetBytes(250_000)
	for b.Loop() {
		for i := range frames {
			frames[i].PTS, frames[i].DTS = pts, pts
			a.Frame(now, 1, &frames[i])
			pts += 3600
			now = now.Add(40 * time.Millisecond)
		}
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	track := trackOf(t, &format.H264{PayloadTyp: 96})
	frames, packets := second(), 0
	p, err := NewPacketizer(PacketizerOptions{Track: track, Emit: func([]byte) { packets++ }})
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(20, func() {
		for i := range frames {
			p.Write(&frames[i])
		}
	}))
	recorded := pack(t, track, 0, frames...)
	d, err := NewDepacketizer(DepacketizerOptions{Track: track, Emit: func(*media.Frame) {}})
	require.NoError(t, err)
	seq := uint16(0)
	once := func() {
		for _, pkt := range recorded {
			pkt[2], pkt[3] = byte(seq>>8), byte(seq)
			seq++
			d.Write(pkt)
		}
	}
	for range 3 * peakFrames / len(frames) {
		once() // until its buffer has the size that it needs
	}
	require.Zero(t, testing.AllocsPerRun(20, once))
	require.True(t, bytes.Equal(d.unit.params, stream(testSPS, testPPS)))
}
