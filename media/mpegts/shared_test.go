package mpegts

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

// mixture is a stream of pictures of all sizes, with and without lengths and times, with sound beside.
func mixture() []byte {
	w := newWire().tables(h264Entry, aacEntry, entry{pes.TypePrivate, pidFirst + 2, []byte{tagRegistration, 4, 'O', 'p', 'u', 's'}})
	for n := range 60 {
		at := media.Ticks(n) * 3600
		size := 200 + n*37
		if n%15 == 0 {
			size = 9000 + n*2000
		}
		unit := picture(n%15 == 0, size)
		switch n / 15 {
		case 0:
			w.pes(pidFirst, video(at, unit, false))
		case 1:
			w.pes(pidFirst, video(at, unit, true))
		default: // in two packets, with the same time
			w.pes(pidFirst, video(at, unit[:len(unit)/2], n%2 == 0)).pes(pidFirst, video(at, unit[len(unit)/2:], n%2 == 0))
		}
		w.pes(pidFirst+1, audio(at, adts(random(30+n)))).pes(pidFirst+2, audio(at, append(appendOpusHeader(nil, 5+n), random(5+n)...)))
	}
	return w.b
}

// taken is what comes out of a stream that is cut in pieces of a size, and loses packets where rnd says, if there is one.
func taken(o Options, b []byte, piece int, rnd *rand.Rand) ([]sent, Stats) {
	var got []sent
	d := NewDemuxer(o)
	demuxed(d, &got)
	for p := range slices.Chunk(b, piece) {
		kind := 0
		if rnd != nil {
			kind = rnd.IntN(30)
		}
		switch kind {
		case 1:
			d.Gap()
			continue
		case 2:
			continue
		case 3, 4, 5:
			d.Mark()
		}
		d.Write(p)
	}
	d.Flush()
	return got, d.Stats()
}

func sameSent(a, b []sent) bool {
	return slices.EqualFunc(a, b, func(a, b sent) bool {
		return a.track == b.track && a.Codec == b.Codec && a.PTS == b.PTS && a.DTS == b.DTS && a.Key == b.Key && bytes.Equal(a.Payload, b.Payload)
	})
}

func TestWhoSharesBuffersSeesTheSame(t *testing.T) {
	b := mixture()
	for _, own := range []int{64, 1000, 0} {
		shared := spoiled(own)
		var all sync.WaitGroup
		for _, piece := range []int{50, packetSize, 7 * packetSize, 5000, len(b)} {
			all.Go(func() {
				for seed := range uint64(6) {
					var one, other *rand.Rand
					if seed > 0 {
						one, other = rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 1))
					}
					alone, stats := taken(Options{MaxUnit: 90_000}, b, piece, one)
					among, same := taken(Options{MaxUnit: 90_000, Buffers: shared}, b, piece, other)
					if !sameSent(alone, among) || stats != same {
						t.Errorf("pieces of %d, seed %d: %d frames, %d alone; %+v, %+v alone", piece, seed, len(among), len(alone), same, stats)
					}
					if seed == 0 && len(among) < 150 {
						t.Errorf("%d frames", len(among))
					}
				}
			})
		}
		all.Wait()
	}
}

func TestALargeBufferIsGivenBackWithThePictureThatNeededIt(t *testing.T) {
	d := NewDemuxer(Options{Emit: func(int, *media.Frame) {}, Buffers: &pes.Buffers{}})
	w := newWire().tables(h264Entry)
	d.Write(w.b)
	at := media.Ticks(0)
	second := func() {
		w.b = w.b[:0]
		for n := range 25 {
			size := 6000
			if n == 0 {
				size = 100_000
			}
			w.pes(pidFirst, video(at, picture(n == 0, size), false))
			at += 3600
		}
	}
	held, packets := 0, 0
	for range 6 {
		second()
		for p := range slices.Chunk(w.b, packetSize) {
			d.Write(p)
			packets++
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
	require.Less(t, held, packets/2)
	var seconds [][]byte
	for range 11 { // one to begin with
		second()
		seconds = append(seconds, bytes.Clone(w.b))
	}
	frames := d.Stats().Frames
	require.Zero(t, testing.AllocsPerRun(10, func() {
		for p := range slices.Chunk(seconds[0], 7*packetSize) {
			d.Write(p)
		}
		seconds = seconds[1:]
	}))
	require.Equal(t, frames+11*25, d.Stats().Frames)
}
