package mpegps

import "berth/media"

// nalKind says what a NAL unit means for where access units begin.
type nalKind uint8

const (
	nalSlice nalKind = 1 << iota // a coded slice
	nalFirst                     // that begins a picture
	nalOpens                     // what comes before the first slice of an access unit, and not between its slices
)

// nalHead is how many bytes of a NAL unit classify and evidence look at.
const nalHead = 3

// classify reads the first nalHead bytes of a NAL unit.
func classify(c media.Codec, p []byte) nalKind {
	if c == media.CodecH265 {
		return classifyH265(p)
	}
	switch t := p[0] & 0x1f; t { // ITU-T H.264 table 7-1 and section 7.4.1.2.3
	case 1, 2, 5:
		if p[1]&0x80 != 0 { // first_mb_in_slice is ue(v): a leading 1 bit is 0
			return nalSlice | nalFirst
		}
		return nalSlice
	case 3, 4:
		return nalSlice
	case 6, 7, 8, 9, 14, 15, 16, 17, 18:
		return nalOpens
	}
	return 0
}

// classifyH265 follows ITU-T H.265 table 7-1 and section 7.4.2.4.4. Layers above the base add to its picture.
func classifyH265(p []byte) nalKind {
	layer := p[0]&1<<5 | p[1]>>3
	switch t := p[0] >> 1 & 0x3f; {
	case t < 32 && layer == 0 && p[2]&0x80 != 0: // first_slice_segment_in_pic_flag
		return nalSlice | nalFirst
	case t < 32:
		return nalSlice
	case layer == 0 && (t <= 35 || t == 39 || t >= 41 && t <= 44 || t >= 48 && t <= 55):
		return nalOpens
	}
	return 0
}

// evidence says which codec a NAL unit, or a start code of MPEG-2 video, is likely to be of; CodecUnknown where several are possible. first says that it is the first of its access unit:
// only then slices and delimiters count, because slices of MPEG-2 have start codes of all values.
func evidence(p []byte, first bool) media.Codec {
	switch {
	case p[0] == 0xb3 && first: // sequence_header_code
		return media.CodecMPV
	case p[0]&0x80 != 0:
		return media.CodecUnknown
	case p[0]&1 == 0 && p[1] == 1: // base layer, temporal layer 0: no SEI message or parameter set of H.264 looks so
		t := p[0] >> 1
		if t >= 32 && t <= 34 || first && (t == 1 || t >= 16 && t <= 21 || t == 35 || t == 39) {
			return media.CodecH265
		}
		return media.CodecUnknown
	}
	reference := p[0]&0x60 != 0 // nal_ref_idc
	switch p[0] & 0x1f {
	case 7:
		if reference && profileH264(p[1]) {
			return media.CodecH264
		}
	case 5:
		if first && reference {
			return media.CodecH264
		}
	case 8:
		if first && reference && p[1]&0x80 != 0 {
			return media.CodecH264
		}
	case 9:
		if first && !reference && p[1]&0x1f == 0x10 {
			return media.CodecH264
		}
	case 1:
		if first {
			return media.CodecH264
		}
	}
	return media.CodecUnknown
}

// profileH264 reports whether v is a profile_idc in use (ITU-T H.264 annex A, and the multi-view profiles).
func profileH264(v byte) bool {
	switch v {
	case 66, 77, 88, 100, 110, 122, 244, 44, 83, 86, 118, 128:
		return true
	}
	return false
}
