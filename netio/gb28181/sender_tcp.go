package gb28181

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// tcpOutlet sends packets behind their length (RFC 4571).
type tcpOutlet struct {
	sender   *Sender
	listener *net.TCPListener // of a passive one

	// owned by the writing goroutine
	bufs [][]byte

	mu   sync.Mutex // guards conn, which wake closes
	conn net.Conn
	over bool // conn is closed, or will be as soon as there is one
}

// SendTCP sends over a connection, which becomes the sender's: it closes it.
func SendTCP(opts SenderOptions, conn net.Conn) *Sender {
	return start(opts, func(s *Sender) outlet { return &tcpOutlet{sender: s, conn: conn} })
}

// AcceptTCP sends to the first who connects within SenderOptions.PeerTimeout; who comes later is turned away. The listener stays its owner's.
func AcceptTCP(opts SenderOptions, listener *net.TCPListener) *Sender {
	opts.setDefaults()
	_ = listener.SetDeadline(time.Now().Add(opts.PeerTimeout)) // an error means that it is closed, as Accept will say
	return start(opts, func(s *Sender) outlet { return &tcpOutlet{sender: s, listener: listener} })
}

func (o *tcpOutlet) open() (local, peer netip.AddrPort, err error) {
	s := o.sender
	if o.listener != nil {
		if err := o.accept(); err != nil {
			return local, peer, err
		}
	}
	s.running.Go(o.read)
	return addrOf(o.conn.LocalAddr()), addrOf(o.conn.RemoteAddr()), nil
}

// accept waits for the peer.
func (o *tcpOutlet) accept() error {
	s := o.sender
	for {
		conn, err := o.listener.Accept()
		switch {
		case s.stopped():
			if err == nil {
				_ = conn.Close() // nothing was written
			}
			return ErrSenderClosed
		case isTimeout(err):
			return ErrNoTCPPeer
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // out of descriptors, or the peer has gone already
			if err := s.pause(fullPause); err != nil {
				return err
			}
			continue
		}
		o.mu.Lock()
		o.conn = conn
		over := o.over
		o.mu.Unlock()
		if over || !s.unlessClosed(func() { _ = o.listener.SetDeadline(time.Time{}) }) {
			_ = conn.Close()
			return ErrSenderClosed
		}
		s.running.Go(o.turnAway)
		return nil
	}
}

// turnAway closes the connections of those who come too late, so that they need not wait for media.
func (o *tcpOutlet) turnAway() {
	for {
		conn, err := o.listener.Accept()
		if err == nil {
			_ = conn.Close() // nothing was written
			continue
		}
		if o.sender.stopped() || isTimeout(err) || errors.Is(err, net.ErrClosed) || o.sender.pause(fullPause) != nil {
			return
		}
	}
}

// write sends a batch. The peer may take its time, as long as it takes something; what is due meanwhile is bounded by the form's ring.
func (o *tcpOutlet) write(b *batch) error {
	s := o.sender
	o.bufs = o.bufs[:0]
	for i := range b.count {
		o.bufs = append(o.bufs, b.framedHeader(i), b.payloads[i])
	}
	defer clear(o.bufs)
	rest := net.Buffers(o.bufs)
	for {
		_ = o.conn.SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout)) // an error means that it is closed, as the write will say
		n, err := rest.WriteTo(o.conn)
		switch {
		case err == nil:
			s.sent(b.count, b.bytes+frameBytes*b.count, b.octets)
			return nil
		case s.stopped():
			return ErrSenderClosed
		case isTimeout(err) && n > 0:
			continue
		case isTimeout(err):
			return fmt.Errorf("%w for %s", ErrPeerStuck, s.opts.WriteTimeout)
		}
		select {
		case heard := <-s.end: // what the reader has seen came first
			return heard
		default:
			return err
		}
	}
}

func (*tcpOutlet) tick(time.Time) error { return nil }

// read notices the end of the connection, and takes what the peer sends back.
func (o *tcpOutlet) read() {
	s := o.sender
	buf := make([]byte, 4<<10)
	take := func([]byte) {}
	if s.opts.Source != nil {
		buf = make([]byte, 32<<10)
		take = o.receiver()
	}
	for {
		n, err := o.conn.Read(buf)
		if n > 0 {
			take(buf[:n])
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("the peer has closed the connection: %w", io.EOF)
			}
			s.fault(err)
			return
		}
	}
}

// receiver cuts what comes back into packets.
func (o *tcpOutlet) receiver() func([]byte) {
	s, from := o.sender, addrOf(o.conn.RemoteAddr())
	var framer Framer
	return func(b []byte) {
		now := s.opts.Now()
		framer.Push(b, func(pkt []byte) {
			if IsRTCP(pkt) {
				s.opts.Source.PushRTCP(now, from, pkt)
				return
			}
			s.opts.Source.PushTCP(now, from, pkt)
		})
	}
}

// reply implements outlet. It is called by the writing goroutine, so that it stands between two packets.
func (o *tcpOutlet) reply(report []byte, _ netip.AddrPort) error {
	_ = o.conn.SetWriteDeadline(time.Now().Add(o.sender.opts.WriteTimeout)) // an error means that it is closed, as the write will say
	_, err := o.conn.Write(append(FramingLength.AppendHeader(nil, len(report), true), report...))
	if isTimeout(err) {
		return fmt.Errorf("%w for %s", ErrPeerStuck, o.sender.opts.WriteTimeout)
	}
	return err
}

func (o *tcpOutlet) wake() {
	if o.listener != nil {
		_ = o.listener.SetDeadline(time.Unix(1, 0)) // an error means that it is closed, and nobody waits
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	if o.conn != nil {
		_ = o.conn.Close() // what was not taken is lost with the peer
	}
}
