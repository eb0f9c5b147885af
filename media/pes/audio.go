package pes

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
)

// AudioFormat is how frames of audio follow each other in a byte stream.
type AudioFormat uint8

// The formats that [Audio] splits.
const (
	FormatADTS AudioFormat = iota + 1 // AAC with ADTS headers
	FormatLOAS                        // AAC in AudioSyncStream with LATM
	FormatMPEG                        // MPEG audio, layers I to III
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

// Audio splits the byte stream of one audio stream into frames and gives each its time. Frames may be cut at any place, and several may come at once. What is no frame is passed over and counted.
//
// An Audio holds one unfinished frame, of at most 8 KiB, and belongs to one goroutine.
type Audio struct {
	read    func([]byte) (AudioHeader, bool)
	least   int // bytes that read needs
	format  AudioFormat
	emit    func(f *media.Frame)
	held    []byte
	strayed bool // what is at the front of the data does not follow a frame
	skipped uint64
	damaged uint64

	next media.Ticks // when the next frame is shown
	part uint64      // of a tick, in units of 1/rate of the last frame

	frame media.Frame
	key   uint32 // of frame.Config, for ADTS
	latm  LATM
}

// NewAudio makes a splitter. emit gets each frame; it is valid until emit returns.
func NewAudio(format AudioFormat, emit func(f *media.Frame)) *Audio {
	a := &Audio{format: format, emit: emit, strayed: true}
	a.frame.Codec, a.frame.Key = media.CodecAAC, true
	switch format {
	case FormatADTS:
		a.read, a.least = ReadADTS, ADTSHeader
	case FormatLOAS:
		a.read, a.least = ReadLOAS, LOASHeader
	default:
		a.read, a.least = ReadMPEGAudio, MPEGAudioHeader
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

// Push takes payload of PES packets, a whole one or a part. With timed, pts is when the first frame is shown that begins in b; without, frames follow each other.
func (a *Audio) Push(b []byte, pts media.Ticks, timed bool) {
	old := len(a.held) // frames that begin before here have their time already
	if old > 0 && a.strayed && timed {
		if _, ok := a.read(b); ok { // more likely a frame than what is waited for
			a.skipped += uint64(old)
			a.held, old = a.held[:0], 0
		}
	}
	if old > 0 {
		a.held = append(a.held, b...)
		b = a.held
	}
	at := 0
	for len(b)-at >= a.least {
		h, ok := a.read(b[at:])
		if ok && at+h.Size > len(b) {
			break
		}
		if !ok || a.strayed && !a.followed(b[at+h.Size:]) {
			a.strayed = true
			a.skipped++
			at++
			continue
		}
		a.strayed = false
		if timed && at >= old {
			a.next, a.part, timed = pts, 0, false
		}
		a.take(b[at:at+h.Size], h)
		at += h.Size
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

// followed reports whether what comes behind a frame may be the next, as far as it is there.
func (a *Audio) followed(b []byte) bool {
	if len(b) < a.least {
		return true
	}
	_, ok := a.read(b)
	return ok
}

// take hands on one frame with its header.
func (a *Audio) take(b []byte, h AudioHeader) {
	switch {
	case a.format == FormatLOAS:
		if a.latm.Frames(b[h.Header:], a.unit) == 0 {
			a.damaged++
		}
		return
	case a.format == FormatADTS && (a.frame.Config == nil || a.key != h.Key):
		a.key, a.frame.Config = h.Key, ADTSConfig(h.Key)
	case a.format == FormatMPEG:
		a.frame.Codec = MPEGAudioCodec(h.Key)
	}
	a.out(b[h.Header:], h.Samples, h.Rate)
}

// unit takes an access unit of LATM.
func (a *Audio) unit(payload []byte, c *mpeg4audio.AudioSpecificConfig, samples int) {
	a.frame.Config = c
	a.out(payload, samples, c.SampleRate)
}

// out hands on one frame, and moves the time of the next one on without an error that adds up.
func (a *Audio) out(payload []byte, samples, rate int) {
	a.frame.PTS, a.frame.DTS, a.frame.Payload = a.next, a.next, payload
	a.emit(&a.frame)
	n := a.part + uint64(samples)*uint64(media.FrameClock)
	a.next += media.Ticks(n / uint64(rate))
	a.part = n % uint64(rate)
}
