package portpool

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/config"
	"berth/netio/ports"
	"berth/netio/udp"
)

// Options set up a pool.
type Options struct {
	// Config is the configuration in force. Required.
	Config *config.Config
	// Range is what the pool leases from. Zero means Config.RTPProxy.PortRange.
	Range ports.Range
	// Exclude lists ports that are never leased besides those of pool.exclude: the server's own listeners. Ports outside the range are ignored.
	Exclude []uint16
	// Listen binds the wanted sides of a slot, all or none. Its errors are sorted by the families of package udp. Nil binds real sockets; tests and
	// benchmarks may bind nothing and return an empty [Bound].
	Listen func(addr netip.Addr, port uint16, want ports.Sockets) (Bound, error)
	// Descriptors returns how many descriptors the process has open and how many it may have. Called for a lease, at most every 20 ms while there are enough. Nil asks the operating system.
	Descriptors func() (open, limit uint64, err error)
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Kernel returns which ports of a range this process holds. Called beside the actor at each audit. Nil asks the operating system.
	Kernel func(ctx context.Context, r ports.Range) (udp.Held, error)
	// AuditEvery is the pause between two audits. 0 means a minute.
	AuditEvery time.Duration
	// Reserve lists the pairs of streams that are expected back after a restart: for ReserveFor, 0 meaning 20 seconds, nobody else gets them.
	Reserve    []Reservation
	ReserveFor time.Duration
	// Memory is what the pool before this one left behind, and where this one leaves what the next must know. Nil = nothing is remembered.
	Memory *Memory
	// Notify hears [Alarm]. Nil = nobody.
	Notify *actor.PID
	// Shuffle settles the order in which pairs are leased for the first time. Nil means a random one.
	Shuffle func(n int, swap func(i, j int))
}

// Bound is what is bound of a slot. A side that was not asked for is nil.
type Bound struct {
	RTP  *net.UDPConn // on the even port
	RTCP *net.UDPConn // on the odd port
	TCP  *net.TCPListener
}

// Props describes the pool for spawning. It must be spawned by a parent that stops it when it panics.
func Props(rt *actors.Runtime, opts Options) *actor.Props {
	if opts.Range.IsZero() {
		opts.Range = ports.Range(opts.Config.RTPProxy.PortRange)
	}
	if opts.Listen == nil {
		opts.Listen = listen
	}
	if opts.Kernel == nil {
		opts.Kernel = func(ctx context.Context, r ports.Range) (udp.Held, error) {
			return udp.HeldPorts(ctx, "/proc/self", r.Low, r.High)
		}
	}
	if opts.Descriptors == nil {
		opts.Descriptors = func() (open, limit uint64, err error) { return udp.Descriptors("/proc/self") }
	}
	if opts.ReserveFor <= 0 {
		opts.ReserveFor = reserveFor
	}
	if opts.AuditEvery <= 0 {
		opts.AuditEvery = auditEvery
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Shuffle == nil {
		opts.Shuffle = rand.Shuffle
	}
	return rt.Props(func() actor.Actor { return &pool{opts: opts, log: rt.Log.With().Str("actor", "portpool").Logger()} })
}

// listen binds real sockets.
func listen(addr netip.Addr, port uint16, want ports.Sockets) (b Bound, err error) {
	if want.Has(ports.UDPPair) {
		if b.RTP, b.RTCP, err = udp.BindPair(addr, port, udp.Options{}); err != nil {
			return Bound{}, err
		}
	}
	if want.Has(ports.TCPListener) {
		if b.TCP, err = udp.ListenTCP(addr, port); err != nil {
			b.Close()
			return Bound{}, err
		}
	}
	return b, nil
}

// listen binds the wanted sides of a slot, unless that would take descriptors that are kept for the rest of the process.
func (p *pool) listen(addr netip.Addr, port uint16, want ports.Sockets, now time.Time) (Bound, error) {
	if err := p.descriptors.take(needs(want), now); err != nil {
		return Bound{}, err
	}
	return p.opts.Listen(addr, port, want)
}

// Close closes every side that is bound.
func (b *Bound) Close() {
	// The descriptor is gone whatever close says, and nothing was written that could be lost.
	if b.RTP != nil {
		_ = b.RTP.Close()
	}
	if b.RTCP != nil {
		_ = b.RTCP.Close()
	}
	if b.TCP != nil {
		_ = b.TCP.Close()
	}
	*b = Bound{}
}

func (b *Bound) hasUDP() bool { return b.RTP != nil }

// timing takes the ledger's times from a configuration.
func timing(c *config.Config) ports.Timing {
	return ports.Timing{DrainIdle: c.Pool.DrainIdle, DrainMax: c.Pool.DrainMax, CoolDown: c.Pool.CoolDown}
}
