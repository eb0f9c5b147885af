package rtsp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// ConnOptions set up the read side of a connection.
type ConnOptions struct {
	Conn net.Conn
	// Notify is called from the read loop with RequestReceived and, at the end and once, PeerClosed unless the owner closed. It must not block.
	Notify func(Event)
	Limits Limits
	// MessageTimeout is how long one message may take from its first byte to its last. Default 10 s.
	MessageTimeout time.Duration
	// ReadAhead is how many requests are read before the first of them is answered; then reading stops, media included. Default 4.
	ReadAhead int
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// FrameSink takes an interleaved frame from the read loop. payload is valid until it returns. It must not block.
type FrameSink func(channel uint8, payload []byte)

// ConnStats are a connection's counters since it was made.
type ConnStats struct {
	Bytes     uint64 // read from the connection
	Requests  uint64
	Frames    uint64 // interleaved frames handed to the sink
	Unclaimed uint64 // interleaved frames that came while there was no sink
	Skipped   uint64 // bytes that belonged to no message
}

// Conn reads one RTSP connection in a goroutine of its own. The write side belongs to somebody else. All methods may be called from any goroutine.
type Conn struct {
	opts   ConnOptions
	reader *Reader // owned by the read loop
	sink   atomic.Pointer[FrameSink]
	ahead  chan struct{} // one element for each unanswered request
	quit   chan struct{}
	done   chan struct{} // closed when the read loop has returned
	once   sync.Once
	mute   atomic.Bool // lingering: whatever still comes is thrown away

	lingerUntil atomic.Int64 // Unix nanoseconds; set before mute

	bytes, requests, frames, unclaimed, skipped atomic.Uint64
}

// NewConn makes the read side; nothing is read before Start.
func NewConn(opts ConnOptions) *Conn {
	if opts.MessageTimeout <= 0 {
		opts.MessageTimeout = 10 * time.Second
	}
	if opts.ReadAhead <= 0 {
		opts.ReadAhead = 4
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	c := &Conn{
		opts:  opts,
		ahead: make(chan struct{}, opts.ReadAhead),
		quit:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	c.reader = NewReader(&countingReader{src: newSocketReader(opts.Conn), bytes: &c.bytes}, opts.Limits)
	c.reader.interrupted = c.mute.Load
	c.reader.setDeadline, c.reader.now, c.reader.patience = opts.Conn.SetReadDeadline, opts.Now, opts.MessageTimeout
	return c
}

// Start begins to read. It is called once.
func (c *Conn) Start() { go c.run() }

// SetSink says who gets interleaved frames from now on; nil throws them away. A call of the former sink may still be under way when it returns.
func (c *Conn) SetSink(sink FrameSink) {
	if sink == nil {
		c.sink.Store(nil)
		return
	}
	c.sink.Store(&sink)
}

// Answered tells that one request has been answered, so that another one may be read ahead.
func (c *Conn) Answered() {
	select {
	case <-c.ahead:
	default: // answers to nothing do no harm
	}
}

// Linger stops the handing up of requests and frames, and lets the peer take what was written to it: what it still sends is thrown away until it closes or
// d has passed, then PeerClosed comes. Closing with unread bytes would make the kernel send a reset, which can destroy the last response.
func (c *Conn) Linger(d time.Duration) {
	c.lingerUntil.Store(c.opts.Now().Add(d).UnixNano())
	c.mute.Store(true)
	// Wake the loop, wherever it waits. It looks at mute after every wake-up, and before it sets a deadline of its own.
	for range cap(c.ahead) {
		c.Answered()
	}
	_ = c.opts.Conn.SetReadDeadline(longAgo()) // a failure means that the connection is gone, which the loop sees
}

// longAgo is a deadline that has passed on any clock.
func longAgo() time.Time { return time.Unix(1, 0) }

// Close closes the connection and waits until the read loop has returned. It may be called again.
func (c *Conn) Close() {
	c.once.Do(func() {
		close(c.quit)
		_ = closeQuickly(c.opts.Conn) // nobody is left to care
	})
	<-c.done
}

// Abort is Close for a peer that does not read: the kernel throws away what it has not sent, up to some megabytes that it would otherwise keep and offer for minutes after a Close.
func (c *Conn) Abort() {
	if tcp, ok := unwrap(c.opts.Conn).(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // a failure means that the connection is gone already
	}
	c.Close()
}

// closeQuickly closes a connection without waiting for the peer: a TLS connection would wait up to five seconds to say goodbye.
func closeQuickly(conn net.Conn) error {
	return unwrap(conn).Close()
}

// unwrap returns the connection under TLS.
func unwrap(conn net.Conn) net.Conn {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return wrapped.NetConn()
	}
	return conn
}

// Stats returns the counters.
func (c *Conn) Stats() ConnStats {
	return ConnStats{
		Bytes: c.bytes.Load(), Requests: c.requests.Load(), Frames: c.frames.Load(),
		Unclaimed: c.unclaimed.Load(), Skipped: c.skipped.Load(),
	}
}

func (c *Conn) run() {
	defer close(c.done)
	err := c.read()
	select {
	case <-c.quit:
		return
	default:
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	c.opts.Notify(PeerClosed{Err: err})
}

// read hands messages on until the connection ends.
func (c *Conn) read() error {
	for {
		msg, err := c.reader.Next()
		c.skipped.Store(c.reader.Skipped())
		switch {
		case err != nil && (!c.mute.Load() || !errors.Is(err, os.ErrDeadlineExceeded)):
			return err
		case c.mute.Load():
			return c.discard()
		}
		switch {
		case msg.Frame != nil:
			c.frame(msg)
		case msg.Response != nil && msg.Err == nil:
			// The server asks nothing, so there is nothing that a response could answer.
		default:
			if !c.request(msg) {
				return ErrClosed
			}
			if msg.Err != nil && msg.Err.Fatal {
				return c.discard()
			}
		}
	}
}

func (c *Conn) frame(msg Message) {
	if sink := c.sink.Load(); sink != nil {
		c.frames.Add(1)
		(*sink)(msg.Channel, msg.Frame)
		return
	}
	c.unclaimed.Add(1)
}

// request hands a request up, waiting while too many are unanswered. It returns false when the owner closed meanwhile.
func (c *Conn) request(msg Message) bool {
	select {
	case c.ahead <- struct{}{}:
	case <-c.quit:
		return false
	}
	c.requests.Add(1)
	c.opts.Notify(RequestReceived{Request: msg.Request, Err: msg.Err})
	return true
}

// discard reads and throws away until the peer closes, the lingering ends or the owner closes.
func (c *Conn) discard() error {
	var scrap [4096]byte
	limited := false
	for {
		if c.mute.Load() && !limited {
			if err := c.opts.Conn.SetReadDeadline(time.Unix(0, c.lingerUntil.Load())); err != nil {
				return err
			}
			limited = true
		}
		_, err := c.opts.Conn.Read(scrap[:])
		if err != nil && (limited || !c.mute.Load() || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
}

type countingReader struct {
	src   io.Reader
	bytes *atomic.Uint64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	r.bytes.Add(uint64(n))
	return n, err
}
