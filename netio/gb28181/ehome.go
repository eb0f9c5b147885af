package gb28181

import "bytes"

// Ehome (ISUP 2 to 4) is what Hikvision devices speak to their own platforms. Its media is RTP over TCP with RTSP's framing and two additions, known from captures only: the connection begins with a
// private header of 256 bytes, and a byte 0x0d stands before the program stream in the payload.
const (
	ehomePreambleSize = 256
	ehomeMark         = 0x0d
)

// ehomePreamble is how the private header begins; its third byte is a number that is not 0. Read as a 16-bit length it announces a packet of 256 bytes, which as such would go on with 0x80.
const ehomePreamble = "\x01\x00"

// isEhomePreamble looks for the private header at the beginning of a connection. It counts only with a framed packet behind it.
func isEhomePreamble(b []byte) sight {
	n := min(len(b), len(ehomePreamble))
	if string(b[:n]) != ehomePreamble[:n] {
		return sightNothing
	}
	if len(b) > len(ehomePreamble) && (b[2] == 0 || b[2]>>6 == 2) {
		return sightNothing
	}
	if len(b) < ehomePreambleSize+FramingInterleaved.HeaderSize()+rtpHeaderSize {
		return sightWait
	}
	if !plausible(b[ehomePreambleSize:], FramingInterleaved) {
		return sightNothing
	}
	return sightPacket
}

// programStart is the start code of a pack, without its last byte.
var programStart = []byte{0, 0, 1}

// Ehome takes the private byte off the payloads of one device, see [KindEhome]. Some devices set it before every payload, some only where a pack or a PES packet begins; which of the two it is shows
// in the first payload without it. A Ehome belongs to one goroutine; the zero value is ready.
type Ehome struct {
	sparse bool // not every payload has the byte
}

// Unwrap returns the part of the payload that is program stream.
func (e *Ehome) Unwrap(payload []byte) []byte {
	switch {
	case len(payload) == 0:
	case payload[0] != ehomeMark:
		e.sparse = true
	case !e.sparse || bytes.HasPrefix(payload[1:], programStart):
		return payload[1:]
	}
	return payload
}
