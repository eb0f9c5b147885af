package mpegts

import (
	"berth/media"
	"berth/media/annexb"
	"berth/media/h264"
	"berth/media/h265"
)

// opensPicture reports whether bytes begin with a NAL unit that no other of the same picture comes before: a delimiter, a parameter set, or the first slice.
func opensPicture(codec media.Codec, p []byte) bool {
	at := annexb.StartCode(p, 0)
	if at < 0 || at > 1 || at+5 > len(p) {
		return false
	}
	unit := p[at+3:]
	switch codec {
	case media.CodecH264:
		return unit[0]&0x1f == 9 || h264.Scan(unit)&(h264.FlagFirst|h264.FlagSPS) != 0
	case media.CodecH265:
		return unit[0]>>1&0x3f == 35 || h265.Scan(unit, false)&(h265.FlagFirst|h265.FlagVPS|h265.FlagSPS) != 0
	}
	return false
}

// hasPicture reports whether a unit has a slice.
func hasPicture(codec media.Codec, b []byte) bool {
	for unit, rest := annexb.Next(b); unit != nil; unit, rest = annexb.Next(rest) {
		switch {
		case codec == media.CodecH264 && h264.Scan(unit).Has(h264.FlagPicture), codec == media.CodecH265 && h265.Scan(unit, false).Has(h265.FlagPicture):
			return true
		}
	}
	return false
}
