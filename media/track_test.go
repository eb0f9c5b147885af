package media

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"
)

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	require.NoError(t, err)
	return b
}

func TestNewTrack(t *testing.T) {
	sps264 := []byte{0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x83, 0x19, 0x60} // 1280x720 at 30
	sps265 := unbase64(t, "QgEBAWAAAAMAkAAAAwAAAwB4oAPAgBDllmZpJMrgEAAAAwAQAAADAeCA")
	aac := &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 48000, ChannelConfig: 2}
	latm := &mpeg4audio.StreamMuxConfig{Programs: []*mpeg4audio.StreamMuxConfigProgram{{Layers: []*mpeg4audio.StreamMuxConfigLayer{{AudioSpecificConfig: aac}}}}}
	generic := func(pt uint8, rtpmap string) *format.Generic {
		g := &format.Generic{PayloadTyp: pt, RTPMa: rtpmap}
		require.NoError(t, g.Init())
		return g
	}
	for _, c := range []struct {
		name   string
		format format.Format
		want   Track // Format is filled in
	}{
		{"h264", &format.H264{PayloadTyp: 96, SPS: sps264, PPS: []byte{0x68, 0xeb}}, Track{Kind: KindVideo, Codec: CodecH264, ClockRate: 90000, Width: 1280, Height: 720, FPS: 30}},
		{"h264 without parameter sets", &format.H264{PayloadTyp: 96}, Track{Kind: KindVideo, Codec: CodecH264, ClockRate: 90000}},
		{"h264 with broken parameter sets", &format.H264{PayloadTyp: 96, SPS: []byte{0x67, 0x64}}, Track{Kind: KindVideo, Codec: CodecH264, ClockRate: 90000}},
		{"h265", &format.H265{PayloadTyp: 96, SPS: sps265}, Track{Kind: KindVideo, Codec: CodecH265, ClockRate: 90000, Width: 1920, Height: 1080, FPS: 30}},
		{"h265 without parameter sets", &format.H265{PayloadTyp: 96}, Track{Kind: KindVideo, Codec: CodecH265, ClockRate: 90000}},
		{"aac", &format.MPEG4Audio{PayloadTyp: 97, Config: aac, SizeLength: 13}, Track{Kind: KindAudio, Codec: CodecAAC, ClockRate: 48000, SampleRate: 48000, Channels: 2, SampleBits: 16}},
		{"aac with sbr", &format.MPEG4Audio{PayloadTyp: 97, Config: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 24000, ChannelConfig: 1, ExtensionType: mpeg4audio.ObjectTypePS, ExtensionSampleRate: 48000}, SizeLength: 13}, Track{Kind: KindAudio, Codec: CodecAAC, ClockRate: 24000, SampleRate: 48000, Channels: 2, SampleBits: 16}},
		{"aac 7.1", &format.MPEG4Audio{PayloadTyp: 97, Config: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 7}, SizeLength: 13}, Track{Kind: KindAudio, Codec: CodecAAC, ClockRate: 48000, SampleRate: 48000, Channels: 8, SampleBits: 16}},
		{"aac latm", &format.MPEG4AudioLATM{PayloadTyp: 97, StreamMuxConfig: latm}, Track{Kind: KindAudio, Codec: CodecAAC, ClockRate: 48000, SampleRate: 48000, Channels: 2, SampleBits: 16}},
		{"aac latm in band", &format.MPEG4AudioLATM{PayloadTyp: 97, CPresent: true}, Track{Kind: KindAudio, Codec: CodecAAC, ClockRate: 90000, SampleBits: 16}},
		{"pcma", &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1}, Track{Kind: KindAudio, Codec: CodecPCMA, ClockRate: 8000, SampleRate: 8000, Channels: 1, SampleBits: 16}},
		{"pcmu", &format.G711{PayloadTyp: 0, MULaw: true, SampleRate: 8000, ChannelCount: 1}, Track{Kind: KindAudio, Codec: CodecPCMU, ClockRate: 8000, SampleRate: 8000, Channels: 1, SampleBits: 16}},
		{"opus", &format.Opus{PayloadTyp: 96, ChannelCount: 2}, Track{Kind: KindAudio, Codec: CodecOpus, ClockRate: 48000, SampleRate: 48000, Channels: 2, SampleBits: 16}},
		{"l16", &format.LPCM{PayloadTyp: 96, BitDepth: 16, SampleRate: 44100, ChannelCount: 2}, Track{Kind: KindAudio, Codec: CodecL16, ClockRate: 44100, SampleRate: 44100, Channels: 2, SampleBits: 16}},
		{"l24", &format.LPCM{PayloadTyp: 96, BitDepth: 24, SampleRate: 48000, ChannelCount: 2}, Track{Kind: KindAudio, Codec: CodecUnknown, ClockRate: 48000, SampleRate: 48000, Channels: 2, SampleBits: 24}},
		{"g722", &format.G722{}, Track{Kind: KindAudio, Codec: CodecG722, ClockRate: 8000, SampleRate: 16000, Channels: 1, SampleBits: 16}},
		{"g726", &format.G726{PayloadTyp: 97, BitRate: 32}, Track{Kind: KindAudio, Codec: CodecADPCM, ClockRate: 8000, SampleRate: 8000, Channels: 1, SampleBits: 16}},
		{"vp8", &format.VP8{PayloadTyp: 96}, Track{Kind: KindVideo, Codec: CodecVP8, ClockRate: 90000}},
		{"vp9", &format.VP9{PayloadTyp: 96}, Track{Kind: KindVideo, Codec: CodecVP9, ClockRate: 90000}},
		{"av1", &format.AV1{PayloadTyp: 96}, Track{Kind: KindVideo, Codec: CodecAV1, ClockRate: 90000}},
		{"jpeg", &format.MJPEG{}, Track{Kind: KindVideo, Codec: CodecJPEG, ClockRate: 90000}},
		{"mpeg audio", &format.MPEG1Audio{}, Track{Kind: KindAudio, Codec: CodecMPA, ClockRate: 90000, SampleBits: 16}},
		{"mpeg video", &format.MPEG1Video{}, Track{Kind: KindVideo, Codec: CodecMPV, ClockRate: 90000}},
		{"mpeg-ts", &format.MPEGTS{}, Track{Kind: KindVideo, Codec: CodecMP2T, ClockRate: 90000}},
		{"mpeg-4 video", &format.MPEG4Video{PayloadTyp: 96}, Track{Kind: KindVideo, Codec: CodecUnknown, ClockRate: 90000}},
		{"ac3", &format.AC3{PayloadTyp: 96, SampleRate: 48000, ChannelCount: 6}, Track{Kind: KindAudio, Codec: CodecUnknown, ClockRate: 48000, SampleRate: 48000, Channels: 6, SampleBits: 16}},
		{"speex", &format.Speex{PayloadTyp: 96, SampleRate: 16000}, Track{Kind: KindAudio, Codec: CodecUnknown, ClockRate: 16000, SampleRate: 16000, Channels: 1, SampleBits: 16}},
		{"vorbis", &format.Vorbis{PayloadTyp: 96, SampleRate: 48000, ChannelCount: 2}, Track{Kind: KindAudio, Codec: CodecUnknown, ClockRate: 48000, SampleRate: 48000, Channels: 2, SampleBits: 16}},
		{"h266 by name", generic(96, "H266/90000"), Track{Kind: KindVideo, Codec: CodecH266, ClockRate: 90000}},
		{"ps by name", generic(96, "PS/90000"), Track{Kind: KindVideo, Codec: CodecMP2P, ClockRate: 90000}},
		{"g729 by number", generic(18, ""), Track{Kind: KindAudio, Codec: CodecG729, ClockRate: 8000, SampleRate: 8000, Channels: 1, SampleBits: 16}},
		{"gsm by number", generic(3, ""), Track{Kind: KindAudio, Codec: CodecUnknown, ClockRate: 8000}},
		{"l8 by name with channels", generic(96, "mp3/44100/2"), Track{Kind: KindAudio, Codec: CodecMP3, ClockRate: 44100, SampleRate: 44100, Channels: 2, SampleBits: 16}},
		{"metadata", generic(107, "vnd.onvif.metadata/90000"), Track{Kind: KindOther, Codec: CodecUnknown, ClockRate: 90000}},
		{"unknown without a clock", generic(107, ""), Track{Kind: KindOther, Codec: CodecUnknown}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := NewTrack(c.format)
			require.NoError(t, err)
			c.want.Format = c.format
			require.Equal(t, c.want, *got)
			require.Equal(t, c.format.PayloadType(), got.PayloadType())
			require.True(t, Compatible(got, got))
		})
	}
}

func TestNewTrackRefuses(t *testing.T) {
	_, err := NewTrack(nil)
	require.ErrorIs(t, err, ErrNoFormat)
	_, err = NewTrack(&format.MPEG4Audio{PayloadTyp: 97})
	require.ErrorIs(t, err, errNoAACConfig)
	_, err = NewTrack(&format.MPEG4AudioLATM{PayloadTyp: 97})
	require.ErrorIs(t, err, errNoLATMConfig)
}

func TestNewTrackOfKind(t *testing.T) {
	unknown, err := NewTrackOfKind(KindVideo, &format.Generic{PayloadTyp: 98, RTPMa: "x-secret/90000", ClockRat: 90000})
	require.NoError(t, err)
	require.Equal(t, KindVideo, unknown.Kind)
	h264, err := NewTrackOfKind(KindAudio, &format.H264{PayloadTyp: 96})
	require.NoError(t, err)
	require.Equal(t, KindVideo, h264.Kind, "a codec knows better than a media line")
}

func TestCompatible(t *testing.T) {
	track := func(f format.Format) *Track {
		tr, err := NewTrack(f)
		require.NoError(t, err)
		return tr
	}
	sps := []byte{0x67, 1, 2, 3}
	aac := func(rate, pt int) format.Format {
		return &format.MPEG4Audio{PayloadTyp: uint8(pt), SizeLength: 13, Config: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: rate, ChannelConfig: 2}}
	}
	for _, c := range []struct {
		name string
		a, b format.Format
		want bool
	}{
		{"another payload type", &format.H264{PayloadTyp: 96}, &format.H264{PayloadTyp: 99}, true},
		{"modes 0 and 1", &format.H264{}, &format.H264{PacketizationMode: 1}, true},
		{"interleaved mode", &format.H264{}, &format.H264{PacketizationMode: 2}, false},
		{"parameter sets known on one side", &format.H264{SPS: sps}, &format.H264{}, true},
		{"parameter sets differ", &format.H264{SPS: sps}, &format.H264{SPS: []byte{0x67, 9}}, false},
		{"picture parameter sets differ", &format.H264{PPS: sps}, &format.H264{PPS: []byte{0x68, 9}}, false},
		{"h264 and h265", &format.H264{}, &format.H265{}, false},
		{"h265", &format.H265{SPS: sps}, &format.H265{PayloadTyp: 99, SPS: sps}, true},
		{"h265 with and without order numbers", &format.H265{}, &format.H265{MaxDONDiff: 2}, false},
		{"h265 parameter sets differ", &format.H265{VPS: sps}, &format.H265{VPS: []byte{1}}, false},
		{"aac", aac(48000, 97), aac(48000, 98), true},
		{"aac at another rate", aac(48000, 97), aac(44100, 97), false},
		{"aac packed otherwise", aac(48000, 97), &format.MPEG4Audio{SizeLength: 6, Config: &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 48000, ChannelConfig: 2}}, false},
		{"opus", &format.Opus{PayloadTyp: 96, ChannelCount: 2}, &format.Opus{PayloadTyp: 111, ChannelCount: 2}, true},
		{"opus mono and stereo", &format.Opus{ChannelCount: 1}, &format.Opus{ChannelCount: 2}, false},
		{"a and µ law", &format.G711{SampleRate: 8000, ChannelCount: 1}, &format.G711{MULaw: true, SampleRate: 8000, ChannelCount: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, Compatible(track(c.a), track(c.b)))
			require.Equal(t, c.want, Compatible(track(c.b), track(c.a)))
		})
	}
}

func TestCodecNames(t *testing.T) {
	require.Equal(t, "mpeg4-generic", CodecAAC.String())
	require.Equal(t, 2, CodecAAC.ID())
	require.Equal(t, "invalid", CodecUnknown.String())
	require.Equal(t, -1, CodecUnknown.ID())
	require.Equal(t, KindOther, CodecUnknown.Kind())
	require.Equal(t, "MPA", CodecMPA.String())
	require.Equal(t, []string{"video", "audio", "application"}, []string{KindVideo.String(), KindAudio.String(), KindOther.String()})
	for c := range codecTable {
		require.NotEmpty(t, codecTable[c].name, "codec %d", c)
		require.Equal(t, Codec(c), codecByEncoding(codecTable[c].name))
	}
	require.Equal(t, CodecAAC, codecByEncoding("mp4a-latm"))
	require.Equal(t, CodecMP2P, codecByEncoding("ps"))
	require.Equal(t, CodecH266, codecByEncoding("vvc"))
	require.Equal(t, CodecUnknown, codecByEncoding("x-unheard-of"))
}

func TestClock(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	require.Equal(t, Ticks(90000), ClockRate(90000).Ticks(time.Second))
	require.Equal(t, Ticks(-3003), ClockRate(90000).Ticks(-33366667*time.Nanosecond))
	require.Equal(t, time.Second/25, ClockRate(90000).Duration(3600))
	require.Equal(t, century, ClockRate(90000).Duration(ClockRate(90000).Ticks(century)), "no overflow on the way")
	require.Equal(t, Ticks(48000), ClockRate(90000).Convert(90000, 48000))
	require.Zero(t, ClockRate(0).Duration(5))
	require.Zero(t, ClockRate(0).Ticks(time.Second))
	require.Equal(t, time.Duration(1<<63-1), ClockRate(1).Duration(1<<62), "saturates")
	require.Equal(t, time.Duration(-1<<63), ClockRate(1).Duration(-1<<62))
	require.Equal(t, Ticks(-1<<63), ClockRate(1).Convert(-1<<63, 1))
	require.Equal(t, Ticks(1<<63-1), ClockRate(2).Convert(1<<62, 4))
	require.Equal(t, Ticks(2), TimestampDiff(1, 0xffff_ffff))
	require.Equal(t, Ticks(-2), TimestampDiff(0xffff_ffff, 1))
}

func TestStreamKey(t *testing.T) {
	key, ok := ParsePath("/live/cam/1/")
	require.True(t, ok)
	require.Equal(t, StreamKey{VHost: DefaultVHost, App: "live", Stream: "cam/1"}, key)
	require.Equal(t, "live/cam/1", key.Path())
	require.Equal(t, "__defaultVhost__/live/cam/1", key.String())
	for _, p := range []string{"", "/", "/live", "/live/", "//live"} {
		_, ok := ParsePath(p)
		require.False(t, ok, p)
	}
	require.False(t, StreamKey{VHost: DefaultVHost, App: "a/b", Stream: "c"}.Valid())
}
