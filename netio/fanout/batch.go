package fanout

import (
	"berth/media/hub"
	"berth/netio/udp"
)

// batchPackets is how many packets leave at once.
const batchPackets = 256

// message is one datagram, or several of one size (the last may be smaller) that the kernel makes of one buffer list.
type message struct {
	first, count int // packets in the batch
	segment      int // bytes of each but the last
	size         int // bytes of all
	closed       bool
	after        place // behind its last packet
}

// batch collects the packets of one channel that leave by one system call. It is used again and belongs to one goroutine at a time.
type batch struct {
	gso      bool // the kernel cuts messages
	packets  [batchPackets][]byte
	count    int
	messages [udp.MaxMessages]message
	length   int // messages
	size     int // bytes of all messages
	wire     *udp.Messages
}

func newBatch() *batch { return &batch{wire: udp.NewMessages(batchPackets)} }

// reset empties the batch and lets go of the packets.
func (b *batch) reset() {
	clear(b.packets[:b.count])
	b.count, b.length, b.size = 0, 0, 0
	b.wire.Reset()
}

func (b *batch) empty() bool { return b.length == 0 }

// fill puts in packets of one channel, from a place in the work on, until the batch is full or they are limit bytes; the first always fits. next is the place after them: the next channel when they are all in.
func (b *batch) fill(work []*hub.Chunk, from place, limit float64) (next place) {
	next, more := from.seek(work)
	for more && (b.empty() || float64(b.size) < limit) {
		c, after := work[next.chunk], next
		after.packet++
		if !b.add(c.Bytes(c.Packets[next.packet]), after) {
			break
		}
		next, more = after.seek(work)
	}
	return next
}

// add puts a packet in, after which the sink is at the place after; false: it does not fit.
func (b *batch) add(pkt []byte, after place) bool {
	if b.count == len(b.packets) {
		return false
	}
	if !b.extend(pkt) {
		if b.length == len(b.messages) {
			return false
		}
		b.messages[b.length] = message{first: b.count, segment: len(pkt)}
		b.length++
	}
	m := &b.messages[b.length-1]
	m.closed = len(pkt) < m.segment
	m.count++
	m.size += len(pkt)
	m.after = after
	b.size += len(pkt)
	b.packets[b.count] = pkt
	b.count++
	return true
}

// extend reports whether a packet can be a segment of the last message.
func (b *batch) extend(pkt []byte) bool {
	if !b.gso || b.length == 0 {
		return false
	}
	m := &b.messages[b.length-1]
	return !m.closed && m.count < udp.MaxSegments && len(pkt) <= m.segment && m.size+len(pkt) <= udp.MaxMessageBytes
}

// list makes each message a list of its packets where they lie. To copy them behind each other first saves nothing that can be measured.
func (b *batch) list() {
	for _, m := range b.messages[:b.length] {
		b.wire.Add(m.cut(), b.packets[m.first:m.first+m.count]...)
	}
}

// cut is the segment size that the kernel is told, 0 for a single datagram.
func (m *message) cut() int {
	if m.count > 1 {
		return m.segment
	}
	return 0
}

// send sends the messages in order; after list it may be called for one viewer after the other. sent is how many left, size their bytes; err is about the one after them.
func (b *batch) send(out *udp.Outlet, to *udp.Destination) (sent, size int, err error) {
	sent, err = b.wire.Send(out, to)
	if sent == b.length {
		return sent, b.size, err
	}
	for _, m := range b.messages[:sent] {
		size += m.size
	}
	return sent, size, err
}
