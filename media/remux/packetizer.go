package remux

import (
	"encoding/binary"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/format"

	"berth/media"
)

// Sizes of packets in bytes.
const (
	// DefaultVideoMTU is the size of video packets where nobody says otherwise (`rtp.videoMtuSize`): it leaves room for what tunnels add.
	DefaultVideoMTU = 1400
	// DefaultAudioMTU is the same for audio (`rtp.audioMtuSize`).
	DefaultAudioMTU = 600

	minMTU    = 64    // smaller ones would be mostly headers
	maxMTU    = 65507 // of a datagram over IPv4
	rtpHeader = 12    // without sources and extension (RFC 3550 section 5.1)
)

// PacketizerOptions says what a [Packetizer] makes.
type PacketizerOptions struct {
	// Track says codec, packing, payload type and clock. Required.
	Track *media.Track
	// MTU is the most bytes of a packet, its RTP header included. Default [DefaultVideoMTU] or [DefaultAudioMTU], at least 64, at most 65507. A frame of audio that cannot be
	// divided makes a larger packet.
	MTU int
	// SSRC, Seq and Offset are the first packet's SSRC and sequence number, and the RTP timestamp of PTS 0. They should be random (RFC 3550 section 5.1).
	SSRC   uint32
	Seq    uint16
	Offset uint32
	// Emit takes each packet, which is valid until it returns. Required.
	Emit func(pkt []byte)
}

// Packetizer lays out the frames of one track as RTP packets. It keeps no frame: every packet of a frame is emitted before its method returns. It copies each byte once, into one
// buffer that it reuses.
type Packetizer struct {
	opts  PacketizerOptions
	write func(p *Packetizer, f *media.Frame)
	units nalPacking // of H.264 and H.265
	aac   aacHeader
	split int // where any number of samples is a frame: bytes of one sample, of all channels, which is one tick of the clock
	buf   []byte
	seq   uint16
	ts    uint32
	stats PacketizerStats
}

// PacketizerStats are counters since the construction.
type PacketizerStats struct {
	Packets uint64
	Octets  uint64 // of payloads, as sender reports count them (RFC 3550 section 6.4.1)
	Dropped uint64 // NAL units and frames that cannot be packed: of another codec, empty, or too large
}

// NewPacketizer returns an error that wraps [ErrCodec] when frames of the track's codec cannot be packed.
func NewPacketizer(opts PacketizerOptions) (*Packetizer, error) {
	p := &Packetizer{opts: opts, seq: opts.Seq}
	if err := p.choose(opts.Track); err != nil {
		return nil, err
	}
	if p.opts.MTU <= 0 {
		p.opts.MTU = DefaultAudioMTU
		if opts.Track.Kind == media.KindVideo {
			p.opts.MTU = DefaultVideoMTU
		}
	}
	p.opts.MTU = min(max(p.opts.MTU, minMTU), maxMTU)
	p.buf = make([]byte, rtpHeader, p.opts.MTU)
	p.buf[0] = 0x80
	binary.BigEndian.PutUint32(p.buf[8:], opts.SSRC)
	return p, nil
}

// choose finds how the track's codec is packed.
func (p *Packetizer) choose(t *media.Track) error {
	switch f := t.Format.(type) {
	case *format.H264:
		p.write, p.units = (*Packetizer).writeUnits, packingH264()
	case *format.H265:
		p.write, p.units = (*Packetizer).writeUnits, packingH265()
	case *format.MPEG4Audio:
		p.write, p.aac = (*Packetizer).writeAAC, newAACHeader(f)
	case *format.MPEG4AudioLATM:
		if f.CPresent || f.StreamMuxConfig.NumSubFrames > 0 || f.StreamMuxConfig.OtherDataPresent {
			return fmt.Errorf("pack AAC as LATM with its configuration in band or with several frames: %w", ErrCodec)
		}
		p.write = (*Packetizer).writeLATM
	case *format.MPEG1Audio:
		p.write = (*Packetizer).writeMPEGAudio
	case *format.G711:
		p.write, p.split = (*Packetizer).writeSamples, max(f.ChannelCount, 1)
	case *format.G722:
		p.write, p.split = (*Packetizer).writeSamples, 1
	case *format.LPCM:
		p.write, p.split = (*Packetizer).writeSamples, max(f.ChannelCount, 1)*max(f.BitDepth/8, 1)
	default:
		if t.Kind != media.KindAudio {
			return fmt.Errorf("pack %s: %w", t.Codec, ErrCodec)
		}
		p.write = (*Packetizer).writeWhole
	}
	return nil
}

// Write packs one frame. Its RTP timestamp is its PTS in the track's clock, plus the offset. Frames of another codec than the track's are dropped and counted.
func (p *Packetizer) Write(f *media.Frame) {
	p.WriteAt(p.opts.Offset+uint32(media.FrameClock.Convert(f.PTS, p.opts.Track.ClockRate)), f)
}

// WriteAt is Write with the RTP timestamp given, for a caller who counts samples itself.
func (p *Packetizer) WriteAt(timestamp uint32, f *media.Frame) {
	if len(f.Payload) == 0 || plain(f.Codec) != p.opts.Track.Codec && f.Codec != media.CodecUnknown {
		p.stats.Dropped++
		return
	}
	p.ts = timestamp
	p.write(p, f)
}

// plain gives layer 3 of MPEG audio the name of all of it, which is how a track is called (RFC 3551 section 4.5.13).
func plain(c media.Codec) media.Codec {
	if c == media.CodecMP3 {
		return media.CodecMPA
	}
	return c
}

// Stats returns the counters.
func (p *Packetizer) Stats() PacketizerStats { return p.stats }

// SSRC returns the SSRC of the packets.
func (p *Packetizer) SSRC() uint32 { return p.opts.SSRC }

// start begins a packet: what is appended to the result is its payload.
func (p *Packetizer) start() []byte { return p.buf[:rtpHeader] }

// room is how many bytes of payload a packet has.
func (p *Packetizer) room() int { return p.opts.MTU - rtpHeader }

// send completes a packet that was begun with start.
func (p *Packetizer) send(pkt []byte, marker bool) {
	p.buf = pkt[:rtpHeader]
	pkt[1] = p.opts.Track.PayloadType() & 0x7f
	if marker {
		pkt[1] |= 0x80
	}
	binary.BigEndian.PutUint16(pkt[2:], p.seq)
	binary.BigEndian.PutUint32(pkt[4:], p.ts)
	p.seq++
	p.stats.Packets++
	p.stats.Octets += uint64(len(pkt) - rtpHeader)
	p.opts.Emit(pkt)
}
