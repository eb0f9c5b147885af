package hub

import "encoding/binary"

// header is what the hub reads of an RTP header (RFC 3550 section 5.1).
type header struct {
	marker      bool
	payloadType uint8
	seq         uint16
	timestamp   uint32
	ssrc        uint32
	payload     []byte // without padding
}

const rtpHeaderSize = 12

// parseRTP checks that every length inside the packet is true. It does not allocate.
func parseRTP(pkt []byte) (h header, ok bool) {
	if len(pkt) < rtpHeaderSize || len(pkt) > maxPacket || pkt[0]>>6 != 2 {
		return h, false
	}
	end := rtpHeaderSize + 4*int(pkt[0]&0x0f)
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
	return header{
		marker:      pkt[1]&0x80 != 0,
		payloadType: pkt[1] & 0x7f,
		seq:         binary.BigEndian.Uint16(pkt[2:]),
		timestamp:   binary.BigEndian.Uint32(pkt[4:]),
		ssrc:        binary.BigEndian.Uint32(pkt[8:]),
		payload:     payload,
	}, true
}

// rewrite gives a copied packet the stream's own identity.
func rewrite(pkt []byte, payloadType uint8, seq uint16, timestamp, ssrc uint32) {
	pkt[1] = pkt[1]&0x80 | payloadType&0x7f
	binary.BigEndian.PutUint16(pkt[2:], seq)
	binary.BigEndian.PutUint32(pkt[4:], timestamp)
	binary.BigEndian.PutUint32(pkt[8:], ssrc)
}
