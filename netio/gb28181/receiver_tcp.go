package gb28181

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// connectLimit is how long a connection to a device may take.
const connectLimit = 5 * time.Second

// listen accepts connections.
func (r *Receiver) listen() error {
	l := r.opts.Listener
	if err := l.SetDeadline(time.Time{}); err != nil {
		return err
	}
	r.loop.start(func() {
		for {
			conn, err := l.AcceptTCP()
			if err == nil {
				_ = r.take(conn, false) // it was closed if it is not wanted
				continue
			}
			if r.loop.ended(err) {
				return
			}
		}
	}, func() { _ = l.SetDeadline(longAgo()) })
	return nil
}

// take reads from a connection. One that we have made is the device's from the beginning.
func (r *Receiver) take(conn *net.TCPConn, ours bool) error {
	r.came.Store(true)
	if r.opts.ReadBuffer > 0 {
		_ = conn.SetReadBuffer(r.opts.ReadBuffer) // capped by the kernel; a closed connection shows below
	}
	t, err := newTCPLoop(r.loop, conn, r.opts.Buffers, r.opts.Now)
	if err != nil {
		_ = conn.Close()
		return err
	}
	t.ours = ours
	t.packet = func(now time.Time, pkt []byte) {
		if r.source.PushTCP(now, t.peer, pkt) {
			r.isDevice(t)
		}
	}
	t.read = r.source.addSkipped
	t.tick = func(now time.Time) (time.Time, bool) { return r.tickTCP(t, now) }
	t.ended = func(err error) {
		told := r.forget(t)
		r.source.Release(t.peer)
		if told {
			r.opts.Ended(t.peer, err)
		}
	}
	r.makeRoom(t)
	if !t.start() {
		r.forget(t)
		return net.ErrClosed
	}
	return nil
}

// makeRoom enters a connection, and ends the oldest that is not the device's when there are too many.
func (r *Receiver) makeRoom(t *tcpLoop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	open := 0
	for _, c := range r.conns {
		if !c.dropped.Load() {
			open++
		}
	}
	for _, c := range r.conns {
		if open < maxConnections {
			break
		}
		if c != r.device && !c.ours && !c.dropped.Load() {
			c.drop()
			r.refused++
			open--
		}
	}
	r.conns = append(r.conns, t)
}

// isDevice notes whose connection is the device's. The one before it has been silent for so long that it is dead.
func (r *Receiver) isDevice(t *tcpLoop) {
	if t.device {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if former := r.device; former != nil && former != t {
		former.replaced = true
		former.drop()
	}
	r.device, t.device = t, true
}

// tickTCP does what is due for the source, and ends a connection that is a stranger's for too long.
func (r *Receiver) tickTCP(t *tcpLoop, now time.Time) (time.Time, bool) {
	at, due := r.tick(now)
	if t.device || t.ours {
		return at, due
	}
	limit := t.since.Add(strangerTime)
	if !now.Before(limit) && !t.dropped.Load() {
		r.mu.Lock()
		r.refused++
		r.mu.Unlock()
		t.drop()
		return time.Time{}, false
	}
	if !due || limit.Before(at) {
		at = limit
	}
	return at, true
}

// Connect makes a connection to the device (tcp_mode 2), from local if that is valid, within 5 s, and waits for it. A connection that exists already is ended before: between two addresses there can be only one. host is a
// name or an address.
func (r *Receiver) Connect(ctx context.Context, local netip.AddrPort, host string, port uint16) error {
	target := net.JoinHostPort(host, strconv.Itoa(int(port)))
	r.endFormer()
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	type outcome struct {
		conn net.Conn
		err  error
	}
	done := make(chan outcome, 1)
	if !r.loop.start(func() {
		conn, err := dialFrom(ctx, local, target)
		done <- outcome{conn, err}
	}, cancel) {
		return fmt.Errorf("connect to %s: %w", target, net.ErrClosed)
	}
	out := <-done
	if out.err != nil {
		return connectError(target, local, out.err)
	}
	return r.Adopt(out.conn.(*net.TCPConn))
}

// connectError says what an operator can do about a failed connection.
func connectError(target string, local netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return fmt.Errorf("connect to %s: no answer within %s: check the device's address and the firewalls between", target, connectLimit)
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("connect to %s from %s: the local address or port cannot be used, or a former connection to the same target still lingers: %w", target, local, err)
	}
	return fmt.Errorf("connect to %s: %w", target, err)
}

// dialFrom connects from a port that may have had a connection to elsewhere a moment ago.
func dialFrom(ctx context.Context, local netip.AddrPort, target string) (net.Conn, error) {
	d := net.Dialer{}
	if local.IsValid() {
		if local.Addr().IsUnspecified() {
			d.LocalAddr = &net.TCPAddr{Port: int(local.Port())} // of the target's family
		} else {
			d.LocalAddr = net.TCPAddrFromAddrPort(local)
		}
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var err error
			if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }); e != nil {
				return e
			}
			return err
		}
	}
	return d.DialContext(ctx, "tcp", target)
}

// Adopt reads from a connection to the device that somebody else has made; it is the receiver's from then on. A connection that exists already is replaced. When the receiver is closed the connection is closed, too, and the
// error is net.ErrClosed.
func (r *Receiver) Adopt(conn *net.TCPConn) error {
	// A connection that we end leaves nothing behind that would keep the next one from the same port to the same device.
	_ = conn.SetLinger(0)
	r.endFormer()
	return r.take(conn, true)
}

// endFormer ends the connection of the device, and those that we have made, and waits until they are closed.
func (r *Receiver) endFormer() {
	var former []*tcpLoop
	r.mu.Lock()
	for _, t := range r.conns {
		if t == r.device || t.ours {
			t.replaced = true
			former = append(former, t)
		}
	}
	r.mu.Unlock()
	for _, t := range former {
		t.drop()
		<-t.done
	}
}
