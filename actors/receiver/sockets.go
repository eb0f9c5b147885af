package receiver

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/portpool"
	"berth/actors/store"
	"berth/config"
	"berth/netio/ports"
	"berth/netio/udp"
)

// sockets are what a receiver reads from: leased from the pool, opened by itself outside the pool's range, or lent by the supervisor.
type sockets struct {
	rtp, rtcp *net.UDPConn     // rtcp may be nil
	tcp       *net.TCPListener // nil without TCP
	port      uint16
	local     netip.Addr
	lease     *portpool.PairLeased // nil unless the pool's
	own       bool                 // opened by the receiver, which closes them
}

// leaseID is that of a receiver's only lease.
const leaseID = 1

// wantedSockets are the sides that a definition needs. A receiver that connects by itself holds a pair too: nobody else is given the port from which it connects.
func wantedSockets(def store.Receiver) ports.Sockets {
	if def.TCPMode == tcpPassive {
		return ports.UDPPair | ports.TCPListener
	}
	return ports.UDPPair
}

// placed says whether the port of a definition is to be leased, and refuses those which can be neither leased nor opened beside the pool. All ports of the range are the pool's: who took
// one behind its back would take it from a stream. So an odd port, which would begin a pair across two of the pool's, is to be had outside the range only.
func placed(port uint16, r config.PortRange) (leased bool, err error) {
	switch {
	case port == 0:
		return true, nil
	case port%2 == 0 && r.Contains(port):
		return true, nil
	case r.Contains(port):
		return false, fmt.Errorf("port %d is odd and lies inside rtp_proxy.port_range %s, where pairs begin with an even port: give %d, a port outside the range, or 0 for any", port, r, port-1)
	case port == 65535:
		return false, fmt.Errorf("port %d leaves no port above it for RTCP: give a lower one, or 0 for any", port)
	case r.Contains(port + 1):
		return false, fmt.Errorf("port %d needs %d for RTCP, which lies inside rtp_proxy.port_range %s: give a port outside the range, or 0 for any", port, port+1, r)
	}
	return false, nil
}

// acquire begins to open what the definition wants. The outcome comes as PairLeased or LeaseRefused, or by the call itself.
func (a *receiverActor) acquire(ctx actor.Context) {
	if a.entryFixed {
		s := a.opts.Shared
		a.use(ctx, sockets{rtp: s.UDP, port: s.Local.Port(), local: s.Local.Addr()})
		return
	}
	leased, err := placed(a.def.Port, a.config.RTPProxy.PortRange)
	switch {
	case err != nil:
		a.openFailed(ctx, err)
	case leased:
		port := a.def.Port
		if port == 0 && !a.fresh {
			port = a.def.Leased
		}
		a.lease(ctx, port)
	default:
		s, err := openBeside(a.def, a.poolAddr())
		if err != nil {
			a.openFailed(ctx, fmt.Errorf("%w; it lies outside rtp_proxy.port_range %s, where other programs may take it: give another port, or 0 for any of the range",
				err, a.config.RTPProxy.PortRange))
			return
		}
		a.use(ctx, s)
	}
}

// poolAddr is the address that the receiver's sockets are bound to.
func (a *receiverActor) poolAddr() netip.Addr {
	if a.def.LocalIP.IsValid() {
		return a.def.LocalIP
	}
	return a.config.PoolBind()
}

func (a *receiverActor) lease(ctx actor.Context, port uint16) {
	a.asked, a.waiting = port, true
	ctx.Request(a.opts.Pool, &portpool.LeasePair{
		Owner: a.self, ID: leaseID, Stream: a.def.Key, Purpose: portpool.PurposeRTPReceive, Sockets: wantedSockets(a.def), Port: port, Bind: a.def.LocalIP,
	})
}

// onLeased takes a pair, or gives it back when the receiver is to end.
func (a *receiverActor) onLeased(ctx actor.Context, m *portpool.PairLeased) {
	a.waiting = false
	s := sockets{rtp: m.RTP, rtcp: m.RTCP, tcp: m.TCP, port: m.Port, local: a.poolAddr(), lease: m}
	if a.ending {
		a.sockets = s
		a.giveBack(ctx, false)
		return
	}
	a.use(ctx, s)
}

// onLeaseRefused tries any pair where only the one of old was not to be had, and reports everything else.
func (a *receiverActor) onLeaseRefused(ctx actor.Context, m *portpool.LeaseRefused) {
	a.waiting = false
	switch {
	case a.ending:
		a.finish(ctx)
	case a.def.Port == 0 && a.asked != 0:
		a.log.Warn().Err(m.Err).Msg("the port of before the restart is not to be had; another one is taken, of which the device knows nothing")
		a.lease(ctx, 0)
	default:
		a.openFailed(ctx, m.Err)
	}
}

// openBeside binds ports outside the pool's range.
func openBeside(def store.Receiver, addr netip.Addr) (s sockets, err error) {
	s = sockets{port: def.Port, local: addr, own: true}
	if s.rtp, err = udp.Bind(addr, def.Port, udp.Options{}); err != nil {
		return sockets{}, err
	}
	if s.rtcp, err = udp.Bind(addr, def.Port+1, udp.Options{}); err == nil && def.TCPMode == tcpPassive {
		s.tcp, err = udp.ListenTCP(addr, def.Port)
	}
	if err != nil {
		s.close()
		return sockets{}, err
	}
	return s, nil
}

// close closes what the receiver opened by itself.
func (s *sockets) close() {
	if !s.own {
		return
	}
	// Nothing was written that could be lost.
	_ = s.rtp.Close()
	if s.rtcp != nil {
		_ = s.rtcp.Close()
	}
	if s.tcp != nil {
		_ = s.tcp.Close()
	}
	s.own = false
}
