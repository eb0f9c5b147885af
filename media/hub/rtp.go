package hub

import "encoding/binary"

// rewrite gives a copied packet the stream's own identity.
func rewrite(pkt []byte, payloadType uint8, seq uint16, timestamp, ssrc uint32) {
	pkt[1] = pkt[1]&0x80 | payloadType&0x7f
	binary.BigEndian.PutUint16(pkt[2:], seq)
	binary.BigEndian.PutUint32(pkt[4:], timestamp)
	binary.BigEndian.PutUint32(pkt[8:], ssrc)
}
