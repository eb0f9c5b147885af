package remux

import (
	"fmt"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
)

// DepacketizerOptions says what a [Depacketizer] reads.
type DepacketizerOptions struct {
	// Track says codec, packing, clock and parameter sets. Nil for a source that has no description.
	Track *media.Track
	// Codec is what the source sends, where there is no Track: H.264, H.265, AAC, Opus, MPEG audio, or one with a static payload type. Packing and clock are the usual ones.
	Codec media.Codec
	// Config says how AAC without a Track is coded. Default: what ADTS headers say, and nothing comes out without them.
	Config *mpeg4audio.AudioSpecificConfig
	// Emit takes each frame, which is valid until it returns. Required. H.264 and H.265 have start codes of four bytes.
	Emit func(f *media.Frame)
	// FrameBytes bounds one frame; larger ones are dropped as damaged. Default 4 MiB.
	FrameBytes int
	// KeyPatience is how long, in media time, video is held back until a key frame comes, at the beginning and after a loss. After it any picture with parameter sets will do, and after twice the time
	// any at all: some encoders refresh gradually and never send a key frame. Default 10 s; negative holds nothing back.
	KeyPatience time.Duration
}

// DepacketizerStats are counters since the construction.
type DepacketizerStats struct {
	Packets uint64 // whole RTP packets
	Frames  uint64 // emitted
	Lost    uint64 // packets that are missing by their sequence numbers
	Late    uint64 // packets that came twice or behind their successors; dropped
	Invalid uint64 // packets that are no RTP, or whose payload is broken; dropped
	Damaged uint64 // frames given up because a part of them is missing or broken
	Waited  uint64 // whole frames not emitted because a key frame has to come first
}

// Depacketizer makes frames of the RTP packets of one track, which it is given in the order of their sequence numbers. A hole in them costs the frame in which it is, and video
// up to the next key frame.
type Depacketizer struct {
	opts  DepacketizerOptions
	codec media.Codec
	read  func(d *Depacketizer, payload []byte, marker bool)
	clock media.ClockRate
	stats DepacketizerStats

	// sequence and time
	started bool
	seq     uint16
	ts      uint32
	ext     media.Ticks // ts without wrapping, in clock
	alignAt media.Ticks // on the scale of ext
	alignTo media.Ticks // in FrameClock
	aligned bool

	unit   accessUnit // of video
	part   []byte     // of a frame of audio that comes in pieces
	need   int        // bytes of that frame; 0 when there is none
	aac    aacHeader
	latm   *mpeg4audio.StreamMuxConfig
	conf   *mpeg4audio.AudioSpecificConfig
	guess  bool // the clock of AAC is not described
	inBand bool // LATM has its configuration in the stream
	frame  media.Frame

	lastExt    media.Ticks // when the clock was last guessed at
	lastFrames uint64
}

// NewDepacketizer returns an error that wraps [ErrCodec] or [ErrInterleaved] when no frames can be made.
func NewDepacketizer(opts DepacketizerOptions) (*Depacketizer, error) {
	if opts.FrameBytes <= 0 {
		opts.FrameBytes = 4 << 20
	}
	if opts.KeyPatience == 0 {
		opts.KeyPatience = 10 * time.Second
	}
	d := &Depacketizer{opts: opts, codec: opts.Codec}
	if opts.Track != nil {
		d.codec, d.clock = opts.Track.Codec, opts.Track.ClockRate
		return d, d.chooseFormat(opts.Track)
	}
	return d, d.chooseCodec()
}

// chooseFormat finds how a described track is packed.
func (d *Depacketizer) chooseFormat(t *media.Track) error {
	switch f := t.Format.(type) {
	case *format.H264:
		if f.PacketizationMode == 2 {
			return ErrInterleaved
		}
		d.readVideo((*Depacketizer).payloadH264, kindH264)
		d.unit.describe(f.SPS, f.PPS)
	case *format.H265:
		d.readVideo((*Depacketizer).payloadH265, kindH265)
		d.unit.donl = f.MaxDONDiff > 0
		d.unit.describe(f.VPS, f.SPS, f.PPS)
	case *format.MPEG4Audio:
		d.read, d.aac, d.conf = (*Depacketizer).readAAC, newAACHeader(f), f.Config
	case *format.MPEG4AudioLATM:
		d.read, d.latm = (*Depacketizer).readLATM, f.StreamMuxConfig
		if d.inBand = f.CPresent; !d.inBand {
			d.conf = f.StreamMuxConfig.Programs[0].Layers[0].AudioSpecificConfig
		}
	case *format.MPEG1Audio:
		d.read = (*Depacketizer).readMPEGAudio
	default:
		if t.Kind != media.KindAudio {
			return fmt.Errorf("unpack %s: %w", t.Codec, ErrCodec)
		}
		d.read = (*Depacketizer).readWhole
	}
	return nil
}

// chooseCodec finds how a source without description packs its codec.
func (d *Depacketizer) chooseCodec() error {
	d.clock = 8000 // of all that have a static payload type and are not named below (RFC 3551 table 4)
	switch d.codec {
	case media.CodecH264:
		d.clock = 90000
		d.readVideo((*Depacketizer).payloadH264, kindH264)
	case media.CodecH265:
		d.clock = 90000
		d.readVideo((*Depacketizer).payloadH265, kindH265)
	case media.CodecAAC:
		d.read, d.aac = (*Depacketizer).readAAC, aacHeader{13, 3, 3}
		d.guess = true
		d.configure(d.opts.Config)
	case media.CodecMPA, media.CodecMP3:
		d.codec, d.clock = media.CodecMPA, 90000
		d.read = (*Depacketizer).readMPEGAudio
	case media.CodecOpus:
		d.clock = 48000
		d.read = (*Depacketizer).readWhole
	case media.CodecPCMA, media.CodecPCMU, media.CodecG722, media.CodecG723, media.CodecG728, media.CodecG729:
		d.read = (*Depacketizer).readWhole
	default:
		return fmt.Errorf("unpack %s without a description: %w", d.codec, ErrCodec)
	}
	return nil
}

// Codec returns what the frames are coded with.
func (d *Depacketizer) Codec() media.Codec { return d.codec }

// Stats returns the counters.
func (d *Depacketizer) Stats() DepacketizerStats { return d.stats }

// Write takes the next whole RTP packet. pkt may be reused after the return.
func (d *Depacketizer) Write(pkt []byte) {
	h, ok := media.ParseRTP(pkt)
	if !ok {
		d.stats.Invalid++
		return
	}
	if d.started {
		switch ahead := int16(h.Seq - d.seq); {
		case ahead == 1:
		case ahead <= 0 && ahead > -100: // further back the source has begun anew
			d.stats.Late++
			return
		default:
			if ahead > 0 {
				d.stats.Lost += uint64(ahead - 1)
			}
			d.Gap()
		}
	}
	d.stats.Packets++
	d.started, d.seq = true, h.Seq
	d.advance(h.Timestamp)
	if len(h.Payload) > 0 {
		d.read(d, h.Payload, h.Marker)
	}
}

// advance follows the timestamps round their circle.
func (d *Depacketizer) advance(ts uint32) {
	if !d.aligned {
		d.aligned, d.ts = true, ts // the first packet is at zero
	}
	d.ext += media.TimestampDiff(ts, d.ts)
	d.ts = ts
}

// Align says which PTS belongs to an RTP timestamp, from here on; without it the first packet has PTS zero. Whoever gives all tracks of a stream one epoch by their sender reports
// ([ParseReport]) gets frames that line up.
func (d *Depacketizer) Align(rtp uint32, pts media.Ticks) {
	if !d.aligned {
		d.aligned, d.ts = true, rtp
	}
	d.alignAt, d.alignTo = d.ext+media.TimestampDiff(rtp, d.ts), pts
}

// pts converts an unwrapped timestamp.
func (d *Depacketizer) pts(ext media.Ticks) media.Ticks {
	return d.alignTo + d.clock.Convert(ext-d.alignAt, media.FrameClock)
}

// setClock changes the clock, for all that came after a timestamp.
func (d *Depacketizer) setClock(rate media.ClockRate, after media.Ticks) {
	d.alignTo = d.pts(after)
	d.alignAt, d.clock = after, rate
}

// Gap says that packets are missing before the next one: what is unfinished is dropped, and video waits for a key frame. Holes in the sequence numbers are seen without it; readers of a hub
// call it when they have jumped.
func (d *Depacketizer) Gap() {
	d.unit.gap(d)
	d.part, d.need = d.part[:0], 0
}

// Flush emits a picture whose end has not been told. For the end of the input.
func (d *Depacketizer) Flush() {
	if d.unit.open {
		d.unit.end(d)
	}
}

// emit hands a frame on.
func (d *Depacketizer) emit(pts, dts media.Ticks, key bool, payload []byte) {
	d.stats.Frames++
	d.frame = media.Frame{Codec: d.codec, PTS: pts, DTS: dts, Key: key, Config: d.conf, Payload: payload}
	d.opts.Emit(&d.frame)
}
