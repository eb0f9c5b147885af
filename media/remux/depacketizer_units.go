package remux

import (
	"bytes"

	"berth/media/annexb"
)

// Packet types beside those that the Packetizer makes.
const (
	h264STAPB = 25
	h264FUB   = 29
	h265PACI  = 50
)

// payloadH264 takes the payload of one packet apart (RFC 6184 section 5). Decoding order numbers are passed over: only interleaved streams need them.
func (d *Depacketizer) payloadH264(payload []byte) bool {
	u := &d.unit
	t := payload[0] & 0x1f
	if u.fragment && t != h264FUA && t != h264FUB {
		u.fragment, u.damaged = false, true // its end is missing
	}
	switch t {
	case h264STAPA:
		return d.aggregate(payload[1:], 0, 0)
	case h264STAPB:
		if len(payload) < 3 {
			return false
		}
		return d.aggregate(payload[3:], 0, 0)
	case h264FUA:
		return d.fragmentH264(payload, 2)
	case h264FUB:
		return d.fragmentH264(payload, 4) // only its first fragment is one; the others are FU-A
	case 0:
		return d.byteStream(payload)
	}
	return u.unit(d, nil, payload)
}

func (d *Depacketizer) fragmentH264(payload []byte, header int) bool {
	if len(payload) <= header {
		return false
	}
	return d.fragment(payload[1], []byte{payload[0]&0xe0 | payload[1]&0x1f}, payload[header:])
}

// payloadH265 is the same for RFC 7798 section 4.4. Payload content information (section 4.4.4) is used by nobody; packets with it are dropped.
func (d *Depacketizer) payloadH265(payload []byte) bool {
	u := &d.unit
	if len(payload) < 3 {
		return len(payload) == 2 && u.unit(d, nil, payload)
	}
	t := payload[0] >> 1 & 0x3f
	if u.fragment && t != h265FU {
		u.fragment, u.damaged = false, true
	}
	if payload[0] == 0 && payload[1] == 0 {
		return d.byteStream(payload)
	}
	donl := 0
	if u.donl {
		donl = 2
	}
	switch t {
	case h265AP:
		return d.aggregate(payload[2:], donl, donl/2)
	case h265FU:
		header := 3
		if payload[2]&fuStart != 0 {
			header += donl
		}
		if len(payload) <= header {
			return false
		}
		return d.fragment(payload[2], []byte{payload[0]&0x81 | payload[2]&0x3f<<1, payload[1]}, payload[header:])
	case h265PACI:
		return false
	}
	if len(payload) < 2+donl {
		return false
	}
	return u.unit(d, payload[:2], payload[2+donl:])
}

// aggregate takes units of a 16-bit size each. first and later are the bytes before the first size and before each other one.
func (d *Depacketizer) aggregate(b []byte, first, later int) bool {
	whole := false
	for skip := first; len(b) > 0; skip = later {
		if len(b) < skip+2 {
			return false
		}
		b = b[skip:]
		size := int(b[0])<<8 | int(b[1])
		if b = b[2:]; size == 0 || size > len(b) || !d.unit.unit(d, nil, b[:size]) {
			return false
		}
		whole, b = true, b[size:]
	}
	return whole
}

// fragment takes a part of a unit; fu is the FU header, head the unit's own.
func (d *Depacketizer) fragment(fu byte, head, body []byte) bool {
	u := &d.unit
	if fu&fuStart == 0 {
		if !u.more(d, body) {
			u.fragment = false
			return false
		}
	} else {
		if u.fragment {
			u.damaged = true // the end of the former one is missing
		}
		if u.fragment = u.unit(d, head, body); !u.fragment {
			return false
		}
	}
	if fu&fuEnd != 0 {
		u.fragment = false
	}
	return true
}

// byteStream takes units with start codes, which some cameras put into packets as they are.
func (d *Depacketizer) byteStream(payload []byte) bool {
	if !bytes.HasPrefix(payload, []byte{0, 0, 1}) && !bytes.HasPrefix(payload, []byte{0, 0, 0, 1}) {
		return false
	}
	whole := false
	for unit, rest := annexb.Next(payload); unit != nil; unit, rest = annexb.Next(rest) {
		if !d.unit.unit(d, nil, unit) {
			return false
		}
		whole = true
	}
	return whole
}
