package pes

import (
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
)

// AudioHeader is what the header of a frame of audio says.
type AudioHeader struct {
	Size    int    // bytes of the frame, header included
	Header  int    // of these, before the payload; 0 for MPEG audio, whose header is a part of the frame
	Samples int    // a channel; 0 where the header does not tell
	Rate    int    // Hz; 0 where the header does not tell
	Key     uint32 // how the frame is coded: equal for frames of one coding
}

// Bytes that the functions which read headers need.
const (
	ADTSHeader      = 7
	LOASHeader      = 3
	MPEGAudioHeader = 4
)

// adtsRates are the sampling rates by sampling_frequency_index (ISO/IEC 14496-3 table 1.18).
var adtsRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// ReadADTS reads the ADTS header at the front of b (ISO/IEC 14496-3 section 1.A.2.2). Frames of several raw data blocks are refused: only a decoder can tell where they begin.
func ReadADTS(b []byte) (h AudioHeader, ok bool) {
	const crc = 2
	if len(b) < ADTSHeader || b[0] != 0xff || b[1]&0xf6 != 0xf0 || b[6]&3 != 0 {
		return h, false
	}
	rate := int(b[2] >> 2 & 0xf)
	if rate >= len(adtsRates) {
		return h, false
	}
	h = AudioHeader{
		Size: int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5), Header: ADTSHeader, Samples: 1024, Rate: adtsRates[rate],
		Key: uint32(b[2]&0xfd)<<8 | uint32(b[3]&0xc0), // profile, rate and channels, without the private bit between them
	}
	if b[1]&1 == 0 {
		h.Header += crc
	}
	return h, h.Size > h.Header
}

// ADTSConfig returns how frames with a Key of [ReadADTS] are coded.
func ADTSConfig(key uint32) *mpeg4audio.AudioSpecificConfig {
	return &mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectType(key>>14&3 + 1), SampleRate: adtsRates[min(int(key>>10&0xf), len(adtsRates)-1)], ChannelConfig: uint8(key >> 6 & 7),
	}
}

// AppendADTS appends the ADTS header of a frame of AAC with size bytes; ok is false for what ADTS cannot say: no configuration, another object type than the first four, another sampling rate
// than the thirteen of its table, frames of 960 samples, more than 8184 bytes.
func AppendADTS(dst []byte, c *mpeg4audio.AudioSpecificConfig, size int) (b []byte, ok bool) {
	const most = 1<<13 - 1
	if c == nil || c.Type < 1 || c.Type > 4 || c.FrameLengthFlag || c.ChannelConfig > 7 || size+ADTSHeader > most {
		return dst, false
	}
	rate := slices.Index(adtsRates[:], c.SampleRate)
	if rate < 0 {
		return dst, false
	}
	size += ADTSHeader
	return append(dst, 0xff, 0xf1, byte(c.Type-1)<<6|byte(rate)<<2|c.ChannelConfig>>2, c.ChannelConfig<<6|byte(size>>11), byte(size>>3), byte(size)<<5|0x1f, 0xfc), true
}

// ReadLOAS reads the head of the AudioSyncStream at the front of b (ISO/IEC 14496-3 section 1.7.2). Everything but the size is known inside only, see [LATM].
func ReadLOAS(b []byte) (h AudioHeader, ok bool) {
	if len(b) < LOASHeader || b[0] != 0x56 || b[1]&0xe0 != 0xe0 {
		return h, false
	}
	h.Size = LOASHeader + (int(b[1]&0x1f)<<8 | int(b[2]))
	h.Header = LOASHeader
	return h, h.Size > h.Header
}

// Bit rates in kb/s by bitrate_index (ISO/IEC 11172-3 section 2.4.2.3, ISO/IEC 13818-3 section 2.4.2.3).
var mpegAudioRates = [2][3][15]int{
	{ // MPEG-1, layers I to III
		{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	},
	{ // MPEG-2
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	},
}

// mpegAudioHz are the sampling rates of MPEG-1; those of MPEG-2 are half, those of the extension MPEG-2.5 a quarter.
var mpegAudioHz = [3]int{44100, 48000, 32000}

// ReadMPEGAudio reads the header of a frame of MPEG audio, layers I to III. Its Key is version, layer and sampling rate. Free format is refused: it does not tell its size.
func ReadMPEGAudio(b []byte) (h AudioHeader, ok bool) {
	if len(b) < MPEGAudioHeader || b[0] != 0xff || b[1]&0xe0 != 0xe0 {
		return h, false
	}
	version, layer, rate, hz, padding := b[1]>>3&3, 4-int(b[1]>>1&3), int(b[2]>>4), int(b[2]>>2&3), int(b[2]>>1&1)
	if version == 1 || layer == 4 || rate == 0 || rate == 15 || hz == 3 {
		return h, false
	}
	low, shift := 0, 0
	switch version {
	case 2:
		low, shift = 1, 1
	case 0:
		low, shift = 1, 2
	}
	h = AudioHeader{Rate: mpegAudioHz[hz] >> shift, Samples: 1152, Key: uint32(b[1]&0x1e)<<8 | uint32(hz)}
	bits := mpegAudioRates[low][layer-1][rate] * 1000
	switch {
	case layer == 1:
		h.Samples = 384
		h.Size = (12*bits/h.Rate + padding) * 4
		return h, true
	case layer == 3 && low == 1:
		h.Samples = 576
	}
	h.Size = h.Samples/8*bits/h.Rate + padding
	return h, true
}

// MPEGAudioCodec tells MP3 from its older relatives by the Key of [ReadMPEGAudio].
func MPEGAudioCodec(key uint32) media.Codec {
	if key>>9&3 == 0b01 {
		return media.CodecMP3
	}
	return media.CodecMPA
}
