package hub

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media/slab"
)

// poison is what memory holds that nobody may look at.
const poison = 0xaa

// lentMemory is memory that can be lent, of which what has been discarded, or goes through spoil, can be told.
func lentMemory() *slab.Pool {
	return slab.New(slab.Options{
		Map:     func(n int) ([]byte, error) { return make([]byte, n), nil },
		Discard: fill,
		Unmap:   fill,
	})
}

func fill(b []byte) {
	for i := range b {
		b[i] = poison
	}
}

// spoil overwrites what has been given back.
func spoil(p *slab.Pool) {
	var warm []*slab.Piece
	for range p.Stats().Warm / slab.Size {
		piece := p.Take()
		fill(piece.Data)
		warm = append(warm, piece)
	}
	for _, piece := range warm {
		p.Give(piece)
	}
}

// large is a picture of n bytes of payload, in packets.
func (a *av) large(now time.Time, first []byte, n int) {
	for ; n > 1400; n -= 1400 {
		a.video.send(now, false, append(append([]byte{}, first...), make([]byte, 1400-len(first))...))
		first = fuMid
	}
	a.video.send(now, true, append(append([]byte{}, fuEnd...), make([]byte, n)...))
	a.video.ts += 3000
}

func TestMediaWithoutReadersLiesInLentMemory(t *testing.T) {
	memory := lentMemory()
	a := newAV(t, Options{Memory: memory})
	now := epoch
	group := func() {
		for i := range 50 {
			now = now.Add(40 * time.Millisecond)
			if i == 0 {
				a.large(now, fuIDR, 60_000)
			} else {
				a.large(now, []byte{0x5c, 0x81, 1, 1}, 7_000)
			}
			a.sound(now)
			spoil(memory)
		}
	}
	for range 5 {
		group()
	}
	held := a.Stats().RingBytes
	require.InDelta(t, 400_000, held, 30_000)
	require.LessOrEqual(t, memory.Stats().Lent, held+held/16+2*slab.Size, "what is left free at the ends is little")

	v := newViewer(a.Hub)
	require.Zero(t, memory.Stats().Lent, "from the first reader on all is the heap's")
	spoil(memory)
	require.Equal(t, StateWait, v.take(t, 1<<20))
	require.Equal(t, v.total, v.r.Stats().Packets)
	require.Greater(t, v.total, uint64(300))
	require.False(t, v.key)
	group()
	require.Zero(t, memory.Stats().Lent)
	require.Equal(t, StateWait, v.take(t, 1<<20))

	v.r.Close()
	group()
	group()
	group()
	require.Positive(t, memory.Stats().Lent, "and nobody's again when the last one has gone")
	_, state := v.r.Next()
	require.Equal(t, StateWait, state, "one that is closed sees none of it")
	v.r.Open()
	require.Zero(t, memory.Stats().Lent)
	spoil(memory)
	v.known, v.key = [2]bool{}, true
	require.Equal(t, StateWait, v.take(t, 1<<20))
	require.Equal(t, uint64(1), v.r.Stats().Jumps)

	v.r.Close()
	group()
	a.video.send(now, false, slice)
	require.Positive(t, memory.Stats().Lent)
	a.video.w.Pause()
	require.Zero(t, memory.Stats().Lent, "a pause keeps nothing")
	group()
	require.Positive(t, memory.Stats().Lent)
	a.Close()
	require.Zero(t, memory.Stats().Lent, "nor does the end")
	_, state = a.NewReader(ReaderOptions{}).Next()
	require.Equal(t, StateClosed, state)
}

func TestAnUnfinishedPictureIsWholeForTheFirstReader(t *testing.T) {
	memory := lentMemory()
	a := newAV(t, Options{Memory: memory})
	a.frame(epoch, idr)
	a.video.send(epoch, false, fuIDR)
	a.video.send(epoch, false, fuMid)
	r := a.NewReader(ReaderOptions{})
	spoil(memory)
	require.Zero(t, memory.Stats().Lent)
	a.video.send(epoch, true, fuEnd)
	chunks, _ := drain(t, r)
	require.Len(t, chunks, 2)
	require.Len(t, chunks[1], 3)
	require.Equal(t, fuIDR, chunks[1][0].payload)
}

func TestAPacketLargerThanAPieceIsTheHeaps(t *testing.T) {
	memory := lentMemory()
	a := newAV(t, Options{Memory: memory})
	a.frame(epoch, idr)
	a.frame(epoch, append(append([]byte{}, slice...), make([]byte, 2*slab.Size)...))
	a.frame(epoch, slice)
	r := a.NewReader(ReaderOptions{})
	spoil(memory)
	chunks, _ := drain(t, r)
	require.Len(t, chunks, 3)
	require.Len(t, chunks[1][0].payload, 2*slab.Size+len(slice))
}

func TestWithoutMemoryToLendMediaIsTheHeaps(t *testing.T) {
	memory := lentMemory()
	memory.Close()
	a := newAV(t, Options{Memory: memory})
	a.frame(epoch, idr)
	a.frame(epoch, slice)
	chunks, _ := drain(t, a.NewReader(ReaderOptions{}))
	require.Len(t, chunks, 2)
}

// Readers come, go and pause in any order beside a writer, and what has been given back is overwritten at once.
func TestReadersNeverSeeWhatHasBeenGivenBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		memory := lentMemory()
		a := newAV(t, Options{Memory: memory, GOPBytes: rapid.SampledFrom([]int64{-1, 40_000, 1 << 20}).Draw(rt, "gop")})
		now := epoch
		type watcher struct {
			*viewer
			open bool
		}
		var watchers []*watcher
		for range rapid.IntRange(1, 150).Draw(rt, "steps") {
			now = now.Add(20 * time.Millisecond)
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				a.large(now, fuIDR, rapid.IntRange(2000, 40_000).Draw(rt, "bytes"))
			case 1, 2, 3:
				a.large(now, []byte{0x5c, 0x81, 1, 1}, rapid.IntRange(100, 9000).Draw(rt, "bytes"))
			case 4:
				a.sound(now)
			case 5:
				watchers = append(watchers, &watcher{newViewer(a.Hub), true})
			case 6:
				for _, w := range watchers {
					w.take(t, rapid.IntRange(0, 20).Draw(rt, "take"))
					_ = w.r.Start()
				}
			case 7, 8:
				for _, w := range watchers {
					if w.open {
						w.r.Close()
					} else {
						w.r.Open()
					}
					w.open = !w.open
				}
			case 9:
				if rapid.IntRange(0, 9).Draw(rt, "pause") == 0 {
					a.video.w.Pause()
				}
			}
			spoil(memory)
			for _, w := range watchers {
				if w.open {
					require.Zero(t, memory.Stats().Lent)
				}
			}
		}
		for _, w := range watchers {
			w.r.Close()
		}
		a.Close()
		require.Zero(t, memory.Stats().Lent)
	})
}

// The same with real goroutines, for the race detector.
func TestReadersComeAndGoOnOtherGoroutines(t *testing.T) {
	memory := lentMemory()
	a := newAV(t, Options{Memory: memory, GOPBytes: 100_000})
	var done sync.WaitGroup
	for range 3 {
		done.Go(func() {
			for range 100 {
				v := newViewer(a.Hub)
				for range 3 {
					if v.take(t, 30) == StateClosed {
						return
					}
					v.r.Close()
					_ = v.r.Start()
					v.r.Open()
				}
				v.r.Close()
			}
		})
	}
	done.Go(func() {
		for i := range 2000 {
			now := epoch.Add(time.Duration(i) * 20 * time.Millisecond)
			if i%25 == 0 {
				a.large(now, fuIDR, 20_000)
			} else {
				a.large(now, []byte{0x5c, 0x81, 1, 1}, 3000)
			}
			spoil(memory)
		}
	})
	done.Wait()
	a.Close()
	require.Zero(t, memory.Stats().Lent)
}
