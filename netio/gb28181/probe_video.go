package gb28181

import "encoding/binary"

// Types of H.264 NAL units and packets that devices send (ITU-T H.264 table 7-1, RFC 6184 table 1). Data partitions (2 to 4) are not among them: nobody makes them, and H.265 payloads look like that.
const (
	h264Slice = 1
	h264IDR   = 5
	h264SEI   = 6
	h264SPS   = 7
	h264PPS   = 8
	h264AUD   = 9
	h264STAPA = 24
	h264FUA   = 28
)

// h264Content judges one RFC 6184 payload.
func h264Content(b []byte) Certainty {
	if b[0]&0x80 != 0 || len(b) < 2 {
		return CertainNot
	}
	switch b[0] & 0x1f {
	case h264STAPA:
		return h264Aggregate(b[1:])
	case h264FUA:
		// Neither start and end at once, nor the reserved bit (RFC 6184 section 5.8).
		if b[1]&0xc0 == 0xc0 || b[1]&0x20 != 0 || !h264Unit(b[1]&0x1f) || len(b) < 3 {
			return CertainNot
		}
		return CertainFits
	}
	return h264Single(b)
}

func h264Unit(kind byte) bool { return kind == h264Slice || kind >= h264IDR && kind <= 12 }

// h264Single judges one NAL unit.
func h264Single(b []byte) Certainty {
	if b[0]&0x80 != 0 || len(b) < 2 {
		return CertainNot
	}
	reference := b[0]&0x60 != 0 // nal_ref_idc: never 0 in IDR slices and parameter sets, always 0 in SEI and delimiters (ITU-T H.264 section 7.4.1)
	switch kind := b[0] & 0x1f; {
	case kind == h264Slice:
		return CertainFits
	case kind == h264IDR && reference, kind == h264PPS && reference && len(b) < 256, kind == h264SEI && !reference:
		return CertainFits
	case kind == h264SPS && reference:
		return h264Profile(b)
	case kind == h264AUD && len(b) == 2 && b[1]&0x1f == 0x10:
		return CertainStrong
	}
	return CertainNot
}

// h264Profile takes a sequence parameter set with a profile_idc that exists, its reserved bits zero, and a level that exists (ITU-T H.264 section 7.4.2.1.1, annex A).
func h264Profile(b []byte) Certainty {
	if len(b) < 5 || len(b) > 512 || b[2]&3 != 0 || b[3] < 9 || b[3] > 62 {
		return CertainNot
	}
	switch b[1] {
	case 44, 66, 77, 83, 86, 88, 100, 110, 118, 122, 128, 138, 139, 134, 135, 244:
		return CertainStrong
	}
	return CertainNot
}

// h264Aggregate takes an STAP-A whose sizes add up to the packet (RFC 6184 section 5.7.1).
func h264Aggregate(b []byte) Certainty {
	if len(b) == 0 {
		return CertainNot
	}
	for len(b) > 0 {
		if len(b) < 3 {
			return CertainNot
		}
		size := int(binary.BigEndian.Uint16(b))
		if size == 0 || size > len(b)-2 || b[2]&0x80 != 0 || !h264Unit(b[2]&0x1f) {
			return CertainNot
		}
		b = b[2+size:]
	}
	return CertainStrong
}

// Types of H.265 NAL units and packets (ITU-T H.265 table 7-1, RFC 7798 section 4.4).
const (
	h265SliceLast = 9
	h265IRAPFirst = 16
	h265IRAPLast  = 21
	h265VPS       = 32
	h265SPS       = 33
	h265PPS       = 34
	h265AUD       = 35
	h265SEI       = 39
	h265SuffixSEI = 40
	h265AP        = 48
	h265FU        = 49
)

// h265Header returns the type in a NAL unit header of the base layer; ok is false for what cannot be one (ITU-T H.265 section 7.3.1.2).
func h265Header(b []byte) (kind byte, ok bool) {
	if len(b) < 3 || b[0]&0x81 != 0 || b[1]>>3 != 0 || b[1]&7 == 0 {
		return 0, false
	}
	return b[0] >> 1, true
}

// h265Content judges one RFC 7798 payload.
func h265Content(b []byte) Certainty {
	kind, ok := h265Header(b)
	switch {
	case !ok:
		return CertainNot
	case kind == h265AP:
		return h265Aggregate(b[2:])
	case kind == h265FU:
		if b[2]&0xc0 == 0xc0 || !h265Unit(b[2]&0x3f) || len(b) < 4 {
			return CertainNot
		}
		return CertainFits
	case !h265Unit(kind):
		return CertainNot
	case kind >= h265VPS && kind <= h265SPS && b[1] == 1 && len(b) > 15 && len(b) < 512, kind == h265AUD && len(b) == 3:
		return CertainStrong
	}
	return CertainFits
}

func h265Unit(kind byte) bool {
	return kind <= h265SliceLast || kind >= h265IRAPFirst && kind <= h265IRAPLast || kind >= h265VPS && kind <= h265AUD || kind == h265SEI || kind == h265SuffixSEI
}

// h265Aggregate takes an AP whose sizes add up to the packet (RFC 7798 section 4.4.2).
func h265Aggregate(b []byte) Certainty {
	if len(b) == 0 {
		return CertainNot
	}
	for len(b) > 0 {
		if len(b) < 2 {
			return CertainNot
		}
		size := int(binary.BigEndian.Uint16(b))
		if size > len(b)-2 {
			return CertainNot
		}
		if kind, ok := h265Header(b[2 : 2+size]); !ok || !h265Unit(kind) {
			return CertainNot
		}
		b = b[2+size:]
	}
	return CertainStrong
}
