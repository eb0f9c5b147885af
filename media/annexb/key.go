package annexb

import (
	"berth/media"
	"berth/media/h264"
	"berth/media/h265"
)

// Key reports whether a decoder may begin with an access unit of H.264 (an IDR picture, or a recovery point SEI message before the picture) or H.265 (an IRAP picture, or the same
// message). It looks no further than the head of the first slice. For every other codec it is true, as every frame of audio stands alone.
func Key(codec media.Codec, accessUnit []byte) bool {
	var judge func(unit []byte) (picture, key bool)
	switch codec {
	case media.CodecH264:
		judge = judgeH264
	case media.CodecH265:
		judge = judgeH265
	default:
		return codec.Kind() == media.KindAudio || codec == media.CodecUnknown
	}
	recovery := false
	for at := StartCode(accessUnit, 0); at >= 0; at = StartCode(accessUnit, at+StartCodeSize) {
		picture, key := judge(accessUnit[at+StartCodeSize:])
		if picture {
			return key || recovery
		}
		recovery = recovery || key
	}
	return false
}

// judgeH264 looks at what begins with a NAL unit. Types above 23 would be read as packets of RTP.
func judgeH264(unit []byte) (picture, key bool) {
	if len(unit) == 0 || unit[0]&0x1f > 23 {
		return false, false
	}
	flags := h264.Scan(unit)
	return flags.Has(h264.FlagPicture), flags&(h264.FlagIDR|h264.FlagRecovery) != 0
}

func judgeH265(unit []byte) (picture, key bool) {
	if len(unit) == 0 || unit[0]>>1&0x3f > 47 {
		return false, false
	}
	flags := h265.Scan(unit, false)
	return flags.Has(h265.FlagPicture), flags&(h265.FlagIRAP|h265.FlagRecovery) != 0
}
