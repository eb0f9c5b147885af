package httpd

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"time"
)

// accept takes connections from one listener until it is closed. A listener that fails otherwise (no file descriptors left) is tried again with a growing pause.
func (s *Server) accept(l Listener) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	pause := shortest
	for {
		nc, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil {
				return
			}
			s.opts.OnAcceptFault(l.Addr(), err)
			wait := time.NewTimer(pause)
			select {
			case <-wait.C:
			case <-s.ctx.Done():
				wait.Stop()
				return
			}
			pause = min(2*pause, longest)
			continue
		}
		pause = shortest
		s.admit(l, nc)
	}
}

// admit hands a connection to the current http.Server, or tells it that there is no room.
func (s *Server) admit(l Listener, nc net.Conn) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	if s.open >= s.limits.Load().Connections && !s.evictLocked() {
		s.refuseLocked(l, nc)
		s.mu.Unlock()
		return
	}
	s.nextID++
	c := &conn{
		Conn: nc, id: s.nextID, tls: l.TLS, peer: addrPort(nc.RemoteAddr()), local: addrPort(nc.LocalAddr()),
		since: s.opts.Now(), writeTimeout: s.current.writeTimeout,
	}
	c.enter(ConnNew, time.Now())
	s.conns[c.id] = c
	s.open++
	g := s.current
	s.mu.Unlock()
	s.accepted.Add(1)

	var out net.Conn = c
	if l.TLS {
		out = tls.Server(c, s.tls)
	}
	for !g.in.offer(out) {
		s.mu.Lock()
		stale := g == s.current
		g = s.current
		s.mu.Unlock()
		if stale { // the newest generation takes none: the server is closing
			s.forget(c)
			return
		}
	}
}

// evictLocked closes the connection that has been idle longest, and reports whether there was one.
func (s *Server) evictLocked() bool {
	var oldest *conn
	for _, c := range s.conns {
		if c.state.Load() == ConnIdle && !c.leaving && (oldest == nil || c.idleFrom.Load() < oldest.idleFrom.Load()) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	s.evicted.Add(1)
	s.dismissLocked(oldest)
	return true
}

const (
	maxRefusing   = 64              // newcomers that are told 503 at once; further ones are just closed
	refuseTimeout = 2 * time.Second // for each of them
)

// refuseLocked tells a newcomer that the server is full. A TLS newcomer is only closed: the reply is not worth a handshake.
func (s *Server) refuseLocked(l Listener, nc net.Conn) {
	s.refused.Add(1)
	if l.TLS || len(s.refusing) >= maxRefusing {
		_ = nc.Close()
		return
	}
	s.refusing[nc] = struct{}{}
	s.wg.Go(func() {
		sayFull(nc)
		_ = nc.Close()
		s.mu.Lock()
		delete(s.refusing, nc)
		s.mu.Unlock()
	})
}

// maxAsked bounds what is read of a newcomer's request before it is told 503.
const maxAsked = 16 << 10

// hasAsked reads to the end of a request's header. A client that is answered before it has asked takes the reply for a fault of the connection and reports that instead.
func hasAsked(nc net.Conn) bool {
	lines := bufio.NewReader(io.LimitReader(nc, maxAsked))
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // a long line goes on
		case err != nil:
			return false
		case len(bytes.TrimRight(line, "\r\n")) == 0:
			return true
		}
	}
}

// sayFull writes the 503 and reads on until the client has seen it: closing at once would reset the connection under the reply.
func sayFull(nc net.Conn) {
	const body = "too many connections; try again in a second (limits.http_connections)\n"
	const reply = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "
	if nc.SetDeadline(time.Now().Add(refuseTimeout)) != nil || !hasAsked(nc) {
		return
	}
	if _, err := io.WriteString(nc, reply+strconv.Itoa(len(body))+"\r\n\r\n"+body); err != nil {
		return
	}
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(nc, 64<<10))
	}
}
