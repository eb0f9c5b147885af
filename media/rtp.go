package media

import "encoding/binary"

// RTPHeaderSize is the length in bytes of an RTP header without contributing sources and extension (RFC 3550 section 5.1).
const RTPHeaderSize = 12

// RTP is an RTP packet taken apart (RFC 3550 section 5.1). It refers to the packet's bytes.
type RTP struct {
	Marker      bool
	PayloadType uint8
	Seq         uint16
	Timestamp   uint32
	SSRC        uint32
	Payload     []byte // without padding; may be empty
}

// ParseRTP takes a packet apart, and reports whether every length inside it is true. It does not allocate.
func ParseRTP(pkt []byte) (h RTP, ok bool) {
	if len(pkt) < RTPHeaderSize || pkt[0]>>6 != 2 {
		return h, false
	}
	end := RTPHeaderSize + 4*int(pkt[0]&0x0f)
	if pkt[0]&0x10 != 0 {
		if len(pkt) < end+4 {
			return h, false
		}
		end += 4 + 4*int(binary.BigEndian.Uint16(pkt[end+2:]))
	}
	if len(pkt) < end {
		return h, false
	}
	payload := pkt[end:]
	if pkt[0]&0x20 != 0 {
		if len(payload) == 0 {
			return h, false
		}
		padding := int(payload[len(payload)-1])
		if padding == 0 || padding > len(payload) {
			return h, false
		}
		payload = payload[:len(payload)-padding]
	}
	return RTP{
		Marker:      pkt[1]&0x80 != 0,
		PayloadType: pkt[1] & 0x7f,
		Seq:         binary.BigEndian.Uint16(pkt[2:]),
		Timestamp:   binary.BigEndian.Uint32(pkt[4:]),
		SSRC:        binary.BigEndian.Uint32(pkt[8:]),
		Payload:     payload,
	}, true
}
