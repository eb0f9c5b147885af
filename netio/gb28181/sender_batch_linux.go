package gb28181

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

// datagrams is a sender's view of its RTP socket.
type datagrams struct {
	raw  syscall.RawConn
	gso  bool                  // the kernel cuts (UDP_SEGMENT)
	to   unix.RawSockaddrInet6 // the peer; its beginning is a RawSockaddrInet4 when size says so
	size uint32                // of to
}

func newDatagrams(conn *net.UDPConn, to netip.AddrPort) (*datagrams, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	d := &datagrams{raw: raw}
	var domain int
	err = errors.Join(raw.Control(func(fd uintptr) {
		domain, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		_, e := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		d.gso = e == nil
	}), err)
	if err != nil {
		return nil, err
	}
	return d, d.aim(to, domain == unix.AF_INET6)
}

// aim sets the destination, as the kernel wants it.
func (d *datagrams) aim(to netip.AddrPort, ipv6 bool) error {
	ip := to.Addr().Unmap()
	if !ipv6 {
		if !ip.Is4() {
			return fmt.Errorf("%s: an IPv4 socket cannot send there", to)
		}
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(&d.to))
		v4.Family, v4.Addr = unix.AF_INET, ip.As4()
		d.size = unix.SizeofSockaddrInet4
	} else {
		d.to.Family, d.to.Addr = unix.AF_INET6, ip.As16()
		d.to.Scope_id = zoneOf(ip.Zone())
		d.size = unix.SizeofSockaddrInet6
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&d.to.Port))[:], to.Port()) // the port lies at the same place in both
	return nil
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

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// batchSys is the part of a batch that the system call reads.
type batchSys struct {
	batch   *batch
	iov     [2 * batchPackets]unix.Iovec
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

// send sends the packets from first on without waiting. sent is how many left; err is about the one after them.
func (d *datagrams) send(b *batch, first int) (sent int, err error) {
	y := &b.sys
	for first+sent < b.count {
		laid := b.split(first+sent, d.gso)
		y.prepare(d, first+sent, laid)
		n, err := y.flush(d)
		clear(y.iov[:2*laid])
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// flush sends the messages that have been prepared, and returns how many packets were in those that left.
func (y *batchSys) flush(d *datagrams) (packets int, err error) {
	b := y.batch
	for done := 0; done < b.length; {
		y.from = done
		if err := d.raw.Control(y.call); err != nil {
			return packets, err
		}
		for _, m := range b.messages[done : done+y.sent] {
			packets += m.count
		}
		done += y.sent
		switch {
		case y.errno == 0 || y.errno == unix.EINTR:
		case y.errno == unix.EAGAIN || y.errno == unix.ENOBUFS:
			return packets, errFull
		case b.messages[done].count > 1 && (y.errno == unix.EINVAL || y.errno == unix.EIO || y.errno == unix.EMSGSIZE || y.errno == unix.EOPNOTSUPP):
			return packets, errSegments
		default:
			return packets, y.errno
		}
	}
	return packets, nil
}

// prepare lays count packets from first on out for the kernel: each is its header and its payload.
func (y *batchSys) prepare(d *datagrams, first, count int) {
	b := y.batch
	for i := range count {
		head, payload := b.header(first+i), b.payloads[first+i]
		y.iov[2*i].Base = &head[0]
		y.iov[2*i].SetLen(len(head))
		y.iov[2*i+1].Base = &payload[0]
		y.iov[2*i+1].SetLen(len(payload))
	}
	for i := range b.messages[:b.length] {
		m := &b.messages[i]
		h := &y.headers[i].hdr
		*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&d.to)), Namelen: d.size, Iov: &y.iov[2*(m.first-first)]}
		h.SetIovlen(2 * m.count)
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

// sendmmsg runs inside RawConn.Control, which keeps the socket open and waits for nobody.
func (y *batchSys) sendmmsg(fd uintptr) {
	n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&y.headers[y.from])), uintptr(y.batch.length-y.from),
		unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	y.sent, y.errno = int(n), errno
	if errno != 0 {
		y.sent = 0
	}
}
