package sender

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/portpool"
	"berth/actors/receiver"
	"berth/actors/store"
	"berth/config"
	"berth/netio/gb28181"
	"berth/netio/ports"
	"berth/netio/udp"
)

// leaseID is that of a sender's only lease.
const leaseID = 1

// sockets are what a sender sends from: leased from the pool, or opened by itself outside the pool's range. The zero value is a port that the system chooses.
type sockets struct {
	rtp, rtcp *net.UDPConn
	tcp       *net.TCPListener
	lease     *portpool.PairLeased // nil unless the pool's
	own       bool                 // opened by the sender, which closes them
}

func (s *sockets) leasedPort() uint16 {
	if s.lease == nil {
		return 0
	}
	return s.lease.Port
}

// closeOwn closes what the sender opened by itself.
func (s *sockets) closeOwn() {
	if !s.own {
		return
	}
	s.own = false
	// Nothing was written that could be lost.
	if s.rtp != nil {
		_ = s.rtp.Close()
	}
	if s.rtcp != nil {
		_ = s.rtcp.Close()
	}
	if s.tcp != nil {
		_ = s.tcp.Close()
	}
}

// wantedSockets are the sides that a definition needs. One that connects from a given port holds a UDP pair: nobody else is given the port, and a listener on it would be in the way.
func wantedSockets(def store.Sender) ports.Sockets {
	if !def.UDP && def.Mode == store.SendPassive {
		return ports.TCPListener
	}
	return ports.UDPPair
}

// needsPort says whether a definition needs a port of the pool, or a given one. A connection from any port takes the system's.
func needsPort(def store.Sender) bool {
	return def.UDP || def.Mode == store.SendPassive || def.LocalPort != 0
}

// placed says whether the port of a definition is to be leased, and refuses those which can be neither leased nor opened beside the pool. All ports of the range are the pool's: who took
// one behind its back would take it from a stream. So an odd port, which would begin a pair across two of the pool's, is to be had outside the range only.
func placed(def store.Sender, r config.PortRange) (leased bool, err error) {
	port := def.LocalPort
	switch {
	case port == 0, port%2 == 0 && r.Contains(port):
		return true, nil
	case r.Contains(port):
		return false, fmt.Errorf("src_port %d is odd and lies inside rtp_proxy.port_range %s, where pairs begin with an even port: give %d, a port outside the range, or 0 for any", port, r, port-1)
	case def.UDP && port == 65535:
		return false, fmt.Errorf("src_port %d leaves no port above it for RTCP: give a lower one, or 0 for any", port)
	case def.UDP && r.Contains(port+1):
		return false, fmt.Errorf("src_port %d needs %d for RTCP, which lies inside rtp_proxy.port_range %s: give a port outside the range, or 0 for any", port, port+1, r)
	}
	return false, nil
}

// wantedPort is the port that is asked for first: a restored sender's is the one that it had.
func (a *senderActor) wantedPort() uint16 {
	if a.def.LocalPort == 0 && a.restored {
		return a.def.Leased
	}
	return a.def.LocalPort
}

// lease gets what the definition needs. port is 0 for any.
func (a *senderActor) lease(ctx actor.Context, port uint16) {
	if !needsPort(a.def) {
		a.join(ctx)
		return
	}
	leased, err := placed(a.def, a.config.RTPProxy.PortRange)
	switch {
	case err != nil:
		a.fail(ctx, err)
	case leased:
		a.leasing = true
		ctx.Request(a.opts.Pool, &portpool.LeasePair{
			Owner: a.self, ID: leaseID, Stream: a.def.Stream, Purpose: portpool.PurposeRTPSend, Sockets: wantedSockets(a.def), Port: port, Peer: a.target(),
		})
	default:
		if a.sockets, err = openBeside(a.def, a.config.PoolBind()); err != nil {
			a.fail(ctx, fmt.Errorf("%w; it lies outside rtp_proxy.port_range %s, where other programs may take it: give another src_port, or 0 for any of the range", err, a.config.RTPProxy.PortRange))
			return
		}
		a.join(ctx)
	}
}

// openBeside binds ports outside the pool's range. A port to connect from is bound by the connection.
func openBeside(def store.Sender, addr netip.Addr) (s sockets, err error) {
	s.own = true
	switch {
	case !def.UDP && def.Mode == store.SendPassive:
		s.tcp, err = udp.ListenTCP(addr, def.LocalPort)
	case def.UDP:
		if s.rtp, err = udp.Bind(addr, def.LocalPort, udp.Options{}); err == nil {
			s.rtcp, err = udp.Bind(addr, def.LocalPort+1, udp.Options{})
		}
	}
	if err != nil {
		s.closeOwn()
	}
	return s, err
}

// target is the peer as the definition has it, "" for a passive one.
func (a *senderActor) target() string {
	if a.def.Mode != store.SendActive {
		return ""
	}
	return net.JoinHostPort(a.def.Host, strconv.Itoa(int(a.def.Port)))
}

// onLeased takes a port, or gives it back when the sender has given up meanwhile.
func (a *senderActor) onLeased(ctx actor.Context, m *portpool.PairLeased) {
	a.leasing = false
	a.sockets = sockets{rtp: m.RTP, rtcp: m.RTCP, tcp: m.TCP, lease: m}
	a.port = m.Port
	if a.phase != phaseLeasing {
		a.giveBack(ctx)
		return
	}
	a.join(ctx)
}

// onLeaseRefused tries any port where only the one of old was not to be had.
func (a *senderActor) onLeaseRefused(ctx actor.Context, m *portpool.LeaseRefused) {
	a.leasing = false
	switch {
	case a.phase == phaseClosing:
		a.giveBack(ctx)
	case a.phase != phaseLeasing:
	case a.def.LocalPort == 0 && a.restored && a.def.Leased != 0 && m.Err.Reason != portpool.ReasonRestarting:
		a.log.Warn().Err(m.Err).Msg("the port of before the restart is not to be had; another one is taken")
		a.def.Leased = 0
		a.lease(ctx, 0)
	default:
		a.fail(ctx, m.Err)
	}
}

// askForPath asks for the way back to a device.
func (a *senderActor) askForPath(ctx actor.Context) {
	if a.opts.Receivers == nil {
		a.fail(ctx, ErrNoTarget)
		return
	}
	key := a.def.Stream
	key.Stream = a.def.Receive
	ctx.Request(a.opts.Receivers, &receiver.GetTalk{Stream: key})
}

func (a *senderActor) onTalk(ctx actor.Context, m *receiver.Talk) {
	if a.phase != phaseLeasing {
		return
	}
	if m.Err != nil {
		if errors.Is(m.Err, receiver.ErrNotFound) {
			m.Err = ErrNoTarget
		}
		a.fail(ctx, m.Err)
		return
	}
	a.path = m.Path
	a.join(ctx)
}

// way is a way to the peer, found by a goroutine.
type way struct {
	cancel context.CancelFunc // nil when none is being looked for

	mu    sync.Mutex // guards what follows
	addrs []netip.Addr
	conn  net.Conn
	err   error
}

// take returns what has been found. A connection is the caller's from then on.
func (w *way) take() (addrs []netip.Addr, conn net.Conn, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	addrs, conn, err = w.addrs, w.conn, w.err
	w.addrs, w.conn, w.err = nil, nil, nil
	return addrs, conn, err
}

func (w *way) found(addrs []netip.Addr, conn net.Conn, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addrs, w.conn, w.err = addrs, conn, err
}

// open finds the way to the peer.
func (a *senderActor) open(ctx actor.Context) {
	switch {
	case a.def.Mode == store.SendTalk:
		a.started(ctx, gb28181.SendBack(a.senderOptions(), a.path), a.path.Local())
	case a.def.Mode == store.SendPassive && a.def.UDP:
		a.startUDP(ctx, netip.AddrPort{})
	case a.def.Mode == store.SendPassive:
		local := a.sockets.tcp.Addr().(*net.TCPAddr).AddrPort()
		a.started(ctx, gb28181.AcceptTCP(a.senderOptions(), a.sockets.tcp), local)
	case a.def.UDP:
		if ip, err := netip.ParseAddr(a.def.Host); err == nil {
			a.startUDP(ctx, netip.AddrPortFrom(ip, a.def.Port))
			return
		}
		host, lookup := a.def.Host, a.opts.Lookup
		a.search(func(limit context.Context) ([]netip.Addr, net.Conn, error) {
			addrs, err := lookup(limit, host)
			return addrs, nil, err
		})
	default:
		local, target, dial := a.dialAddr(), a.target(), a.opts.Dial
		a.search(func(limit context.Context) ([]netip.Addr, net.Conn, error) {
			conn, err := dial(limit, local, target)
			return nil, conn, err
		})
	}
}

// dialAddr is where a connection is to come from; the zero value when that does not matter.
func (a *senderActor) dialAddr() netip.AddrPort {
	addr := a.config.PoolBind()
	switch {
	case a.def.LocalPort == 0 && (!addr.IsValid() || addr.IsUnspecified()):
		return netip.AddrPort{}
	case !addr.IsValid():
		addr = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(addr, a.def.LocalPort)
}

// search runs find beside the actor, for the time that definition allows.
func (a *senderActor) search(find func(context.Context) ([]netip.Addr, net.Conn, error)) {
	limit, cancel := context.WithTimeout(context.Background(), a.def.CloseDelay)
	a.way.cancel = cancel
	root, self, w, done := a.root, a.self, &a.way, &opened{a.attempt}
	a.work.Go(func() {
		addrs, conn, err := find(limit)
		w.found(addrs, conn, err)
		root.Send(self, done)
	})
}

// stopSearch ends a search and closes what it has found.
func (a *senderActor) stopSearch() {
	if a.way.cancel == nil {
		return
	}
	a.way.cancel()
	a.work.Wait()
	a.way.cancel = nil
	if _, conn, _ := a.way.take(); conn != nil {
		_ = conn.Close() // nothing was written
	}
}

// onOpened takes the outcome of a search.
func (a *senderActor) onOpened(ctx actor.Context) {
	addrs, conn, err := a.way.take()
	a.stopSearch()
	switch {
	case err != nil:
		a.fail(ctx, a.openError(err))
	case conn != nil:
		local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
		a.started(ctx, gb28181.SendTCP(a.senderOptions(), conn), netip.AddrPortFrom(local.Addr().Unmap(), local.Port()))
	default:
		a.startUDPToAny(ctx, addrs)
	}
}

// openError says what could not be done.
func (a *senderActor) openError(err error) error {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("the name %s cannot be looked up: %w", a.def.Host, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer within %s (close_delay_ms): %w", a.target(), a.def.CloseDelay.Round(time.Millisecond), err)
	}
	return fmt.Errorf("connect to %s: %w", a.target(), err)
}

// startUDPToAny sends to the first address that the socket can reach.
func (a *senderActor) startUDPToAny(ctx actor.Context, addrs []netip.Addr) {
	err := fmt.Errorf("the name %s has no address", a.def.Host)
	for _, addr := range addrs {
		var s *gb28181.Sender
		if s, err = gb28181.SendUDP(a.senderOptions(), a.pair(), netip.AddrPortFrom(addr.Unmap(), a.def.Port)); err == nil {
			a.startedUDP(ctx, s)
			return
		}
	}
	a.fail(ctx, err)
}

// startUDP sends to peer, or waits for it when it is the zero value.
func (a *senderActor) startUDP(ctx actor.Context, peer netip.AddrPort) {
	s, err := gb28181.SendUDP(a.senderOptions(), a.pair(), peer)
	if err != nil {
		a.restored = false // it will not be otherwise the next time
		a.fail(ctx, err)
		return
	}
	a.startedUDP(ctx, s)
}

func (a *senderActor) pair() gb28181.UDPSockets {
	return gb28181.UDPSockets{RTP: a.sockets.rtp, RTCP: a.sockets.rtcp}
}

func (a *senderActor) startedUDP(ctx actor.Context, s *gb28181.Sender) {
	local := a.sockets.rtp.LocalAddr().(*net.UDPAddr).AddrPort()
	a.started(ctx, s, netip.AddrPortFrom(local.Addr().Unmap(), local.Port()))
}

func ssrcOf(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32) // checked at the start; a damaged definition sends with SSRC 0
	return uint32(n)                        //nolint:gosec // of 32 bits
}
