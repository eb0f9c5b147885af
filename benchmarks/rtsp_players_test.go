//go:build linux

package benchmarks

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// headBytes is how much of a frame or packet the players look at: interleaved header, RTP header, stamp.
const headBytes = 4 + stampAt + 8

// fdConn is a blocking socket that the runtime does not watch.
type fdConn int

func (f fdConn) Read(p []byte) (int, error)  { return eintr(unix.Read, int(f), p) }
func (f fdConn) Write(p []byte) (int, error) { return eintr(unix.Write, int(f), p) }

func eintr(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// player is one viewer. Owned by the players' loop once it plays.
type player struct {
	fd   int    // of the connection
	udp  [2]int // its RTP sockets, when it plays over UDP
	seen [2]bool
	ssrc [2]uint32
	seq  [2]uint16

	head [headBytes]byte // beginning of the frame that is coming in
	have int
	skip int // bytes of it that are left
}

// figures are what players have seen.
type figures struct {
	bytes, packets uint64
	strange        uint64 // packets of other streams: ports that were somebody else's a moment ago
	lost           int64  // by sequence numbers; what only came out of order is not lost
	disordered     uint64
	video, audio   histogram // from the source's write to the player's read: last packet of a picture, packet of sound
}

// players read everything that their sockets get by one thread with epoll, so that hundreds cost little beside the server.
type players struct {
	addr  string // of the server
	epoll int
	quiet int // takes the sender reports of all
	done  sync.WaitGroup

	mu   sync.Mutex
	by   map[int32]*player // by socket
	open []int             // every descriptor
	now  figures
	end  bool

	first chan struct{} // one token: a picture has been read to its end
}

func newPlayers(b *testing.B) *players {
	p := &players{by: map[int32]*player{}, first: make(chan struct{}, 1)}
	var err error
	p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(b, err)
	p.quiet, err = boundUDP()
	require.NoError(b, err)
	p.open = append(p.open, p.epoll, p.quiet)
	p.done.Go(p.run)
	b.Cleanup(p.close)
	return p
}

func (p *players) close() {
	p.mu.Lock()
	p.end = true
	p.mu.Unlock()
	p.done.Wait()
	for _, fd := range p.open {
		_ = unix.Close(fd)
	}
	p.open = nil
}

// take returns the figures since the last call.
func (p *players) take() figures {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.now
	p.now = figures{}
	return f
}

func dialFD(addr string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	to := netip.MustParseAddrPort(addr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30})
}

func boundUDP() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20)
	return fd, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
}

func portOf(fd int) int {
	at, err := unix.Getsockname(fd)
	if v4, ok := at.(*unix.SockaddrInet4); err == nil && ok {
		return v4.Port
	}
	return 0
}

// join plays a stream: a whole RTSP dialogue over a new connection. A stalled player never reads again.
func (p *players) join(name string, udp, stalled bool) error {
	fd, err := dialFD(p.addr)
	if err != nil {
		return err
	}
	one := &player{fd: fd, udp: [2]int{-1, -1}}
	d := &dialogue{w: fdConn(fd), r: bufio.NewReader(fdConn(fd)), url: "rtsp://" + p.addr + "/live/" + name}
	if err := p.talk(d, one, udp); err != nil {
		_ = unix.Close(fd)
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if stalled {
		p.open = append(p.open, fd)
		return nil
	}
	rest, _ := d.r.Peek(d.r.Buffered())
	p.frames(one, rest, time.Now())
	return p.watch(one, fd)
}

func (p *players) talk(d *dialogue, one *player, udp bool) error {
	sdp, err := d.ask("DESCRIBE", d.url, "Accept: application/sdp\r\n", "")
	if err != nil {
		return err
	}
	for t, control := range d.controls(sdp) {
		transport := fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d\r\n", 2*t, 2*t+1)
		if udp {
			if one.udp[t], err = p.receiver(one); err != nil {
				return err
			}
			transport = fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d\r\n", portOf(one.udp[t]), portOf(p.quiet))
		}
		if _, err := d.ask("SETUP", control, transport, ""); err != nil {
			return err
		}
	}
	_, err = d.ask("PLAY", d.url, "", "")
	return err
}

// receiver opens a UDP socket of a player.
func (p *players) receiver(one *player) (int, error) {
	fd, err := boundUDP()
	if err != nil {
		return -1, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return fd, p.watch(one, fd)
}

// watch reads a socket from now on. Called with the lock held.
func (p *players) watch(one *player, fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	p.open = append(p.open, fd)
	p.by[int32(fd)] = one                                                                                        //nolint:gosec // a descriptor
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}) //nolint:gosec // a descriptor
}

// connect adds a viewer of a relay over TCP.
func (p *players) connect(addr string) error {
	fd, err := dialFD(addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.watch(&player{fd: fd, udp: [2]int{-1, -1}}, fd)
}

// listen adds a viewer of a relay over UDP and tells the relay where it is.
func (p *players) listen(relay io.Writer) error {
	one := &player{fd: -1}
	for t := range one.udp {
		var err error
		if one.udp[t], err = p.receiver(one); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(relay, localPort(one.udp[0]), localPort(one.udp[1]))
	return err
}

func (p *players) run() {
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, 256<<10)
	grams := newDatagrams()
	for {
		n, err := unix.EpollWait(p.epoll, events, 50)
		p.mu.Lock()
		if p.end || err != nil && err != unix.EINTR {
			p.mu.Unlock()
			return
		}
		for _, e := range events[:max(n, 0)] {
			one := p.by[e.Fd]
			if int(e.Fd) != one.fd {
				p.datagrams(one, int(e.Fd), grams)
				continue
			}
			got, err := unix.Read(one.fd, buf)
			if got > 0 {
				p.frames(one, buf[:got], time.Now())
			} else if err != unix.EAGAIN && err != unix.EINTR {
				_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, one.fd, nil)
			}
		}
		p.mu.Unlock()
	}
}

// frames follows the interleaved frames of a player.
func (p *players) frames(one *player, b []byte, at time.Time) {
	p.now.bytes += uint64(len(b))
	for len(b) > 0 {
		if one.skip > 0 {
			n := min(one.skip, len(b))
			one.skip -= n
			b = b[n:]
			continue
		}
		n := copy(one.head[one.have:], b)
		one.have += n
		b = b[n:]
		if one.have < len(one.head) {
			return
		}
		one.have = 0
		one.skip = int(binary.BigEndian.Uint16(one.head[2:])) + 4 - headBytes // every packet of the stream and every report is longer
		if one.head[1]&1 == 0 {
			p.packet(one, int(one.head[1]>>1), one.head[4:], at)
		}
	}
}

// packet counts an RTP packet, unless it is of another stream.
func (p *players) packet(one *player, track int, b []byte, at time.Time) bool {
	seq, ssrc := binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[8:])
	if one.seen[track] && ssrc != one.ssrc[track] {
		p.now.strange++
		return false
	}
	p.now.packets++
	if ahead := int16(seq - one.seq[track]); one.seen[track] && ahead <= 0 { //nolint:gosec // modulo 65536
		p.now.disordered++
		p.now.lost--
	} else {
		if one.seen[track] {
			p.now.lost += int64(ahead) - 1
		}
		one.seen[track], one.ssrc[track], one.seq[track] = true, ssrc, seq
	}
	if b[1]&0x80 == 0 {
		return true
	}
	delay := at.Sub(began) - time.Duration(binary.BigEndian.Uint64(b[stampAt:])) //nolint:gosec // a time
	if track == 0 {
		p.now.video.add(delay)
		select {
		case p.first <- struct{}{}:
		default:
		}
	} else {
		p.now.audio.add(delay)
	}
	return true
}

// datagrams is what recvmmsg(2) fills.
type datagrams struct {
	heads [64]struct {
		hdr unix.Msghdr
		len uint32
	}
	iov  [64]unix.Iovec
	data [64][2048]byte
}

func newDatagrams() *datagrams {
	d := &datagrams{}
	for i := range d.heads {
		d.iov[i].Base = &d.data[i][0]
		d.iov[i].SetLen(len(d.data[i]))
		d.heads[i].hdr.Iov = &d.iov[i]
		d.heads[i].hdr.SetIovlen(1)
	}
	return d
}

func (p *players) datagrams(one *player, fd int, d *datagrams) {
	track := 0
	if fd == one.udp[1] {
		track = 1
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&d.heads[0])), uintptr(len(d.heads)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return
	}
	now := time.Now()
	for i := range int(n) { //nolint:gosec // at most 64
		if p.packet(one, track, d.data[i][:], now) {
			p.now.bytes += uint64(d.heads[i].len)
		}
	}
}
