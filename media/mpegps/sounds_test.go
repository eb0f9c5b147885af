package mpegps

import (
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/pes"
)

// quiet returns samples of a soft sound in one of the laws of G.711: magnitudes of few bits.
func quiet(mu bool, seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		magnitude := byte((i*5 + seed) % 12)
		sign := byte(i/7%2) << 7
		if b[i] = (magnitude | sign) ^ 0x55; mu {
			b[i] = ^(magnitude | sign)
		}
	}
	return b
}

func TestG711WithoutAMapIsGuessedFromItsSound(t *testing.T) {
	for _, c := range []struct {
		mu   bool
		want media.Codec
	}{{false, media.CodecPCMA}, {true, media.CodecPCMU}} {
		k := newSink(Options{})
		for n := range guessUnmapped + 10 {
			k.d.Write(join(packAt(media.Ticks(n)*3600), audio(media.Ticks(n)*3600, quiet(c.mu, n, 320))))
		}
		require.Len(t, k.frames, 11)
		for _, f := range k.frames {
			require.Equal(t, c.want, f.codec)
			require.Len(t, f.payload, 320)
		}
		require.Equal(t, uint64(guessUnmapped-1), k.d.Stats().Unknown)
	}
}

func TestG711ThatTheMapDoesNotNameIsGuessedSoon(t *testing.T) {
	k := newSink(Options{})
	k.d.Write(join(packAt(0), streamMap(pes.TypeH264, pes.IDVideo)))
	for n := range guessAfter + 3 {
		k.d.Write(audio(media.Ticks(n)*3600, quiet(true, n, 320)))
	}
	require.Len(t, k.frames, 4)
	require.Equal(t, media.CodecPCMU, k.frames[0].codec)
}

func TestWhatIsNoG711IsNotGuessed(t *testing.T) {
	k := newSink(Options{})
	for n := range 3 * guessUnmapped {
		k.d.Write(audio(media.Ticks(n)*2700, filler(n, 24))) // G.723.1
	}
	require.Empty(t, k.frames)
	require.Equal(t, uint64(3*guessUnmapped), k.d.Stats().Unknown)
}

func TestAMapThatSaysAACForG711IsFoundOut(t *testing.T) {
	k := newSink(Options{})
	k.d.Write(join(packAt(0), streamMap(pes.TypeADTS, pes.IDAudio)))
	for n := range missesMost + 5 {
		k.d.Write(audio(media.Ticks(n)*3600, quiet(false, n, 320)))
	}
	require.NotEmpty(t, k.frames)
	for _, f := range k.frames {
		require.Equal(t, media.CodecPCMA, f.codec)
		require.Len(t, f.payload, 320)
	}
	require.Equal(t, []Elementary{{ID: pes.IDAudio, Type: pes.TypeADTS, Codec: media.CodecPCMA}}, k.d.Streams())
}

func TestAMapThatKeepsSayingTheWrongThingDoesNotChangeWhatIsHeard(t *testing.T) {
	k := newSink(Options{})
	for n := range 40 {
		k.d.Write(join(packAt(0), streamMap(pes.TypeH265, pes.IDVideo, pes.TypePCMA, pes.IDAudio), audio(media.Ticks(n)*2089, adts(filler(n, 200))), video(media.Ticks(n)*3600, head264(), idr(n, 50))))
	}
	k.d.Flush()
	require.Len(t, k.frames, 80)
	for _, f := range k.frames {
		require.Contains(t, []media.Codec{media.CodecAAC, media.CodecH264}, f.codec)
	}
}

func TestG711WithoutTimesCountsItsSamples(t *testing.T) {
	k := newSink(Options{})
	k.d.Write(join(streamMap(pes.TypePCMU, pes.IDAudio), audio(9000, quiet(true, 1, 160))))
	for range 3 {
		k.d.Write(audio(-1, quiet(true, 1, 320)))
	}
	var at []media.Ticks
	for _, f := range k.frames {
		at = append(at, f.pts)
	}
	require.Equal(t, []media.Ticks{9000, 10800, 14400, 18000}, at)
}

func TestTheConfigurationIsSharedUntilItChanges(t *testing.T) {
	k := newSink(Options{})
	k.d.Write(streamMap(pes.TypeADTS, pes.IDAudio))
	mono := adts(aacs[1])
	mono[3] = mono[3]&0x3f | 1<<6
	k.d.Write(audio(0, adts(aacs[0]), adts(aacs[1]), mono, mono))
	require.Len(t, k.frames, 4)
	require.Same(t, k.frames[0].config, k.frames[1].config)
	require.NotSame(t, k.frames[1].config, k.frames[2].config)
	require.Same(t, k.frames[2].config, k.frames[3].config)
	require.Equal(t, uint8(1), k.frames[3].config.ChannelConfig)
}

// loas makes an AudioSyncStream of one element; config is told in the first of them.
func loas(t *testing.T, config *mpeg4audio.AudioSpecificConfig, tell bool, payload []byte) []byte {
	t.Helper()
	element := mpeg4audio.AudioMuxElement{
		MuxConfigPresent: true, UseSameStreamMux: !tell,
		StreamMuxConfig: &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{
			AudioSpecificConfig: config, LatmBufferFullness: 255,
		}}}}},
		Payloads: [][][][]byte{{{payload}}},
	}
	b, err := element.Marshal()
	require.NoError(t, err)
	b, err = mpeg4audio.AudioSyncStream{AudioMuxElements: [][]byte{b}}.Marshal()
	require.NoError(t, err)
	return b
}

func TestLATMIsUnpacked(t *testing.T) {
	config := &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2}
	first, second, third := loas(t, config, true, aacs[0]), loas(t, config, false, aacs[1]), loas(t, config, true, aacs[2])
	for _, m := range [][]byte{streamMap(pes.TypeLATM, pes.IDAudio), streamMap(pes.TypeADTS, pes.IDAudio), nil} {
		k := newSink(Options{})
		k.d.Write(join(m, audio(1000, first, second[:30]), audio(5000, second[30:], third), audio(9000, []byte{0x56, 0xe0, 2, 0xff, 0xff})))
		require.Len(t, k.frames, 3)
		for i, f := range k.frames {
			require.Equal(t, media.CodecAAC, f.codec)
			require.Equal(t, aacs[i], f.payload)
			require.Equal(t, []media.Ticks{1000, 2920, 5000}[i], f.pts)
			require.Equal(t, 48000, f.config.SampleRate)
			require.Same(t, k.frames[0].config, f.config)
		}
		require.Equal(t, uint64(1), k.d.Stats().Damaged, "an element without sense")
	}
}
