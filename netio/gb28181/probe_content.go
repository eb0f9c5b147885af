package gb28181

import (
	"bytes"
	"encoding/binary"
)

// content says how well a payload fits a kind.
func content(k Kind, b []byte) Certainty {
	if len(b) == 0 {
		return CertainNot
	}
	switch k {
	case KindPS:
		return programContent(b)
	case KindTS:
		return transportContent(b)
	case KindEhome:
		if b[0] == ehomeMark && isPack(b[1:]) {
			return CertainStrong // a fragment may end a picture with that byte and go on with a pack
		}
		return CertainNot
	case KindH264:
		return h264Content(b)
	case KindH265:
		return h265Content(b)
	case KindAAC:
		return aacContent(b)
	case KindADTS:
		return adtsContent(b)
	case KindPCMA, KindPCMU, KindG722, KindG723, KindG729, KindOpus, KindMPA:
		return audioContent(k, b)
	}
	return CertainNot
}

// confirms is a quick test of a payload against a kind that was decided before.
func confirms(k Kind, b []byte) bool {
	switch k {
	case KindPS:
		return startsProgram(b)
	case KindEhome:
		return b[0] == ehomeMark && startsProgram(b[1:])
	case KindTS:
		return b[0] == tsSync
	}
	return content(k, b) > CertainNot
}

// isPack reports whether a pack header begins at b: its start code and the marker bits behind it (ISO/IEC 13818-1 section 2.5.3.3, ISO/IEC 11172-1 section 2.4.3.2).
func isPack(b []byte) bool {
	return len(b) >= 5 && bytes.HasPrefix(b, programStart) && b[3] == 0xba && (b[4]&0xc4 == 0x44 || b[4]&0xf1 == 0x21)
}

// startsProgram reports whether a part of a program stream begins at b. What follows the start code is never a NAL unit: it would have its forbidden bit set.
func startsProgram(b []byte) bool {
	return len(b) >= 4 && bytes.HasPrefix(b, programStart) && (isPack(b) || b[3] >= 0xbb)
}

func programContent(b []byte) Certainty {
	if startsProgram(b) {
		return CertainSure
	}
	if b[0] == ehomeMark && isPack(b[1:]) {
		return CertainNot
	}
	// Devices that cut their stream at any place have the pack somewhere inside. NAL units have no start codes in them, and other payloads hardly these five bytes.
	for {
		at := bytes.Index(b, programStart)
		if at < 0 {
			return CertainNot
		}
		if b = b[at:]; isPack(b) {
			return CertainSure
		}
		b = b[1:]
	}
}

const (
	tsSync   = 0x47
	tsPacket = 188 // ISO/IEC 13818-1 section 2.4.3.2
	tsWithRS = 204 // with 16 bytes of Reed-Solomon code, as some encoders leave them on
)

func transportContent(b []byte) Certainty {
	for _, size := range [...]int{tsPacket, tsWithRS} {
		if len(b)%size == 0 && synced(b, size) {
			if len(b) == size {
				return CertainStrong
			}
			return CertainSure
		}
	}
	// Cut at any place: four sync bytes at the right distance.
	const enough = 4
	for at := 0; at < tsPacket && at+tsPacket*(enough-1) < len(b); at++ {
		if b[at] == tsSync && synced(b[at:], tsPacket) {
			return CertainStrong
		}
	}
	return CertainNot
}

// synced reports whether each packet of the given size begins with the sync byte.
func synced(b []byte, size int) bool {
	for at := 0; at < len(b); at += size {
		if b[at] != tsSync || at+3 < len(b) && b[at+3]&0x30 == 0 { // adaptation_field_control 0 is reserved
			return false
		}
	}
	return true
}

// aacContent takes AU headers of 13 bits of size and 3 of index (RFC 3640 section 3.3.6) whose sizes add up to the payload.
func aacContent(b []byte) Certainty {
	if len(b) < 5 {
		return CertainNot
	}
	bits := int(binary.BigEndian.Uint16(b))
	if bits == 0 || bits%16 != 0 || 2+bits/8 > len(b) {
		return CertainNot
	}
	sum := 2 + bits/8
	for at := 2; at < 2+bits/8; at += 2 {
		sum += int(binary.BigEndian.Uint16(b[at:]) >> 3)
	}
	if sum != len(b) {
		return CertainNot
	}
	return CertainStrong
}

// adtsContent takes whole ADTS frames (ISO/IEC 13818-7 section 6.2) that fill the payload.
func adtsContent(b []byte) Certainty {
	frames := 0
	for len(b) > 0 {
		if len(b) < 7 || b[0] != 0xff || b[1]&0xf6 != 0xf0 {
			return CertainNot
		}
		size := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
		if size < 7 || size > len(b) {
			return CertainNot
		}
		b = b[size:]
		frames++
	}
	if frames > 1 {
		return CertainSure
	}
	return CertainStrong
}

// audioContent says whether audio without a form of its own may be what it is said to be: packets of a kind that has start codes, or pictures, are larger or begin otherwise.
func audioContent(k Kind, b []byte) Certainty {
	const longest = 1280 // 160 ms of G.711; pictures are cut at 1,300 bytes and more
	switch {
	case isPack(b), b[0] == ehomeMark && isPack(b[1:]), len(b) > longest && k != KindMPA:
		return CertainNot
	case k == KindMPA:
		// 16 bits that must be zero, 16 of offset; at offset 0 a frame's sync word follows (RFC 2250 section 3.5).
		if len(b) < 6 || b[0]|b[1] != 0 {
			return CertainNot
		}
		if b[2]|b[3] == 0 {
			if b[4] != 0xff || b[5]&0xe0 != 0xe0 {
				return CertainNot
			}
			return CertainStrong
		}
	case k == KindG723 && len(b)%4 != 0: // frames of 4, 20 and 24 bytes
		return CertainNot
	case k == KindG729 && len(b)%10 != 0 && len(b)%10 != 2: // frames of 10 bytes, and one of 2 at the end
		return CertainNot
	}
	return CertainFits
}
