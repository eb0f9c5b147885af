package gb28181

import (
	"net"
	"slices"
	"time"
)

// maxFed bounds the sources that one connection may have brought up.
const maxFed = 64

// portConn is a connection of a port.
type portConn struct {
	tcp  *tcpLoop
	fed  []*Source // that have taken a packet of it; owned by the loop
	last time.Time // of the last packet that was taken; owned by the loop
}

// listen accepts connections.
func (p *Port) listen() error {
	l := p.opts.Listener
	wake := func() { _ = l.Close() }
	if d, ok := l.(interface{ SetDeadline(t time.Time) error }); ok {
		if err := d.SetDeadline(time.Time{}); err != nil {
			return err
		}
		wake = func() { _ = d.SetDeadline(longAgo()) }
	}
	p.loop.start(func() {
		for {
			conn, err := l.Accept()
			if err == nil {
				p.take(conn)
				continue
			}
			if p.loop.ended(err) {
				return
			}
		}
	}, wake)
	return nil
}

// take reads from a connection.
func (p *Port) take(conn net.Conn) {
	c, ok := conn.(*net.TCPConn)
	if !ok {
		_ = conn.Close()
		return
	}
	if p.opts.ReadBuffer > 0 {
		_ = c.SetReadBuffer(p.opts.ReadBuffer) // capped by the kernel; a closed connection shows below
	}
	t, err := newTCPLoop(p.loop, c, p.opts.Buffers, p.opts.Now)
	if err != nil {
		_ = c.Close()
		return
	}
	one := &portConn{tcp: t, last: t.since}
	t.packet = func(now time.Time, pkt []byte) { p.takeTCP(one, now, pkt) }
	t.read = func(skipped uint64) {
		if len(one.fed) > 0 {
			one.fed[0].addSkipped(skipped)
		}
	}
	t.tick = func(now time.Time) (time.Time, bool) { return p.tickTCP(one, now) }
	t.ended = func(error) { p.forget(one) }
	p.mu.Lock()
	full := len(p.conns) >= p.opts.MaxConnections
	if !full {
		p.conns[t.peer] = one
	}
	p.mu.Unlock()
	if full {
		p.turned.Add(1)
		_ = c.Close()
		return
	}
	if !t.start() {
		p.forget(one)
	}
}

func (p *Port) takeTCP(c *portConn, now time.Time, pkt []byte) {
	ssrc, ok := sourceOf(pkt)
	if !ok {
		p.invalid.Add(1)
		return
	}
	s := p.source(ssrc)
	switch {
	case IsRTCP(pkt):
		if s == nil || !s.PushTCP(now, c.tcp.peer, pkt) {
			p.unknown.Add(1)
		}
		return
	case s == nil && len(c.fed) >= maxFed:
		p.refused.Add(1)
		return
	case s == nil:
		s = p.greet(now, c.tcp.peer, pkt, true)
	}
	if s == nil || !s.PushTCP(now, c.tcp.peer, pkt) {
		return
	}
	c.last = now
	if !slices.Contains(c.fed, s) {
		c.fed = append(c.fed, s)
	}
}

// tickTCP ends a connection on which no device has spoken for long. One that is silent stays as long as the owner keeps its source.
func (p *Port) tickTCP(c *portConn, now time.Time) (time.Time, bool) {
	p.mu.RLock()
	c.fed = slices.DeleteFunc(c.fed, func(s *Source) bool {
		_, kept := p.ssrcs[s]
		return !kept
	})
	p.mu.RUnlock()
	limit := c.last.Add(strangerTime)
	if now.Before(limit) {
		return limit, true
	}
	speaks := slices.ContainsFunc(c.fed, func(s *Source) bool {
		peer, tcp := s.Peer()
		return tcp && peer == c.tcp.peer
	})
	if !speaks {
		p.turned.Add(1)
		c.tcp.drop()
		return time.Time{}, false
	}
	return now.Add(strangerTime), true
}

// forget removes a connection that has ended.
func (p *Port) forget(c *portConn) {
	p.mu.Lock()
	if p.conns[c.tcp.peer] == c {
		delete(p.conns, c.tcp.peer)
	}
	p.mu.Unlock()
	for _, s := range c.fed {
		s.Release(c.tcp.peer)
	}
}
