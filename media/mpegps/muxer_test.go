package mpegps

import (
	"bytes"
	"slices"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
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
			want[k] = append(want[k], got{[]int{idVideo, idAudio}[k], f.Codec, f.PTS, f.DTS, f.Key, f.Payload, f.Config})
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
			if f.stream != idVideo {
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
