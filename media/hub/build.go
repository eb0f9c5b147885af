package hub

import (
	"encoding/binary"
	"time"

	"berth/media/slab"
)

// builder lays packets out behind each other in slabs until they are published as a chunk. Owned by the hub's lock.
type builder struct {
	pool  *slab.Pool // where memory comes from; nil: the heap
	slab  []byte     // data of this and of former chunks; bytes before start are published and never written again
	lent  *lent      // what slab is, nil when it is the heap's
	start int        // where the unpublished data begins in slab
	used  int        // end of the unpublished data

	index []Packet // places of the packets, shared by chunks in the same way
	first int      // where the unpublished places begin; they end at len(index)

	arrived time.Time // of the first unpublished packet
	tracks  uint64
	starts  uint64
	picture bool // holds picture data that waits for the end of its access unit
}

func (b *builder) empty() bool { return len(b.index) == b.first }

func (b *builder) size() int { return b.used - b.start }

// add makes room for a packet of n bytes, writes its interleaved header and returns the n bytes to fill in.
func (b *builder) add(now time.Time, channel uint8, n int) []byte {
	if b.empty() {
		b.arrived = now
	}
	b.reserve(HeaderSize + n)
	offset := b.used + HeaderSize
	head := b.slab[b.used:offset]
	head[0], head[1] = '$', channel
	binary.BigEndian.PutUint16(head[2:], uint16(n))
	b.used = offset + n
	b.index = append(b.index, Packet{Offset: uint32(offset - b.start), Size: uint16(n), Channel: channel})
	b.tracks |= 1 << (channel >> 1)
	return b.slab[offset:b.used]
}

// tight reports whether n more bytes do not fit behind what has been added to a lent piece. Those are small: it is better to publish than to move.
func (b *builder) tight(n int) bool { return b.lent != nil && b.used+n > len(b.slab) }

// reserve makes room for a packet.
func (b *builder) reserve(n int) {
	if b.used+n > len(b.slab) {
		b.move(n)
	}
	if len(b.index) == cap(b.index) {
		index := make([]Packet, 0, max(slabPackets, 2*(len(b.index)-b.first)))
		b.index = append(index, b.index[b.first:]...)
		b.first = 0
	}
}

// move takes the unfinished chunk to a new slab with room for n bytes more. A chunk is bounded well below the slab size, so moving is rare and short.
func (b *builder) move(n int) {
	unfinished, from := b.slab[b.start:b.used], b.lent
	b.slab, b.lent = nil, nil
	if n += len(unfinished); n <= slab.Size {
		if piece := b.pool.Take(); piece != nil {
			b.slab, b.lent = piece.Data, &lent{pool: b.pool, piece: piece, users: 1}
		}
	}
	if b.lent == nil {
		b.slab = make([]byte, max(slabBytes, n))
	}
	b.start, b.used = 0, copy(b.slab, unfinished)
	from.leave()
}

// take returns what has been added as a chunk and begins a new one. The chunk's slices cannot grow into what follows.
func (b *builder) take(epoch uint64) *Chunk {
	c := &Chunk{
		Data:    b.slab[b.start:b.used:b.used],
		Packets: b.index[b.first:len(b.index):len(b.index)],
		Arrived: b.arrived,
		epoch:   epoch,
		tracks:  b.tracks,
		starts:  b.starts,
		lent:    b.lent,
	}
	if b.lent != nil {
		b.lent.users++
	}
	b.start, b.first = b.used, len(b.index)
	b.tracks, b.starts, b.picture = 0, 0, false
	return c
}
