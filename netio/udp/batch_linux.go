package udp

import (
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchMessages = 16       // datagrams, or runs of them, that one system call fetches
	messageBytes  = 64 << 10 // the longest of either
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// batch is what one recvmmsg call fills. Of data only the pages that packets have come to lie in are ever touched.
type batch struct {
	headers [batchMessages]mmsghdr
	iov     [batchMessages]unix.Iovec
	names   [batchMessages]unix.RawSockaddrInet6
	control [batchMessages][4]uint64 // aligned as struct cmsghdr must be; room for one UDP_GRO message
	packets []Packet
	data    [batchMessages][messageBytes]byte
}

func newBatch() *batch {
	b := &batch{packets: make([]Packet, 0, 4*batchMessages)}
	for i := range b.headers {
		b.iov[i].Base = &b.data[i][0]
		b.iov[i].SetLen(messageBytes)
		h := &b.headers[i].hdr
		h.Iov = &b.iov[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
	}
	return b
}

// readerSys is the system's part of a reader.
type readerSys struct {
	wanted    bool // UDP_GRO is to be switched on with the first packet: many a socket never gets one
	coalesced bool // UDP_GRO is on
	call      func(fd uintptr) bool
	err       syscall.Errno // of the Read under way

	lastName unix.RawSockaddrInet6 // the sender of the last packet, as the kernel and as we write it
	lastFrom netip.AddrPort
}

func (r *Reader) open(coalesce bool) error {
	r.sys.call, r.sys.wanted = r.fetch, coalesce
	return r.raw.Control(func(uintptr) {})
}

// coalesce switches UDP_GRO on, where the kernel knows it.
func (r *Reader) coalesce(fd uintptr) {
	r.sys.wanted = false
	r.sys.coalesced = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) == nil
}

// restore reports whether there is anything that must not be left to the next reader.
func (r *Reader) restore() bool {
	if !r.sys.coalesced {
		return false
	}
	r.sys.coalesced = false
	_ = r.raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 0) }) // fails on a closed socket only
	return true
}

func (r *Reader) read() error {
	r.sys.err = 0
	if err := r.raw.Read(r.sys.call); err != nil {
		return err
	}
	if r.sys.err != 0 {
		return os.NewSyscallError("recvmmsg", r.sys.err)
	}
	return nil
}

// fetch runs inside RawConn.Read: false waits for more. Handling packets in here saves the system call that would find the socket empty: the runtime's
// poller is edge-triggered, and what comes after the last recvmmsg call is an edge that it will see.
func (r *Reader) fetch(fd uintptr) bool {
	b := r.buffers.get()
	defer r.buffers.put(b)
	for {
		n, errno := r.receive(fd, b)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			r.sys.err = errno
			return true
		}
		packets := r.sort(b, n)
		if r.sys.wanted {
			r.coalesce(fd)
		}
		more := r.handle(r.now(), packets)
		clear(b.packets)
		switch {
		case !more:
			return true
		case n < batchMessages:
			return false
		}
	}
}

func (r *Reader) receive(fd uintptr, b *batch) (int, syscall.Errno) {
	for i := range b.headers {
		h := &b.headers[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if r.sys.coalesced {
			h.Control = (*byte)(unsafe.Pointer(&b.control[i]))
			h.SetControllen(int(unsafe.Sizeof(b.control[i])))
		} else {
			h.Control = nil
			h.SetControllen(0)
		}
	}
	// The runtime is not told of the call, which never waits: telling it wakes its monitor thread, which costs more than the reading.
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.headers)), batchMessages, unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// sort lists the datagrams of the first n messages.
func (r *Reader) sort(b *batch, n int) []Packet {
	b.packets = b.packets[:0]
	for i := range n {
		h := &b.headers[i]
		data, from := b.data[i][:h.len], r.from(&b.names[i], h.hdr.Namelen)
		if segment := segmentSize(&h.hdr, &b.control[i]); segment > 0 {
			for len(data) > segment {
				b.packets = append(b.packets, Packet{data[:segment:segment], from})
				data = data[segment:]
			}
		}
		b.packets = append(b.packets, Packet{data[:len(data):len(data)], from})
	}
	return b.packets
}

// segmentSize reads the UDP_GRO message (udp(7)): the length of all datagrams of a run but the last; 0 for a single datagram.
func segmentSize(h *unix.Msghdr, control *[4]uint64) int {
	c := (*unix.Cmsghdr)(unsafe.Pointer(control))
	if int(h.Controllen) < unix.CmsgLen(4) || c.Level != unix.SOL_UDP || c.Type != unix.UDP_GRO {
		return 0
	}
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(control), unix.CmsgLen(0))))
}

// from converts a sender's address. Packets come in runs from one sender, and zones cost an allocation, so the last one is kept.
func (r *Reader) from(name *unix.RawSockaddrInet6, size uint32) netip.AddrPort {
	y := &r.sys
	if name.Family != unix.AF_INET6 {
		return nameAddrPort(name)
	}
	if size < unix.SizeofSockaddrInet6 {
		return netip.AddrPort{}
	}
	name.Flowinfo = 0
	if y.lastName == *name {
		return y.lastFrom
	}
	y.lastName, y.lastFrom = *name, nameAddrPort(name)
	return y.lastFrom
}

// Numbers of struct sk_meminfo (include/uapi/linux/sock_diag.h).
const (
	memRead    = 0 // bytes in the receive queue
	memReadMax = 1 // bound of that
	memDrops   = 8 // datagrams dropped
	memCount   = 9
)

// StatusOf asks the kernel about a socket. A closed one has a status of zeros.
func StatusOf(conn syscall.Conn) Status {
	raw, err := conn.SyscallConn()
	if err != nil {
		return Status{}
	}
	var s Status
	_ = raw.Control(func(fd uintptr) { // fails on a closed socket only
		var info [memCount]uint32
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := syscall.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno == 0 {
			s = Status{ReadBuffer: int(info[memReadMax]), Waiting: int(info[memRead]), Drops: uint64(info[memDrops])}
		}
	})
	return s
}
