package udp

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// long ago: a deadline that has passed.
func passed() time.Time { return time.Unix(1, 0) }

// Wake ends every read and write that waits on conn, and each later one until its deadlines are set anew.
func Wake(conn *net.UDPConn) { _ = conn.SetDeadline(passed()) }

// Borrowed lends a socket to a library that wants a net.PacketConn of its own. Close wakes whoever reads or writes and ends the loan: every later call fails with
// net.ErrClosed, and the socket stays open for its owner. Methods may be called from any goroutine.
//
// It has the methods that gortsplib's Client needs of what its ListenPacket returns.
type Borrowed struct {
	conn *net.UDPConn

	mu     sync.Mutex // orders Close and the setting of deadlines: none may be lifted after Close
	closed atomic.Bool
	from   atomic.Pointer[sender] // who sent the last packet: saves two allocations a packet
}

type sender struct {
	addr netip.AddrPort
	udp  *net.UDPAddr
}

var _ net.PacketConn = (*Borrowed)(nil)

// Borrow lends conn, with no deadline set.
func Borrow(conn *net.UDPConn) *Borrowed {
	_ = conn.SetDeadline(time.Time{})
	return &Borrowed{conn: conn}
}

// ReadFrom reads one packet. The address is a *net.UDPAddr, in IPv4 form for IPv4 senders on a socket of both families; the same value is
// returned for packets of the same sender, so it must not be changed.
func (b *Borrowed) ReadFrom(p []byte) (int, net.Addr, error) {
	if b.closed.Load() {
		return 0, nil, net.ErrClosed
	}
	n, addr, err := b.conn.ReadFromUDPAddrPort(p)
	if b.closed.Load() {
		return 0, nil, net.ErrClosed
	}
	if err != nil {
		return n, nil, err
	}
	last := b.from.Load()
	if last == nil || last.addr != addr {
		last = &sender{addr, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()))}
		b.from.Store(last)
	}
	return n, last.udp, nil
}

// WriteTo sends one packet.
func (b *Borrowed) WriteTo(p []byte, to net.Addr) (int, error) {
	if b.closed.Load() {
		return 0, net.ErrClosed
	}
	return b.conn.WriteTo(p, to)
}

// Close ends the loan. It may be called again.
func (b *Borrowed) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed.Swap(true) {
		Wake(b.conn)
	}
	return nil
}

// LocalAddr returns the socket's address, a *net.UDPAddr, after Close too.
func (b *Borrowed) LocalAddr() net.Addr { return b.conn.LocalAddr() }

// SetDeadline sets both deadlines.
func (b *Borrowed) SetDeadline(t time.Time) error { return b.whileOpen(t, b.conn.SetDeadline) }

// SetReadDeadline sets the deadline of reads.
func (b *Borrowed) SetReadDeadline(t time.Time) error { return b.whileOpen(t, b.conn.SetReadDeadline) }

// SetWriteDeadline sets the deadline of writes.
func (b *Borrowed) SetWriteDeadline(t time.Time) error {
	return b.whileOpen(t, b.conn.SetWriteDeadline)
}

func (b *Borrowed) whileOpen(t time.Time, set func(time.Time) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return net.ErrClosed
	}
	return set(t)
}

// SetReadBuffer sets the socket's receive buffer in bytes.
func (b *Borrowed) SetReadBuffer(sizeBytes int) error {
	if b.closed.Load() {
		return net.ErrClosed
	}
	return b.conn.SetReadBuffer(sizeBytes)
}

// SyscallConn gives access to the descriptor, for socket options.
func (b *Borrowed) SyscallConn() (syscall.RawConn, error) {
	if b.closed.Load() {
		return nil, net.ErrClosed
	}
	return b.conn.SyscallConn()
}
