package mpegps

import (
	"testing"

	"github.com/stretchr/testify/require"

	"berth/media"
)

// seconds returns a second of video of 2 Mb/s, with a picture of 100 KB and G.711, as a device makes it, in payloads of 1,400 bytes; marks says where pictures end.
func second() (payloads [][]byte, marks []bool, bytes int) {
	m := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264), track(media.CodecPCMA)}})
	add := func(b []byte, mark bool) {
		parts := fragment(b, 1400)
		for i, p := range parts {
			payloads = append(payloads, p)
			marks = append(marks, mark && i == len(parts)-1)
			bytes += len(p)
		}
	}
	for n := range 25 {
		at := media.Ticks(n * 3600)
		f := media.Frame{PTS: at, DTS: at, Key: n == 0, Payload: inter(n, 6200)}
		if n == 0 {
			f.Payload = join(head264(), idr(0, 100_000))
		}
		add(m.Append(nil, 0, &f), true)
		add(m.Append(nil, 1, &media.Frame{PTS: at, DTS: at, Key: true, Payload: law}), false)
	}
	return payloads, marks, bytes
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	payloads, marks, _ := second()
	frames := 0
	d := NewDemuxer(Options{Emit: func(int, *media.Frame) { frames++ }})
	write := func() {
		for i, p := range payloads {
			d.Write(p)
			if marks[i] {
				d.Mark()
			}
		}
		d.Streams()
	}
	write()
	require.Zero(t, testing.AllocsPerRun(20, write))
	require.GreaterOrEqual(t, frames, 22*50-1)
	require.LessOrEqual(t, cap(d.order[0].buf), 160<<10, "little more than the largest picture")
	require.LessOrEqual(t, cap(d.order[1].buf), 8<<10)

	m := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264), track(media.CodecAAC)}})
	dst := make([]byte, 0, 200_000)
	picture, sound := media.Frame{Key: true, Payload: join(head264(), idr(1, 150_000))}, media.Frame{Key: true, Config: stereo, Payload: law}
	require.Zero(t, testing.AllocsPerRun(20, func() {
		m.Append(dst, 0, &picture)
		m.Append(dst, 1, &sound)
	}))
}

// BenchmarkDemuxer is a second of one stream. 200 streams of 2 Mb/s in real time take 200 times ns/op each second.
func BenchmarkDemuxer(b *testing.B) {
	payloads, marks, bytes := second()
	for _, c := range []struct {
		name    string
		streams int
	}{{"one stream", 1}, {"200 streams", 200}} {
		b.Run(c.name, func(b *testing.B) {
			demuxers := make([]*Demuxer, c.streams)
			for i := range demuxers {
				demuxers[i] = NewDemuxer(Options{Emit: func(int, *media.Frame) {}})
			}
			b.SetBytes(int64(bytes * c.streams))
			b.ReportAllocs()
			for b.Loop() {
				for i, p := range payloads {
					for _, d := range demuxers {
						d.Write(p)
						if marks[i] {
							d.Mark()
						}
					}
				}
			}
		})
	}
}

// BenchmarkCopy is what no demuxer can be faster than: the same bytes, each copied once.
func BenchmarkCopy(b *testing.B) {
	payloads, _, bytes := second()
	buf := make([]byte, 0, bytes)
	b.SetBytes(int64(bytes))
	for b.Loop() {
		buf = buf[:0]
		for _, p := range payloads {
			buf = append(buf, p...)
		}
	}
}

func BenchmarkMuxer(b *testing.B) {
	m := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264)}})
	f := media.Frame{Payload: inter(1, 10_000)}
	dst := make([]byte, 0, 11_000)
	b.SetBytes(int64(len(f.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		f.DTS += 3600
		m.Append(dst, 0, &f)
	}
}
