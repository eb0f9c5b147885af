package media

import "strings"

// Kind says whether a track is seen or heard. The values of video and audio are ZLMediaKit's `codec_type`.
type Kind int8

// Kinds of tracks.
const (
	KindVideo Kind = 0
	KindAudio Kind = 1
	KindOther Kind = 2 // metadata, subtitles, anything that a player does not decode as picture or sound
)

// String returns the media type of an SDP media line (RFC 8866 section 5.14): video, audio or application.
func (k Kind) String() string {
	switch k {
	case KindVideo:
		return "video"
	case KindAudio:
		return "audio"
	}
	return "application"
}

// Codec names what a track's payload is encoded with. The values are ZLMediaKit's `codec_id`.
type Codec int8

// Codecs with ZLMediaKit's numbers.
const (
	CodecUnknown Codec = -1 // passed through from RTP to RTP, never interpreted
	CodecH264    Codec = 0
	CodecH265    Codec = 1
	CodecAAC     Codec = 2
	CodecPCMA    Codec = 3
	CodecPCMU    Codec = 4
	CodecOpus    Codec = 5
	CodecL16     Codec = 6
	CodecVP8     Codec = 7
	CodecVP9     Codec = 8
	CodecAV1     Codec = 9
	CodecJPEG    Codec = 10
	CodecH266    Codec = 11
	CodecMP2T    Codec = 12
	CodecMP2P    Codec = 13
	CodecMP3     Codec = 14
	CodecADPCM   Codec = 15
	CodecSVACV   Codec = 16
	CodecSVACA   Codec = 17
	CodecG722    Codec = 18
	CodecG723    Codec = 19
	CodecG728    Codec = 20
	CodecG729    Codec = 21
	CodecMPV     Codec = 22
	CodecMPA     Codec = 23
)

// codecInfo is one row of the codec table.
type codecInfo struct {
	name string // ZLMediaKit's `codec_id_name`
	kind Kind
}

// codecTable is indexed by Codec and never written. The containers MP2T and MP2P are announced as video (RFC 3551 table 5).
var codecTable = [...]codecInfo{
	CodecH264:  {"H264", KindVideo},
	CodecH265:  {"H265", KindVideo},
	CodecAAC:   {"mpeg4-generic", KindAudio},
	CodecPCMA:  {"PCMA", KindAudio},
	CodecPCMU:  {"PCMU", KindAudio},
	CodecOpus:  {"opus", KindAudio},
	CodecL16:   {"L16", KindAudio},
	CodecVP8:   {"VP8", KindVideo},
	CodecVP9:   {"VP9", KindVideo},
	CodecAV1:   {"AV1", KindVideo},
	CodecJPEG:  {"JPEG", KindVideo},
	CodecH266:  {"H266", KindVideo},
	CodecMP2T:  {"MP2T", KindVideo},
	CodecMP2P:  {"MP2P", KindVideo},
	CodecMP3:   {"mp3", KindAudio},
	CodecADPCM: {"ADPCM", KindAudio},
	CodecSVACV: {"SVACV", KindVideo},
	CodecSVACA: {"SVACA", KindAudio},
	CodecG722:  {"G722", KindAudio},
	CodecG723:  {"G723", KindAudio},
	CodecG728:  {"G728", KindAudio},
	CodecG729:  {"G729", KindAudio},
	CodecMPV:   {"MPV", KindVideo},
	CodecMPA:   {"MPA", KindAudio},
}

// ID returns ZLMediaKit's `codec_id`, -1 for an unknown codec.
func (c Codec) ID() int { return int(c) }

// String returns ZLMediaKit's `codec_id_name`, "invalid" for an unknown codec.
func (c Codec) String() string {
	if c < 0 || int(c) >= len(codecTable) {
		return "invalid"
	}
	return codecTable[c].name
}

// Kind returns what the codec carries; KindOther for an unknown codec.
func (c Codec) Kind() Kind {
	if c < 0 || int(c) >= len(codecTable) {
		return KindOther
	}
	return codecTable[c].kind
}

// codecByEncoding finds the codec for an encoding name of an SDP rtpmap line, in any case.
func codecByEncoding(name string) Codec {
	switch strings.ToUpper(name) {
	case "MP4A-LATM", "MPEG4-GENERIC":
		return CodecAAC
	case "PS", "MP2P":
		return CodecMP2P
	case "H266", "VVC":
		return CodecH266
	case "G7221", "G722":
		return CodecG722
	}
	for c := range codecTable {
		if strings.EqualFold(codecTable[c].name, name) {
			return Codec(c)
		}
	}
	return CodecUnknown
}
