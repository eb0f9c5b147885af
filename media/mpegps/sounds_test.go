package mpegps

import (
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
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
	k.d.Write(join(packAt(0), streamMap(typeH264, idVideo)))
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
	k.d.Write(join(packAt(0), streamMap(typeADTS, idAudio)))
	for n := range missesMost + 5 {
		k.d.Write(audio(media.Ticks(n)*3600, quiet(false, n, 320)))
	}
	require.NotEmpty(t, k.frames)
	for _, f := range k.frames {
		require.Equal(t, media.CodecPCMA, f.codec)
		require.Len(t, f.payload, 320)
	}
	require.Equal(t, []Elementary{{ID: idAudio, Type: typeADTS, Codec: media.CodecPCMA}}, k.d.Streams())
}

func TestAMapThatKeepsSayingTheWrongThingDoesNotChangeWhatIsHeard(t *testing.T) {
	k := newSink(Options{})
	for n := range 40 {
		k.d.Write(join(packAt(0), streamMap(typeH265, idVideo, typePCMA, idAudio), audio(media.Ticks(n)*2089, adts(filler(n, 200))), video(media.Ticks(n)*3600, head264(), idr(n, 50))))
	}
	k.d.Flush()
	require.Len(t, k.frames, 80)
	for _, f := range k.frames {
		require.Contains(t, []media.Codec{media.CodecAAC, media.CodecH264}, f.codec)
	}
}

func TestG711WithoutTimesCountsItsSamples(t *testing.T) {
	k := newSink(Options{})
	k.d.Write(join(streamMap(typePCMU, idAudio), audio(9000, quiet(true, 1, 160))))
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
	k.d.Write(streamMap(typeADTS, idAudio))
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
	config := &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2, ChannelCount: 2}
	first, second, third := loas(t, config, true, aacs[0]), loas(t, config, false, aacs[1]), loas(t, config, true, aacs[2])
	for _, m := range [][]byte{streamMap(typeLATM, idAudio), streamMap(typeADTS, idAudio), nil} {
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

func TestHeadersOfMPEGAudio(t *testing.T) {
	for _, c := range []struct {
		name  string
		head  []byte
		size  int
		count int
		rate  int
		codec media.Codec
	}{
		{"layer III, 128 kb/s, 44.1 kHz", []byte{0xff, 0xfb, 0x90, 0x00}, 417, 1152, 44100, media.CodecMP3},
		{"the same, padded", []byte{0xff, 0xfb, 0x92, 0x00}, 418, 1152, 44100, media.CodecMP3},
		{"layer III of MPEG-2, 64 kb/s, 22.05 kHz", []byte{0xff, 0xf3, 0x80, 0x00}, 208, 576, 22050, media.CodecMP3},
		{"layer III of MPEG-2.5, 8 kb/s, 8 kHz", []byte{0xff, 0xe3, 0x18, 0x00}, 72, 576, 8000, media.CodecMP3},
		{"layer II, 192 kb/s, 48 kHz", []byte{0xff, 0xfd, 0xa4, 0x00}, 576, 1152, 48000, media.CodecMPA},
		{"layer II of MPEG-2, 160 kb/s, 16 kHz", []byte{0xff, 0xf5, 0xe8, 0x00}, 1440, 1152, 16000, media.CodecMPA},
		{"layer I, 384 kb/s, 32 kHz", []byte{0xff, 0xff, 0xc8, 0x00}, 576, 384, 32000, media.CodecMPA},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, ok := readMPEGAudio(c.head)
			require.True(t, ok)
			require.Equal(t, []int{c.size, c.count, c.rate}, []int{h.size, h.samples, h.rate})
			require.Equal(t, c.codec, mpegAudioCodec(h.key))
		})
	}
	for name, head := range map[string][]byte{
		"too short": {0xff, 0xfb, 0x90}, "no sync": {0xff, 0xdb, 0x90, 0}, "reserved version": {0xff, 0xeb, 0x90, 0}, "reserved layer": {0xff, 0xf9, 0x90, 0},
		"free format": {0xff, 0xfb, 0x00, 0}, "bad rate": {0xff, 0xfb, 0xf0, 0}, "reserved frequency": {0xff, 0xfb, 0x9c, 0},
	} {
		_, ok := readMPEGAudio(head)
		require.False(t, ok, name)
	}
}

func TestHeadersOfADTSThatAreNone(t *testing.T) {
	good := adts(aacs[0])
	h, ok := readADTS(good)
	require.True(t, ok)
	require.Equal(t, audioHeader{size: len(good), header: 7, samples: 1024, rate: 44100, key: h.key}, h)
	for name, spoil := range map[string]func(b []byte){
		"no sync": func(b []byte) { b[0] = 0xfe }, "a layer": func(b []byte) { b[1] |= 2 }, "a reserved rate": func(b []byte) { b[2] |= 0x3c },
		"several blocks": func(b []byte) { b[6] |= 1 }, "shorter than its header": func(b []byte) { b[3] &^= 3; b[4], b[5] = 0, 0xe0 },
	} {
		b := adts(aacs[0])
		spoil(b)
		_, ok := readADTS(b)
		require.False(t, ok, name)
	}
}
