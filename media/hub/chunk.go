package hub

import "time"

// HeaderSize is the length of the interleaved header before each packet of a chunk (RFC 2326 section 10.12).
const HeaderSize = 4

// Chunk is a published piece of the stream: one access unit, a part of a large one, or packets between two of them. It is immutable and
// may be used after the ring has dropped it.
type Chunk struct {
	Data    []byte    // packets back to back, each behind its interleaved header on canonical channels: 2*track for RTP, 2*track+1 for RTCP
	Packets []Packet  // where the packets are, in order
	Arrived time.Time // when its first packet came in, as the publisher said

	pos         uint64 // position in the ring, from 0
	before      uint64 // packets published before this chunk
	bytesBefore uint64 // bytes published before this chunk
	epoch       uint64 // changes where the stream is continued after a gap
	tracks      uint64 // bit t: holds a packet of track t
	starts      uint64 // bit t: track t can be decoded from here on
	lent        *lent  // where Data is, nil when it is the heap's, as all that readers get is
}

// Packet is the place of one packet in [Chunk.Data].
type Packet struct {
	Offset  uint32 // of the packet itself; its interleaved header is the HeaderSize bytes before
	Size    uint16 // bytes of the packet without the interleaved header
	Channel uint8  // canonical: 2*track for RTP, 2*track+1 for RTCP
}

// Track returns the hub's track number of the packet.
func (p Packet) Track() int { return int(p.Channel >> 1) }

// RTCP reports whether the packet is RTCP.
func (p Packet) RTCP() bool { return p.Channel&1 != 0 }

// Bytes returns the packet without its interleaved header.
func (c *Chunk) Bytes(p Packet) []byte { return c.Data[p.Offset : p.Offset+uint32(p.Size)] }

// Framed returns the packet behind its interleaved header.
func (c *Chunk) Framed(p Packet) []byte {
	return c.Data[p.Offset-HeaderSize : p.Offset+uint32(p.Size)]
}

// Has reports whether the chunk holds a packet of a track.
func (c *Chunk) Has(track int) bool { return c.tracks>>track&1 != 0 }
