package fanout

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

// udpSocket is a sink's view of a shared socket.
type udpSocket struct {
	raw  syscall.RawConn
	ipv6 bool // the socket takes IPv6 addresses, IPv4 ones mapped
	gso  bool // the kernel segments (UDP_SEGMENT); owned by the sink's turn
}

func newUDPSocket(conn *net.UDPConn, gso bool) (*udpSocket, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &udpSocket{raw: raw}
	var domain int
	err = errors.Join(raw.Control(func(fd uintptr) {
		domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		_, e := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		s.gso = gso && e == nil
	}), err)
	s.ipv6 = domain == unix.AF_INET6
	return s, err
}

// address is a destination as the kernel wants it.
type address struct {
	raw  unix.RawSockaddrInet6 // its beginning is a RawSockaddrInet4 when size says so
	size uint32
}

func (s *udpSocket) address(to netip.AddrPort) (a address, err error) {
	ip := to.Addr().Unmap()
	if to.Port() == 0 {
		return a, fmt.Errorf("%s: no port", to)
	}
	if !s.ipv6 {
		if !ip.Is4() {
			return a, fmt.Errorf("%s: an IPv4 socket cannot send there", to)
		}
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
		v4.Family, v4.Addr = unix.AF_INET, ip.As4()
		a.size = unix.SizeofSockaddrInet4
	} else {
		a.raw.Family, a.raw.Addr = unix.AF_INET6, ip.As16()
		a.raw.Scope_id = zone(ip.Zone())
		a.size = unix.SizeofSockaddrInet6
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&a.raw.Port))[:], to.Port()) // the port lies at the same place in both
	return a, nil
}

// zone returns the interface number of an IPv6 zone, which is a name or a number.
func zone(name string) uint32 {
	if name == "" {
		return 0
	}
	if ifi, err := net.InterfaceByName(name); err == nil {
		return uint32(ifi.Index)
	}
	n, _ := strconv.ParseUint(name, 10, 32)
	return uint32(n)
}

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// batchSys is the part of a batch that the system call reads.
type batchSys struct {
	batch   *batch
	iov     [batchPackets]unix.Iovec
	headers [batchMessages]mmsghdr
	control [batchMessages][4]uint64 // aligned as struct cmsghdr must be
	call    func(fd uintptr)
	from    int // messages sent already
	sent    int
	errno   syscall.Errno
}

func (y *batchSys) init(b *batch) {
	y.batch = b
	y.call = y.sendmmsg
}

// send sends the messages in order. sent is how many left, size their bytes; err is about the one after them.
func (b *batch) send() (sent, size int, err error) {
	y := &b.sys
	y.prepare()
	defer clear(y.iov[:b.count])
	for sent < b.length {
		y.from = sent
		if err := b.socket.raw.Control(y.call); err != nil {
			return sent, size, err
		}
		for i := range y.sent {
			size += b.messages[sent+i].size
		}
		sent += y.sent
		switch {
		case y.errno == 0 || y.errno == unix.EINTR:
		case y.errno == unix.EAGAIN || y.errno == unix.ENOBUFS:
			return sent, size, errFull
		case b.messages[sent].count > 1 && (y.errno == unix.EINVAL || y.errno == unix.EIO || y.errno == unix.EMSGSIZE || y.errno == unix.EOPNOTSUPP):
			return sent, size, errSegments
		default:
			return sent, size, y.errno
		}
	}
	return sent, size, nil
}

// prepare lays the messages out for the kernel.
func (y *batchSys) prepare() {
	b := y.batch
	for i, p := range b.packets[:b.count] {
		y.iov[i].Base = &p[0]
		y.iov[i].SetLen(len(p))
	}
	for i := range b.messages[:b.length] {
		m := &b.messages[i]
		h := &y.headers[i].hdr
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&b.to.raw)), Namelen: b.to.size, Iov: &y.iov[m.first]}
		h.SetIovlen(m.count)
		if m.count > 1 {
			c := (*unix.Cmsghdr)(unsafe.Pointer(&y.control[i]))
			c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
			c.SetLen(unix.CmsgLen(2))
			*(*uint16)(unsafe.Add(unsafe.Pointer(c), unix.CmsgLen(0))) = uint16(m.segment)
			h.Control = (*byte)(unsafe.Pointer(c))
			h.SetControllen(unix.CmsgSpace(2)) // one UDP_SEGMENT message, see udp(7)
		}
	}
}

// sendmmsg runs inside RawConn.Control, which keeps the socket open but, unlike RawConn.Write, lets several workers send through it at once. As with
// writeVec, the runtime is not told.
func (y *batchSys) sendmmsg(fd uintptr) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&y.headers[y.from])), uintptr(y.batch.length-y.from),
		unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	y.sent, y.errno = int(n), errno
	if errno != 0 {
		y.sent = 0
	}
}
