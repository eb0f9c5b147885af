package fanout

import (
	"net"
	"time"

	"berth/media/hub"
)

// SinkOptions sets up a sink.
type SinkOptions struct {
	// MaxControlBytes bounds the responses that wait for a peer which does not read. Default 256 KiB. TCP only.
	MaxControlBytes int
	// WriteTimeout ends a viewer that can take nothing for so long. Default 10 s.
	WriteTimeout time.Duration
	// OnError is called once, from any goroutine, when the sink has failed: the connection's error, ErrWriteTimeout or ErrTooSlow. It must not block. It is not called after Close.
	OnError func(error)
	// OnEnd is called once per Play, from any goroutine, when the hub has been closed and everything has been written. It must not block. Optional.
	OnEnd func()
}

// SinkStats are a sink's counters.
type SinkStats struct {
	Writes  uint64          // system calls that wrote something
	Bytes   uint64          // bytes handed to the kernel
	Parks   uint64          // times the socket would block
	Errors  uint64          // errors that did not end the sink (UDP)
	Playing bool            // a reader is attached
	Parked  bool            // waiting for the socket now
	Viewer  hub.ReaderStats // of the present reader, or of the last
}

// TCPSink owns the write side of a connection: nobody else may write to it or set its write deadline.
type TCPSink struct{}

// NewTCPSink makes a sink for conn. conn is not closed by the sink, but its owner must close the sink before or right after the connection.
func (p *Pool) NewTCPSink(conn net.Conn, opts SinkOptions) *TCPSink { return &TCPSink{} }

// WriteControl queues bytes that must not be mixed with media, an RTSP response for instance, and sends them as soon as the chunk in work has left. b may be reused after the return. It never blocks; the error is ErrControlFull or ErrClosed.
func (s *TCPSink) WriteControl(b []byte) error { return nil }

// Play sends what r returns. channels[t] is the RTP channel that the viewer asked for track t of the hub, RTCP goes to the next one; -1 is a track that was not set up. A short slice means -1 for the
// rest. The sink owns r until Pause or Close has returned. The error is ErrPlaying or ErrClosed.
func (s *TCPSink) Play(r *hub.Reader, channels []int) error { return nil }

// Pause stops the media; a packet that has partly been sent is finished. After the return no further chunk is begun. Bytes given to WriteControl later come after all media.
func (s *TCPSink) Pause() {}

// Stats returns the sink's counters.
func (s *TCPSink) Stats() SinkStats { return SinkStats{} }

// Close ends the sink, wakes its goroutine if it has one, and waits for it. The connection's write side must not be used afterwards. It may be called again.
func (s *TCPSink) Close() {}
