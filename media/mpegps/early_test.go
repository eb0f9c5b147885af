package mpegps

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/pes"
)

// device sends pictures in one way.
type device struct {
	k    *sink
	at   media.Ticks
	sent int
}

// picture sends the n-th picture, in packets of at most size bytes of payload, with what is put before each packet, and marks after its packets or after the last alone.
func (d *device) picture(size int, before func() []byte, markEach, markLast bool) {
	unit := inter(d.sent, 900+d.sent)
	if d.sent%25 == 0 {
		unit = join(head264(), idr(d.sent, 9000+d.sent))
	}
	pts := d.at
	d.k.d.Write(packAt(d.at))
	parts := fragment(unit, size)
	for i, p := range parts {
		if i > 0 {
			d.k.d.Write(before())
		}
		d.k.d.Write(video(pts, p))
		pts = -1
		if markEach || markLast && i == len(parts)-1 {
			d.k.d.Mark()
		}
	}
	d.at += 3600
	d.sent++
}

func nothing() []byte { return nil }

func newDevice() *device { return &device{k: newSink(Options{})} }

// whole requires that every picture that was sent came out whole, but for the last late ones.
func (d *device) whole(t *testing.T, late int) {
	t.Helper()
	require.Len(t, d.k.frames, d.sent-late)
	for i, f := range d.k.frames {
		require.Equal(t, media.Ticks(i*3600), f.pts)
		require.Equal(t, i%25 == 0, f.key)
		if i%25 == 0 {
			require.Len(t, f.payload, len(join(head264(), idr(i, 9000+i))))
		} else {
			require.Len(t, f.payload, len(inter(i, 900+i)))
		}
	}
	require.Zero(t, d.k.d.Stats().Damaged)
}

func TestPicturesComeOutAtTheMarkerBitOnceItIsKnownToBeRight(t *testing.T) {
	d := newDevice()
	for range trustAfter + 1 {
		d.picture(65000, nothing, false, true)
	}
	d.whole(t, 0)
	for range 60 {
		d.picture(65000, nothing, false, true)
		d.whole(t, 0)
	}
}

func TestThePictureThatIsCutComesOutWholeAtItsLastMark(t *testing.T) {
	d := newDevice()
	for range 100 {
		d.picture(4000, func() []byte { return packAt(d.at) }, false, true)
	}
	d.whole(t, 0)
}

func TestMarksOnEveryPacketCutNothing(t *testing.T) {
	d := newDevice()
	for range 100 {
		d.picture(4000, nothing, true, true)
	}
	require.GreaterOrEqual(t, len(d.k.frames), 99)
	d.k.d.Flush()
	d.whole(t, 0)
}

func TestAPackForEachPacketCutsNothing(t *testing.T) {
	d := newDevice()
	for range 100 {
		d.picture(4000, func() []byte { return packAt(d.at) }, false, false)
	}
	d.k.d.Flush()
	d.whole(t, 0)
}

func TestPicturesComeOutBeforeTheAudioThatFollows(t *testing.T) {
	d := newDevice()
	d.k.d.Write(streamMap(pes.TypeH264, pes.IDVideo, pes.TypePCMA, pes.IDAudio))
	last := 0
	for n := range 40 {
		d.picture(65000, nothing, false, false)
		d.k.d.Write(audio(d.at-10, law))
		for i, f := range d.k.frames[last:] {
			if n > trustAfter && i == 0 {
				require.Equal(t, media.CodecH264, f.codec)
				require.Equal(t, d.at-3600, f.pts)
			}
		}
		last = len(d.k.frames)
	}
	frames, _ := d.k.of(media.KindVideo)
	require.Len(t, frames, 40)
}

// A device that sends many small pictures before its first large one has earned trust that the large one cannot justify.
func TestAPictureThatWasLetOutTooEarlyGoesOnWithTheSameTime(t *testing.T) {
	for _, size := range []int{0, 1} {
		t.Run(fmt.Sprint("pieces of ", size), func(t *testing.T) {
			k := newSink(Options{})
			write := func(b []byte) {
				for c := range chunks(b, size) {
					k.d.Write(c)
				}
			}
			write(streamMap(pes.TypeH264, pes.IDVideo))
			for n := range media.Ticks(20) {
				write(video(n*3600, join(head264(), idr(int(n), 100))))
				k.d.Mark()
			}
			parts := fragment(idr(30, 3000), 1000)
			for i, p := range parts {
				pts := media.Ticks(-1)
				if i == 0 {
					pts = 20 * 3600
				}
				write(video(pts, p))
				k.d.Mark()
			}
			write(video(21*3600, inter(31, 50)))
			k.d.Flush()
			var again []byte
			for _, f := range k.frames[20 : len(k.frames)-1] {
				require.Equal(t, media.Ticks(20*3600), f.pts)
				again = append(again, f.payload...)
			}
			require.Equal(t, idr(30, 3000), again)
			require.Equal(t, media.Ticks(21*3600), k.frames[len(k.frames)-1].pts)
			require.False(t, k.d.order[0].video.trust[signalMark].right >= k.d.order[0].video.trust[signalMark].need, "trust is lost")
		})
	}
}

func TestAMarkEndsAPacketWithoutALength(t *testing.T) {
	k := newSink(Options{})
	k.d.Write(streamMap(pes.TypeH264, pes.IDVideo))
	for n := range media.Ticks(30) {
		k.d.Write(packet{id: pes.IDVideo, pts: n * 3600, payload: join(head264(), idr(int(n), 70_000)), length: unbounded}.bytes())
		k.d.Mark()
		if n > trustAfter {
			require.Len(t, k.frames, int(n)+1)
		}
		k.d.Write([]byte{0}) // the zero_byte of what follows
	}
	k.d.Write(filler(1, 10)) // the last one was not whole after all
	k.d.Flush()
	require.Len(t, k.frames, 31)
	require.Equal(t, append([]byte{0}, filler(1, 10)...), k.frames[30].payload)
	require.Equal(t, k.frames[29].pts, k.frames[30].pts)
}

func TestAPictureThatWasLetOutBeforeItsCodecIsFoundOutGoesOn(t *testing.T) {
	for _, head := range []int{1, 4, 10} { // too little to tell the codec by
		k := newSink(Options{})
		open := func(n media.Ticks, payload ...[]byte) {
			k.d.Write(packet{id: pes.IDVideo, pts: n * 3600, payload: join(payload...), length: unbounded}.bytes())
		}
		k.d.Write(join(packAt(0), streamMap(pes.TypeMPEG2Video, pes.IDVideo)))
		for n := range media.Ticks(2 * trustAfter) {
			open(n, filler(int(n), 100))
			k.d.Mark()
		}
		open(50, head264(), idr(1, 100)) // a first doubt
		k.d.Mark()
		open(51, filler(1, head))
		k.d.Mark()
		k.d.Write(join(head264(), idr(1, 100)))
		open(52, head264(), idr(2, 100))
		open(53, head264(), idr(3, 100))
		k.d.Write(packAt(60 * 3600))
		k.d.Flush()
		last := k.frames[len(k.frames)-1]
		require.Equal(t, media.CodecH264, last.codec)
		require.Equal(t, join(head264(), idr(3, 100)), last.payload)
	}
}
