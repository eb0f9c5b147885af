package mpegps

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/pes"
)

// FuzzDemuxer writes whatever comes, in pieces, with marks and gaps where seed says, and holds the demuxer to its bounds.
func FuzzDemuxer(f *testing.F) {
	addOddities(f)
	long := join(starts(0), video(0, tiny[0]), video(-1, tiny[1]), audio(0, law))
	for _, n := range []int{1, 17, 30, 90, 300, 1100, 2000} { // cut off
		f.Add(long[:n], uint64(n))
	}
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		const most = 64 << 10
		rnd := rand.New(rand.NewPCG(seed, 1))
		frames, payload := uint64(0), 0
		d := NewDemuxer(Options{MaxUnit: most, MaxStreams: 3, Emit: func(stream int, f *media.Frame) {
			frames++
			payload += len(f.Payload)
			if len(f.Payload) == 0 || len(f.Payload) > max(most, maxAudio) {
				t.Fatalf("stream %x: %d bytes", stream, len(f.Payload))
			}
			if f.Codec == media.CodecUnknown || f.Codec == media.CodecAAC && f.Config == nil {
				t.Fatalf("stream %x: frame without a coding", stream)
			}
		}})
		for left := b; len(left) > 0; {
			n := min(1+rnd.IntN(1500), len(left))
			d.Write(left[:n])
			left = left[n:]
			switch rnd.IntN(12) {
			case 0:
				d.Gap()
			case 1, 2, 3:
				d.Mark()
			}
			check(t, d, most)
		}
		d.Flush()
		st := d.Stats()
		require.Equal(t, uint64(len(b)), st.Bytes)
		require.Equal(t, frames, st.Frames)
		require.LessOrEqual(t, st.Skipped, 2*st.Bytes)
		require.LessOrEqual(t, payload, 2*len(b), "no byte comes out more often than it came in and was read again")

		// After any garbage a clean stream is taken up.
		before := frames
		for n := range media.Ticks(4) {
			d.Write(join(packAt(n*3600), systemHeader(pes.IDVideo), streamMap(pes.TypeH264, pes.IDVideo), video(n*3600, head264(), idr(int(n), 50))))
		}
		d.Flush()
		require.GreaterOrEqual(t, frames-before, uint64(2))
	})
}

// addOddities adds those that are small enough to be changed often.
func addOddities(f *testing.F) {
	for i, c := range oddities {
		if b := join(c.input...); len(b) < 8000 {
			f.Add(b, uint64(i))
		}
	}
}

func check(t *testing.T, d *Demuxer, most int) {
	t.Helper()
	if len(d.order) > 3 || cap(d.head) > 2*maxHead || cap(d.replay) > 2*replayBytes {
		t.Fatalf("%d streams, %d bytes of header, %d of replay", len(d.order), cap(d.head), cap(d.replay))
	}
	for _, s := range d.order {
		if cap(s.buf) > max(most, maxAudio)+8<<10 {
			t.Fatalf("a buffer of %d bytes", cap(s.buf))
		}
		if s.from < 0 || s.from > len(s.buf) || s.video.cut > len(s.buf) {
			t.Fatalf("unit at %d, cut %d of %d", s.from, s.video.cut, len(s.buf))
		}
	}
	if len(d.Streams()) != len(d.order) {
		t.Fatal("the list is stale")
	}
}

// FuzzCuts takes the same bytes in two ways: how they are cut must not matter.
func FuzzCuts(f *testing.F) {
	addOddities(f)
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		whole := demux(0, b)
		rnd := rand.New(rand.NewPCG(seed, 2))
		k := newSink(Options{})
		for left := b; len(left) > 0; {
			n := min(1+rnd.IntN(1+int(seed%700)), len(left))
			k.d.Write(left[:n])
			left = left[n:]
		}
		k.d.Flush()
		require.Equal(t, len(whole.frames), len(k.frames))
		for i, w := range whole.frames {
			if h := k.frames[i]; !slices.Equal(w.payload, h.payload) || w.pts != h.pts || w.codec != h.codec {
				t.Fatalf("frame %d: %v whole, %v in pieces", i, w, h)
			}
		}
	})
}
