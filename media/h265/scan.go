package h265

import "berth/media/sei"

// Flags say what a payload holds.
type Flags uint8

// What a payload can hold.
const (
	FlagPicture  Flags = 1 << iota // the first bytes of a slice segment (NAL unit types 0-31)
	FlagFirst                      // a slice segment that begins a picture: first_slice_segment_in_pic_flag (ITU-T H.265 section 7.3.6.1)
	FlagIRAP                       // the first bytes of an intra random access point: BLA, IDR or CRA (NAL unit types 16-23)
	FlagRecovery                   // a recovery point SEI message (ITU-T H.265 section D.2.8)
	FlagVPS                        // a video parameter set
	FlagSPS                        // a sequence parameter set
	FlagPPS                        // a picture parameter set
)

// Has reports whether all flags of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// NAL unit and packet types (ITU-T H.265 table 7-1, RFC 7798 section 4.4).
const (
	typeIRAPFirst = 16
	typeIRAPLast  = 23
	typeVCLLast   = 31
	typeVPS       = 32
	typeSPS       = 33
	typePPS       = 34
	typePrefixSEI = 39
	typeAP        = 48
	typeFU        = 49
	typePACI      = 50
)

// headerSize is the length of a NAL unit header and of the payload headers made like it (RFC 7798 section 1.1.4).
const headerSize = 2

// Scan reports what the payload of one RTP packet holds. donl says that decoding order numbers are present, that is that the fmtp line had
// sprop-max-don-diff greater than 0 (RFC 7798 section 7.1). Continuation fragments hold nothing. Broken payloads give what could be read before the break.
func Scan(payload []byte, donl bool) Flags {
	if len(payload) < headerSize {
		return 0
	}
	kind, rest := unitType(payload), payload[headerSize:]
	if kind == typePACI {
		kind, rest = unwrapPACI(rest)
	}
	switch kind {
	case typeAP:
		return scanAggregate(rest, donl)
	case typeFU:
		return scanFragment(rest, donl)
	}
	if donl {
		rest = skip(rest, 2)
	}
	return scanUnit(kind, rest)
}

func unitType(b []byte) byte { return b[0] >> 1 & 0x3f }

func skip(b []byte, n int) []byte {
	if len(b) < n {
		return nil
	}
	return b[n:]
}

// unwrapPACI skips a payload content information header (RFC 7798 section 4.4.4): A (1 bit), cType (6), PHSsize (5), flags (4), then PHSsize bytes. What follows is a
// packet of type cType without its payload header. A PACI packet inside a PACI packet is forbidden and holds nothing.
func unwrapPACI(b []byte) (kind byte, rest []byte) {
	if len(b) < 2 {
		return typePACI, nil
	}
	fields := int(b[0])<<8 | int(b[1])
	kind = byte(fields >> 9 & 0x3f)
	if kind == typePACI {
		return typePACI, nil
	}
	return kind, skip(b, 2+(fields>>4&0x1f))
}

// scanAggregate walks units of a 16-bit size each (RFC 7798 section 4.4.2): the first is preceded by DONL (2), the others by DOND (1) when donl is set.
func scanAggregate(b []byte, donl bool) Flags {
	var flags Flags
	prefix := 0
	if donl {
		prefix = 2
	}
	for len(b) >= prefix+2 {
		b = b[prefix:]
		size := int(b[0])<<8 | int(b[1])
		b = b[2:]
		if size < headerSize || size > len(b) {
			return flags
		}
		flags |= scanUnit(unitType(b), b[headerSize:size])
		b = b[size:]
		if donl {
			prefix = 1
		}
	}
	return flags
}

// scanFragment reads a fragmentation unit (RFC 7798 section 4.4.3).
func scanFragment(b []byte, donl bool) Flags {
	if len(b) == 0 || b[0]&0x80 == 0 {
		return 0
	}
	kind, rest := b[0]&0x3f, b[1:]
	if donl {
		rest = skip(rest, 2)
	}
	return scanUnit(kind, rest)
}

// scanUnit judges one NAL unit by its type and the bytes after its header.
func scanUnit(kind byte, rest []byte) Flags {
	switch {
	case kind <= typeVCLLast:
		flags := FlagPicture
		if len(rest) > 0 && rest[0]&0x80 != 0 {
			flags |= FlagFirst
		}
		if kind >= typeIRAPFirst && kind <= typeIRAPLast {
			flags |= FlagIRAP
		}
		return flags
	case kind == typeVPS:
		return FlagVPS
	case kind == typeSPS:
		return FlagSPS
	case kind == typePPS:
		return FlagPPS
	case kind == typePrefixSEI && sei.HasRecoveryPoint(rest):
		return FlagRecovery
	}
	return 0
}
