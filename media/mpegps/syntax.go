package mpegps

import "berth/media"

// Values of stream_id and the start codes beside them (ISO/IEC 13818-1 tables 2-22 and 2-39).
const (
	idEnd       = 0xb9 // MPEG_program_end_code
	idPack      = 0xba // pack_start_code
	idSystem    = 0xbb // system_header_start_code
	idMap       = 0xbc // program_stream_map
	idPrivate1  = 0xbd // private_stream_1, the only private stream with a PES header
	idPadding   = 0xbe
	idPrivate2  = 0xbf
	idAudio     = 0xc0 // to 0xdf
	idVideo     = 0xe0 // to 0xef
	idVideoLast = 0xef
)

// firstCode is the least byte behind 00 00 01 that belongs to the program stream. No NAL unit of H.264 or H.265 begins with one so large: its first bit is 0.
const firstCode = idEnd

// Values of stream_type: ISO/IEC 13818-1 table 2-34, GB/T 28181 annex C, and what devices use beside them.
const (
	typeMPEG1Video = 0x01
	typeMPEG2Video = 0x02
	typeMPEG1Audio = 0x03
	typeMPEG2Audio = 0x04
	typeADTS       = 0x0f
	typeMPEG4Video = 0x10
	typeLATM       = 0x11
	typeH264       = 0x1b
	typeH265       = 0x24
	typeSVACVideo  = 0x80
	typePCMA       = 0x90
	typePCMU       = 0x91
	typeG722       = 0x92
	typeG723       = 0x93
	typeG729       = 0x99
	typeSVACAudio  = 0x9b
	typeOpus       = 0x9c // ZLMediaKit's
)

// codecOf returns the codec that a program stream map announces with a stream_type; CodecUnknown for one that is not known here.
func codecOf(streamType byte) media.Codec {
	switch streamType {
	case typeH264:
		return media.CodecH264
	case typeH265:
		return media.CodecH265
	case typeADTS, typeLATM:
		return media.CodecAAC
	case typePCMA:
		return media.CodecPCMA
	case typePCMU:
		return media.CodecPCMU
	case typeG722:
		return media.CodecG722
	case typeG723:
		return media.CodecG723
	case typeG729:
		return media.CodecG729
	case typeMPEG1Audio, typeMPEG2Audio:
		return media.CodecMP3
	case typeMPEG1Video, typeMPEG2Video:
		return media.CodecMPV
	case typeSVACVideo:
		return media.CodecSVACV
	case typeSVACAudio:
		return media.CodecSVACA
	case typeOpus:
		return media.CodecOpus
	}
	return media.CodecUnknown
}

// typeOf is the reverse of codecOf, for the muxer; 0 for what a program stream does not carry.
func typeOf(t *media.Track) byte {
	switch t.Codec {
	case media.CodecH264:
		return typeH264
	case media.CodecH265:
		return typeH265
	case media.CodecAAC:
		return typeADTS
	case media.CodecPCMA:
		return typePCMA
	case media.CodecPCMU:
		return typePCMU
	case media.CodecG722:
		return typeG722
	case media.CodecG723:
		return typeG723
	case media.CodecG729:
		return typeG729
	case media.CodecMP3, media.CodecMPA:
		if t.SampleRate > 0 && t.SampleRate < 32000 {
			return typeMPEG2Audio
		}
		return typeMPEG1Audio
	case media.CodecMPV:
		return typeMPEG2Video
	case media.CodecSVACV:
		return typeSVACVideo
	case media.CodecSVACA:
		return typeSVACAudio
	case media.CodecOpus:
		return typeOpus
	}
	return 0
}

// hasPESHeader reports whether packets of a stream_id have the fields of a PES header behind PES_packet_length (section 2.4.3.7).
func hasPESHeader(id byte) bool {
	return id == idPrivate1 || id >= idAudio && id <= idVideoLast
}

// crc32 is the CRC of program stream maps (annex A of ISO/IEC 13818-1): over a map with its CRC_32 it is 0. Maps are short and seldom change, so that no table is worth it.
func crc32(b []byte) uint32 {
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
