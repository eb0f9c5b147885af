package pes

import "berth/media"

// Values of stream_id (ISO/IEC 13818-1 table 2-22).
const (
	IDMap       = 0xbc // program_stream_map
	IDPrivate1  = 0xbd // private_stream_1: private data with a PES header
	IDPadding   = 0xbe
	IDPrivate2  = 0xbf
	IDAudio     = 0xc0 // to 0xdf
	IDVideo     = 0xe0 // to 0xef
	IDVideoLast = 0xef
	IDExtended  = 0xfd // extended_stream_id
)

const (
	startSize    = 6  // start code, stream_id and PES_packet_length
	fixedSize    = 9  // the same with flags and PES_header_data_length
	stampSize    = 5  // one time stamp
	maxStuffing  = 16 // of an MPEG-1 header
	maxLength    = 1<<16 - 1
	stampModulus = 1 << 33
)

// MaxHeader is the largest PES header: 255 bytes behind PES_header_data_length.
const MaxHeader = fixedSize + 255

// NoHeader is what [HeaderSize] answers when the bytes begin no PES header.
const NoHeader = -1

// HasHeader reports whether packets with a stream_id have the fields of a PES header behind PES_packet_length (ISO/IEC 13818-1 section 2.4.3.7).
func HasHeader(streamID byte) bool {
	return streamID == IDPrivate1 || streamID >= IDAudio && streamID <= IDVideoLast || streamID == IDExtended
}

// HeaderSize returns how many bytes the header of the PES packet at the front of b takes up to its payload, as far as b tells: when that is more than b has, ask again with so many. Headers of
// MPEG-1 (ISO/IEC 11172-1 section 2.4.3.3) are understood, too.
func HeaderSize(b []byte) int {
	for i, v := range b[:min(len(b), 3)] {
		if v != byte(i>>1) { // 00 00 01
			return NoHeader
		}
	}
	if len(b) < startSize+1 {
		if len(b) > 3 && !HasHeader(b[3]) {
			if b[3] < IDMap {
				return NoHeader
			}
			return startSize
		}
		return startSize + 1
	}
	if !HasHeader(b[3]) {
		if b[3] < IDMap {
			return NoHeader
		}
		return startSize
	}
	size := 0
	switch {
	case b[6]>>6 != 0b10:
		if size = mpeg1Size(b); size > len(b) || size == NoHeader {
			return size
		}
	case len(b) < fixedSize:
		return fixedSize
	default:
		size = fixedSize + int(b[8])
	}
	if length := Length(b); length != 0 && size > startSize+length {
		return NoHeader
	}
	return size
}

// mpeg1Size walks stuffing and the buffer size to the byte that says which times follow.
func mpeg1Size(b []byte) int {
	at := startSize
	for ; at < len(b) && b[at] == 0xff; at++ {
		if at == startSize+maxStuffing {
			return NoHeader
		}
	}
	if at < len(b) && b[at]>>6 == 0b01 {
		at += 2
	}
	switch {
	case at >= len(b):
		return at + 1
	case b[at]>>4 == 0b0010:
		return at + stampSize
	case b[at]>>4 == 0b0011:
		return at + 2*stampSize
	case b[at] == 0x0f:
		return at + 1
	}
	return NoHeader
}

// Length returns the PES_packet_length of a header of at least 6 bytes: the bytes behind that field, 0 when it does not say.
func Length(header []byte) int { return int(header[4])<<8 | int(header[5]) }

// Times are the time stamps of a PES packet as they stand in its header: 33 bits, in media.FrameClock.
type Times struct {
	PTS, DTS uint64 // DTS equals PTS when the header has none of its own
	OK       bool   // there is a PTS
}

// ReadTimes reads the time stamps out of a whole header, as [HeaderSize] measures it. Marker bits are not checked: devices set them wrongly.
func ReadTimes(header []byte) Times {
	if len(header) <= startSize || !HasHeader(header[3]) {
		return Times{}
	}
	at, both := startSize, false
	if header[6]>>6 == 0b10 {
		if len(header) < fixedSize || header[7]>>6 < 0b10 {
			return Times{}
		}
		at, both = fixedSize, header[7]>>6 == 0b11
	} else {
		for at < len(header) && header[at] == 0xff {
			at++
		}
		if at < len(header) && header[at]>>6 == 0b01 {
			at += 2
		}
		if at >= len(header) || header[at]>>5 != 0b001 {
			return Times{}
		}
		both = header[at]>>4 == 0b0011
	}
	if at+stampSize > len(header) {
		return Times{}
	}
	t := Times{PTS: stamp(header[at:]), OK: true}
	t.DTS = t.PTS
	if at += stampSize; both && at+stampSize <= len(header) {
		t.DTS = stamp(header[at:])
	}
	return t
}

// stamp reads a time stamp of 33 bits out of 5 bytes with marker bits between (ISO/IEC 13818-1 section 2.4.3.6).
func stamp(b []byte) uint64 {
	return uint64(b[0]>>1&7)<<30 | uint64(b[1])<<22 | uint64(b[2]>>1)<<15 | uint64(b[3])<<7 | uint64(b[4]>>1)
}

func appendStamp(dst []byte, prefix byte, t media.Ticks) []byte {
	v := uint64(t)
	return append(dst, prefix<<4|byte(v>>30&7)<<1|1, byte(v>>22), byte(v>>15)<<1|1, byte(v>>7), byte(v)<<1|1)
}

// AppendHeader appends the header of a PES packet with payload bytes behind it that begin an access unit shown at pts and decoded at dts. PES_packet_length is 0, which only transport streams allow and only
// for video, where it would not fit.
func AppendHeader(dst []byte, streamID byte, payload int, pts, dts media.Ticks) []byte {
	if pts == dts {
		return appendStamp(appendFixed(dst, streamID, payload, 0b10, stampSize), 0b0010, pts)
	}
	dst = appendFixed(dst, streamID, payload, 0b11, 2*stampSize)
	return appendStamp(appendStamp(dst, 0b0011, pts), 0b0001, dts)
}

// AppendContinuation appends the header of a PES packet that goes on with the access unit of the one before.
func AppendContinuation(dst []byte, streamID byte, payload int) []byte {
	return appendFixed(dst, streamID, payload, 0, 0)
}

func appendFixed(dst []byte, streamID byte, payload int, stamps, data byte) []byte {
	length := fixedSize - startSize + int(data) + payload
	if length > maxLength {
		length = 0
	}
	flags := byte(0x80)
	if stamps != 0 {
		flags |= 0x04 // data_alignment_indicator
	}
	return append(dst, 0, 0, 1, streamID, byte(length>>8), byte(length), flags, stamps<<6, data)
}

// Clock makes times that do not wrap out of the 33 bits of time stamps. One Clock serves all streams of a container, so that they wrap together. The zero value is ready.
type Clock struct {
	last  media.Ticks
	known bool
}

// At returns the time nearest to the one before. A jump of the source stays a jump.
func (c *Clock) At(raw uint64) media.Ticks {
	if !c.known {
		c.last, c.known = media.Ticks(raw%stampModulus), true
		return c.last
	}
	c.last += nearest(raw - uint64(c.last))
	return c.last
}

// Near returns the time nearest to another, and leaves the clock as it is: for a DTS beside its PTS.
func Near(t media.Ticks, raw uint64) media.Ticks { return t + nearest(raw-uint64(t)) }

// nearest reads a difference modulo 2^33 as the shorter way round.
func nearest(diff uint64) media.Ticks { return media.Ticks(int64(diff<<31) >> 31) }
