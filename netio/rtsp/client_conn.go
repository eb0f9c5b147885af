package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// pullConn is the TCP connection of a pull. Once limited, no write lasts beyond the limit, whatever deadline the layers above set: a peer that does
// not read must not hold up the end of a pull.
type pullConn struct {
	net.Conn

	mu    sync.Mutex
	limit time.Time // zero: none
}

// SetWriteDeadline implements net.Conn.
func (c *pullConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.limit.IsZero() && (t.IsZero() || t.After(c.limit)) {
		t = c.limit
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *pullConn) limitWrites(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = t
	_ = c.Conn.SetWriteDeadline(t) // fails only on a closed connection
}

// pullDialer opens the connection of one session and remembers it.
type pullDialer struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config

	mu    sync.Mutex
	conn  *pullConn
	limit time.Time // set before there was a connection
}

func (d *pullDialer) dialPlain(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn := &pullConn{Conn: raw}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = conn
	if !d.limit.IsZero() {
		conn.limitWrites(d.limit)
	}
	return conn, nil
}

// dialTLS shakes hands under ctx. Left to the library, the handshake would happen in its loop at the first write, where nothing can interrupt it.
func (d *pullDialer) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	plain, err := d.dialPlain(ctx, network, address)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.tls != nil {
		config = d.tls.Clone()
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	conn := tls.Client(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return conn, nil
}

func (d *pullDialer) endpoints() (local, peer netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return local, peer
	}
	if a, ok := d.conn.LocalAddr().(*net.TCPAddr); ok {
		local = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), uint16(a.Port))
	}
	if a, ok := d.conn.RemoteAddr().(*net.TCPAddr); ok {
		peer = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), uint16(a.Port))
	}
	return local, peer
}

func (d *pullDialer) limitWrites(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = t
	if d.conn != nil {
		d.conn.limitWrites(t)
	}
}

// pullSocket lends a leased UDP socket to the library, which may close what it listens on: here that only wakes its reader. Afterwards the socket is not touched
// any more, since it may have another user by then.
type pullSocket struct {
	conn *net.UDPConn

	mu     sync.Mutex
	closed bool
}

var errPullSocketClosed = errors.New("the borrowed socket was given back")

// ReadFrom implements net.PacketConn.
func (s *pullSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, addr, err := s.conn.ReadFrom(b)
	if s.isClosed() {
		return 0, nil, errPullSocketClosed
	}
	return n, addr, err
}

// WriteTo implements net.PacketConn.
func (s *pullSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	if s.isClosed() {
		return 0, errPullSocketClosed
	}
	return s.conn.WriteTo(b, addr)
}

func (s *pullSocket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Close implements net.PacketConn.
func (s *pullSocket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.conn.SetDeadline(time.Unix(1, 0)) // long past: wakes the reader
}

func (s *pullSocket) unlessClosed(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errPullSocketClosed
	}
	return do()
}

// LocalAddr implements net.PacketConn.
func (s *pullSocket) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (s *pullSocket) SetDeadline(t time.Time) error {
	return s.unlessClosed(func() error { return s.conn.SetDeadline(t) })
}

// SetReadDeadline implements net.PacketConn.
func (s *pullSocket) SetReadDeadline(t time.Time) error {
	return s.unlessClosed(func() error { return s.conn.SetReadDeadline(t) })
}

// SetWriteDeadline implements net.PacketConn.
func (s *pullSocket) SetWriteDeadline(t time.Time) error {
	return s.unlessClosed(func() error { return s.conn.SetWriteDeadline(t) })
}

// SetReadBuffer is what the library asks of a UDP socket; the size is the pool's business.
func (s *pullSocket) SetReadBuffer(int) error { return nil }

// SyscallConn is what the library asks of a UDP socket.
func (s *pullSocket) SyscallConn() (syscall.RawConn, error) { return s.conn.SyscallConn() }
