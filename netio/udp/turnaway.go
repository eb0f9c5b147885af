package udp

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// TurnAway resets at most limit connections that wait to be accepted, without waiting and whatever deadline is set. It returns how many there were and who made the last one; the zero AddrPort when
// there were none. A nil or closed listener has none.
func TurnAway(l *net.TCPListener, limit int) (n int, from netip.AddrPort) {
	if l == nil {
		return 0, netip.AddrPort{}
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return 0, netip.AddrPort{}
	}
	// A closed listener holds nothing.
	_ = raw.Control(func(fd uintptr) {
		for n < limit {
			conn, name, err := unix.Accept(int(fd))
			switch err {
			case nil:
			case unix.EINTR, unix.ECONNABORTED:
				continue
			default: // EAGAIN: nobody waits. No descriptor left: the next look tries again
				return
			}
			n, from = n+1, sockaddrPort(name)
			// A reset leaves nothing behind that would keep the port, and tells the peer at once. The descriptor is gone whatever close says.
			_ = unix.SetsockoptLinger(conn, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			_ = unix.Close(conn)
		}
	})
	return n, from
}

func sockaddrPort(name unix.Sockaddr) netip.AddrPort {
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)) //nolint:gosec // a port
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)) //nolint:gosec // a port
	}
	return netip.AddrPort{}
}
