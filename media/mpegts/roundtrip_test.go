package mpegts

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
	"berth/media/annexb"
)

var stereo = &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2}

func track(codec media.Codec) *media.Track {
	t := &media.Track{Codec: codec, Kind: codec.Kind()}
	if codec == media.CodecOpus {
		t.Channels = 2
	}
	return t
}

// random returns n bytes without start codes.
func random(n int) []byte {
	r := rand.New(rand.NewPCG(3, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())%251 + 2
	}
	return b
}

// picture returns an access unit of H.264: with key an IDR picture behind its parameter sets.
func picture(key bool, n int) []byte {
	var b []byte
	if key {
		b = annexb.Append(b, []byte{0x67, 0x64, 0, 0x1f, 0xac})
		b = annexb.Append(b, []byte{0x68, 0xee, 0x3c, 0x80})
		return annexb.Append(b, append([]byte{0x65, 0x88}, random(n)...))
	}
	return annexb.Append(b, append([]byte{0x41, 0x9a}, random(n)...))
}

// pictureH265 is the same of H.265.
func pictureH265(key bool, n int) []byte {
	if key {
		b := annexb.Append(nil, append([]byte{0x40, 1}, random(10)...))
		b = annexb.Append(b, append([]byte{0x42, 1}, random(20)...))
		b = annexb.Append(b, append([]byte{0x44, 1}, random(5)...))
		return annexb.Append(b, append([]byte{0x26, 1, 0xaf}, random(n)...))
	}
	return annexb.Append(nil, append([]byte{0x02, 1, 0xd0}, random(n)...))
}

// sent is a frame with the index of its track.
type sent struct {
	track int
	media.Frame
}

// demuxed takes a stream apart in pieces and returns copies of the frames; their track is what comes first in the map.
func demuxed(d *Demuxer, got *[]sent, pieces ...[]byte) {
	d.opt.Emit = func(stream int, f *media.Frame) {
		c := *f
		c.Payload = bytes.Clone(f.Payload)
		*got = append(*got, sent{stream - pidFirst, c})
	}
	for _, p := range pieces {
		d.Write(p)
	}
}

func byTrack(frames []sent, track int) (out []media.Frame) {
	for _, f := range frames {
		if f.track == track {
			out = append(out, f.Frame)
		}
	}
	return out
}

var codecs = []media.Codec{
	media.CodecH264, media.CodecH265, media.CodecAAC, media.CodecOpus, media.CodecPCMA, media.CodecPCMU, media.CodecG722, media.CodecG723, media.CodecG729, media.CodecMP3, media.CodecMPA,
}

// frameOf makes a frame of a codec.
func frameOf(codec media.Codec, key bool, n int) media.Frame {
	f := media.Frame{Codec: codec, Key: true, Payload: random(n)}
	switch codec {
	case media.CodecH264:
		f.Key, f.Payload = key, picture(key, n)
	case media.CodecH265:
		f.Key, f.Payload = key, pictureH265(key, n)
	case media.CodecAAC:
		f.Config = stereo
	case media.CodecMP3: // layer III, 128 kbit/s, 48 kHz
		f.Payload = append([]byte{0xff, 0xfb, 0x94, 0}, random(380)...)
	case media.CodecMPA: // layer II, 192 kbit/s, 48 kHz
		f.Payload = append([]byte{0xff, 0xfd, 0xa4, 0}, random(572)...)
	}
	return f
}

func TestWhatIsMuxedComesOutAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tracks []*media.Track
		for range rapid.IntRange(1, 4).Draw(t, "tracks") {
			tracks = append(tracks, track(rapid.SampledFrom(codecs).Draw(t, "codec")))
		}
		m, err := NewMuxer(MuxerOptions{Tracks: tracks})
		require.NoError(t, err)
		base := media.Ticks(rapid.SampledFrom([]int64{90000, 1<<33 - 300000, 1 << 40}).Draw(t, "base"))
		var wire []byte
		var frames []sent
		for i := range rapid.IntRange(1, 60).Draw(t, "frames") {
			n := rapid.OneOf(rapid.IntRange(1, 400), rapid.IntRange(1, 8000), rapid.SampledFrom([]int{1, 150, 153, 154, 155, 156, 157, 158, 159, 160, 161, 162, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175, 176, 177, 183, 184, 185})).Draw(t, "size")
			k := rapid.IntRange(0, len(tracks)-1).Draw(t, "track")
			video := tracks[k].Kind == media.KindVideo
			if video && rapid.IntRange(0, 9).Draw(t, "large") == 0 {
				n += 70000
			}
			f := sent{k, frameOf(tracks[k].Codec, i%10 == 0, n)}
			f.DTS = base + media.Ticks(i)*3600
			f.PTS = f.DTS
			if video {
				f.PTS += media.Ticks(rapid.IntRange(0, 3).Draw(t, "later")) * 3600
			}
			frames = append(frames, f)
			wire = m.Append(wire, k, &f.Frame)
		}
		require.Zero(t, len(wire)%packetSize)
		require.Zero(t, m.Dropped())

		var got []sent
		d := NewDemuxer(Options{})
		aligned := rapid.Bool().Draw(t, "aligned")
		for rest := wire; len(rest) > 0; {
			n := 7 * packetSize
			if !aligned {
				n = rapid.IntRange(1, 3000).Draw(t, "cut")
			}
			n = min(n, len(rest))
			demuxed(d, &got, bytes.Clone(rest[:n]))
			rest = rest[n:]
		}
		d.Flush()
		stats := d.Stats()
		require.Zero(t, stats.Skipped+stats.Damaged+stats.Holes+stats.Duplicates+stats.Resyncs+stats.BadTables+stats.Unmapped+stats.Lengths, "%+v", stats)
		first := frames[0].PTS
		for k := range tracks {
			want, have := byTrack(frames, k), byTrack(got, k)
			require.Len(t, have, len(want), tracks[k].Codec.String())
			for i := range want {
				require.Equal(t, want[i].Payload, have[i].Payload)
				require.Equal(t, want[i].PTS-first, have[i].PTS-got0(got, frames), "time")
				require.Equal(t, want[i].PTS-want[i].DTS, have[i].PTS-have[i].DTS)
				require.Equal(t, want[i].Key, have[i].Key)
				require.Equal(t, want[i].Config, have[i].Config)
				require.Equal(t, want[i].Codec, have[i].Codec)
			}
		}
	})
}

// got0 returns the time at which the first frame that was sent has come out.
func got0(got, frames []sent) media.Ticks {
	return byTrack(got, frames[0].track)[0].PTS
}

func TestMuxingAndDemuxingAllocateNothing(t *testing.T) {
	m, err := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264), track(media.CodecAAC)}})
	require.NoError(t, err)
	d := NewDemuxer(Options{Emit: func(int, *media.Frame) {}})
	video, audio := frameOf(media.CodecH264, true, 8000), frameOf(media.CodecAAC, true, 300)
	buf := make([]byte, 0, 20000)
	round := func() {
		video.DTS += 3600
		video.PTS, audio.DTS, audio.PTS = video.DTS, video.DTS, video.DTS
		buf = m.Append(m.Append(buf[:0], 0, &video), 1, &audio)
		for b := buf; len(b) > 0; b = b[min(1316, len(b)):] {
			d.Write(b[:min(1316, len(b))])
		}
	}
	for range 10 {
		round()
	}
	require.Zero(t, testing.AllocsPerRun(100, round))
	require.Positive(t, d.Stats().Frames)
}

func BenchmarkDemuxer(b *testing.B) {
	m, _ := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264)}})
	var wire []byte
	for i := range 50 {
		f := frameOf(media.CodecH264, i == 0, 10000)
		f.DTS = media.Ticks(i) * 3600
		f.PTS = f.DTS
		wire = m.Append(wire, 0, &f)
	}
	d := NewDemuxer(Options{Emit: func(int, *media.Frame) {}})
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		for w := wire; len(w) > 0; w = w[min(1316, len(w)):] {
			d.Write(w[:min(1316, len(w))])
		}
	}
}

func BenchmarkMuxer(b *testing.B) {
	m, _ := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264)}})
	f := frameOf(media.CodecH264, false, 10000)
	buf := m.Append(nil, 0, &f)
	b.SetBytes(int64(len(f.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		f.DTS += 3600
		f.PTS = f.DTS
		buf = m.Append(buf[:0], 0, &f)
	}
}
