package gb28181

import "encoding/binary"

// rtpView is an RTP packet taken apart (RFC 3550 section 5.1). It refers to the packet.
type rtpView struct {
	marker      bool
	payloadType uint8
	seq         uint16
	timestamp   uint32
	ssrc        uint32
	payload     []byte // without padding
	whole       []byte
}

// viewRTP checks that every length inside the packet is true. An RTP packet without payload is valid: some devices keep address translations open with it.
func viewRTP(pkt []byte) (v rtpView, ok bool) {
	if len(pkt) < rtpHeaderSize || len(pkt) > maxPacket || pkt[0]>>6 != 2 {
		return v, false
	}
	end := rtpHeaderSize + 4*int(pkt[0]&0x0f)
	if pkt[0]&0x10 != 0 {
		if len(pkt) < end+4 {
			return v, false
		}
		end += 4 + 4*int(binary.BigEndian.Uint16(pkt[end+2:]))
	}
	if len(pkt) < end {
		return v, false
	}
	payload := pkt[end:]
	if pkt[0]&0x20 != 0 && len(payload) > 0 {
		padding := int(payload[len(payload)-1])
		if padding == 0 || padding > len(payload) {
			return v, false
		}
		payload = payload[:len(payload)-padding]
	}
	return rtpView{
		marker:      pkt[1]&0x80 != 0,
		payloadType: pkt[1] & 0x7f,
		seq:         binary.BigEndian.Uint16(pkt[2:]),
		timestamp:   binary.BigEndian.Uint32(pkt[4:]),
		ssrc:        binary.BigEndian.Uint32(pkt[8:]),
		payload:     payload,
		whole:       pkt,
	}, true
}
