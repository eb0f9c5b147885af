package media

import (
	"errors"
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

var (
	errNoAACConfig  = errors.New("AAC without its AudioSpecificConfig (fmtp parameter config, RFC 3640 section 4.1)")
	errNoLATMConfig = errors.New("LATM audio without its StreamMuxConfig (fmtp parameter config, RFC 6416 section 7.1)")
)

// derive fills everything but Format.
func (t *Track) derive() error {
	if aac, ok := t.Format.(*format.MPEG4Audio); ok && aac.Config == nil {
		return errNoAACConfig
	}
	if latm, ok := t.Format.(*format.MPEG4AudioLATM); ok && !latm.CPresent && !hasLATMLayer(latm) {
		return errNoLATMConfig
	}
	t.ClockRate = ClockRate(max(t.Format.ClockRate(), 0))
	switch f := t.Format.(type) {
	case *format.H264:
		t.Codec = CodecH264
		t.describeH264(f.SPS)
	case *format.H265:
		t.Codec = CodecH265
		t.describeH265(f.SPS)
	case *format.MPEG4Audio:
		t.Codec = CodecAAC
		t.describeAAC(f.Config)
	case *format.MPEG4AudioLATM:
		t.Codec = CodecAAC
		t.SampleBits = 16
		if hasLATMLayer(f) {
			t.describeAAC(f.StreamMuxConfig.Programs[0].Layers[0].AudioSpecificConfig)
		}
	case *format.G711:
		t.Codec = CodecPCMA
		if f.MULaw {
			t.Codec = CodecPCMU
		}
		t.setAudio(f.ClockRate(), max(f.ChannelCount, 1), 16)
	case *format.Opus:
		t.Codec = CodecOpus
		t.setAudio(f.ClockRate(), f.ChannelCount, 16)
	case *format.LPCM:
		t.Kind = KindAudio
		if f.BitDepth == 16 {
			t.Codec = CodecL16
		}
		t.setAudio(f.SampleRate, f.ChannelCount, f.BitDepth)
	case *format.G722:
		t.Codec = CodecG722
		t.setAudio(16000, 1, 16) // its RTP clock says 8000 by an old mistake (RFC 3551 section 4.5.2)
	default:
		t.deriveOther()
	}
	return nil
}

// deriveOther handles the formats that are passed through without a closer look.
func (t *Track) deriveOther() {
	switch f := t.Format.(type) {
	case *format.VP8:
		t.Codec = CodecVP8
	case *format.VP9:
		t.Codec = CodecVP9
	case *format.AV1:
		t.Codec = CodecAV1
	case *format.MJPEG:
		t.Codec = CodecJPEG
	case *format.MPEG1Audio:
		t.Codec = CodecMPA
		t.SampleBits = 16
	case *format.MPEG1Video:
		t.Codec = CodecMPV
	case *format.MPEG4Video:
		t.Kind = KindVideo
	case *format.MPEGTS:
		t.Codec = CodecMP2T
	case *format.G726:
		t.Codec = CodecADPCM
		t.setAudio(8000, 1, 16)
	case *format.AC3:
		t.Kind = KindAudio
		t.setAudio(f.SampleRate, f.ChannelCount, 16)
	case *format.Speex:
		t.Kind = KindAudio
		t.setAudio(f.SampleRate, 1, 16)
	case *format.Vorbis:
		t.Kind = KindAudio
		t.setAudio(f.SampleRate, f.ChannelCount, 16)
	case *format.Generic:
		t.describeGeneric(f)
	}
}

// describeGeneric reads the encoding name, clock and channels of an rtpmap line (RFC 8866 section 6.6), or the static payload type (RFC 3551 section 6).
func (t *Track) describeGeneric(f *format.Generic) {
	name, rest, _ := strings.Cut(f.RTPMa, "/")
	t.Codec = codecByEncoding(name)
	if name == "" {
		t.Codec, t.Kind = staticPayload(f.PayloadTyp)
	}
	if t.Codec.Kind() != KindAudio {
		return
	}
	_, channels, _ := strings.Cut(rest, "/")
	n, err := strconv.Atoi(channels)
	if err != nil || n < 1 {
		n = 1
	}
	t.setAudio(int(t.ClockRate), n, 16)
}

// staticPayload names the static payload types that the format library leaves to Generic.
func staticPayload(pt uint8) (Codec, Kind) {
	switch pt {
	case 4:
		return CodecG723, KindAudio
	case 5, 6, 16, 17:
		return CodecADPCM, KindAudio
	case 15:
		return CodecG728, KindAudio
	case 18:
		return CodecG729, KindAudio
	case 3, 7, 12, 13:
		return CodecUnknown, KindAudio
	case 25, 28, 31, 34:
		return CodecUnknown, KindVideo
	}
	return CodecUnknown, KindOther
}

func (t *Track) setAudio(rate, channels, bits int) {
	t.SampleRate, t.Channels, t.SampleBits = rate, channels, bits
}

func (t *Track) describeH264(sps []byte) {
	var p h264.SPS
	if len(sps) == 0 || p.Unmarshal(sps) != nil {
		return
	}
	t.setPicture(p.Width(), p.Height(), p.FPS())
}

func (t *Track) describeH265(sps []byte) {
	var p h265.SPS
	if len(sps) == 0 || p.Unmarshal(sps) != nil {
		return
	}
	t.setPicture(p.Width(), p.Height(), p.FPS())
}

// setPicture keeps only what can be true; a broken parameter set must not reach the API as a picture of minus two pixels.
func (t *Track) setPicture(width, height int, fps float64) {
	const maxSide, maxFPS = 1 << 16, 1000
	if width > 0 && height > 0 && width <= maxSide && height <= maxSide {
		t.Width, t.Height = width, height
	}
	if fps > 0 && fps <= maxFPS {
		t.FPS = fps
	}
}

func (t *Track) describeAAC(c *mpeg4audio.AudioSpecificConfig) {
	rate := c.SampleRate
	if c.ExtensionSampleRate != 0 {
		rate = c.ExtensionSampleRate
	}
	channels := int(c.ChannelConfig)
	switch {
	case c.ExtensionType == mpeg4audio.ObjectTypePS:
		channels = 2
	case channels == 7:
		channels = 8
	case channels == 0 || channels > 7:
		channels = 1 // its layout is in the stream
	}
	t.setAudio(rate, channels, 16)
}

func hasLATMLayer(f *format.MPEG4AudioLATM) bool {
	c := f.StreamMuxConfig
	return c != nil && len(c.Programs) > 0 && len(c.Programs[0].Layers) > 0 && c.Programs[0].Layers[0].AudioSpecificConfig != nil
}
