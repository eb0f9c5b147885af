package portpool

import (
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/media"
	"berth/netio/ports"
	"berth/netio/udp"
)

// pool is the actor. Its fields belong to Receive.
type pool struct {
	opts Options
	log  zerolog.Logger

	books    []*book // that of the pool's own address first
	bind     netip.Addr
	timing   ports.Timing
	excluded func(port uint16) bool
	budget   time.Duration // pool.lease_timeout
	pending  ports.Range
	closing  bool // grants nothing any more
	paused   bool // grants nothing while the server is drained

	released bool // every socket is closed

	owners owners
	stats  stats
	alarm  alarm
	audit  auditor

	descriptors descriptors

	discard udp.Discarder
	ticker  ticker
}

// slot is what the pool knows of a slot beyond its ledger.
type slot struct {
	bound   Bound
	want    ports.Sockets // sides of the present or last lease; of the try that failed when the slot is foreign
	addr    netip.Addr    // local address, likewise
	owner   *owner        // nil unless leased
	count   *useCount     // of the kind of owner; nil unless leased
	purpose Purpose       // of the present or last lease
	peer    string        // likewise
	drain   drain
	changed uint64 // see touched
}

type stats struct {
	granted, reclaimed, conflicts, late uint64

	refused map[Reason]uint64
}

// Receive routes.
func (p *pool) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *LeasePair:
		p.onLease(ctx, m)
	case *ReleaseLease:
		p.onRelease(ctx, m)
	case *actor.Terminated:
		p.onTerminated(ctx, m.Who)
	case *tick:
		p.onTick(ctx)
	case *Audit:
		p.onAudit(ctx)
	case *auditDue:
		p.onAuditDue(ctx)
	case *tablesRead:
		p.onTablesRead(ctx, m)
	case *GetPool:
		ctx.Respond(p.snapshot(m.Detail))
	case *SetPendingRange:
		p.pending = m.Range
	case *PauseGranting:
		p.paused = m.Paused
	case *StopGranting:
		p.closing = true
	case *actors.ConfigChanged:
		p.onConfig(ctx, m)
	case *actor.Started:
		p.onStarted(ctx)
	case *actor.Stopping, *actor.Restarting:
		p.release(ctx)
	}
}

func (p *pool) onStarted(ctx actor.Context) {
	cfg := p.opts.Config
	p.bind = cfg.PoolBind()
	p.budget = cfg.Pool.LeaseTimeout
	own := make(map[uint16]struct{}, len(p.opts.Exclude))
	for _, port := range p.opts.Exclude {
		own[port] = struct{}{}
	}
	p.timing = timing(cfg)
	p.excluded = func(port uint16) bool {
		_, ours := own[port]
		return ours || cfg.Pool.Exclude.Contains(port)
	}
	p.books = []*book{p.newBook(netip.Addr{})}
	p.owners = newOwners()
	p.descriptors.count = p.opts.Descriptors
	p.stats.refused = map[Reason]uint64{}
	p.alarm = newAlarm(p.log, cfg.Pool.WarnPercent)
	p.ticker = newTicker(ctx)
	now := p.opts.Now()
	p.remember(now)
	p.reserve(now)
	p.ticker.schedule(now, p.nextDue)
	p.startAuditor(ctx)
	p.log.Info().Stringer("range", p.opts.Range).Int("pairs", p.home().ledger.Len()).Int("excluded", p.home().ledger.Counts()[ports.Excluded]).
		Stringer("bind", p.bind).Msg("port pool ready")
}

func (p *pool) onConfig(ctx actor.Context, m *actors.ConfigChanged) {
	p.budget = m.Config.Pool.LeaseTimeout
	p.alarm.warnPercent = m.Config.Pool.WarnPercent
	p.timing = timing(m.Config)
	for _, k := range p.books {
		p.usage(ctx, k, p.opts.Now())
		k.ledger.SetTiming(p.timing)
	}
	p.ticker.schedule(p.opts.Now(), p.nextDue)
	ctx.Respond(&actors.ConfigTaken{Owner: "portpool"})
}

// release closes every socket. The pool grants nothing afterwards. It may run twice.
func (p *pool) release(ctx actor.Context) {
	if p.books == nil || p.released {
		return
	}
	p.closing, p.released = true, true
	p.ticker.stop()
	p.stopAuditor(ctx)
	p.leave(p.opts.Now())
	leased := 0
	for _, k := range p.books {
		leased += k.ledger.Counts()[ports.Leased]
		for i := range k.slots {
			k.slots[i].bound.Close()
		}
	}
	if leased > 0 {
		p.log.Warn().Int("leased", leased).Msg("port pool ends while leases are held")
	}
	p.log.Info().Uint64("granted", p.stats.granted).Int("high_water", p.home().ledger.HighWater()).Msg("port pool closed")
}

// tenant is whose traffic the slot of m will carry: the stream, for one purpose. A pair that drains after a pull is not for the stream's viewers.
func tenant(stream media.StreamKey, purpose Purpose) ports.Tenant {
	return ports.Tenant{Stream: stream, Use: string(purpose)}
}
