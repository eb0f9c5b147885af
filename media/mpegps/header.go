package mpegps

import "berth/media"

// Bounds of headers. A length beyond them is garbage that looks like a start code.
const (
	maxSystemHeader = 1024 // the standard allows three bytes a stream
	maxMap          = 1018 // program_stream_map_length (section 2.5.4.2)
	maxStuffing     = 16   // of an MPEG-1 packet header
	maxHead         = 6 + maxMap
)

// noHeader is what headerSize answers when the bytes begin no header.
const noHeader = -1

// headerSize returns how many bytes the header at the front of b takes, as far as b tells: when it is more than b has, ask again with that many. What is passed over by its length
// (system header, private packets) counts with its first six bytes.
func headerSize(b []byte) int {
	for i, v := range b[:min(len(b), 3)] {
		if v != byte(i>>1) { // 00 00 01
			return noHeader
		}
	}
	if len(b) < 4 {
		return 4
	}
	id := b[3]
	switch {
	case id < firstCode:
		return noHeader
	case id == idEnd:
		return 4
	case id == idPack:
		return packSize(b)
	case len(b) < 6:
		return 6
	}
	length := int(b[4])<<8 | int(b[5])
	switch {
	case id == idSystem && length > maxSystemHeader, id == idMap && length > maxMap:
		return noHeader
	case id == idMap:
		return 6 + length
	case !hasPESHeader(id):
		return 6
	}
	return pesSize(b, length)
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

// pesSize is the size of a PES packet's header, of MPEG-2 (section 2.4.3.6) or MPEG-1 (ISO/IEC 11172-1 section 2.4.3.3).
func pesSize(b []byte, length int) int {
	if len(b) < 7 {
		return 7
	}
	size := 0
	if b[6]>>6 == 0b10 {
		if len(b) < 9 {
			return 9
		}
		size = 9 + int(b[8])
	} else {
		if size = mpeg1Size(b); size > len(b) || size == noHeader {
			return size
		}
	}
	if length != 0 && size > 6+length {
		return noHeader
	}
	return size
}

// mpeg1Size walks stuffing and the buffer size to the byte that says which times follow.
func mpeg1Size(b []byte) int {
	at := 6
	for ; at < len(b) && b[at] == 0xff; at++ {
		if at == 6+maxStuffing {
			return noHeader
		}
	}
	if at < len(b) && b[at]>>6 == 0b01 {
		at += 2
	}
	switch {
	case at >= len(b):
		return at + 1
	case b[at]>>4 == 0b0010:
		return at + 5
	case b[at]>>4 == 0b0011:
		return at + 10
	case b[at] == 0x0f:
		return at + 1
	}
	return noHeader
}

// times are the raw time stamps of a PES header, 33 bits each.
type times struct {
	pts, dts uint64
	ok       bool // there is a PTS; without a DTS of its own dts equals it
}

// pesTimes reads the time stamps of a whole PES header. Marker bits are not checked: devices set them wrongly.
func pesTimes(b []byte) times {
	if b[6]>>6 != 0b10 {
		return mpeg1Times(b)
	}
	flags, fields := b[7]>>6, b[9:]
	if flags < 0b10 || len(fields) < 5 {
		return times{}
	}
	t := times{pts: stamp33(fields), ok: true}
	t.dts = t.pts
	if flags == 0b11 && len(fields) >= 10 {
		t.dts = stamp33(fields[5:])
	}
	return t
}

func mpeg1Times(b []byte) times {
	at := 6
	for at < len(b) && b[at] == 0xff {
		at++
	}
	if at < len(b) && b[at]>>6 == 0b01 {
		at += 2
	}
	t := times{}
	if at+5 <= len(b) && b[at]>>5 == 0b001 {
		t = times{pts: stamp33(b[at:]), ok: true}
		t.dts = t.pts
		if b[at]>>4 == 0b0011 && at+10 <= len(b) {
			t.dts = stamp33(b[at+5:])
		}
	}
	return t
}

// stamp33 reads a time stamp of 33 bits out of 5 bytes with marker bits between (section 2.4.3.7).
func stamp33(b []byte) uint64 {
	return uint64(b[0]>>1&7)<<30 | uint64(b[1])<<22 | uint64(b[2]>>1)<<15 | uint64(b[3])<<7 | uint64(b[4]>>1)
}

// packClock reads the system_clock_reference_base of a whole pack header, 33 bits in FrameClock.
func packClock(b []byte) uint64 {
	if b[4]>>4 == 0b0010 {
		return stamp33(b[4:])
	}
	return uint64(b[4]>>3&7)<<30 | uint64(b[4]&3)<<28 | uint64(b[5])<<20 | uint64(b[6]>>3)<<15 | uint64(b[6]&3)<<13 | uint64(b[7])<<5 | uint64(b[8]>>3)
}

// wrap is where time stamps begin again.
const wrap = 1 << 33

// unwrapper makes times that do not wrap out of those that do.
type unwrapper struct {
	last  media.Ticks
	known bool
}

// at returns the time nearest to the one before. A jump of the source stays a jump.
func (u *unwrapper) at(raw uint64) media.Ticks {
	if !u.known {
		u.last, u.known = media.Ticks(raw), true
		return u.last
	}
	u.last += nearest(raw - uint64(u.last))
	return u.last
}

// nearest reads a difference modulo 2^33 as the shorter way round.
func nearest(diff uint64) media.Ticks {
	return media.Ticks(int64(diff<<31) >> 31)
}
