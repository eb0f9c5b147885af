package camera

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"
)

// How the embedded clip was made; the files themselves carry no clock.
const (
	videoClock     = 90000
	videoFrame     = videoClock / 25 // ticks a picture
	videoFrames    = 240
	audioClock     = 48000
	audioFrame     = mpeg4audio.SamplesPerAccessUnit // ticks an audio frame
	audioFrames    = 450
	audioPriming   = 4    // leading audio frames in which the encoder was not in its steady state yet
	payloadMaxSize = 1300 // bytes of an RTP payload, below any tunnel's limit
	clipLength     = videoFrames * time.Second / 25
)

// The tracks of the clip, as indexes.
const (
	clipVideo = iota
	clipAudio
	clipTracks
)

//go:embed clip.h264
var clipH264 []byte

//go:embed clip.aac
var clipAAC []byte

// clip is the embedded clip, packed for RTP. Read-only after loadClip.
type clip struct {
	sps, pps []byte
	audio    *mpeg4audio.AudioSpecificConfig
	steps    []step // in order of time
}

// step is what is due at one moment of the clip: the packets of one access unit of one track.
type step struct {
	at      time.Duration // since the start of the clip
	track   int           // clipVideo or clipAudio
	ticks   uint32        // the same moment in the track's clock
	packets []*rtp.Packet // payload and marker count, all else is set when they are sent
}

// ticksIn returns when the step is due in the loop-th round (from 0), in the track's clock since the camera started, modulo 2^32 as RTP counts.
func (s *step) ticksIn(loop int) uint32 {
	perLoop := uint64(videoFrames * videoFrame)
	if s.track == clipAudio {
		perLoop = audioFrames * audioFrame
	}
	return uint32(uint64(loop)*perLoop) + s.ticks
}

func loadClip() (*clip, error) {
	c := &clip{}
	if err := c.loadVideo(); err != nil {
		return nil, fmt.Errorf("built-in clip: video: %w", err)
	}
	if err := c.loadAudio(); err != nil {
		return nil, fmt.Errorf("built-in clip: audio: %w", err)
	}
	slices.SortStableFunc(c.steps, func(a, b step) int { return int(a.at - b.at) })
	return c, nil
}

func (c *clip) loadVideo() error {
	units := accessUnits(clipH264)
	if len(units) != videoFrames {
		return fmt.Errorf("%d pictures instead of %d", len(units), videoFrames)
	}
	encoder := rtph264.Encoder{PacketizationMode: 1, PayloadMaxSize: payloadMaxSize}
	if err := encoder.Init(); err != nil {
		return err
	}
	for i, unit := range units {
		for _, nalu := range unit {
			switch h264.NALUType(nalu[0] & 0x1f) {
			case h264.NALUTypeSPS:
				c.sps = nalu
			case h264.NALUTypePPS:
				c.pps = nalu
			}
		}
		packets, err := encoder.Encode(unit)
		if err != nil {
			return err
		}
		c.steps = append(c.steps, step{
			at: time.Duration(i) * clipLength / videoFrames, track: clipVideo, ticks: uint32(i) * videoFrame, packets: packets,
		})
	}
	if c.sps == nil || c.pps == nil {
		return errors.New("it has no parameter sets")
	}
	return nil
}

func (c *clip) loadAudio() error {
	var frames mpeg4audio.ADTSPackets
	if err := frames.Unmarshal(clipAAC); err != nil {
		return err
	}
	if len(frames) < audioPriming+audioFrames {
		return fmt.Errorf("%d frames instead of %d", len(frames), audioPriming+audioFrames)
	}
	c.audio = &mpeg4audio.AudioSpecificConfig{
		Type: frames[0].Type, SampleRate: frames[0].SampleRate, ChannelConfig: frames[0].ChannelConfig,
	}
	encoder := rtpmpeg4audio.Encoder{SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3, PayloadMaxSize: payloadMaxSize}
	if err := encoder.Init(); err != nil {
		return err
	}
	for i, frame := range frames[audioPriming : audioPriming+audioFrames] {
		packets, err := encoder.Encode([][]byte{frame.AU})
		if err != nil {
			return err
		}
		c.steps = append(c.steps, step{
			at: time.Duration(i) * clipLength / audioFrames, track: clipAudio, ticks: uint32(i) * audioFrame, packets: packets,
		})
	}
	return nil
}

// accessUnits splits an H.264 byte stream (ITU-T H.264 Annex B) at its access unit delimiters, which it leaves out together with the encoder's
// own remarks (SEI).
func accessUnits(stream []byte) [][][]byte {
	var units [][][]byte
	for nalu := range bytes.SplitSeq(stream, []byte{0, 0, 1}) {
		nalu = bytes.TrimRight(nalu, "\x00") // the zero byte of a four-byte start code
		if len(nalu) == 0 {
			continue
		}
		switch h264.NALUType(nalu[0] & 0x1f) {
		case h264.NALUTypeAccessUnitDelimiter:
			units = append(units, nil)
		case h264.NALUTypeSEI:
		default:
			if len(units) > 0 {
				units[len(units)-1] = append(units[len(units)-1], nalu)
			}
		}
	}
	return units
}
