package annexb

import "bytes"

// StartCodeSize is the length of the start code that StartCode looks for; the zero_byte that makes it four long belongs to what is before it (annex B.1.1).
const StartCodeSize = 3

// startCode is start_code_prefix_one_3bytes.
const startCode = "\x00\x00\x01"

// StartCode returns the index of the next 00 00 01 at or after from, -1 without one. A from outside of b finds nothing. A caller who gets bytes in pieces keeps the last two of
// each, in which a start code may begin.
func StartCode(b []byte, from int) int {
	if from < 0 || from > len(b)-StartCodeSize {
		return -1
	}
	// Coded pictures hold a byte 01 about as often as any other, so that nearly all is passed over at the speed of IndexByte.
	for i := from + 2; i < len(b); i += 3 { // no start code can end sooner behind a 01
		n := bytes.IndexByte(b[i:], 1)
		if n < 0 {
			return -1
		}
		i += n
		if b[i-1]|b[i-2] == 0 {
			return i - 2
		}
	}
	return -1
}

// Next returns the first NAL unit without its start code and without the zeros behind it, and the bytes from the next start code on. Bytes before the first start code
// are passed over, and so are units without a byte. unit is nil at the end. Both share the memory of b.
func Next(b []byte) (unit, rest []byte) {
	at := StartCode(b, 0)
	for at >= 0 {
		b = b[at+StartCodeSize:]
		if at = StartCode(b, 0); at < 0 {
			return trim(b), nil
		}
		if unit = trim(b[:at]); unit != nil {
			return unit, b[at:]
		}
	}
	return nil, nil
}

// trim cuts off trailing_zero_8bits and the zero_byte of a start code that follows; no NAL unit ends in a zero (ITU-T H.264 and H.265 section 7.4.1). nil when nothing is left.
func trim(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return nil
	}
	return b[:len(b):len(b)]
}

// Append adds a NAL unit behind a start code of four bytes, which is allowed before every unit and demanded before some (annex B.1.2).
func Append(dst, unit []byte) []byte {
	return append(append(dst, "\x00"+startCode...), unit...)
}
