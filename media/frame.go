package media

import "github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

// FrameClock is the clock of a [Frame]'s times: that of PES packets (ISO/IEC 13818-1 section 2.4.3.7).
const FrameClock ClockRate = 90000

// Frame is one access unit of an elementary stream, as containers carry it. What a demuxer hands on is valid until its callback returns.
type Frame struct {
	Codec Codec
	PTS   Ticks // in FrameClock; demuxers unwrap it, so that it does not jump where the container's 33 bits end
	DTS   Ticks // in FrameClock; equal to PTS where the container tells no other
	Key   bool  // a decoder may begin here: an access unit of video with a random access point; true for all of audio
	// Config says how a frame of AAC is coded; nil for other codecs. It is shared and never changed: the same pointer as long as the coding is the same.
	Config *mpeg4audio.AudioSpecificConfig
	// Payload is, for H.264 and H.265, the NAL units of one access unit as byte stream (ITU-T H.264 and H.265, annex B); for AAC one raw_data_block without ADTS header;
	// for everything else what one packet of the codec holds.
	Payload []byte
}
