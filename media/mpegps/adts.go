package mpegps

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"berth/media"
)

// audioHeader is what the header of a frame says whose length it tells.
type audioHeader struct {
	size    int // bytes of the frame, header included
	header  int // of these, before the payload
	samples int
	rate    int    // Hz
	key     uint32 // how the frame is coded
}

// Sizes of headers.
const (
	adtsHeader = 7
	adtsCRC    = 2 // more, when protected
)

// adtsRates are the sampling rates by sampling_frequency_index (ISO/IEC 14496-3 table 1.18).
var adtsRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// adtsKey are the bits of a header that say how the frame is coded: profile, rate, channels.
func adtsKey(b []byte) uint32 { return uint32(b[2]&0xfd)<<8 | uint32(b[3]&0xc0) }

// readADTS reads an adts_fixed_header and adts_variable_header (ISO/IEC 14496-3 section 1.A.2.2). Frames of several raw data blocks are refused: without their CRCs nothing tells where the blocks
// begin.
func readADTS(b []byte) (h audioHeader, ok bool) {
	if len(b) < adtsHeader || b[0] != 0xff || b[1]&0xf6 != 0xf0 || b[6]&3 != 0 {
		return h, false
	}
	rate := int(b[2] >> 2 & 0xf)
	if rate >= len(adtsRates) {
		return h, false
	}
	h = audioHeader{size: int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5), header: adtsHeader, samples: 1024, rate: adtsRates[rate], key: adtsKey(b)}
	if b[1]&1 == 0 {
		h.header += adtsCRC
	}
	return h, h.size > h.header
}

// adtsConfig is how frames with a key are coded.
func adtsConfig(key uint32) *mpeg4audio.AudioSpecificConfig {
	return &mpeg4audio.AudioSpecificConfig{
		Type: mpeg4audio.ObjectType(key>>14&3 + 1), SampleRate: adtsRates[key>>10&0xf], ChannelConfig: uint8(key>>8&1<<2 | key>>6&3),
	}
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

// readMPEGAudio reads the header of a frame of MPEG-1 or MPEG-2 audio. Its key is version, layer and sampling rate. Free format is refused: it does not tell its size.
func readMPEGAudio(b []byte) (h audioHeader, ok bool) {
	if len(b) < 4 || b[0] != 0xff || b[1]&0xe0 != 0xe0 {
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
	h.rate, h.samples, h.key = mpegAudioHz[hz]>>shift, 1152, uint32(b[1]&0x1e)<<8|uint32(hz)
	kbits := mpegAudioRates[low][layer-1][rate]
	switch {
	case layer == 1:
		h.samples = 384
		h.size = (12*kbits*1000/h.rate + padding) * 4
		return h, true
	case layer == 3 && low == 1:
		h.samples = 576
	}
	h.size = h.samples/8*kbits*1000/h.rate + padding
	return h, true
}

// mpegAudioCodec tells MP3 from its older relatives.
func mpegAudioCodec(key uint32) media.Codec {
	if key>>9&3 == 0b01 {
		return media.CodecMP3
	}
	return media.CodecMPA
}
