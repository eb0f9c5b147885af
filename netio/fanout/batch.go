package fanout

import "berth/netio/udp"

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

// batch collects the packets that one viewer gets through one socket by one system call. It is used again and belongs to one goroutine at a time.
type batch struct {
	socket   *udpSocket
	packets  [batchPackets][]byte
	count    int
	messages [udp.MaxMessages]message
	length   int // messages
	to       *udp.Destination
	wire     *udp.Messages
}

func newBatch() *batch { return &batch{wire: udp.NewMessages(batchPackets)} }

func (b *batch) reset() {
	clear(b.packets[:b.count])
	b.socket, b.to = nil, nil
	b.count, b.length = 0, 0
}

func (b *batch) empty() bool { return b.length == 0 }

// add puts a packet in, after which the sink is at the place after; false: it does not fit, or goes through another socket.
func (b *batch) add(socket *udpSocket, to *udp.Destination, pkt []byte, after place) bool {
	if b.count == len(b.packets) || b.socket != nil && (b.socket != socket || b.to != to) {
		return false
	}
	b.socket, b.to = socket, to
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
	b.packets[b.count] = pkt
	b.count++
	m.after = after
	return true
}

// extend reports whether a packet can be a segment of the last message.
func (b *batch) extend(pkt []byte) bool {
	if !b.socket.gso || b.length == 0 {
		return false
	}
	m := &b.messages[b.length-1]
	return !m.closed && m.count < udp.MaxSegments && len(pkt) <= m.segment && m.size+len(pkt) <= udp.MaxMessageBytes
}

// send sends the messages in order. sent is how many left, size their bytes; err is about the one after them.
func (b *batch) send() (sent, size int, err error) {
	defer b.wire.Reset()
	for _, m := range b.messages[:b.length] {
		segment := 0
		if m.count > 1 {
			segment = m.segment
		}
		b.wire.Add(segment, b.packets[m.first:m.first+m.count]...)
	}
	sent, err = b.wire.Send(b.socket.out, b.to)
	for _, m := range b.messages[:sent] {
		size += m.size
	}
	return sent, size, err
}
