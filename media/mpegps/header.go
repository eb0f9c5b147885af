package mpegps

import "berth/media/pes"

// Bounds of headers. A length beyond them is garbage that looks like a start code.
const (
	maxSystemHeader = 1024 // the standard allows three bytes a stream
	maxMap          = 1018 // program_stream_map_length (section 2.5.4.2)
	maxHead         = 6 + maxMap
)

// noHeader is what headerSize answers when the bytes begin no header.
const noHeader = pes.NoHeader

// headerSize returns how many bytes the header at the front of b takes, as far as b tells: when it is more than b has, ask again with that many. What is passed over by its length
// (system header, private packets) counts with its first six bytes.
func headerSize(b []byte) int {
	if !mayBeCode(b) {
		return noHeader
	}
	if len(b) < 4 {
		return 4
	}
	id := b[3]
	switch {
	case id == idEnd:
		return 4
	case id == idPack:
		return packSize(b)
	case len(b) < 6:
		return 6
	}
	length := pes.Length(b)
	switch {
	case id == idSystem && length > maxSystemHeader, id == pes.IDMap && length > maxMap:
		return noHeader
	case id == idSystem:
		return 6
	case id == pes.IDMap:
		return 6 + length
	}
	return pes.HeaderSize(b)
}

// packSize is the size of a pack header: that of MPEG-2 has stuffing at its end, that of MPEG-1 (ISO/IEC 11172-1 section 2.4.3.2) has not.
func packSize(b []byte) int {
	switch {
	case len(b) < 5:
		return 5
	case b[4]>>4 == 0b0010:
		return 12
	case b[4]>>6 != 0b01:
		return noHeader
	case len(b) < 14:
		return 14
	}
	return 14 + int(b[13]&7)
}

// packClock reads the system_clock_reference_base of a whole pack header, 33 bits in media.FrameClock.
func packClock(b []byte) uint64 {
	if b[4]>>4 == 0b0010 {
		return uint64(b[4]>>1&7)<<30 | uint64(b[5])<<22 | uint64(b[6]>>1)<<15 | uint64(b[7])<<7 | uint64(b[8]>>1)
	}
	return uint64(b[4]>>3&7)<<30 | uint64(b[4]&3)<<28 | uint64(b[5])<<20 | uint64(b[6]>>3)<<15 | uint64(b[6]&3)<<13 | uint64(b[7])<<5 | uint64(b[8]>>3)
}

// wrap is where time stamps begin again.
const wrap = 1 << 33
