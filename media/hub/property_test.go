package hub

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// viewer checks what a reader returns: per track, sequence numbers without a hole except where the reader has counted a jump, and video that begins with a key frame there.
type viewer struct {
	r     *Reader
	next  [2]uint16
	known [2]bool
	jumps uint64
	key   bool // the next video packet must be a key frame
	total uint64
}

func newViewer(h *Hub) *viewer {
	return &viewer{r: h.NewReader(ReaderOptions{}), key: true}
}

// take checks at most n chunks and returns the state that ended it.
func (v *viewer) take(t testing.TB, n int) State {
	for range n {
		c, st := v.r.Next()
		if st != StateReady {
			return st
		}
		if j := v.r.Stats().Jumps; j != v.jumps {
			v.jumps, v.known, v.key = j, [2]bool{}, true
		}
		v.total += uint64(len(c.Packets))
		for _, g := range unpack(t, c) {
			if g.rtcp {
				continue
			}
			if v.known[g.track] {
				require.Equal(t, v.next[g.track], g.seq, "track %d", g.track)
			}
			if g.track == 0 && v.key {
				require.Contains(t, []byte{idr[0], fuIDR[0], sps[0]}, g.payload[0])
				v.key = false
			}
			v.known[g.track], v.next[g.track] = true, g.seq+1
		}
	}
	return StateReady
}

func TestReadersSeeWholeStreams(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := newAV(t, Options{
			RingChunks:  rapid.SampledFrom([]int{4, 16, 256}).Draw(rt, "chunks"),
			RingPackets: rapid.SampledFrom([]int{4, 32, 1000}).Draw(rt, "packets"),
			GOPBytes:    rapid.SampledFrom([]int64{-1, 300, 1 << 20}).Draw(rt, "gop"),
			ChunkBytes:  rapid.SampledFrom([]int{40, 200, 0}).Draw(rt, "chunk"),
		})
		now := epoch
		var viewers []*viewer
		for range rapid.IntRange(1, 300).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 12).Draw(rt, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				a.frame(now, idr)
			case 1:
				a.video.send(now, rapid.Bool().Draw(rt, "marker"), sps)
				a.video.send(now, false, fuIDR)
				a.video.send(now, false, fuMid)
				if rapid.Bool().Draw(rt, "end") {
					a.video.send(now, true, fuEnd)
				}
				a.video.ts += 3000
			case 2, 3:
				a.frame(now, slice)
			case 4:
				a.sound(now)
			case 5:
				viewers = append(viewers, newViewer(a.Hub))
			case 6, 7:
				for _, v := range viewers {
					v.take(t, rapid.IntRange(0, 20).Draw(rt, "take"))
				}
			case 8:
				a.Flush(now)
			case 9:
				if rapid.IntRange(0, 5).Draw(rt, "republish") == 0 {
					a.attach(t)
					a.video.seq = uint16(rapid.IntRange(0, 65535).Draw(rt, "seq"))
				}
			}
		}
		a.Close()
		for _, v := range viewers {
			require.Equal(t, StateClosed, v.take(t, 1<<20))
			s := v.r.Stats()
			if !v.r.seeking {
				require.Zero(t, s.Lag, "a reader that has begun gets everything")
			}
			require.Equal(t, v.total, s.Packets)
		}
	})
}

// The same with real goroutines, for the race detector.
func TestReadersOnOtherGoroutines(t *testing.T) {
	a := newAV(t, Options{RingChunks: 64, RingPackets: 64, GOPBytes: 4096})
	var done sync.WaitGroup
	for i := range 4 {
		done.Go(func() {
			v := newViewer(a.Hub)
			for v.take(t, 1+i*10) != StateClosed {
				_ = v.r.Start()
				_ = v.r.Stats()
				runtime.Gosched()
			}
		})
	}
	var writers sync.WaitGroup
	writers.Go(func() {
		for i := range 5000 {
			now := epoch.Add(time.Duration(i) * time.Millisecond)
			if i%25 == 0 {
				a.frame(now, idr)
			} else {
				a.frame(now, slice)
			}
		}
	})
	writers.Go(func() {
		for i := range 5000 {
			a.sound(epoch.Add(time.Duration(i) * time.Millisecond))
			if i%100 == 0 {
				_ = a.Stats()
				_ = a.TrackStats(0)
			}
		}
	})
	writers.Wait()
	a.Close()
	done.Wait()
}

func TestNothingIsAllocatedPerPacketAndViewer(t *testing.T) {
	a := newAV(t, Options{})
	readers := make([]*Reader, 50)
	for i := range readers {
		readers[i] = a.NewReader(ReaderOptions{})
	}
	keyed := rtpPacket(96, true, 0, 0, 11, append(idr[:len(idr):len(idr)], make([]byte, 1000)...))
	seq := a.video.seq
	now := epoch
	write := func(packets int) {
		for i := range packets {
			rewrite(keyed, 96, seq, uint32(now.Sub(epoch)/1000*9/100), 11)
			keyed[1] &= 0x7f
			if i == packets-1 {
				keyed[1] |= 0x80
			}
			seq++
			if err := a.video.w.WriteRTP(0, now, keyed); err != nil {
				t.Fatal(err)
			}
		}
		now = now.Add(40 * time.Millisecond)
	}
	read := func() {
		for _, r := range readers {
			for {
				if _, st := r.Next(); st != StateReady {
					break
				}
			}
		}
	}
	// The chunk itself, and every so often a slab of bytes and one of places.
	require.LessOrEqual(t, testing.AllocsPerRun(500, func() { write(20); read() }), 2.0, "20 packets to 50 readers")
}

func BenchmarkWrite(b *testing.B) {
	a := newAV(b, Options{})
	pkt := rtpPacket(96, false, 0, 0, 11, append(slice[:len(slice):len(slice)], make([]byte, 1400)...))
	b.ReportAllocs()
	b.SetBytes(int64(len(pkt)))
	i := 0
	for b.Loop() {
		rewrite(pkt, 96, uint16(i), uint32(i/6*3000), 11)
		pkt[1] &= 0x7f
		if i%6 == 5 {
			pkt[1] |= 0x80
		}
		if err := a.video.w.WriteRTP(0, epoch.Add(time.Duration(i/6)*33*time.Millisecond), pkt); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkRead(b *testing.B) {
	a := newAV(b, Options{})
	a.frame(epoch, idr)
	readers := make([]*Reader, 1000)
	for i := range readers {
		readers[i] = a.NewReader(ReaderOptions{})
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n%len(readers) == 0 {
			b.StopTimer()
			a.frame(epoch.Add(time.Duration(n)*time.Millisecond), slice)
			b.StartTimer()
		}
		for {
			if _, st := readers[n%len(readers)].Next(); st != StateReady {
				break
			}
		}
		n++
	}
}
