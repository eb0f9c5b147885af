package gb28181

import (
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"berth/netio/udp"
)

// errorPause keeps a socket that fails at once and again from costing a processor.
const errorPause = 10 * time.Millisecond

// longAgo is a deadline that has passed.
func longAgo() time.Time { return time.Unix(1, 0) }

// socketLoop is what the read loops of borrowed sockets have in common: it starts them, wakes them and waits for them, and never closes a socket.
type socketLoop struct {
	closing  chan struct{}
	once     sync.Once
	finished sync.WaitGroup

	mu     sync.Mutex // orders start and stop
	wakers map[uint64]func()
	last   uint64 // key of the newest of wakers
}

func newSocketLoop() *socketLoop {
	return &socketLoop{closing: make(chan struct{}), wakers: map[uint64]func(){}}
}

// start runs a loop that wake ends, once closing is closed. It reports false when it is too late.
func (l *socketLoop) start(run, wake func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed() {
		return false
	}
	l.last++
	key := l.last
	l.wakers[key] = wake
	l.finished.Go(func() {
		defer func() {
			l.mu.Lock()
			delete(l.wakers, key)
			l.mu.Unlock()
		}()
		run()
	})
	return true
}

func (l *socketLoop) closed() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// stop wakes the loops and waits for them. It may be called again, and by several goroutines.
func (l *socketLoop) stop() {
	l.once.Do(func() { close(l.closing) })
	l.mu.Lock()
	wakers := slices.Collect(maps.Values(l.wakers))
	l.mu.Unlock()
	for _, wake := range wakers {
		wake()
	}
	l.finished.Wait()
}

// ended decides what the error of a read means: true when the loop is to end. It pauses after errors of the socket itself, which concern packets that were sent.
func (l *socketLoop) ended(err error) bool {
	switch {
	case l.closed(), errors.Is(err, net.ErrClosed):
		return true
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false
	}
	pause := time.NewTimer(errorPause)
	defer pause.Stop()
	select {
	case <-pause.C:
		return false
	case <-l.closing:
		return true
	}
}

// alarm is a read deadline that is set only when something is due earlier than it, because setting one costs more than a packet.
type alarm struct {
	set func(time.Time) error
	at  time.Time // of the deadline that is set; zero without one
}

// arm sets the deadline for what is due at a time; due is false when nothing is. Deadlines that come too early do no harm.
func (a *alarm) arm(at time.Time, due bool) error {
	if !due || !a.at.IsZero() && !at.Before(a.at) {
		return nil
	}
	a.at = at
	return a.set(at)
}

// fired lifts a deadline that has passed.
func (a *alarm) fired() error {
	a.at = time.Time{}
	return a.set(time.Time{})
}

// udpLoop reads one UDP socket in batches.
type udpLoop struct {
	loop   *socketLoop
	conn   *net.UDPConn
	reader *udp.Reader
	alarm  alarm
	now    func() time.Time
	// batch takes what has come; tick does what is due, and says when it has to be called again.
	batch func(now time.Time, packets []udp.Packet)
	tick  func(now time.Time) (at time.Time, due bool)
	drops atomic.Uint64 // of the kernel, before the loop began
}

func newUDPLoop(loop *socketLoop, conn *net.UDPConn, buffers *Buffers, now func() time.Time) (*udpLoop, error) {
	reader, err := udp.NewReader(conn, udp.ReaderOptions{Buffers: &buffers.datagrams, Now: now})
	if err != nil {
		return nil, err
	}
	u := &udpLoop{loop: loop, conn: conn, reader: reader, now: now, alarm: alarm{set: conn.SetReadDeadline}}
	u.drops.Store(udp.StatusOf(conn).Drops)
	return u, nil
}

// start lifts the deadline that ended a former user, and begins to read.
func (u *udpLoop) start() error {
	if err := u.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	u.loop.start(u.run, func() { udp.Wake(u.conn) })
	return nil
}

func (u *udpLoop) run() {
	defer u.reader.Close()
	for {
		err := u.reader.Read(u.handle)
		if err == nil || u.loop.ended(err) {
			return
		}
		// A deadline that is lifted here may be the one that is to end the loop: it looks once more.
		if u.alarm.fired() != nil || u.loop.closed() {
			return
		}
		if u.alarm.arm(u.tick(u.now())) != nil || u.loop.closed() {
			return
		}
	}
}

func (u *udpLoop) handle(now time.Time, packets []udp.Packet) bool {
	u.batch(now, packets)
	return u.alarm.arm(u.tick(now)) == nil && !u.loop.closed()
}

// status returns what the kernel says of the socket, its drops since the loop was made.
func (u *udpLoop) status() udp.Status {
	s := udp.StatusOf(u.conn)
	s.Drops = uint64(uint32(s.Drops) - uint32(u.drops.Load()))
	return s
}
