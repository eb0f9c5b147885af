package pes

import "berth/media"

// Values of stream_type: ISO/IEC 13818-1 table 2-34, GB/T 28181 annex C, and what is used beside them.
const (
	TypeMPEG1Video = 0x01
	TypeMPEG2Video = 0x02
	TypeMPEG1Audio = 0x03
	TypeMPEG2Audio = 0x04
	TypePrivate    = 0x06 // PES packets of private data; descriptors say of what
	TypeADTS       = 0x0f
	TypeMPEG4Video = 0x10
	TypeLATM       = 0x11 // LOAS/LATM
	TypeH264       = 0x1b
	TypeH265       = 0x24
	TypeH266       = 0x33
	TypeSVACVideo  = 0x80
	TypePCMA       = 0x90
	TypePCMU       = 0x91
	TypeG722       = 0x92
	TypeG723       = 0x93
	TypeG729       = 0x99
	TypeSVACAudio  = 0x9b
	TypeOpus       = 0x9c // in program streams, ZLMediaKit's; in transport streams Opus is private data with a descriptor
)

// CodecOf returns the codec that a stream_type announces; CodecUnknown for private data and for what is not known here.
func CodecOf(streamType byte) media.Codec {
	switch streamType {
	case TypeH264:
		return media.CodecH264
	case TypeH265:
		return media.CodecH265
	case TypeH266:
		return media.CodecH266
	case TypeADTS, TypeLATM:
		return media.CodecAAC
	case TypePCMA:
		return media.CodecPCMA
	case TypePCMU:
		return media.CodecPCMU
	case TypeG722:
		return media.CodecG722
	case TypeG723:
		return media.CodecG723
	case TypeG729:
		return media.CodecG729
	case TypeMPEG1Audio, TypeMPEG2Audio:
		return media.CodecMP3
	case TypeMPEG1Video, TypeMPEG2Video:
		return media.CodecMPV
	case TypeSVACVideo:
		return media.CodecSVACV
	case TypeSVACAudio:
		return media.CodecSVACA
	case TypeOpus:
		return media.CodecOpus
	}
	return media.CodecUnknown
}

// TypeOf returns the stream_type of a track, for a muxer; 0 for a codec without one.
func TypeOf(t *media.Track) byte {
	switch t.Codec {
	case media.CodecH264:
		return TypeH264
	case media.CodecH265:
		return TypeH265
	case media.CodecH266:
		return TypeH266
	case media.CodecAAC:
		return TypeADTS
	case media.CodecPCMA:
		return TypePCMA
	case media.CodecPCMU:
		return TypePCMU
	case media.CodecG722:
		return TypeG722
	case media.CodecG723:
		return TypeG723
	case media.CodecG729:
		return TypeG729
	case media.CodecMP3, media.CodecMPA:
		if t.SampleRate > 0 && t.SampleRate < 32000 {
			return TypeMPEG2Audio // with its low sampling frequencies
		}
		return TypeMPEG1Audio
	case media.CodecMPV:
		return TypeMPEG2Video
	case media.CodecSVACV:
		return TypeSVACVideo
	case media.CodecSVACA:
		return TypeSVACAudio
	case media.CodecOpus:
		return TypeOpus
	}
	return 0
}

// CRC32 is the CRC of program stream maps and of the tables of transport streams (ISO/IEC 13818-1 annex A). Over a table with its CRC_32 it is 0. Tables are short and seldom change, so that this one
// does without a table of its own.
func CRC32(b []byte) uint32 {
	crc := ^uint32(0)
	for _, v := range b {
		crc ^= uint32(v) << 24
		for range 8 {
			carry := crc >> 31
			crc = crc<<1 ^ 0x04c11db7*carry
		}
	}
	return crc
}
