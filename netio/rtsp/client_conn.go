package rtsp

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
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
