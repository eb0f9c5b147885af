package mpegps

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/pes"
)

// spoiled are buffers what comes back to which is of no use to anybody any more; of its own a stream has no more than own bytes.
func spoiled(own int) *pes.Buffers {
	spoil := bytes.Repeat([]byte{0xaa}, 4096)
	return &pes.Buffers{Own: own, Returned: func(b []byte) {
		for len(b) > 0 {
			b = b[copy(b, spoil):]
		}
	}}
}

// feed writes in pieces of a size, with a gap or marks where rnd says, if there is one.
func (k *sink) feed(piece int, b []byte, rnd *rand.Rand) {
	for p := range chunks(b, piece) {
		k.d.Write(p)
		if rnd == nil {
			continue
		}
		switch rnd.IntN(12) {
		case 0:
			k.d.Gap()
		case 1, 2, 3:
			k.d.Mark()
		}
	}
	k.d.Flush()
}

func TestWhoSharesBuffersSeesTheSame(t *testing.T) {
	var inputs [][]byte
	for _, c := range oddities {
		inputs = append(inputs, join(c.input...))
	}
	inputs = append(inputs, slices.Concat(inputs...))
	for _, own := range []int{64, 0} {
		shared := spoiled(own)
		var all sync.WaitGroup
		for _, piece := range pieces {
			all.Go(func() {
				for i, b := range inputs {
					for _, seed := range []uint64{0, 1} {
						var one, other *rand.Rand
						if seed > 0 {
							one, other = rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 1))
						}
						alone, among := newSink(Options{}), newSink(Options{Buffers: shared})
						alone.feed(piece, b, one)
						among.feed(piece, b, other)
						if !sameFrames(alone.frames, among.frames) || alone.d.Stats() != among.d.Stats() {
							t.Errorf("input %d in pieces of %d, seed %d: %v, %v alone", i, piece, seed, among.frames, alone.frames)
						}
					}
				}
			})
		}
		all.Wait()
	}
}

func sameFrames(a, b []got) bool {
	return slices.EqualFunc(a, b, func(a, b got) bool {
		return a.stream == b.stream && a.codec == b.codec && a.pts == b.pts && a.dts == b.dts && a.key == b.key && slices.Equal(a.payload, b.payload)
	})
}

// FuzzShared takes the same bytes in twice.
func FuzzShared(f *testing.F) {
	addOddities(f)
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		piece := int(seed%1500) + 1
		alone, among := newSink(Options{MaxUnit: 64 << 10}), newSink(Options{MaxUnit: 64 << 10, Buffers: spoiled(int(seed % 700))})
		alone.feed(piece, b, rand.New(rand.NewPCG(seed, 1)))
		among.feed(piece, b, rand.New(rand.NewPCG(seed, 1)))
		require.True(t, sameFrames(alone.frames, among.frames), "%v, %v alone", among.frames, alone.frames)
		require.Equal(t, alone.d.Stats(), among.d.Stats())
		require.LessOrEqual(t, cap(among.d.replay), 2*keptReplay)
		for _, s := range among.d.order {
			require.False(t, s.room.Borrowed(), "nothing is gathered")
		}
	})
}

func TestALargeBufferIsGivenBackWithThePictureThatNeededIt(t *testing.T) {
	payloads, marks, _ := second()
	d := NewDemuxer(Options{Emit: func(int, *media.Frame) {}, Buffers: &pes.Buffers{}})
	held := 0
	for range 6 {
		for i, p := range payloads {
			d.Write(p)
			if marks[i] {
				d.Mark()
			}
			for _, s := range d.order {
				if s.room.Borrowed() {
					held++
				} else {
					require.LessOrEqual(t, cap(s.buf), 8<<10)
				}
			}
		}
	}
	require.Positive(t, held)
	require.Less(t, held, 6*100_000/1400, "no longer than its packets come, less those that are needed to outgrow a small one")
}

// cameras are demuxers that share buffers, and of which each is at another place of the same stream.
type cameras struct {
	payloads [][]byte
	marks    []bool
	demuxers []*Demuxer
	next     []int
}

func newCameras(n int, shared *pes.Buffers) (c *cameras, size int) {
	c = &cameras{}
	c.payloads, c.marks, size = second()
	for i := range n {
		c.demuxers = append(c.demuxers, NewDemuxer(Options{Emit: func(int, *media.Frame) {}, Buffers: shared}))
		c.next = append(c.next, i*len(c.payloads)/n)
	}
	return c, size * n
}

// run sends a second of each.
func (c *cameras) run() {
	for range c.payloads {
		for i, d := range c.demuxers {
			at := c.next[i]
			c.next[i] = (at + 1) % len(c.payloads)
			d.Write(c.payloads[at])
			if c.marks[at] {
				d.Mark()
			}
		}
	}
}

func TestSharingAllocatesNothingInSteadyState(t *testing.T) {
	c, _ := newCameras(20, &pes.Buffers{})
	for range 10 {
		c.run()
	}
	require.Zero(t, testing.AllocsPerRun(10, c.run))
	for _, d := range c.demuxers {
		require.NotZero(t, d.Stats().Frames)
		for _, s := range d.order {
			require.True(t, s.room.Borrowed() || cap(s.buf) <= 8<<10)
		}
	}
}

// BenchmarkShared is a second of 200 streams whose key pictures are spread over it.
func BenchmarkShared(b *testing.B) {
	for _, way := range []struct {
		name   string
		shared *pes.Buffers
	}{{"alone", nil}, {"shared", &pes.Buffers{}}} {
		b.Run(way.name, func(b *testing.B) {
			c, size := newCameras(200, way.shared)
			c.run()
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				c.run()
			}
		})
	}
}
