package rtspd

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	maxRefusing   = 64                     // refused connections that are being told so at the same time; more are just closed
	refusalLinger = 500 * time.Millisecond // how long a refused peer has to read why
)

// refusal is sent to a connection that is one too many, before it asked anything; its peer takes it for the answer to its first request.
const refusal = "RTSP/1.0 503 Too Many Connections\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"

// gate counts connections against the limits, and keeps those that were accepted but not yet taken by a session, so that none is lost when
// the actor stops with hand-overs in its mailbox. Used by the accept loops and the actor.
type gate struct {
	mu       sync.Mutex
	max      int
	maxPerIP int
	open     int
	perIP    map[netip.Addr]int
	waiting  map[net.Conn]struct{}
	refusing map[net.Conn]struct{}
	closed   bool
	draining bool // nobody is admitted, see TurnAway
	refused  uint64
	wg       sync.WaitGroup // of the goroutines that tell refused peers
}

func newGate() *gate {
	return &gate{perIP: map[netip.Addr]int{}, waiting: map[net.Conn]struct{}{}, refusing: map[net.Conn]struct{}{}}
}

// setLimits changes the limits; connections that are open stay.
func (g *gate) setLimits(maxOpen, maxPerIP int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.max, g.maxPerIP = maxOpen, maxPerIP
}

// admit counts a new connection and keeps it until take, or returns false when a limit is reached or the gate is closed.
func (g *gate) admit(conn net.Conn, peer netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.draining || g.open >= g.max || g.perIP[peer] >= g.maxPerIP {
		g.refused++
		return false
	}
	g.open++
	g.perIP[peer]++
	g.waiting[conn] = struct{}{}
	return true
}

// turnAll makes admit refuse everybody, or ends that.
func (g *gate) turnAll(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.draining = on
}

// take hands an admitted connection over to a session.
func (g *gate) take(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.waiting, conn)
}

// leave uncounts a connection that was admitted.
func (g *gate) leave(peer netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	if g.perIP[peer]--; g.perIP[peer] <= 0 {
		delete(g.perIP, peer)
	}
}

// turnAway closes a connection that was not admitted, telling its peer why when that costs little. A TLS peer cannot be told without a handshake.
func (g *gate) turnAway(conn net.Conn, plain bool) {
	g.mu.Lock()
	if g.closed || !plain || len(g.refusing) >= maxRefusing {
		g.mu.Unlock()
		_ = closeNow(conn)
		return
	}
	g.refusing[conn] = struct{}{}
	g.wg.Add(1)
	g.mu.Unlock()
	go func() {
		defer g.wg.Done()
		defer func() {
			_ = conn.Close()
			g.mu.Lock()
			delete(g.refusing, conn)
			g.mu.Unlock()
		}()
		if conn.SetDeadline(time.Now().Add(refusalLinger)) != nil {
			return
		}
		if _, err := conn.Write([]byte(refusal)); err != nil {
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok && tcp.CloseWrite() != nil {
			return
		}
		var scrap [1024]byte
		for {
			// Read what the peer sends until it closes: closing over unread bytes would destroy the answer.
			if _, err := conn.Read(scrap[:]); err != nil {
				return
			}
		}
	}()
}

// shut closes every connection that no session has taken, refuses all further ones, and waits for the gate's goroutines.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	conns := make([]net.Conn, 0, len(g.waiting)+len(g.refusing))
	for conn := range g.waiting {
		conns = append(conns, conn)
	}
	for conn := range g.refusing {
		conns = append(conns, conn)
	}
	clear(g.waiting)
	g.mu.Unlock()
	for _, conn := range conns {
		_ = closeNow(conn)
	}
	g.wg.Wait()
}

// refusals returns how many connections were refused so far.
func (g *gate) refusals() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

// closeNow closes without the goodbye of TLS, which could wait for the peer.
func closeNow(conn net.Conn) error {
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = wrapped.NetConn()
	}
	return conn.Close()
}

// addrPort returns the address of a connection's end in its shortest form: IPv4 addresses that came in over an IPv6 socket are IPv4 addresses.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
