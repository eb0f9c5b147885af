package pes

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
)

// AudioFormat is how frames of audio follow each other in a byte stream.
type AudioFormat uint8

// The formats that [Audio] splits.
const (
	FormatADTS AudioFormat = iota + 1 // AAC with ADTS headers (ISO/IEC 13818-7 section 6.2)
	FormatLOAS                        // AAC in AudioSyncStream with LATM (ISO/IEC 14496-3 section 1.7.2)
	FormatMPEG                        // MPEG audio, layers I to III (ISO/IEC 11172-3 section 2.4.1.3)
)

// AudioFormatOf returns the format that a stream_type announces; ok is false for those whose PES packets hold whole frames without a header of their own.
func AudioFormatOf(streamType byte) (f AudioFormat, ok bool) {
	switch streamType {
	case TypeADTS:
		return FormatADTS, true
	case TypeLATM:
		return FormatLOAS, true
	case TypeMPEG1Audio, TypeMPEG2Audio:
		return FormatMPEG, true
	}
	return 0, false
}

// configKey is those bits of an ADTS header that make a configuration.
type configKey uint16

// Audio splits the byte stream of one audio stream into frames and gives each its time. Frames may be cut at any place, and several may come at once. What is no frame is passed over and counted.
//
// An Audio holds one unfinished frame, of at most 8 KiB, and belongs to one goroutine.
type Audio struct {
	format  AudioFormat
	emit    func(f *media.Frame)
	held    []byte
	strayed bool // what is at the front of the data does not follow a frame
	skipped uint64
	damaged uint64

	next media.Ticks // when the next frame is shown
	part uint64      // of a tick, in units of 1/rate of the last frame

	frame     media.Frame
	config    configKey                   // of frame.Config, for ADTS
	muxConfig *mpeg4audio.StreamMuxConfig // for LOAS
}

// NewAudio makes a splitter. emit gets each frame; it is valid until emit returns.
func NewAudio(format AudioFormat, emit func(f *media.Frame)) *Audio {
	a := &Audio{format: format, emit: emit, strayed: true}
	a.frame.Codec, a.frame.Key = media.CodecAAC, true
	if format == FormatMPEG {
		a.frame.Codec = media.CodecMP3
	}
	return a
}

// Skipped returns how many bytes belonged to no frame.
func (a *Audio) Skipped() uint64 { return a.skipped }

// Damaged returns how many frames were given up, because a part of them was missing or they made no sense inside.
func (a *Audio) Damaged() uint64 { return a.damaged }

// Gap says that bytes are missing before the next Push: an unfinished frame is dropped.
func (a *Audio) Gap() {
	if len(a.held) > 0 {
		a.damaged++
	}
	a.held, a.strayed = a.held[:0], true
}

// Push takes the payload of a PES packet. With timed, pts is when the first frame is shown that begins in it; without, frames follow each other.
func (a *Audio) Push(b []byte, pts media.Ticks, timed bool) {
	old := len(a.held) // frames that begin before here have their time already
	if old > 0 && a.strayed && timed {
		if _, v := a.header(b); v == headerFound { // more likely a frame than what is waited for
			a.skipped += uint64(old)
			a.held, old = a.held[:0], 0
		}
	}
	if old > 0 {
		a.held = append(a.held, b...)
		b = a.held
	}
	at := 0
	for at < len(b) {
		f, v := a.header(b[at:])
		if v == headerNone {
			at++
			a.skipped++
			a.strayed = true
			continue
		}
		if v == headerShort || at+f.size > len(b) {
			break
		}
		if a.strayed && !a.followed(b[at+f.size:]) {
			at++
			a.skipped++
			continue
		}
		a.strayed = false
		if timed && at >= old {
			a.next, a.part, timed = pts, 0, false
		}
		a.take(b[at:at+f.size], f)
		at += f.size
	}
	rest := b[at:]
	if timed && at >= old {
		a.next, a.part = pts, 0 // the first frame that begins here is the one that is held
	}
	if old > 0 {
		a.held = a.held[:copy(a.held, rest)]
	} else {
		a.held = append(a.held[:0], rest...)
	}
}

// followed reports whether another frame follows, or nothing that says otherwise.
func (a *Audio) followed(rest []byte) bool {
	_, v := a.header(rest)
	return v != headerNone
}

// take hands on one frame with its header.
func (a *Audio) take(b []byte, f audioHeader) {
	switch a.format {
	case FormatLOAS:
		a.takeLOAS(b[loasHeaderSize:])
		return
	case FormatADTS:
		// Profile, frequency and channels: not the private bit between them, nor what comes behind.
		key := configKey(binary.BigEndian.Uint16(b[2:])) & 0xfdc0
		if a.frame.Config == nil || key != a.config {
			a.config = key
			a.frame.Config = &mpeg4audio.AudioSpecificConfig{
				Type: mpeg4audio.ObjectType(key>>14 + 1), SampleRate: f.rate, ChannelConfig: uint8(key >> 6 & 7),
			}
		}
	}
	if f.blocks > 1 { // only a decoder can tell them apart
		a.damaged++
	} else {
		a.frame.PTS, a.frame.DTS, a.frame.Payload = a.next, a.next, b[f.skip:]
		a.emit(&a.frame)
	}
	a.advance(f.samples, f.rate)
}

// advance moves the time of the next frame on, without an error that adds up.
func (a *Audio) advance(samples, rate int) {
	n := a.part + uint64(samples)*uint64(media.FrameClock)
	a.next += media.Ticks(n / uint64(rate))
	a.part = n % uint64(rate)
}

const loasHeaderSize = 3

// takeLOAS hands on the frames of one AudioMuxElement. Unlike everything else here it allocates: LATM is rare.
func (a *Audio) takeLOAS(b []byte) {
	e := mpeg4audio.AudioMuxElement{MuxConfigPresent: true, StreamMuxConfig: a.muxConfig}
	if err := e.Unmarshal(b); err != nil || len(e.StreamMuxConfig.Programs) == 0 || len(e.StreamMuxConfig.Programs[0].Layers) == 0 {
		a.damaged++
		return
	}
	a.muxConfig = e.StreamMuxConfig
	config := a.muxConfig.Programs[0].Layers[0].AudioSpecificConfig
	if config == nil || config.SampleRate <= 0 {
		a.damaged++
		return
	}
	if a.frame.Config == nil || *a.frame.Config != *config {
		a.frame.Config = config
	}
	samples := 1024
	if config.FrameLengthFlag {
		samples = 960
	}
	for _, payload := range e.Payloads {
		if len(payload) > 0 && len(payload[0]) > 0 && len(payload[0][0]) > 0 {
			a.frame.PTS, a.frame.DTS, a.frame.Payload = a.next, a.next, payload[0][0]
			a.emit(&a.frame)
		}
		a.advance(samples, config.SampleRate)
	}
}
