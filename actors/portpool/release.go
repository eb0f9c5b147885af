package portpool

import (
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/netio/ports"
	"berth/netio/udp"
)

// staleInput bounds how many packets are thrown away at once: more than a receive buffer of the usual size holds.
const staleInput = 1024

func (p *pool) onRelease(ctx actor.Context, m *ReleaseLease) {
	if m.Owner != nil {
		if o := p.owners.find(m.Owner); o != nil {
			if k, s, held := o.find(p.home(), m.ID); held && k.ledger.Epoch(s) == m.Epoch {
				p.endLease(ctx, k, s, p.opts.Now(), "released", m.Mute)
			}
		}
	}
	if ctx.Sender() != nil {
		ctx.Respond(&LeaseReleased{ID: m.ID})
	}
}

// onTerminated ends what an owner held.
func (p *pool) onTerminated(ctx actor.Context, who *actor.PID) {
	o := p.owners.find(who)
	if o == nil {
		return
	}
	p.owners.forget(who)
	now := p.opts.Now()
	for _, k := range p.books {
		account := o.in(k)
		for s, ok := k.ledger.Owned(account); ok; s, ok = k.ledger.Owned(account) {
			p.stats.reclaimed++
			p.endLease(ctx, k, s, now, "owner ended", false)
		}
	}
}

// endLease takes slot s back. Its sockets stay bound and drain, unless it has no UDP sockets, or the pool is about to end or drains nothing. Nobody can accept on the listener that the owner had; the
// connections that it accepted are the owner's. mute says that the owner has heard nothing.
func (p *pool) endLease(ctx actor.Context, k *book, s ports.Slot, now time.Time, why string, mute bool) {
	b := &k.slots[s]
	t := k.ledger.Timing()
	drains := b.bound.hasUDP() && t.DrainIdle > 0 && t.DrainMax > 0 && !p.closing
	if listener := b.bound.TCP; listener != nil {
		b.bound.TCP = nil
		if drains { // without it, what a device that connects again and again meets next is a stranger's listener
			b.bound.TCP, _ = udp.RenewListener(listener) // nil when there is no descriptor for it
			came, _ := udp.TurnAway(b.bound.TCP, staleInput)
			mute = mute && came == 0
		}
		_ = listener.Close()
	}
	if drains {
		// A reader that the owner forgot must not eat what tells whether the old peer still sends. What came before now was not late.
		for _, conn := range []*net.UDPConn{b.bound.RTP, b.bound.RTCP} {
			udp.Wake(conn)
			came, _ := p.discard.Discard(conn, staleInput)
			mute = mute && came == 0
		}
	} else {
		b.bound.Close()
	}
	if p.closing && t.CoolDown <= 0 && p.opts.Memory != nil {
		p.opts.Memory.Leave([]Remembered{p.remembered(k, s, now)}) // leave would find it free
	}
	p.owners.returned(b.count)
	b.owner, b.count = nil, nil
	b.drain = drain{}
	if mute {
		k.ledger.Mute(s)
	}
	k.ledger.Release(s, drains, now)
	p.touched(k, s)
	if d := p.log.Debug(); d.Enabled() {
		d.Uint16("port", k.ledger.Port(s)).Str("stream", k.ledger.Tenant(s).Stream.Path()).Str("purpose", string(b.purpose)).Str("why", why).
			Stringer("state", k.ledger.State(s)).Msg("lease ended")
	}
	k.history.Ended(now, k.ledger.Counts()[ports.Leased])
	p.usage(ctx, k, now)
	if drains {
		p.ticker.schedule(now, p.nextDue)
	}
}

// renewed returns a new handle of a socket, or the old one with the error.
func renewed(conn *net.UDPConn) (*net.UDPConn, error) {
	fresh, err := udp.Renew(conn)
	if err != nil {
		return conn, err
	}
	return fresh, nil
}
