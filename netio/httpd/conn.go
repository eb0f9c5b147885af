package httpd

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one accepted connection. It gives each write a fresh deadline, which net/http cannot: its WriteTimeout would
// also count the time that a handler waits for its answer.
type conn struct {
	net.Conn
	id           uint64
	tls          bool
	peer, local  netip.AddrPort
	since        time.Time
	writeTimeout time.Duration
	leaving      bool // guarded by Server.mu: cut by us, counts no longer against the limit

	state    atomic.Value  // ConnState
	idleFrom atomic.Int64  // wall clock, ns, of the last change to idle or new
	requests atomic.Uint64 // begun
	once     sync.Once
	closeErr error
}

// Write bounds the time of one write.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// CloseWrite passes half-closing on, which net/http uses to let a refused client read its reply.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close closes the socket once; further calls return the first result.
func (c *conn) Close() error {
	c.once.Do(func() { c.closeErr = c.Conn.Close() })
	return c.closeErr
}

func (c *conn) enter(state ConnState, now time.Time) {
	c.state.Store(state)
	if state != ConnActive {
		c.idleFrom.Store(now.UnixNano())
	}
}

func (c *conn) info() ConnInfo {
	state, _ := c.state.Load().(ConnState)
	return ConnInfo{
		ID: c.id, Peer: c.peer, Local: c.local, TLS: c.tls, Since: c.since, State: state, Requests: c.requests.Load(),
	}
}

// ours finds the conn under what net/http holds.
func ours(nc net.Conn) *conn {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	c, _ := nc.(*conn)
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

type connKey struct{}

// Conn returns the connection that a request came on; ok is false for requests that no [Server] received.
func Conn(ctx context.Context) (info ConnInfo, ok bool) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return ConnInfo{}, false
	}
	return c.info(), true
}

// handover is the net.Listener that feeds accepted connections to one http.Server.
type handover struct {
	conns chan net.Conn // unbuffered: a connection is either handed over or still ours
	done  chan struct{}
	once  sync.Once
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), done: make(chan struct{})}
}

// offer hands a connection over, or reports false when the server takes no more.
func (h *handover) offer(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

// Accept returns the next connection.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, http.ErrServerClosed
	}
}

// Close ends Accept.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr is not meaningful; net/http only prints it.
func (*handover) Addr() net.Addr { return &net.TCPAddr{} }
