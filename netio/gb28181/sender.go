package gb28181

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Sender writes one form to one peer. Made by [SendUDP], [SendTCP], [AcceptTCP] and [SendBack]. It has one goroutine that writes, and one for each socket that is read.
type Sender struct {
	opts SenderOptions
	out  outlet
	wake chan struct{} // one token: the form has something new
	stop chan struct{} // closed by Close
	end  chan error    // capacity 1: why a reading goroutine says that it is over

	mu      sync.Mutex // orders Close and what may not happen after it
	closed  bool
	running sync.WaitGroup

	// owned by the writing goroutine
	cursor cursor
	seq    uint16
	last   unit      // the last one sent, without packets
	sentAt time.Time // when
	units  []unit
	batch  *batch

	peer     atomic.Pointer[netip.AddrPort]
	packets  atomic.Uint64
	bytes    atomic.Uint64
	octets   atomic.Uint64 // payloads, for sender reports
	dropped  atomic.Uint64 // by jumps
	lost     atomic.Uint64 // by failed writes
	jumps    atomic.Uint64
	errors   atomic.Uint64
	reported atomic.Int64  // Unix nanoseconds of the last receiver report
	next     atomic.Uint64 // as cursor.next
}

// outlet is a sender's way to its peer. All methods but wake are called by the writing goroutine.
type outlet interface {
	// open returns when the peer is known, or why it will not be.
	open() (local, peer netip.AddrPort, err error)
	// write sends a batch, whole or up to a failure that ends the sender. It returns early after wake.
	write(b *batch) error
	// tick is called every SenderOptions.ReportEvery after open.
	tick(now time.Time) error
	// reply sends a receiver report about what comes back.
	reply(report []byte, to netip.AddrPort) error
	// wake makes open, write and every reading goroutine return. Called with the sender's lock held, after Close has begun or the sender has ended, maybe more than once.
	wake()
}

// serveSourceEvery is how often a source that takes in what comes back is served.
const serveSourceEvery = 100 * time.Millisecond

// takeUnits is how many units a sender takes from its form at once.
const takeUnits = 16

// start begins to send.
func start(opts SenderOptions, open func(*Sender) outlet) *Sender {
	opts.setDefaults()
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Rand == nil {
		opts.Rand = rand.Uint32
	}
	s := &Sender{
		opts: opts, wake: make(chan struct{}, 1), stop: make(chan struct{}), end: make(chan error, 1), seq: uint16(opts.Rand()),
	}
	s.out = open(s)
	s.running.Go(s.run)
	return s
}

// signal says that the form has something new.
func (s *Sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// fault is called by a reading goroutine to end the sender.
func (s *Sender) fault(err error) {
	select {
	case s.end <- err:
	default:
	}
}

// Close ends the sender, without OnEnd, and waits until nothing of it uses its sockets any more. A connection is closed, leased sockets stay open. It may be called again.
func (s *Sender) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
		s.out.wake()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// unlessClosed runs f unless Close has been called, and not while it is. Read deadlines are lifted this way: after Close they must not be.
func (s *Sender) unlessClosed(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		f()
	}
	return !s.closed
}

func (s *Sender) run() {
	err := s.work()
	s.mu.Lock()
	tell := !s.closed
	s.out.wake()
	s.mu.Unlock()
	if tell && s.opts.OnEnd != nil {
		s.opts.OnEnd(err)
	}
}

// work sends until there is a reason to end.
func (s *Sender) work() error {
	local, peer, err := s.out.open()
	if err != nil {
		return err
	}
	s.peer.Store(&peer)
	if s.opts.OnPeer != nil {
		s.opts.OnPeer(local, peer)
	}
	s.opts.Form.join(s)
	defer s.opts.Form.leave(s)
	s.cursor = s.opts.Form.ring.begin()
	s.next.Store(s.cursor.next)
	tick := time.NewTicker(s.opts.ReportEvery)
	defer tick.Stop()
	var serve <-chan time.Time
	if s.opts.Source != nil {
		ticker := time.NewTicker(serveSourceEvery)
		defer ticker.Stop()
		serve = ticker.C
	}
	for {
		select {
		case <-s.stop:
			return ErrSenderClosed
		case err := <-s.end:
			return err
		case <-tick.C:
			if err := s.out.tick(s.opts.Now()); err != nil {
				return err
			}
		case <-serve:
			if report, to := s.opts.Source.Tick(s.opts.Now()); report != nil {
				if err := s.out.reply(report, to); err != nil {
					return err
				}
			}
		case <-s.wake:
			if err := s.drain(); err != nil {
				return err
			}
		}
	}
}

// drain sends what there is, for so long that nothing else is kept waiting.
func (s *Sender) drain() error {
	units, done := s.opts.Form.ring.take(&s.cursor, s.units[:0], takeUnits, batchPackets)
	s.units = units
	s.next.Store(s.cursor.next)
	s.jumps.Store(s.cursor.jumps)
	s.dropped.Store(s.cursor.dropped)
	if done {
		return ErrSourceEnded
	}
	if len(units) == 0 {
		return nil
	}
	s.signal() // to look again
	s.batch = batches.Get().(*batch)
	defer func() {
		s.batch.reset()
		batches.Put(s.batch)
		s.batch = nil
		clear(units)
	}()
	for i := range units {
		if err := s.send(&units[i]); err != nil {
			return err
		}
	}
	return s.flush()
}

// batches are shared by all senders: they are needed only while something is being sent.
var batches = sync.Pool{New: func() any { return newBatch() }}

// send puts a unit into batches.
func (s *Sender) send(u *unit) error {
	for _, p := range u.packets {
		if s.batch.full() {
			if err := s.flush(); err != nil {
				return err
			}
		}
		s.batch.add(p, s.opts.PayloadType, s.seq, u.timestamp, s.opts.SSRC)
		s.seq++
	}
	s.last = unit{timestamp: u.timestamp, arrived: u.arrived}
	return nil
}

func (s *Sender) flush() error {
	if s.batch.count == 0 {
		return nil
	}
	err := s.out.write(s.batch)
	s.batch.reset()
	s.sentAt = s.opts.Now()
	return err
}

// sent counts packets of a batch that the kernel has taken.
func (s *Sender) sent(packets, bytes, octets int) {
	s.packets.Add(uint64(packets))
	s.bytes.Add(uint64(bytes))
	s.octets.Add(uint64(octets))
}

// timestampAt returns the timestamp of an instant, by the last unit sent.
func (s *Sender) timestampAt(now time.Time) uint32 {
	return s.last.timestamp + uint32(s.opts.Form.clock.Ticks(now.Sub(s.sentAt)))
}

// pause waits, or says why not.
func (s *Sender) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.stop:
		return ErrSenderClosed
	}
}

// stopped reports whether Close has begun.
func (s *Sender) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

var errNoPort = errors.New("port 0 cannot be sent to")

func checkPeer(peer netip.AddrPort) error {
	if !peer.IsValid() {
		return fmt.Errorf("%q is no address", peer)
	}
	if peer.Port() == 0 {
		return fmt.Errorf("%s: %w", peer, errNoPort)
	}
	return nil
}
