package udp

import (
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Discarder throws away what sockets have received. It is for one goroutine at a time. The zero value is ready.
type Discarder struct {
	scratch [1]byte // the rest of a packet is cut off by the kernel
	limit   int
	packets int
	from    unix.Sockaddr
	read    func(fd uintptr) // made once: a closure a call would be garbage
}

// Discard reads and forgets at most limit packets that conn has received, without waiting and whatever deadline is set. It returns how many there
// were and who sent the last one; the zero AddrPort when there were none.
func (d *Discarder) Discard(conn syscall.Conn, limit int) (int, netip.AddrPort) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, netip.AddrPort{}
	}
	return d.DiscardRaw(raw, limit)
}

// DiscardRaw is [Discarder.Discard] for a caller that keeps the connection's raw form.
func (d *Discarder) DiscardRaw(raw syscall.RawConn, limit int) (int, netip.AddrPort) {
	if d.read == nil {
		d.read = d.readAll
	}
	d.limit, d.packets, d.from = limit, 0, nil
	// A closed socket holds nothing.
	_ = raw.Control(d.read)
	if d.packets == 0 {
		return 0, netip.AddrPort{}
	}
	return d.packets, addrPort(d.from)
}

func (d *Discarder) readAll(fd uintptr) {
	for d.packets < d.limit {
		_, from, err := unix.Recvfrom(int(fd), d.scratch[:], unix.MSG_DONTWAIT)
		switch err {
		case nil:
			d.packets++
			d.from = from
		case unix.EINTR:
		default:
			// EAGAIN: nothing more. Anything else (an ICMP error, say) is no packet.
			return
		}
	}
}

func addrPort(from unix.Sockaddr) netip.AddrPort {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)) //nolint:gosec // a port
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if ip.IsLinkLocalUnicast() && ip.Is6() && a.ZoneId != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(a.ZoneId), 10))
		}
		return netip.AddrPortFrom(ip, uint16(a.Port)) //nolint:gosec // a port
	}
	return netip.AddrPort{}
}
