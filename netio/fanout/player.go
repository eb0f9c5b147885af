package fanout

import (
	"sync"
	"sync/atomic"
	"time"

	"berth/media/hub"
)

// SinkOptions sets up a sink.
type SinkOptions struct {
	// MaxControlBytes bounds the responses that wait for a peer which does not read. Default 256 KiB. TCP only.
	MaxControlBytes int
	// WriteTimeout ends a viewer that can take nothing for so long. Default 10 s.
	WriteTimeout time.Duration
	// OnError is called once, from any goroutine, when the sink has failed: the connection's error, ErrWriteTimeout or ErrTooSlow. It must not block. When Close is called at the same
	// moment the call may still arrive. Optional.
	OnError func(error)
	// OnEnd is called once per Play, from any goroutine, when the hub has been closed and everything has been taken out of it; the last bytes may still be on their way to the socket. It must not block. Optional.
	OnEnd func()
}

// SinkStats are a sink's counters.
type SinkStats struct {
	Writes  uint64          // system calls that wrote something
	Bytes   uint64          // bytes handed to the kernel
	Parks   uint64          // times the socket would block, or the viewer had to be given time
	Errors  uint64          // errors that did not end the sink (UDP)
	Playing bool            // a reader is attached
	Parked  bool            // waiting for the socket now
	Viewer  hub.ReaderStats // of the present reader, or of the last
}

// player is what TCP and UDP sinks have in common: a reader, and the turn. Who has the turn writes; whoever comes meanwhile leaves a note and goes.
type player struct {
	pool *Pool
	opts SinkOptions

	mu     sync.Mutex
	idle   sync.Cond // busy has become false
	busy   bool      // somebody has the turn
	again  bool      // there may be more to do
	closed bool
	failed bool
	parked bool
	reader *hub.Reader
	last   *hub.Reader // for Stats
	shard  *shard      // while a reader is attached
	plays  uint64      // counts Play, to tell one from the next

	writes atomic.Uint64
	bytes  atomic.Uint64
	parks  atomic.Uint64
	errs   atomic.Uint64
}

func (p *player) init(pool *Pool, opts SinkOptions) {
	if opts.MaxControlBytes <= 0 {
		opts.MaxControlBytes = 256 << 10
	}
	if opts.WriteTimeout <= 0 {
		opts.WriteTimeout = 10 * time.Second
	}
	p.pool, p.opts = pool, opts
	p.idle.L = &p.mu
}

// take asks for the turn; false: somebody else has it and will look again. Called with the lock held.
func (p *player) take() bool {
	if p.busy {
		p.again = true
		return false
	}
	if p.closed || p.failed {
		return false
	}
	p.busy, p.again = true, false
	return true
}

// release gives the turn back. Called with the lock held.
func (p *player) release() {
	p.busy, p.parked = false, false
	p.idle.Broadcast()
}

// done gives the turn back unless somebody has left a note meanwhile. Called with the lock held, when nothing is left to write.
func (p *player) done() bool {
	if p.again && !p.closed {
		p.again = false
		return false
	}
	p.release()
	return true
}

// fail ends the sink; called by whoever has the turn.
func (p *player) fail(m member, err error) {
	p.mu.Lock()
	tell := !p.closed && !p.failed
	p.failed = true
	r, s := p.detach()
	p.release()
	p.mu.Unlock()
	p.leave(m, r, s)
	if tell && p.opts.OnError != nil {
		p.opts.OnError(err)
	}
}

// play attaches a reader. prepare runs under the lock once it is sure.
func (p *player) play(m member, r *hub.Reader, prepare func()) error {
	p.mu.Lock()
	switch {
	case p.closed || p.failed:
		p.mu.Unlock()
		return ErrClosed
	case p.reader != nil:
		p.mu.Unlock()
		return ErrPlaying
	}
	r.Open() // one that was paused; before anybody can read it
	p.reader, p.last = r, r
	p.plays++
	mine := p.plays
	prepare()
	p.mu.Unlock()

	s := p.pool.join(r.Hub(), m)
	p.mu.Lock()
	if p.reader != nil && p.plays == mine {
		p.shard = s
		p.mu.Unlock()
		return nil
	}
	// It has been paused, closed, or has even played to the end meanwhile.
	p.mu.Unlock()
	r.Close()
	p.pool.leave(r.Hub(), s, m)
	return nil
}

// detach takes the reader away. Called with the lock held; the result goes to leave without it.
func (p *player) detach() (*hub.Reader, *shard) {
	r, s := p.reader, p.shard
	p.reader, p.shard = nil, nil
	return r, s
}

func (p *player) leave(m member, r *hub.Reader, s *shard) {
	if r != nil {
		r.Close()
	}
	if s != nil {
		p.pool.leave(r.Hub(), s, m)
	}
}

// end is called by whoever has the turn when the hub has no more.
func (p *player) end(m member) {
	p.mu.Lock()
	r, s := p.detach()
	p.mu.Unlock()
	p.leave(m, r, s)
	if r != nil && p.opts.OnEnd != nil {
		p.opts.OnEnd()
	}
}

func (p *player) pause(m member) {
	p.mu.Lock()
	r, s := p.detach()
	p.mu.Unlock()
	p.leave(m, r, s)
}

// close ends the sink and waits until nobody has the turn. wake runs under the lock and makes who waits for the socket return.
func (p *player) close(m member, wake func()) {
	p.mu.Lock()
	p.closed = true
	r, s := p.detach()
	if p.busy {
		wake()
	}
	p.mu.Unlock()
	p.leave(m, r, s)
	p.mu.Lock()
	for p.busy {
		p.idle.Wait()
	}
	p.mu.Unlock()
}

func (p *player) stats() SinkStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := SinkStats{
		Writes: p.writes.Load(), Bytes: p.bytes.Load(), Parks: p.parks.Load(), Errors: p.errs.Load(),
		Playing: p.reader != nil, Parked: p.parked,
	}
	if p.last != nil {
		s.Viewer = p.last.Stats()
	}
	return s
}
