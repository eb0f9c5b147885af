package gb28181

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/netio/tcp"
)

// tcpLoop reads one connection, which it owns: it closes it in the end.
type tcpLoop struct {
	loop    *socketLoop
	conn    *net.TCPConn
	raw     syscall.RawConn
	peer    netip.AddrPort
	local   netip.AddrPort
	buffers *Buffers
	now     func() time.Time
	since   time.Time // when the connection came
	box     *outbox
	done    chan struct{} // closed after the connection
	ours    bool          // we have connected

	replaced bool // another connection has taken its place; guarded by the owner's lock

	framer  Framer        // owned by the loop
	framing atomic.Uint32 // of framer, for those who write
	skipped uint64        // of framer, as last told; owned by the loop
	alarm   alarm         // owned by the loop
	device  bool          // a packet of it was taken; owned by the loop
	failed  error         // of the read under way
	dropped atomic.Bool   // drop was called

	// packet takes each RTP and RTCP packet; read is told of the bytes passed over, after the packets of one system call; tick does what is due. All of them are called by the loop.
	packet func(now time.Time, pkt []byte)
	read   func(skipped uint64)
	tick   func(now time.Time) (at time.Time, due bool)
	// ended is called once, after the connection has been closed, with what ended it; io.EOF when the peer has.
	ended func(err error)
}

func newTCPLoop(loop *socketLoop, conn *net.TCPConn, buffers *Buffers, now func() time.Time) (*tcpLoop, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	t := &tcpLoop{
		loop: loop, conn: conn, raw: raw, buffers: buffers, now: now, since: now(),
		peer: unmapped(conn.RemoteAddr()), local: unmapped(conn.LocalAddr()), alarm: alarm{set: conn.SetReadDeadline},
		done: make(chan struct{}),
	}
	t.box = newTCPOutbox(conn, func() Framing { return Framing(t.framing.Load()) })
	return t, nil
}

// unmapped is a TCP address in IPv4 form if it is one.
func unmapped(addr net.Addr) netip.AddrPort {
	local, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	a := local.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// start reports false when the owner has been closed; the connection is closed then.
func (t *tcpLoop) start() bool {
	if t.loop.start(t.run, t.drop) {
		return true
	}
	_ = t.conn.Close()
	t.box.close()
	close(t.done)
	return false
}

// drop makes the loop end soon, and does not wait for it: closing the connection here would wait for what the loop does with a packet.
func (t *tcpLoop) drop() {
	t.dropped.Store(true)
	_ = t.conn.SetDeadline(longAgo()) // fails on a closed connection only
}

func (t *tcpLoop) run() {
	err := t.readAll()
	_ = t.conn.Close()
	t.box.close()
	t.ended(err)
	close(t.done)
}

func (t *tcpLoop) readAll() error {
	if err := t.service(t.since); err != nil {
		return err
	}
	for {
		t.failed = nil
		err := t.raw.Read(t.fetch)
		switch {
		case t.failed != nil:
			return t.failed
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		if err := t.alarm.fired(); err != nil {
			return err
		}
		if err := t.service(t.now()); err != nil {
			return err
		}
	}
}

// service does what is due. It sees when the loop is to end: the deadline which says so may have been replaced by one of ours.
func (t *tcpLoop) service(now time.Time) error {
	if err := t.alarm.arm(t.tick(now)); err != nil {
		return err
	}
	if t.dropped.Load() {
		return net.ErrClosed
	}
	return nil
}

// fetch runs inside RawConn.Read: false waits for more. The poller is edge-triggered, so it reads until there is nothing.
func (t *tcpLoop) fetch(fd uintptr) bool {
	b := t.buffers.stream()
	defer t.buffers.putStream(b)
	for {
		n, err := tcp.ReadNow(fd, b[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return false
		case err != nil:
			t.failed = os.NewSyscallError("read", err)
			return true
		case n == 0:
			t.failed = io.EOF
			return true
		}
		if t.failed = t.take(b[:n]); t.failed != nil {
			return true
		}
	}
}

func (t *tcpLoop) take(b []byte) error {
	now := t.now()
	t.framer.Push(b, func(pkt []byte) {
		t.framing.Store(uint32(t.framer.Kind()))
		t.packet(now, pkt)
	})
	skipped := t.framer.Skipped()
	t.read(skipped - t.skipped)
	t.skipped = skipped
	return t.service(now)
}
