package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Listener is a listening TCP socket that outlives the servers which accept from it. Make one with [Listen].
type Listener struct {
	socket *net.TCPListener

	mu      sync.Mutex
	view    *view      // the present borrower, nil when there is none
	waiting []net.Conn // accepted by a view that was closed at that moment; for the next view
	closed  bool
}

// Listen opens a listening socket on addr; port 0 lets the kernel choose. The unspecified IPv6 address serves IPv4 too, and stands for
// all IPv4 addresses on a machine without IPv6.
//
// ours are sockets that the caller listens on already and will close when the new one is served: one of them may have the same port at an address that overlaps with addr, such as a wildcard and
// one of its addresses. Until then the kernel gives connections to the narrower of the two.
func Listen(addr netip.AddrPort, ours ...*Listener) (*Listener, error) {
	opened, err := openSocket(addr, nil)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return opened, err
	}
	ours = slices.DeleteFunc(slices.Clone(ours), func(l *Listener) bool { return !l.overlaps(addr) })
	if len(ours) == 0 {
		return nil, err
	}
	return besides(addr, ours)
}

func openSocket(addr netip.AddrPort, control func(network, address string, raw syscall.RawConn) error) (*Listener, error) {
	network, host := "tcp", addr.Addr().String()
	switch {
	case addr.Addr() == netip.IPv6Unspecified():
		host = ""
	case addr.Addr().Is4():
		network = "tcp4" // "tcp" would listen on 0.0.0.0 for both families
	}
	config := net.ListenConfig{Control: control}
	socket, err := config.Listen(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(int(addr.Port()))))
	if err != nil {
		return nil, fmt.Errorf("listen on tcp %s: %w", addr, err)
	}
	return &Listener{socket: socket.(*net.TCPListener)}, nil
}

// Addr returns the address that the socket listens on, with the port that the kernel chose.
func (l *Listener) Addr() netip.AddrPort {
	return l.socket.Addr().(*net.TCPAddr).AddrPort()
}

// Borrow returns a view to accept from. There is one borrower at a time: a former view is closed first.
func (l *Listener) Borrow() net.Listener {
	l.mu.Lock()
	former := l.view
	l.mu.Unlock()
	if former != nil {
		_ = former.Close()
	}
	next := &view{owner: l}
	l.mu.Lock()
	l.view = next
	l.mu.Unlock()
	return next
}

// Close closes the socket itself and ends the present view. Further calls do nothing.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	for _, conn := range waiting {
		_ = conn.Close()
	}
	return l.socket.Close()
}

// takeWaiting returns a connection that an earlier view accepted too late, nil when there is none.
func (l *Listener) takeWaiting() net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return nil
	}
	conn := l.waiting[0]
	l.waiting = l.waiting[1:]
	return conn
}

func (l *Listener) keep(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_ = conn.Close()
		return
	}
	l.waiting = append(l.waiting, conn)
}

// view is one borrower's hold on a Listener.
type view struct {
	owner     *Listener
	closed    atomic.Bool
	accepting sync.Mutex // held throughout Accept, so that Close can wait for it
}

// Accept waits for the next connection. It fails with net.ErrClosed once the view or the socket is closed.
func (v *view) Accept() (net.Conn, error) {
	v.accepting.Lock()
	defer v.accepting.Unlock()
	for {
		if v.closed.Load() {
			return nil, net.ErrClosed
		}
		if conn := v.owner.takeWaiting(); conn != nil {
			return conn, nil
		}
		conn, err := v.owner.socket.Accept()
		switch {
		case err == nil && v.closed.Load():
			v.owner.keep(conn)
			return nil, net.ErrClosed
		case err == nil:
			return conn, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			// Woken by Close, of this view or (a late wake-up) of the one before; the loop tells which.
		default:
			return nil, err
		}
	}
}

// Close gives the socket back and returns when no Accept of this view is under way. The socket stays open.
func (v *view) Close() error {
	if v.closed.Swap(true) {
		return nil
	}
	// A deadline in the past wakes Accept; it is lifted again once this view's Accept has returned.
	_ = v.owner.socket.SetDeadline(time.Unix(1, 0))
	v.accepting.Lock()
	defer v.accepting.Unlock()
	_ = v.owner.socket.SetDeadline(time.Time{})
	v.owner.mu.Lock()
	if v.owner.view == v {
		v.owner.view = nil
	}
	v.owner.mu.Unlock()
	return nil
}

// Addr returns the socket's address.
func (v *view) Addr() net.Addr { return v.owner.socket.Addr() }
