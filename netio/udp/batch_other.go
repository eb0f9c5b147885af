//go:build !linux

package udp

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// messageBytes is the longest datagram.
const messageBytes = 64 << 10

// readerSys is the system's part of a reader: without recvmmsg packets are read one by one.
type readerSys struct {
	buf    []byte
	packet [1]Packet
}

func (r *Reader) open(bool) error { return nil }

func (r *Reader) restore() bool { return false }

func (r *Reader) read() error {
	if r.sys.buf == nil {
		r.sys.buf = make([]byte, messageBytes)
	}
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(r.sys.buf)
		if err != nil {
			return err
		}
		r.sys.packet[0] = Packet{r.sys.buf[:n:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port())}
		if !r.handle(r.now(), r.sys.packet[:]) {
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
