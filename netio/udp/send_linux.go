package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Outlet is a socket as [Messages] leave through it. It may be used by several goroutines at once, and stays its owner's to close.
type Outlet struct {
	raw      syscall.RawConn
	ipv6     bool // takes IPv6 addresses, IPv4 ones mapped
	segments bool
}

// NewOutlet describes conn. It fails on a closed socket only.
func NewOutlet(conn *net.UDPConn) (*Outlet, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	o := &Outlet{raw: raw}
	var domain int
	err = errors.Join(raw.Control(func(fd uintptr) {
		domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		_, e := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		o.segments = e == nil
	}), err)
	o.ipv6 = domain == unix.AF_INET6
	return o, err
}

// Segments reports whether the kernel can cut messages into datagrams (UDP_SEGMENT, udp(7)).
func (o *Outlet) Segments() bool { return o.segments }

// Destination is an address as the kernel wants it, for one outlet.
type Destination struct {
	raw  unix.RawSockaddrInet6 // its beginning is a RawSockaddrInet4 when size says so
	size uint32
}

// Destination converts an address. It fails for one that the socket cannot reach: port 0, or IPv6 from an IPv4 socket.
func (o *Outlet) Destination(to netip.AddrPort) (d Destination, err error) {
	ip := to.Addr().Unmap()
	if to.Port() == 0 {
		return d, fmt.Errorf("%s: no port", to)
	}
	if !o.ipv6 {
		if !ip.Is4() {
			return d, fmt.Errorf("%s: an IPv4 socket cannot send there", to)
		}
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&d.raw))
		v4.Family, v4.Addr = unix.AF_INET, ip.As4()
		d.size = unix.SizeofSockaddrInet4
	} else {
		d.raw.Family, d.raw.Addr = unix.AF_INET6, ip.As16()
		d.raw.Scope_id = zoneOf(ip.Zone())
		d.size = unix.SizeofSockaddrInet6
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&d.raw.Port))[:], to.Port()) // the port lies at the same place in both
	return d, nil
}

// zoneOf returns the interface number of an IPv6 zone, which is a name or a number.
func zoneOf(name string) uint32 {
	if name == "" {
		return 0
	}
	if ifi, err := net.InterfaceByName(name); err == nil {
		return uint32(ifi.Index)
	}
	n, _ := strconv.ParseUint(name, 10, 32) // not a number: 0, the system's choice
	return uint32(n)
}

// Messages are what one system call sends to one destination. Made by [NewMessages], used again, and for one goroutine at a time.
type Messages struct {
	iov     []unix.Iovec
	used    int // of iov
	headers [MaxMessages]mmsghdr
	control [MaxMessages][4]uint64 // aligned as struct cmsghdr must be
	count   int
	call    func(fd uintptr)

	// of the Send under way
	from  int // messages sent already
	sent  int
	errno syscall.Errno
}

// NewMessages makes room for messages of so many pieces in all.
func NewMessages(pieces int) *Messages {
	m := &Messages{iov: make([]unix.Iovec, pieces)}
	m.call = m.sendmmsg
	return m
}

// Reset empties m and lets go of the pieces.
func (m *Messages) Reset() {
	clear(m.iov[:m.used])
	m.used, m.count = 0, 0
}

// Add appends a message of pieces, none of them empty, which must not change until Reset. With segment above 0 the kernel cuts it into datagrams of so many bytes, the last of what is left. There must
// be room.
func (m *Messages) Add(segment int, pieces ...[]byte) {
	first := m.used
	for _, p := range pieces {
		m.iov[m.used].Base = &p[0]
		m.iov[m.used].SetLen(len(p))
		m.used++
	}
	h := &m.headers[m.count].hdr
	*h = unix.Msghdr{Iov: &m.iov[first]}
	h.SetIovlen(len(pieces))
	if segment > 0 {
		c := (*unix.Cmsghdr)(unsafe.Pointer(&m.control[m.count]))
		c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		c.SetLen(unix.CmsgLen(2))
		*(*uint16)(unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))) = uint16(segment)
		h.Control = (*byte)(unsafe.Pointer(c))
		h.SetControllen(unix.CmsgSpace(2))
	}
	m.count++
}

// Send sends the messages in order, without waiting. sent is how many left; err, nil when all did, is about the one after them.
func (m *Messages) Send(o *Outlet, to *Destination) (sent int, err error) {
	for i := range m.headers[:m.count] {
		m.headers[i].hdr.Name, m.headers[i].hdr.Namelen = (*byte)(unsafe.Pointer(&to.raw)), to.size
	}
	for sent < m.count {
		m.from = sent
		if err := o.raw.Control(m.call); err != nil {
			return sent, err
		}
		sent += m.sent
		switch {
		case m.errno == 0 || m.errno == unix.EINTR:
		case m.errno == unix.EAGAIN || m.errno == unix.ENOBUFS:
			return sent, ErrFull
		case m.headers[sent].hdr.Control != nil && (m.errno == unix.EINVAL || m.errno == unix.EIO || m.errno == unix.EMSGSIZE || m.errno == unix.EOPNOTSUPP):
			return sent, ErrSegments
		default:
			return sent, m.errno
		}
	}
	return sent, nil
}

// sendmmsg runs inside RawConn.Control, which keeps the socket open but, unlike RawConn.Write, lets several goroutines send through it at once. The runtime is not told of the call, which never
// waits: telling it wakes its monitor thread (docs/performance.md).
func (m *Messages) sendmmsg(fd uintptr) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&m.headers[m.from])), uintptr(m.count-m.from),
		unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	m.sent, m.errno = int(n), errno
	if errno != 0 {
		m.sent = 0
	}
}
