package rtsp

import (
	"net"
	"sync"
	"syscall"
	"time"
)

// pullSocket is a leased UDP socket as the library sees it where the library only signals: it may send from it, to open the way through a firewall, but hears nothing, because
// [Ingest] does the reading. The library would hold packets back behind a lost one until dozens have come, however long that takes.
type pullSocket struct {
	conn *net.UDPConn

	mu     sync.Mutex
	closed bool
	quit   chan struct{} // closed when ReadFrom is to return
	awake  bool          // quit is closed
}

func newPullSocket(conn *net.UDPConn) *pullSocket {
	return &pullSocket{conn: conn, quit: make(chan struct{})}
}

// ReadFrom implements net.PacketConn: it waits for the end.
func (s *pullSocket) ReadFrom([]byte) (int, net.Addr, error) {
	s.mu.Lock()
	quit := s.quit
	s.mu.Unlock()
	<-quit
	return 0, nil, net.ErrClosed
}

// WriteTo implements net.PacketConn.
func (s *pullSocket) WriteTo(b []byte, addr net.Addr) (int, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	return s.conn.WriteTo(b, addr)
}

// Close implements net.PacketConn. The socket stays open for its owner.
func (s *pullSocket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.wake()
	return nil
}

func (s *pullSocket) wake() {
	if !s.awake {
		s.awake = true
		close(s.quit)
	}
}

// SetReadDeadline implements net.PacketConn, as far as the library goes: no deadline before it reads, one that has passed to make it stop.
func (s *pullSocket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !t.IsZero():
		s.wake()
	case s.awake && !s.closed:
		s.awake, s.quit = false, make(chan struct{})
	}
	return nil
}

// SetDeadline implements net.PacketConn.
func (s *pullSocket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn. Datagrams leave at once or not at all.
func (s *pullSocket) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.PacketConn.
func (s *pullSocket) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// SetReadBuffer is what the library asks of a UDP socket; the size is the pool's business.
func (s *pullSocket) SetReadBuffer(int) error { return nil }

// SyscallConn is what the library asks of a UDP socket.
func (s *pullSocket) SyscallConn() (syscall.RawConn, error) { return s.conn.SyscallConn() }
