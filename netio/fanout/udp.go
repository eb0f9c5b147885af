package fanout

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"berth/media/hub"
	"berth/netio/udp"
)

// UDPPair is a stream's shared pair of sockets of one track. Its owner closes the sockets after all sinks that use it have been closed. It must not be copied.
type UDPPair struct {
	RTP  *net.UDPConn
	RTCP *net.UDPConn
	Port uint16 // of RTP; RTCP is Port+1

	outlets [2]outlet // of RTP and RTCP
}

// outlet is what all viewers of a socket send through, described when the first one comes.
type outlet struct {
	once sync.Once
	out  *udp.Outlet
	err  error
}

func (o *outlet) of(conn *net.UDPConn) (*udp.Outlet, error) {
	o.once.Do(func() { o.out, o.err = udp.NewOutlet(conn) })
	return o.out, o.err
}

// UDPTrack says where a viewer wants a track.
type UDPTrack struct {
	Pair *UDPPair       // nil: the track was not set up
	RTP  netip.AddrPort // the viewer's RTP port
	RTCP netip.AddrPort // the viewer's RTCP port; invalid: it gets no sender reports
}

const (
	// aheadChunks and aheadBytes bound what a sink takes in work at once. Packets of one channel then leave together: the sound between two pictures in one call.
	aheadChunks = 8
	aheadBytes  = 32 << 10
)

// retryAfter is how long a viewer waits when the shared socket's buffer is full. It is full for all of them and drains at the speed of the network card.
const retryAfter = time.Millisecond

// UDPSink sends a stream to one UDP viewer. It has no goroutine: when it must wait, a timer puts it back to work.
type UDPSink struct {
	player
	routes []route // by canonical channel

	// owned by whoever has the turn
	work    [aheadChunks]*hub.Chunk // in work, in order
	count   int                     // of these
	at      place                   // of the next packet
	pace    udp.Pace
	failing time.Time // since when nothing could be sent

	// guarded by the player's lock
	timer *time.Timer // runs while the sink is parked
}

// place is where a sink is in its work: it sends all packets of the first channel, then those of the next. Order among channels means nothing to viewers of datagrams.
type place struct{ channel, chunk, packet int }

// seek returns the place of the channel's next packet, from p on; false: the channel has no more.
func (p place) seek(work []*hub.Chunk) (place, bool) {
	for ; p.chunk < len(work); p.chunk, p.packet = p.chunk+1, 0 {
		c := work[p.chunk]
		if !c.Has(p.channel / 2) {
			continue
		}
		for ; p.packet < len(c.Packets); p.packet++ {
			if int(c.Packets[p.packet].Channel) == p.channel {
				return p, true
			}
		}
	}
	return place{channel: p.channel + 1}, false
}

// route is the way of one canonical channel. Viewers are many and their memory is seldom warm, so a send looks at little of it.
type route struct {
	out *udp.Outlet // nil: not wanted
	gso bool        // the kernel cuts messages; owned by the sink's turn
	to  udp.Destination
}

// NewUDPSink makes a sink; tracks is indexed by hub track. A destination that the pair's sockets cannot reach (another address family, port 0) is not
// sent to and counted in SinkStats.Errors. After Pool.Close the sink is born closed.
func (p *Pool) NewUDPSink(tracks []UDPTrack, opts SinkOptions) *UDPSink {
	s := &UDPSink{routes: make([]route, 2*len(tracks))}
	s.init(p, opts)
	s.pace.Burst, s.pace.Least = float64(p.opts.UDPBurst), float64(p.opts.UDPRate)
	for i, t := range tracks {
		if t.Pair != nil {
			s.route(2*i, t.Pair.RTP, &t.Pair.outlets[0], t.RTP)
			s.route(2*i+1, t.Pair.RTCP, &t.Pair.outlets[1], t.RTCP)
		}
	}
	if !p.adopt(s) {
		s.closed = true
	}
	return s
}

func (s *UDPSink) route(channel int, conn *net.UDPConn, shared *outlet, to netip.AddrPort) {
	if conn == nil || !to.IsValid() {
		return
	}
	out, err := shared.of(conn)
	if err == nil {
		s.routes[channel].to, err = out.Destination(to)
	}
	if err != nil {
		s.errs.Add(1)
		return
	}
	s.routes[channel].out, s.routes[channel].gso = out, out.Segments() && !s.pool.opts.DisableGSO
}

// Play sends what r returns. The sink owns r until Pause or Close has returned. The error is ErrPlaying or ErrClosed.
func (s *UDPSink) Play(r *hub.Reader) error { return s.play(s, r, func() {}) }

// Pause stops the media. What a worker is sending at this moment, a few chunks at most, still leaves.
func (s *UDPSink) Pause() { s.pause(s) }

// Stats returns the sink's counters.
func (s *UDPSink) Stats() SinkStats { return s.stats() }

// Close ends the sink and waits until nothing of it uses the pairs any more. It may be called again.
func (s *UDPSink) Close() {
	s.close(s, func() {
		if s.timer != nil && s.timer.Stop() {
			s.release() // the timer had the turn
		}
	})
	s.pool.forget(s)
}

// serve implements member.
func (s *UDPSink) serve(shared *plan) {
	s.mu.Lock()
	mine := s.take()
	s.mu.Unlock()
	if mine {
		s.run(shared, shared.spare())
	}
}

// resume is serve by the timer of a viewer who had to wait, and has the turn.
func (s *UDPSink) resume() {
	own := s.pool.batches.Get().(*batch)
	s.run(nil, own)
	s.pool.batches.Put(own)
}

// run sends until nothing is due, with the turn. When the viewer has to wait the turn goes to a timer. shared is the plan of the worker that runs it; nil: no worker does. own is for what is not shared.
func (s *UDPSink) run(shared *plan, own *batch) {
	defer own.reset()
	for {
		if gone := s.gather(); gone {
			return
		}
		in := shared
		if in != nil && (s.count == 0 || !in.shares(s.work[:s.count])) {
			in = nil
		}
		for s.due(in) {
			now := time.Now()
			if wait := s.pace.Wait(now); wait > 0 {
				s.park(wait)
				return
			}
			if err := s.send(own, in, now); err != nil && !errors.Is(err, udp.ErrSegments) {
				if errors.Is(err, udp.ErrFull) {
					s.park(retryAfter)
				} else {
					s.fail(s, err)
				}
				return
			}
		}
		s.forget()
	}
}

// forget lets go of the chunks in work.
func (s *UDPSink) forget() {
	clear(s.work[:s.count])
	s.count, s.at = 0, place{}
}

// gather makes sure that chunks are in work; gone is true when the turn has been given back.
func (s *UDPSink) gather() (gone bool) {
	s.mu.Lock()
	if s.closed {
		s.release()
		s.mu.Unlock()
		return true
	}
	s.parked = false
	if s.reader == nil {
		s.forget() // paused
	}
	if s.count > 0 {
		s.mu.Unlock()
		return false
	}
	state := hub.StateWait
	if s.reader != nil {
		state = s.takeChunks()
	}
	some := s.count > 0 // not to be looked at once the turn is given back
	if !some && state == hub.StateWait {
		gone = s.done()
	}
	s.mu.Unlock()
	switch {
	case some: // whatever follows is met again after these
	case state == hub.StateBehind:
		s.fail(s, ErrTooSlow)
		return true
	case state == hub.StateClosed:
		s.end(s)
	}
	return gone
}

// takeChunks takes the chunks that are due. Called with the lock held.
func (s *UDPSink) takeChunks() hub.State {
	for bytes := 0; s.count < len(s.work) && bytes < aheadBytes; s.count++ {
		c, state := s.reader.Next()
		if state != hub.StateReady {
			return state
		}
		s.work[s.count] = c
		s.pace.Learn(c.Arrived, len(c.Data))
		bytes += len(c.Data)
	}
	return hub.StateReady
}

// send sends the next packets in work that go through one socket. A viewer who cannot be reached costs nobody else anything: its packets are dropped and counted until WriteTimeout.
func (s *UDPSink) send(own *batch, shared *plan, now time.Time) error {
	r := &s.routes[s.at.channel]
	b, next := s.fill(own, shared, r.gso)
	sent, size, err := b.send(r.out, &r.to)
	if sent > 0 {
		s.failing = time.Time{}
		s.writes.Add(1)
		s.bytes.Add(uint64(size))
		s.pace.Spend(size)
		s.at = b.messages[sent-1].after
	}
	switch {
	case err == nil:
		s.at = next
	case errors.Is(err, net.ErrClosed):
		return err
	case errors.Is(err, udp.ErrSegments):
		r.gso = false // this viewer's way does not take them
	case s.failing.IsZero():
		s.failing = now
	case now.Sub(s.failing) >= s.opts.WriteTimeout:
		return fmt.Errorf("%w: %w", ErrWriteTimeout, err)
	}
	if err == nil || errors.Is(err, udp.ErrSegments) || errors.Is(err, udp.ErrFull) {
		return err
	}
	s.errs.Add(1)
	s.at = b.messages[sent].after
	return nil
}

// due moves to the next channel that has packets and a route; false: nothing is left in work.
func (s *UDPSink) due(shared *plan) bool {
	for ; s.at.channel < len(s.routes); s.at = (place{channel: s.at.channel + 1}) {
		r := &s.routes[s.at.channel]
		if r.out == nil {
			continue
		}
		if b := s.planned(shared, r.gso); b != nil {
			if !b.empty() {
				return true
			}
		} else if _, some := s.at.seek(s.work[:s.count]); some {
			return true
		}
	}
	return false
}

// planned returns the plan's batch of the channel that is due; nil: there is none, or the viewer is half way through the channel.
func (s *UDPSink) planned(shared *plan, gso bool) *batch {
	if shared == nil || s.at != (place{channel: s.at.channel}) {
		return nil
	}
	return shared.channel(s.at.channel, gso)
}

// fill returns the packets of the channel that is due that may leave now, and the place after them: all of them as the plan has them when the burst allows, else some in the viewer's own batch.
func (s *UDPSink) fill(own *batch, shared *plan, gso bool) (b *batch, next place) {
	left := s.pace.Left()
	if b = s.planned(shared, gso); b != nil && float64(b.size) <= left {
		return b, place{channel: s.at.channel + 1}
	}
	own.reset()
	own.gso = gso
	next = own.fill(s.work[:s.count], s.at, left)
	own.list()
	return own, next
}

// park gives the turn to a timer.
func (s *UDPSink) park(wait time.Duration) {
	s.parks.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.release()
		return
	}
	s.parked = true
	if s.timer == nil {
		s.timer = time.AfterFunc(wait, s.resume)
		return
	}
	s.timer.Reset(wait)
}
