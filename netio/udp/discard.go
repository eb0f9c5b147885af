package udp

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Discarder throws away what sockets have received. It is for one goroutine at a time. The zero value is ready.
type Discarder struct {
	scratch [1]byte // the rest of a packet is cut off by the kernel
	limit   int
	packets int
	name    unix.RawSockaddrInet6 // who sent the last packet, of either family
	read    func(fd uintptr)      // made once: a closure a call would be garbage
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
	d.limit, d.packets = limit, 0
	// A closed socket holds nothing.
	_ = raw.Control(d.read)
	if d.packets == 0 {
		return 0, netip.AddrPort{}
	}
	return d.packets, nameAddrPort(&d.name)
}

// readAll calls the kernel past unix.Recvfrom, which makes garbage of each try; most find nothing. What does not wait need not be announced to the scheduler either.
func (d *Discarder) readAll(fd uintptr) {
	for d.packets < d.limit {
		size := uint32(unsafe.Sizeof(d.name))
		_, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&d.scratch)), uintptr(len(d.scratch)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&d.name)), uintptr(unsafe.Pointer(&size)))
		switch errno {
		case 0:
			d.packets++
		case unix.EINTR:
		default:
			// EAGAIN: nothing more. Anything else (an ICMP error, say) is no packet.
			return
		}
	}
}

// nameAddrPort converts a sender's address as the kernel writes it.
func nameAddrPort(name *unix.RawSockaddrInet6) netip.AddrPort {
	switch name.Family {
	case unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), hostPort(&v4.Port))
	case unix.AF_INET6:
		ip := netip.AddrFrom16(name.Addr).Unmap()
		if ip.Is6() && ip.IsLinkLocalUnicast() && name.Scope_id != 0 {
			ip = ip.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
		}
		return netip.AddrPortFrom(ip, hostPort(&name.Port))
	}
	return netip.AddrPort{}
}

// hostPort reads a port, which lies in network order.
func hostPort(raw *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(raw))[:]) }
