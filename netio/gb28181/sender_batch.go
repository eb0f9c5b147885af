package gb28181

import (
	"encoding/binary"
	"net"
	"net/netip"

	"berth/netio/udp"
)

const (
	// frameBytes is the length of the frame before an RTP packet on TCP (RFC 4571 section 2).
	frameBytes = 2

	// batchPackets is some 64 KiB: what may leave at once over UDP.
	batchPackets = 48
)

// batch is a run of RTP packets of one sender that leave in one system call. It is used again and belongs to one goroutine at a time.
type batch struct {
	heads    [batchPackets][frameBytes + rtpHeaderSize]byte // the frame, used by TCP only, and the RTP header
	payloads [batchPackets][]byte
	count    int
	bytes    int // RTP headers and payloads
	octets   int // payloads

	messages [udp.MaxMessages]message // for datagrams
	length   int                      // messages
	wire     *udp.Messages
}

// message is one datagram, or several of one size (the last may be smaller) that the kernel cuts.
type message struct {
	first, count int // packets in the batch
	segment      int // bytes of each but the last
	size         int // bytes of all
}

func newBatch() *batch { return &batch{wire: udp.NewMessages(2 * batchPackets)} }

func (b *batch) reset() {
	clear(b.payloads[:b.count])
	b.count, b.bytes, b.octets, b.length = 0, 0, 0, 0
}

func (b *batch) full() bool { return b.count == batchPackets }

// add appends a packet with the header of RFC 3550 section 5.1. The batch must not be full.
func (b *batch) add(p packet, payloadType uint8, seq uint16, timestamp, ssrc uint32) {
	h := &b.heads[b.count]
	size := rtpHeaderSize + len(p.payload)
	binary.BigEndian.PutUint16(h[:], uint16(size))
	h[2], h[3] = 0x80, payloadType&0x7f
	if p.marker {
		h[3] |= 0x80
	}
	binary.BigEndian.PutUint16(h[4:], seq)
	binary.BigEndian.PutUint32(h[6:], timestamp)
	binary.BigEndian.PutUint32(h[10:], ssrc)
	b.payloads[b.count] = p.payload
	b.count++
	b.bytes += size
	b.octets += len(p.payload)
}

// size returns the length of a packet.
func (b *batch) size(i int) int { return rtpHeaderSize + len(b.payloads[i]) }

// header returns the RTP header of a packet.
func (b *batch) header(i int) []byte { return b.heads[i][frameBytes:] }

// framedHeader returns the header of a packet behind its frame.
func (b *batch) framedHeader(i int) []byte { return b.heads[i][:] }

// split lays packets from first on out as datagrams, with gso as runs that the kernel cuts. It returns how many packets have found room.
func (b *batch) split(first int, gso bool) int {
	b.length = 0
	i := first
	for ; i < b.count; i++ {
		size := b.size(i)
		if b.length > 0 && gso {
			m := &b.messages[b.length-1]
			last := b.size(i - 1)
			if last == m.segment && size <= m.segment && m.count < udp.MaxSegments && m.size+size <= udp.MaxMessageBytes {
				m.count++
				m.size += size
				continue
			}
		}
		if b.length == len(b.messages) {
			break
		}
		b.messages[b.length] = message{first: i, count: 1, segment: size, size: size}
		b.length++
	}
	return i - first
}

// datagrams is a sender's view of its RTP socket.
type datagrams struct {
	out *udp.Outlet
	to  udp.Destination
	gso bool // the kernel cuts messages
}

func newDatagrams(conn *net.UDPConn, to netip.AddrPort) (*datagrams, error) {
	out, err := udp.NewOutlet(conn)
	if err != nil {
		return nil, err
	}
	d := &datagrams{out: out, gso: out.Segments()}
	d.to, err = out.Destination(to)
	return d, err
}

// send sends the packets from first on without waiting. sent is how many left; err is about the one after them.
func (d *datagrams) send(b *batch, first int) (sent int, err error) {
	var pieces [2 * batchPackets][]byte // header and payload of each packet
	for first+sent < b.count && err == nil {
		b.split(first+sent, d.gso)
		used := 0
		for _, m := range b.messages[:b.length] {
			from := used
			for i := m.first; i < m.first+m.count; i++ {
				pieces[used], pieces[used+1] = b.header(i), b.payloads[i]
				used += 2
			}
			segment := 0
			if m.count > 1 {
				segment = m.segment
			}
			b.wire.Add(segment, pieces[from:used]...)
		}
		var left int
		left, err = b.wire.Send(d.out, &d.to)
		for _, m := range b.messages[:left] {
			sent += m.count
		}
		b.wire.Reset()
	}
	return sent, err
}
