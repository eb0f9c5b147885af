package remux

import (
	"bytes"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
	"berth/media/annexb"
)

// Payload types of the tracks that an Assembler describes, where RFC 3551 has no static one.
const (
	videoPayloadType = 96
	audioPayloadType = 97
)

// elementary is what an Assembler knows of one stream of its source.
type elementary struct {
	id        int
	codec     media.Codec
	announced bool
	heard     time.Time // arrival of its first frame; zero before
	last      time.Time // arrival of its latest frame

	vps, sps, pps []byte // as they came last
	config        *mpeg4audio.AudioSpecificConfig
	begins        bool   // the latest frame has a sequence parameter set, or ...
	bare          bool   // ... holds no picture, only what comes before one
	version       uint64 // changes with what the track's description depends on
	offered       uint64 // version of the last Ready

	number    int // of the track, as Attached gave it; -1 when it is in none
	pack      *Packetizer
	base      uint32 // RTP timestamp of media time zero
	clock     trackClock
	nextSR    time.Time
	waitKey   bool // behind a hole
	waitSince time.Time
	keyless   bool // it has been waited for a key frame in vain
}

// packable reports whether frames of a codec can be passed on.
func packable(c media.Codec) bool {
	switch c {
	case media.CodecH264, media.CodecH265, media.CodecAAC, media.CodecPCMA, media.CodecPCMU, media.CodecOpus, media.CodecMP3, media.CodecMPA,
		media.CodecG722, media.CodecG723, media.CodecG728, media.CodecG729:
		return true
	}
	return false
}

// described reports whether enough is known for a track.
func (e *elementary) described() bool {
	if e == nil || e.heard.IsZero() {
		return false
	}
	switch e.codec {
	case media.CodecH264:
		return e.sps != nil && e.pps != nil
	case media.CodecH265:
		return e.vps != nil && e.sps != nil && e.pps != nil
	case media.CodecAAC:
		return e.config != nil
	}
	return true
}

// learn takes from a frame what describes the track. Pictures of a described stream that are no key frames are not looked into.
func (e *elementary) learn(f *media.Frame) {
	if e.codec == media.CodecAAC {
		if f.Config != nil && f.Config != e.config {
			if e.config == nil || *e.config != *f.Config {
				e.version++
			}
			e.config = f.Config
		}
		return
	}
	if f.Key {
		e.keyless = false
	}
	kind := kindOf(e.codec)
	e.begins, e.bare = false, false
	if kind == nil || e.described() && !f.Key && !e.waitKey && e.number >= 0 && !opensWithSet(kind, f.Payload) {
		return
	}
	e.bare = true
	firstPPS := true
	for unit, rest := annexb.Next(f.Payload); unit != nil; unit, rest = annexb.Next(rest) {
		switch kind(unit) {
		case unitPicture, unitFirst:
			e.bare = false
			return // sets stand before the picture, and looking through all of it costs
		case unitVPS:
			e.set(&e.vps, unit)
		case unitSPS:
			if !e.begins { // of several the first is what descriptions name
				e.begins = true
				e.set(&e.sps, unit)
			}
		case unitPPS:
			// These change from picture to picture with some encoders, and come in the stream: no reason to describe the track anew.
			if firstPPS && !bytes.Equal(e.pps, unit) {
				e.pps = bytes.Clone(unit)
			}
			firstPPS = false
		}
	}
}

// opensWithSet tells parameter sets that come without a picture.
func opensWithSet(kind func([]byte) unitKind, payload []byte) bool {
	at := annexb.StartCode(payload, 0)
	if at < 0 {
		return false
	}
	k := kind(payload[at+annexb.StartCodeSize:])
	return k == unitVPS || k == unitSPS
}

func (e *elementary) set(known *[]byte, unit []byte) {
	if !bytes.Equal(*known, unit) {
		*known = bytes.Clone(unit)
		e.version++
	}
}

// opens reports whether the stream may begin with this frame, having waited so long for a key frame.
func (e *elementary) opens(f *media.Frame, waited time.Duration) bool {
	switch {
	case f.Codec.Kind() != media.KindVideo || f.Key || e.begins && e.bare:
		return true
	case e.begins:
		return waited >= keyPatience
	}
	return waited >= 2*keyPatience
}

// opened ends the wait for a key frame with this frame.
func (e *elementary) opened(f *media.Frame) {
	e.waitKey, e.keyless = false, !e.opens(f, 0)
}

// track describes the stream.
func (e *elementary) track() (*media.Track, error) {
	var f format.Format
	switch e.codec {
	case media.CodecH264:
		f = &format.H264{PayloadTyp: videoPayloadType, SPS: e.sps, PPS: e.pps, PacketizationMode: 1}
	case media.CodecH265:
		f = &format.H265{PayloadTyp: videoPayloadType, VPS: e.vps, SPS: e.sps, PPS: e.pps}
	case media.CodecAAC:
		f = &format.MPEG4Audio{
			PayloadTyp: audioPayloadType, ProfileLevelID: 1, Config: e.config,
			SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3,
		}
	case media.CodecPCMA:
		f = &format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1}
	case media.CodecPCMU:
		f = &format.G711{PayloadTyp: 0, MULaw: true, SampleRate: 8000, ChannelCount: 1}
	case media.CodecOpus:
		f = &format.Opus{PayloadTyp: audioPayloadType, ChannelCount: 2}
	case media.CodecMP3, media.CodecMPA:
		f = &format.MPEG1Audio{}
	case media.CodecG722:
		f = &format.G722{}
	case media.CodecG723:
		f = &format.Generic{PayloadTyp: 4, RTPMa: "G723/8000", ClockRat: 8000}
	case media.CodecG728:
		f = &format.Generic{PayloadTyp: 15, RTPMa: "G728/8000", ClockRat: 8000}
	default:
		f = &format.Generic{PayloadTyp: 18, RTPMa: "G729/8000", ClockRat: 8000}
	}
	return media.NewTrack(f)
}
