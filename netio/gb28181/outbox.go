package gb28181

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// outboxBytes bounds what waits for a socket or connection: half a minute of G.711.
const outboxBytes = 256 << 10

// outbox writes packets to one socket or connection from a goroutine of its own, so that nobody who has something to say waits. The goroutine begins with the first packet.
type outbox struct {
	write func(to netip.AddrPort, b []byte) error
	// framing is what the device uses at that moment; nil for datagrams.
	framing func() Framing

	mu      sync.Mutex // guards what follows
	closed  bool
	running bool
	queue   outgoing
	spare   outgoing // the former queue, to be used again

	kick     chan struct{}
	finished sync.WaitGroup

	packets, bytes, dropped, errors atomic.Uint64
}

// outgoing is a run of packets.
type outgoing struct {
	data  []byte // behind each other
	items []outgoingItem
}

type outgoingItem struct {
	to   netip.AddrPort
	size int
}

// newUDPOutbox writes datagrams to wherever they are addressed.
func newUDPOutbox(conn *net.UDPConn) *outbox {
	return &outbox{
		write: func(to netip.AddrPort, b []byte) error {
			_, err := conn.WriteToUDPAddrPort(b, to)
			return err
		},
		kick: make(chan struct{}, 1),
	}
}

// newTCPOutbox writes to a connection.
func newTCPOutbox(conn net.Conn, framing func() Framing) *outbox {
	return &outbox{
		write: func(_ netip.AddrPort, b []byte) error {
			_, err := conn.Write(b)
			return err
		},
		framing: framing,
		kick:    make(chan struct{}, 1),
	}
}

// add queues packets for an address, and returns how many there was room for.
func (o *outbox) add(to netip.AddrPort, packets ...[]byte) (taken int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, ErrPathClosed
	}
	for _, p := range packets {
		if len(p) > maxPacket || len(o.queue.data)+len(p) > outboxBytes {
			o.dropped.Add(1)
			continue
		}
		o.queue.data = append(o.queue.data, p...)
		o.queue.items = append(o.queue.items, outgoingItem{to, len(p)})
		taken++
	}
	if taken == 0 {
		return 0, nil
	}
	if !o.running {
		o.running = true
		o.finished.Go(o.run)
	}
	select {
	case o.kick <- struct{}{}:
	default:
	}
	return taken, nil
}

func (o *outbox) run() {
	for range o.kick {
		for {
			batch, ok := o.take()
			if !ok {
				break
			}
			o.flush(batch)
		}
	}
}

// take returns what is queued; false when there is nothing.
func (o *outbox) take() (outgoing, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue.items) == 0 {
		return outgoing{}, false
	}
	batch := o.queue
	o.queue, o.spare = o.spare, outgoing{}
	return batch, true
}

// flush writes what was queued. A write that fails costs its packet; a connection on which all fail is being ended by whoever reads it.
func (o *outbox) flush(batch outgoing) {
	var frame []byte
	rest := batch.data
	for _, item := range batch.items {
		p := rest[:item.size]
		rest = rest[item.size:]
		if o.framing != nil {
			frame = append(o.framing().AppendHeader(frame[:0], len(p), IsRTCP(p)), p...)
			p = frame
		}
		if o.write(item.to, p) != nil {
			o.errors.Add(1)
			o.dropped.Add(1)
			continue
		}
		o.packets.Add(1)
		o.bytes.Add(uint64(len(p)))
	}
	o.mu.Lock()
	if !o.closed {
		o.spare = outgoing{batch.data[:0], batch.items[:0]}
	}
	o.mu.Unlock()
}

// close ends the goroutine and waits for it. A write under way has to be ended by the caller before: by closing the connection, or by the socket's deadline.
func (o *outbox) close() {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.kick)
	}
	o.dropped.Add(uint64(len(o.queue.items)))
	o.queue, o.spare = outgoing{}, outgoing{}
	o.mu.Unlock()
	o.finished.Wait()
}

func (o *outbox) stats() ReturnStats {
	return ReturnStats{Packets: o.packets.Load(), Bytes: o.bytes.Load(), Dropped: o.dropped.Load(), Errors: o.errors.Load()}
}
