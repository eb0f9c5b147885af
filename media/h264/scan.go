package h264

import "berth/media/sei"

// Flags say what a payload holds.
type Flags uint8

// What a payload can hold.
const (
	FlagPicture  Flags = 1 << iota // the first bytes of a slice (NAL unit types 1-5)
	FlagFirst                      // a slice that begins a picture: first_mb_in_slice is 0 (ITU-T H.264 section 7.3.3)
	FlagIDR                        // the first bytes of an IDR slice (NAL unit type 5)
	FlagRecovery                   // a recovery point SEI message (ITU-T H.264 section D.2.8)
	FlagSPS                        // a sequence parameter set
	FlagPPS                        // a picture parameter set
)

// Has reports whether all flags of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// NAL unit and packet types (ITU-T H.264 table 7-1, RFC 6184 table 1).
const (
	typeSlice  = 1
	typeIDR    = 5
	typeSEI    = 6
	typeSPS    = 7
	typePPS    = 8
	typeSTAPA  = 24
	typeSTAPB  = 25
	typeMTAP16 = 26
	typeMTAP24 = 27
	typeFUA    = 28
	typeFUB    = 29
)

// Scan reports what the payload of one RTP packet holds. Continuation fragments hold nothing. Broken payloads give what could be read before the break.
func Scan(payload []byte) Flags {
	if len(payload) == 0 {
		return 0
	}
	switch payload[0] & 0x1f {
	case typeSTAPA:
		return scanAggregate(payload[1:], 0)
	case typeSTAPB:
		return scanAggregate(skip(payload, 3), 0)
	case typeMTAP16:
		return scanAggregate(skip(payload, 3), 3) // DOND (1) and TS offset (2) before each unit
	case typeMTAP24:
		return scanAggregate(skip(payload, 3), 4)
	case typeFUA:
		return scanFragment(payload, 2)
	case typeFUB:
		return scanFragment(payload, 4) // FU-B carries the DON of its start fragment
	}
	return scanUnit(payload[0]&0x1f, payload[1:])
}

func skip(b []byte, n int) []byte {
	if len(b) < n {
		return nil
	}
	return b[n:]
}

// scanAggregate walks units of a 16-bit size each; prefix bytes precede the unit and are counted in no size (RFC 6184 sections 5.7.1, 5.7.2).
func scanAggregate(b []byte, prefix int) Flags {
	var flags Flags
	for len(b) >= 2+prefix {
		size := int(b[0])<<8 | int(b[1])
		b = b[2+prefix:]
		if size == 0 || size > len(b) {
			return flags
		}
		flags |= scanUnit(b[0]&0x1f, b[1:size])
		b = b[size:]
	}
	return flags
}

func scanFragment(payload []byte, header int) Flags {
	if len(payload) < 2 || payload[1]&0x80 == 0 {
		return 0
	}
	return scanUnit(payload[1]&0x1f, skip(payload, header))
}

// scanUnit judges one NAL unit by its type and the bytes after its header.
func scanUnit(unitType byte, rest []byte) Flags {
	switch {
	case unitType == typeSPS:
		return FlagSPS
	case unitType == typePPS:
		return FlagPPS
	case unitType == typeSEI:
		if sei.HasRecoveryPoint(rest) {
			return FlagRecovery
		}
		return 0
	case unitType >= typeSlice && unitType <= typeIDR:
		flags := FlagPicture
		// first_mb_in_slice is ue(v): a leading 1 bit is zero. Data partitions B and C (types 3, 4) never begin a picture.
		if len(rest) > 0 && rest[0]&0x80 != 0 && (unitType <= 2 || unitType == typeIDR) {
			flags |= FlagFirst
		}
		if unitType == typeIDR {
			flags |= FlagIDR
		}
		return flags
	}
	return 0
}
