package mpegps

import (
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
	"berth/media/pes"
)

func chunks(b []byte, n int) iter.Seq[[]byte] {
	if n == 0 {
		n = max(len(b), 1)
	}
	return slices.Chunk(b, n)
}

// A gap is marked in the input by a nil part.
func TestGapsCostWhatTheyHitAndNothingElse(t *testing.T) {
	whole := func() []byte { // so much that it is known how this device cuts
		var b []byte
		for n := range media.Ticks(10) {
			b = append(b, join(packAt(n*3600), video(n*3600, join(head264(), idr(int(n), 100))))...)
		}
		return b
	}
	at := func(n media.Ticks) media.Ticks { return n * 3600 }
	cut := video(at(10), inter(10, 1000))
	for _, c := range []struct {
		name  string
		input [][]byte
		want  []media.Ticks // of pictures after the first nine
		stats Stats
	}{
		{"between pictures", [][]byte{whole(), nil, packAt(at(10)), video(at(10), inter(10, 100)), video(at(11), inter(11, 100))}, []media.Ticks{at(9), at(10), at(11)}, Stats{}},
		{"in a picture", [][]byte{whole(), cut[:500], nil, cut[700:], packAt(at(11)), video(at(11), inter(11, 100))}, []media.Ticks{at(9), at(11)}, Stats{Damaged: 1, Skipped: 320}},
		{"in a packet header", [][]byte{whole(), cut[:8], nil, cut[700:], packAt(at(11)), video(at(11), inter(11, 100))}, []media.Ticks{at(9), at(11)}, Stats{Skipped: 328}},
		{
			"before a packet that goes on",
			[][]byte{whole(), nil, video(-1, filler(1, 300)), video(-1, moreSlice(1, 100)), video(at(10), moreSlice(1, 100)), video(at(11), inter(11, 100))},
			[]media.Ticks{at(9), at(11)},
			Stats{},
		},
		{"in the parameter sets", [][]byte{whole(), nil, video(at(10), idr(10, 300)), video(at(11), inter(11, 100))}, []media.Ticks{at(9), at(10), at(11)}, Stats{}},
		{
			"in audio",
			[][]byte{whole(), streamMap(pes.TypeH264, pes.IDVideo, pes.TypeADTS, pes.IDAudio), audio(at(9), adts(aacs[0]))[:100], nil, audio(at(10), adts(aacs[1])[50:], adts(aacs[2]), adts(aacs[3]))},
			[]media.Ticks{at(9), at(10), at(10) + 2089},
			Stats{Damaged: 1, Skipped: uint64(len(adts(aacs[1])) - 50)},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range pieces {
				k := newSink(Options{})
				for _, b := range c.input {
					if b == nil {
						k.d.Gap()
					}
					for p := range chunks(b, piece) {
						k.d.Write(p)
					}
				}
				k.d.Flush()
				require.GreaterOrEqual(t, len(k.frames), 9)
				var have []media.Ticks
				for _, f := range k.frames[9:] {
					have = append(have, f.pts)
				}
				require.Equal(t, c.want, have, "in pieces of %d", piece)
				st := k.d.Stats()
				require.Equal(t, c.stats, Stats{Skipped: st.Skipped, Damaged: st.Damaged, Lengths: st.Lengths, Unknown: st.Unknown, Oversize: st.Oversize}, "in pieces of %d", piece)
			}
		})
	}
}

func TestAGapBeforeAnythingIsKnownDropsWhatMayBeIncomplete(t *testing.T) {
	k := newSink(Options{})
	k.d.Write(video(0, head264(), idr(1, 100)))
	k.d.Gap()
	k.d.Flush()
	require.Empty(t, k.frames)
	require.Equal(t, uint64(1), k.d.Stats().Damaged)
}

func TestAGapInPacketsThatAccessUnitsDoNotBeginWith(t *testing.T) {
	k := newSink(Options{})
	var es []byte
	for n := range 30 {
		es = append(es, join(aud(), head264(), idr(n, 700))...)
	}
	packets := fragment(es, 1000)
	for i, p := range packets {
		if i == 10 {
			k.d.Gap()
			continue
		}
		k.d.Write(join(packAt(0), video(media.Ticks(i)*5000, p)))
	}
	k.d.Flush()
	require.Len(t, k.frames, 28)
	for _, f := range k.frames {
		require.Len(t, f.payload, len(join(aud(), head264(), idr(0, 700))))
		require.True(t, f.key)
	}
}

func TestLargeAccessUnitsAreDroppedAndTheNextIsTaken(t *testing.T) {
	k := newSink(Options{MaxUnit: 10_000})
	k.d.Write(streamMap(pes.TypeH264, pes.IDVideo))
	k.d.Write(video(0, head264(), idr(1, 5000)))
	k.d.Write(video(3600, head264(), idr(2, 50_000)))
	k.d.Write(video(-1, filler(3, 50_000)))
	k.d.Write(video(7200, head264(), idr(3, 5000)))
	k.d.Write(video(10800, inter(4, 10)))
	k.d.Flush()
	require.Len(t, k.frames, 3)
	require.Equal(t, []media.Ticks{0, 7200, 10800}, []media.Ticks{k.frames[0].pts, k.frames[1].pts, k.frames[2].pts})
	require.Equal(t, uint64(1), k.d.Stats().Oversize)
	require.LessOrEqual(t, cap(k.d.order[0].buf), maxAudio)
}

func TestABufferThatWasNeededOnceIsGivenBack(t *testing.T) {
	k := newSink(Options{})
	k.d.Write(streamMap(pes.TypeH264, pes.IDVideo))
	k.d.Write(video(0, head264(), idr(1, 60_000)))
	for n := range 20 {
		k.d.Write(video(-1, filler(n, 60_000)))
	}
	require.Greater(t, cap(k.d.order[0].buf), 1_000_000)
	for n := range media.Ticks(3 * 128) {
		k.d.Write(video(n*3600+3600, inter(int(n), 500)))
	}
	require.Less(t, cap(k.d.order[0].buf), 64<<10)
	require.Len(t, k.frames, 3*128)
}

func TestMoreStreamsThanAllowedArePassedOver(t *testing.T) {
	k := newSink(Options{MaxStreams: 2})
	k.d.Write(streamMap(pes.TypePCMA, pes.IDAudio, pes.TypePCMA, pes.IDAudio+1, pes.TypePCMA, pes.IDAudio+2))
	for n := range byte(4) {
		k.d.Write(packet{id: pes.IDAudio + n, pts: 0, payload: law}.bytes())
	}
	require.Len(t, k.frames, 2)
	require.Equal(t, uint64(2), k.d.Stats().Private)
	require.Len(t, k.d.Streams(), 2)
}

func TestAStreamThatNeverWasMakesRoom(t *testing.T) {
	k := newSink(Options{MaxStreams: 2})
	k.d.Write(packet{id: pes.IDVideo + 5, pts: 0, payload: filler(1, 9)}.bytes()) // garbage that looked like a packet
	k.d.Write(packet{id: pes.IDVideo + 6, pts: 0, payload: filler(1, 9)}.bytes())
	k.d.Write(join(starts(0), video(0, head264(), idr(1, 10)), audio(0, law)))
	k.d.Flush()
	require.Len(t, k.frames, 2)
}

// What comes out of a stream with losses is what went in, or nothing: never a part of a picture.
func TestLossesNeverDamageWhatComesOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		codec := rapid.SampledFrom([]media.Codec{media.CodecH264, media.CodecH265}).Draw(t, "video")
		m := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(codec), track(media.CodecAAC)}})
		sent := map[media.Ticks][]byte{}
		k := newSink(Options{})
		lose := rapid.IntRange(2, 40).Draw(t, "one of so many packets is lost")
		marks := rapid.Bool().Draw(t, "marks")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		lost := 0
		for n := range 40 {
			at := media.Ticks(n)*3600 + 1
			f := media.Frame{PTS: at, DTS: at, Key: n%10 == 0}
			f.Payload = anyPicture(t, codec, f.Key, n)
			sent[at] = f.Payload
			b := m.Append(nil, 0, &f)
			a := media.Frame{PTS: at + 1, DTS: at + 1, Config: stereo, Payload: filler(n, 700)}
			sent[at+1] = a.Payload
			parts := append(fragment(b, 1400), fragment(m.Append(nil, 1, &a), 1400)...)
			for i, p := range parts {
				if rnd.IntN(lose) == 0 {
					k.d.Gap()
					lost++
					continue
				}
				k.d.Write(p)
				if marks && i == len(fragment(b, 1400))-1 {
					k.d.Mark()
				}
			}
		}
		k.d.Flush()
		last := map[int]media.Ticks{}
		for _, f := range k.frames {
			require.Greater(t, f.pts, last[f.stream], "no frame comes twice")
			last[f.stream] = f.pts
			if !slices.Equal(sent[f.pts], f.payload) {
				t.Fatalf("%v is not what was sent: %d bytes", f, len(sent[f.pts]))
			}
		}
		if lost == 0 {
			require.Len(t, k.frames, 80)
		}
	})
}
