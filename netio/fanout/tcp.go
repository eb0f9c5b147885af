package fanout

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"berth/media/hub"
)

const (
	// gatherChunks and gatherBytes bound what is put into one write.
	gatherChunks = 32
	gatherBytes  = 256 << 10
	// turnBytes is how much one viewer is written before its own goroutine takes over, so that one that begins with a large picture cache does not keep a worker from the others.
	turnBytes = 1 << 20
	// blockingBytes bounds one blocking write, so that WriteTimeout means what it says.
	blockingBytes = 16 << 10
)

// TCPSink owns the write side of a connection: nobody else may write to it or set its write deadline.
type TCPSink struct {
	player
	conn net.Conn
	raw  syscall.RawConn // nil: only blocking writes, in a goroutine

	// guarded by the player's lock
	control  []byte // responses that have not been begun
	channels []int  // per hub track
	plain    bool   // chunks can be sent as they are

	// owned by whoever has the turn
	pending [][]byte // what has been begun, in order
	sending []byte   // the responses among it
	scratch *[]byte  // the renumbered packets among it
	n       int      // results of try
	err     error
	try     func(fd uintptr)      // writes without blocking
	retry   func(fd uintptr) bool // the same for the poller: false waits until the socket is writable
}

// NewTCPSink makes a sink for conn. conn is not closed by the sink, but its owner must close the sink before or right after the connection. After Pool.Close the sink is born closed.
func (p *Pool) NewTCPSink(conn net.Conn, opts SinkOptions) *TCPSink {
	s := &TCPSink{conn: conn}
	s.init(p, opts)
	if sc, ok := conn.(syscall.Conn); ok && canWriteRaw {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	s.try = func(fd uintptr) { s.n, s.err = writeVec(fd, s.pending) }
	s.retry = func(fd uintptr) bool {
		s.try(fd)
		return !wouldBlock(s.err)
	}
	if !p.adopt(s) {
		s.closed = true
	}
	return s
}

// WriteControl queues bytes that must not be mixed with media, an RTSP response for instance, and sends them as soon as what is in work has left. b may be reused after the return. It never blocks; the error is ErrControlFull or ErrClosed.
func (s *TCPSink) WriteControl(b []byte) error {
	s.mu.Lock()
	if s.closed || s.failed {
		s.mu.Unlock()
		return ErrClosed
	}
	if len(s.control)+len(b) > s.opts.MaxControlBytes {
		s.mu.Unlock()
		return ErrControlFull
	}
	s.control = append(s.control, b...)
	mine := s.take()
	s.mu.Unlock()
	if mine {
		s.work()
	}
	return nil
}

// Play sends what r returns. channels[t] is the RTP channel that the viewer asked for track t of the hub, RTCP goes to the next one; -1 is a track that was not set up. A short slice means -1 for the
// rest. The sink owns r until Pause or Close has returned. The error is ErrPlaying or ErrClosed.
func (s *TCPSink) Play(r *hub.Reader, channels []int) error {
	return s.play(s, r, func() {
		tracks := len(r.Hub().Tracks())
		s.channels = make([]int, tracks)
		s.plain = r.All()
		for t := range s.channels {
			s.channels[t] = -1
			if t < len(channels) && channels[t] >= 0 && channels[t] < 255 && r.Wants(t) {
				s.channels[t] = channels[t]
			}
			s.plain = s.plain && s.channels[t] == 2*t
		}
	})
}

// Pause stops the media; chunks that have been begun are finished. After the return no further chunk is begun. Bytes given to WriteControl later come after all media.
func (s *TCPSink) Pause() { s.pause(s) }

// Stats returns the sink's counters.
func (s *TCPSink) Stats() SinkStats { return s.stats() }

// Close ends the sink, wakes its goroutine if it has one, and waits for it. The connection's write side must not be used afterwards. It may be called again.
func (s *TCPSink) Close() {
	s.close(s, func() { _ = s.conn.SetWriteDeadline(time.Unix(1, 0)) })
	s.pool.forget(s)
}

// serve implements member.
func (s *TCPSink) serve(*plan) {
	s.mu.Lock()
	mine := s.take()
	s.mu.Unlock()
	if mine {
		s.work()
	}
}

// work writes until nothing is due, with the turn. What cannot be written at once is left to a goroutine, with the turn.
func (s *TCPSink) work() {
	for written := 0; ; {
		if more, gone := s.gather(); gone {
			return
		} else if !more {
			continue
		}
		if s.raw == nil {
			s.park()
			return
		}
		if err := s.raw.Control(s.try); err != nil {
			s.fail(s, err)
			return
		}
		switch {
		case wouldBlock(s.err):
			s.parks.Add(1)
			s.park()
			return
		case s.err != nil:
			s.fail(s, s.err)
			return
		}
		s.advance(s.n)
		if written += s.n; written >= turnBytes {
			s.park()
			return
		}
	}
}

// park goes on in a goroutine.
func (s *TCPSink) park() {
	s.mu.Lock()
	s.parked = true
	s.mu.Unlock()
	s.pool.pumps.Go(s.pump)
}

// pump is work that waits for the socket.
func (s *TCPSink) pump() {
	for {
		if more, gone := s.gather(); gone {
			return
		} else if !more {
			continue
		}
		if err := s.setDeadline(time.Now().Add(s.opts.WriteTimeout)); err != nil {
			s.fail(s, err)
			return
		}
		n, err := s.writeBlocking()
		s.advance(n)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.fail(s, ErrWriteTimeout)
			return
		case err != nil:
			s.fail(s, err)
			return
		}
	}
}

// setDeadline does nothing after Close, which has set one that has passed.
func (s *TCPSink) setDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	return s.conn.SetWriteDeadline(at)
}

// writeBlocking writes some of what is pending.
func (s *TCPSink) writeBlocking() (int, error) {
	if s.raw == nil {
		b := s.pending[0]
		return s.conn.Write(b[:min(len(b), blockingBytes)])
	}
	if err := s.raw.Write(s.retry); err != nil {
		return 0, err
	}
	return s.n, s.err
}

// gather makes sure that something is pending. more is false when it has to be called again; gone is true when the turn has been given back.
func (s *TCPSink) gather() (more, gone bool) {
	s.mu.Lock()
	if s.closed {
		s.release()
		s.mu.Unlock()
		return false, true
	}
	if len(s.pending) > 0 {
		s.mu.Unlock()
		return true, false
	}
	s.recycle()
	if len(s.control) > 0 {
		s.sending, s.control = s.control, s.sending[:0]
		s.pending = append(s.pending, s.sending)
	}
	state := s.gatherMedia()
	more = len(s.pending) > 0
	if !more && state == hub.StateWait {
		waited := s.parked
		if gone = s.done(); gone && waited {
			_ = s.conn.SetWriteDeadline(time.Time{}) // no timer for an idle viewer
		}
	}
	s.mu.Unlock()
	switch {
	case more || state == hub.StateReady || state == hub.StateWait:
	case state == hub.StateBehind:
		s.fail(s, ErrTooSlow)
		return false, true
	default:
		s.end(s)
	}
	return more, gone
}

// gatherMedia adds the chunks that are due. Called with the lock held, so that Pause and Close need not wait for the socket.
func (s *TCPSink) gatherMedia() hub.State {
	if s.reader == nil {
		return hub.StateWait
	}
	for chunks, bytes := 0, 0; chunks < gatherChunks && bytes < gatherBytes; chunks++ {
		c, state := s.reader.Next()
		if state != hub.StateReady {
			return state
		}
		data := c.Data
		if !s.plain {
			data = s.renumber(c)
		}
		if len(data) > 0 {
			s.pending = append(s.pending, data)
		}
		bytes += len(data)
	}
	return hub.StateReady
}

// renumber copies the wanted packets of a chunk behind headers with the viewer's channels.
func (s *TCPSink) renumber(c *hub.Chunk) []byte {
	if s.scratch == nil {
		s.scratch = s.pool.scratch.Get().(*[]byte)
	}
	b := *s.scratch
	start := len(b)
	for _, p := range c.Packets {
		channel := s.channels[p.Track()]
		if channel < 0 {
			continue
		}
		at := len(b)
		b = append(b, c.Framed(p)...)
		b[at+1] = byte(channel) + p.Channel&1
	}
	*s.scratch = b
	return b[start:len(b):len(b)]
}

// recycle clears what has been written completely.
func (s *TCPSink) recycle() {
	clear(s.pending[:cap(s.pending)])
	s.pending = s.pending[:0]
	if s.scratch != nil {
		*s.scratch = (*s.scratch)[:0]
		s.pool.scratch.Put(s.scratch)
		s.scratch = nil
	}
}

// advance takes n written bytes off what is pending.
func (s *TCPSink) advance(n int) {
	if n <= 0 {
		return
	}
	s.writes.Add(1)
	s.bytes.Add(uint64(n))
	for i, b := range s.pending {
		if n < len(b) {
			s.pending[i] = b[n:]
			left := copy(s.pending, s.pending[i:])
			s.pending = s.pending[:left]
			return
		}
		n -= len(b)
	}
	s.pending = s.pending[:0]
}
