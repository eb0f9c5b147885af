//go:build !linux

package udp

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// batch is one datagram.
type batch struct {
	packet [1]Packet
	data   [64 << 10]byte
}

func newBatch() *batch { return &batch{} }

// readerSys is the system's part of a reader: without recvmmsg packets are read one by one, into a buffer that is held as long as Read is under way.
type readerSys struct{}

func (r *Reader) open(bool) error { return nil }

func (r *Reader) restore() bool { return false }

func (r *Reader) read() error {
	b := r.buffers.get()
	defer r.buffers.put(b)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(b.data[:])
		if err != nil {
			return err
		}
		b.packet[0] = Packet{b.data[:n:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
		if !r.handle(r.now(), b.packet[:]) {
			return nil
		}
	}
}

// StatusOf asks the kernel about a socket. A closed one has a status of zeros.
func StatusOf(conn syscall.Conn) Status {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Status{}
	}
	var s Status
	_ = raw.Control(func(fd uintptr) { // fails on a closed socket only
		if n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
			s.ReadBuffer = n
		}
	})
	return s
}
