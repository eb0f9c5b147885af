package mpegps

import (
	"bytes"
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
	"berth/media/pes"
)

func track(c media.Codec) *media.Track { return &media.Track{Codec: c, Kind: c.Kind()} }

var stereo = &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2}

// anyPicture draws an access unit of H.264 or H.265 as encoders make them.
func anyPicture(t *rapid.T, c media.Codec, key bool, seed int) []byte {
	size := rapid.SampledFrom([]int{1, 5, 300, 1400, 20000, 64990, 65000, 140000}).Draw(t, "size")
	var b []byte
	if rapid.Bool().Draw(t, "delimiter") {
		b = append(b, map[media.Codec][]byte{media.CodecH264: aud(), media.CodecH265: nal(0x46, 0x01, 0x50)}[c]...)
	}
	slices264 := rapid.IntRange(0, 2).Draw(t, "slices")
	switch {
	case c == media.CodecH264 && key:
		b = join(b, sps(), pps(), sei(), idr(seed, size))
		for n := range slices264 {
			b = join(b, []byte{0, 0, 1, 0x65, 0x22}, filler(n, 50))
		}
	case c == media.CodecH264:
		b = join(b, inter(seed, size))
		for n := range slices264 {
			b = append(b, moreSlice(n, 50)...)
		}
	case key:
		b = join(b, vps5(), sps5(), pps5(), idr5(seed, size))
	default:
		b = join(b, inter5(seed, size))
	}
	return b
}

func TestWhatIsMuxedComesOutAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codecs := []media.Codec{
			rapid.SampledFrom([]media.Codec{media.CodecH264, media.CodecH265}).Draw(t, "video"),
			rapid.SampledFrom([]media.Codec{media.CodecAAC, media.CodecPCMA, media.CodecPCMU, media.CodecG722, media.CodecOpus}).Draw(t, "audio"),
		}
		m := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(codecs[0]), track(codecs[1])}})
		start := media.Ticks(rapid.Int64Range(0, wrap-1).Draw(t, "start"))
		now := start
		var stream []byte
		want := [2][]got{}
		for n := range rapid.IntRange(1, 30).Draw(t, "frames") {
			now += media.Ticks(rapid.IntRange(1, 7200).Draw(t, "step"))
			f := media.Frame{PTS: now, DTS: now, Key: true, Codec: codecs[0]}
			k := 0
			if n > 0 && rapid.Bool().Draw(t, "audio next") {
				k, f.Codec = 1, codecs[1]
				f.Payload = filler(n, rapid.IntRange(1, 2000).Draw(t, "bytes"))
				if f.Codec == media.CodecAAC {
					f.Config = stereo
				}
			} else {
				f.Key = n == 0 || rapid.IntRange(0, 9).Draw(t, "key") == 0
				f.Payload = anyPicture(t, codecs[0], f.Key, n)
				f.PTS += media.Ticks(rapid.SampledFrom([]int{0, 0, 3600}).Draw(t, "later"))
			}
			stream = m.Append(stream, k, &f)
			want[k] = append(want[k], got{[]int{pes.IDVideo, pes.IDAudio}[k], f.Codec, f.PTS, f.DTS, f.Key, f.Payload, f.Config})
		}
		sink := newSink(Options{})
		mark := rapid.Bool().Draw(t, "marks") // some devices do, but where pictures end only
		most := rapid.SampledFrom([]int{10, 200, 1400, 100000}).Draw(t, "most")
		for len(stream) > 0 {
			n := min(rapid.IntRange(1, most).Draw(t, "piece"), len(stream))
			sink.d.Write(stream[:n])
			if stream = stream[n:]; mark && (len(stream) == 0 || bytes.HasPrefix(stream, []byte{0, 0, 1, idPack})) {
				sink.d.Mark()
			}
		}
		sink.d.Flush()
		have := [2][]got{}
		for _, f := range sink.frames {
			k := 0
			if f.stream != pes.IDVideo {
				k = 1
			}
			have[k] = append(have[k], f)
		}
		for k := range want {
			require.Len(t, have[k], len(want[k]))
			for i, w := range want[k] {
				h := have[k][i]
				if !slices.Equal(w.payload, h.payload) {
					t.Fatalf("frame %d: want %v, have %v", i, w, h)
				}
				w.payload, h.payload = nil, nil
				if base := want[0][0].pts; base >= wrap { // the demuxer begins to count where the stream begins
					w.pts, w.dts = w.pts-wrap, w.dts-wrap
				}
				require.Equal(t, w, h)
			}
		}
		st := sink.d.Stats()
		require.Equal(t, Stats{Bytes: st.Bytes, Packs: st.Packs, Packets: st.Packets, Maps: st.Maps, Frames: uint64(len(want[0]) + len(want[1]))}, st)
	})
}

func TestTheMuxerSaysWhatTheStreamIs(t *testing.T) {
	m := NewMuxer(MuxerOptions{Tracks: []*media.Track{
		track(media.CodecAAC), track(media.CodecH265), track(media.CodecVP8), track(media.CodecPCMA), {Codec: media.CodecMP3, SampleRate: 22050}, track(media.CodecSVACA),
	}})
	at := media.Ticks(0x1_2345_6789)
	b := m.Append(nil, 1, &media.Frame{PTS: at + 3600, DTS: at, Key: true, Payload: idr5(1, 10)})
	k := newSink(Options{MaxStreams: 8})
	k.d.Write(b)
	require.Equal(t, []Elementary{
		{ID: 0xc0, Type: pes.TypeADTS, Codec: media.CodecAAC},
		{ID: 0xe0, Type: pes.TypeH265, Codec: media.CodecH265},
		{ID: 0xc1, Type: pes.TypePCMA, Codec: media.CodecPCMA},
		{ID: 0xc2, Type: pes.TypeMPEG2Audio, Codec: media.CodecMP3},
		{ID: 0xc3, Type: pes.TypeSVACAudio, Codec: media.CodecSVACA},
	}, k.d.Streams())
	require.Equal(t, uint64(at), packClock(b))
	require.Equal(t, Stats{Bytes: uint64(len(b)), Packs: 1, Packets: 1, Maps: 1}, k.d.Stats())

	version := k.d.Version()
	k.d.Write(m.Append(nil, 1, &media.Frame{PTS: at + 7200, DTS: at + 7200, Key: true, Payload: idr5(2, 10)}))
	require.Equal(t, version, k.d.Version(), "the same map says nothing new")
	require.Empty(t, m.Append(nil, 2, &media.Frame{Payload: law}), "a track that is left out")
	require.Empty(t, m.Append(nil, 7, &media.Frame{Payload: law}), "a track that is none")
	require.Empty(t, m.Append(nil, 3, &media.Frame{}), "an empty frame")
	require.True(t, Carries(media.CodecH264))
	require.False(t, Carries(media.CodecVP8))
}

func TestTheMuxerAddsBehindWhatIsThere(t *testing.T) {
	m, again := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264)}}), NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264)}})
	f := media.Frame{PTS: 9, DTS: 9, Key: true, Payload: idr(1, 99)}
	require.Equal(t, append([]byte("before"), again.Append(nil, 0, &f)...), m.Append([]byte("before"), 0, &f))
}

func TestHeadsComeBeforeWhatADecoderCanBeginWith(t *testing.T) {
	heads := func(b []byte) bool {
		return bytes.Contains(b, []byte{0, 0, 1, idSystem}) && bytes.Contains(b, []byte{0, 0, 1, pes.IDMap})
	}
	m := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264), track(media.CodecPCMA)}})
	for i, c := range []struct {
		track int
		key   bool
		want  bool
	}{{1, true, true}, {0, false, false}, {0, true, true}, {1, true, false}, {0, false, false}, {0, true, true}} {
		f := media.Frame{DTS: media.Ticks(i) * 90000, Key: c.key, Payload: filler(1, 10)}
		require.Equal(t, c.want, heads(m.Append(nil, c.track, &f)), "frame %d", i)
	}
	m = NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecPCMA)}})
	for _, c := range []struct {
		at   media.Ticks
		want bool
	}{{0, true}, {1800, false}, {44999, false}, {45000, true}, {46800, false}, {100, true}, {1900, false}} {
		require.Equal(t, c.want, heads(m.Append(nil, 0, &media.Frame{DTS: c.at, Key: true, Payload: law})), "audio alone, at %d", c.at)
	}
}

func TestAACThatADTSCannotSayIsLeftOut(t *testing.T) {
	m := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecAAC)}})
	for name, f := range map[string]media.Frame{
		"no configuration":   {Payload: law},
		"a rate of its own":  {Payload: law, Config: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 47999, ChannelConfig: 2}},
		"a type without one": {Payload: law, Config: &mpeg4audio.AudioSpecificConfig{Type: 5, SampleRate: 48000, ChannelConfig: 2}},
		"too large":          {Payload: filler(1, 8185), Config: stereo},
	} {
		require.Empty(t, m.Append(nil, 0, &f), name)
	}
	require.NotEmpty(t, m.Append(nil, 0, &media.Frame{Payload: filler(1, 8184), Config: stereo}))
}

func TestPacketsAreNoLongerThanTheirLengthCanSay(t *testing.T) {
	m := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(media.CodecH264)}})
	b := m.Append(nil, 0, &media.Frame{PTS: 3600, DTS: 1, Key: true, Payload: idr(1, 200_000)})
	var sizes []int
	for at := bytes.Index(b, []byte{0, 0, 1, pes.IDVideo}); at < len(b); {
		require.Equal(t, []byte{0, 0, 1, pes.IDVideo}, b[at:at+4])
		n := int(b[at+4])<<8 | int(b[at+5])
		sizes = append(sizes, n)
		require.Equal(t, len(sizes) == 1, b[at+7] == 0xc0, "times in the first packet alone")
		at += 6 + n
	}
	require.Len(t, sizes, 4)
	require.LessOrEqual(t, slices.Max(sizes), maxPESLength)
}

func TestTheMapHasItsCRC(t *testing.T) {
	b := streamMap(pes.TypeH264, pes.IDVideo)
	require.Zero(t, pes.CRC32(b))
	require.Equal(t, len(b), 6+int(b[4])<<8+int(b[5]))
}
