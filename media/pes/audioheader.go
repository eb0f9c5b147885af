package pes

import (
	"encoding/binary"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// audioHeader is what the header of a frame says.
type audioHeader struct {
	size    int // bytes with the header
	skip    int // of these, before what is handed on
	samples int // a channel
	rate    int // Hz
	blocks  int // raw_data_blocks
}

// headerVerdict says whether a header stands at some place.
type headerVerdict uint8

const (
	headerNone headerVerdict = iota
	headerShort
	headerFound
)

// header reads the frame header at the front of b.
func (a *Audio) header(b []byte) (audioHeader, headerVerdict) {
	if len(b) == 0 {
		return audioHeader{}, headerShort
	}
	switch a.format {
	case FormatADTS:
		return adtsHeader(b)
	case FormatLOAS:
		return loasHeader(b)
	}
	return mpegHeader(b)
}

// adtsRates are the frequencies of sampling_frequency_index (ISO/IEC 14496-3 table 1.18).
var adtsRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

func adtsHeader(b []byte) (audioHeader, headerVerdict) {
	const size, crc, samples = 7, 2, 1024
	if b[0] != 0xff || len(b) > 1 && b[1]&0xf6 != 0xf0 { // sync word, and a layer of 0
		return audioHeader{}, headerNone
	}
	if len(b) < size {
		return audioHeader{}, headerShort
	}
	blocks := int(b[6]&3) + 1
	f := audioHeader{size: int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5), skip: size, samples: blocks * samples, blocks: blocks}
	if b[1]&1 == 0 {
		f.skip += crc
	}
	index := int(b[2] >> 2 & 15)
	if f.size <= f.skip || index >= len(adtsRates) {
		return audioHeader{}, headerNone
	}
	f.rate = adtsRates[index]
	return f, headerFound
}

// loasHeader reads the sync word and length of an AudioSyncStream; everything else is known inside only.
func loasHeader(b []byte) (audioHeader, headerVerdict) {
	if b[0] != 0x56 || len(b) > 1 && b[1]&0xe0 != 0xe0 {
		return audioHeader{}, headerNone
	}
	if len(b) < loasHeaderSize {
		return audioHeader{}, headerShort
	}
	f := audioHeader{size: loasHeaderSize + int(binary.BigEndian.Uint16(b[1:])&0x1fff)}
	if f.size == loasHeaderSize {
		return audioHeader{}, headerNone
	}
	return f, headerFound
}

// Bit rates in kbit/s by bitrate_index (ISO/IEC 11172-3 section 2.4.2.3, ISO/IEC 13818-3 section 2.4.2.3): first those of MPEG-1, layers I to III, then those of low sampling frequencies, layer I and the others.
var mpegBitrates = [5][14]int{
	{32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
	{32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	{32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
	{8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

var mpegRates = [3]int{44100, 48000, 32000}

func mpegHeader(b []byte) (audioHeader, headerVerdict) {
	if b[0] != 0xff || len(b) > 1 && b[1]&0xe0 != 0xe0 {
		return audioHeader{}, headerNone
	}
	if len(b) < 4 {
		return audioHeader{}, headerShort
	}
	version, layer := b[1]>>3&3, 4-int(b[1]>>1&3) // 3 is MPEG-1, 2 its low frequencies, 0 still lower ones
	bitrate, rate := int(b[2]>>4), int(b[2]>>2&3)
	if version == 1 || layer == 4 || bitrate == 0 || bitrate == 15 || rate == 3 {
		return audioHeader{}, headerNone
	}
	row, f := layer-1, audioHeader{rate: mpegRates[rate], blocks: 1}
	if version != 3 {
		row = 3 + min(layer-1, 1)
		f.rate >>= 1 + (2-version)/2
	}
	bits, padding := mpegBitrates[row][bitrate-1]*1000, int(b[2]>>1&1)
	switch {
	case layer == 1:
		f.samples, f.size = 384, (12*bits/f.rate+padding)*4
	case layer == 3 && version != 3:
		f.samples, f.size = 576, 72*bits/f.rate+padding
	default:
		f.samples, f.size = 1152, 144*bits/f.rate+padding
	}
	return f, headerFound
}

// AppendADTS appends the ADTS header of a frame of AAC with size bytes; ok is false for what ADTS cannot say: no configuration, another object type than the first four, another sampling frequency
// than the thirteen of its table, frames of 960 samples, more than 8184 bytes.
func AppendADTS(dst []byte, c *mpeg4audio.AudioSpecificConfig, size int) (b []byte, ok bool) {
	const header, most = 7, 1<<13 - 1
	if c == nil || c.Type < 1 || c.Type > 4 || c.FrameLengthFlag || c.ChannelConfig > 7 || size+header > most {
		return dst, false
	}
	index := slices.Index(adtsRates[:], c.SampleRate)
	if index < 0 {
		return dst, false
	}
	size += header
	return append(dst, 0xff, 0xf1, byte(c.Type-1)<<6|byte(index)<<2|c.ChannelConfig>>2, c.ChannelConfig<<6|byte(size>>11), byte(size>>3), byte(size)<<5|0x1f, 0xfc), true
}
