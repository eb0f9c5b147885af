package gb28181

import (
	"net/netip"
	"time"
)

// returnPath is what a sender needs of a [ReturnPath].
type returnPath interface {
	Write(packets ...[]byte) (taken int, err error)
	Closed() <-chan struct{}
	Peer() netip.AddrPort
	Local() netip.AddrPort
}

var _ returnPath = (*ReturnPath)(nil)

// backOutlet sends on the socket or connection of a device: two-way talk.
type backOutlet struct {
	sender *Sender
	path   returnPath
	buf    []byte
	pkts   [batchPackets][]byte
}

// SendBack sends to a device on the way back that its receiver gives.
func SendBack(opts SenderOptions, path *ReturnPath) *Sender { return sendBack(opts, path) }

func sendBack(opts SenderOptions, path returnPath) *Sender {
	return start(opts, func(s *Sender) outlet { return &backOutlet{sender: s, path: path} })
}

func (o *backOutlet) open() (local, peer netip.AddrPort, err error) {
	s := o.sender
	s.running.Go(func() {
		select {
		case <-o.path.Closed():
			s.fault(ErrPathClosed)
		case <-s.stop:
		}
	})
	return o.path.Local(), o.path.Peer(), nil
}

// write hands a batch to the path's queue. What it has no room for is lost, as it is with datagrams.
func (o *backOutlet) write(b *batch) error {
	o.buf = o.buf[:0]
	for i := range b.count {
		o.buf = append(append(o.buf, b.header(i)...), b.payloads[i]...)
	}
	rest := o.buf
	for i := range b.count {
		n := b.size(i)
		o.pkts[i], rest = rest[:n:n], rest[n:]
	}
	taken, err := o.path.Write(o.pkts[:b.count]...)
	if err != nil {
		return err
	}
	s := o.sender
	if taken == b.count {
		s.sent(b.count, b.bytes, b.octets)
		return nil
	}
	// Which ones were dropped is not told; the bytes are those of the average packet.
	s.sent(taken, b.bytes*taken/b.count, b.octets*taken/b.count)
	s.lost.Add(uint64(b.count - taken))
	return nil
}

func (*backOutlet) tick(time.Time) error { return nil }

func (*backOutlet) reply([]byte, netip.AddrPort) error { return nil }

func (*backOutlet) wake() {}
