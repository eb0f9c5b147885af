package remux

import (
	"berth/media"
)

// unitKind sorts NAL units by what is done with them.
type unitKind uint8

const (
	unitOther   unitKind = iota // passed on: SEI messages, delimiters, filler
	unitPicture                 // coded picture data
	unitFirst                   // the same, and its first slice says that it begins a picture
	unitVPS
	unitSPS
	unitPPS
	unitInvalid // has no meaning outside of an RTP packet, or no header
)

// kindH264 sorts by nal_unit_type (ITU-T H.264 table 7-1). 0 and 24-31 are free for RTP (RFC 6184 table 1).
func kindH264(unit []byte) unitKind {
	if len(unit) == 0 {
		return unitInvalid
	}
	switch t := unit[0] & 0x1f; {
	case t == 7:
		return unitSPS
	case t == 8:
		return unitPPS
	case t == 0 || t > 23:
		return unitInvalid
	case t <= 5:
		// first_mb_in_slice is ue(v): a leading 1 bit is zero. Data partitions B and C never begin a picture.
		if len(unit) > 1 && unit[1]&0x80 != 0 && t != 3 && t != 4 {
			return unitFirst
		}
		return unitPicture
	}
	return unitOther
}

// kindH265 sorts by nal_unit_type (ITU-T H.265 table 7-1). 48-50 mean packets of RTP (RFC 7798 section 4.4); the unspecified ones above are in use, for instance by Dolby Vision.
// nuh_temporal_id_plus1 is never 0 (section 7.4.2.2), so that no unit looks like a start code.
func kindH265(unit []byte) unitKind {
	if len(unit) < 2 || unit[1]&7 == 0 {
		return unitInvalid
	}
	switch t := unit[0] >> 1 & 0x3f; {
	case t <= 31:
		if len(unit) > 2 && unit[2]&0x80 != 0 {
			return unitFirst
		}
		return unitPicture
	case t == 32:
		return unitVPS
	case t == 33:
		return unitSPS
	case t == 34:
		return unitPPS
	case t >= 48 && t <= 50:
		return unitInvalid
	}
	return unitOther
}

// kindOf returns how the units of a codec are sorted, nil for a codec without NAL units.
func kindOf(codec media.Codec) func([]byte) unitKind {
	switch codec {
	case media.CodecH264:
		return kindH264
	case media.CodecH265:
		return kindH265
	}
	return nil
}
