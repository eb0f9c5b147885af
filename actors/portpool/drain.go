package portpool

import (
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/netio/ports"
)

// Bounds of one tick, so that it never holds up a lease for long. What is left over is done by the next tick, which queues behind the leases that
// came meanwhile.
const (
	looksPerTick  = 64
	probesPerTick = 16
)

// drain is what was noticed of a draining slot.
type drain struct {
	heard  int            // looks that found packets
	peer   netip.AddrPort // who sent the last one
	logged bool
}

// onTick looks at the draining slots and tries the foreign ones whose time has come.
func (p *pool) onTick(ctx actor.Context) {
	p.ticker.fired()
	if p.closing {
		return
	}
	now := p.opts.Now()
	p.ledger.Advance(now)
	p.alarm.flush(now)
	p.usage(ctx, now)
	for range looksPerTick {
		s, due := p.ledger.Poll(now)
		if !due {
			break
		}
		if _, over := p.look(s, now); over {
			p.endDrain(s, now)
		}
	}
	for range probesPerTick {
		s, due := p.ledger.Recheck(now)
		if !due {
			break
		}
		p.recheck(s, now)
	}
	for range probesPerTick {
		s, due := p.ledger.Probe(now)
		if !due {
			break
		}
		p.probe(s, now)
	}
	if wait, ok := p.nextDue(now); ok && wait <= 0 {
		ctx.Send(ctx.Self(), &tick{})
		return
	}
	p.ticker.schedule(now, p.nextDue)
}

// look throws away what a draining slot has received since the last look. It returns how many packets that was, and whether the slot has drained.
func (p *pool) look(s ports.Slot, now time.Time) (packets int, over bool) {
	b := &p.slots[s]
	packets, from := p.discard.Discard(b.bound.RTP, staleInput)
	more, other := p.discard.Discard(b.bound.RTCP, staleInput)
	if !from.IsValid() {
		from = other
	}
	packets += more
	if packets > 0 {
		p.stats.late += uint64(packets) //nolint:gosec // at most twice staleInput
		b.drain.heard++
		b.drain.peer = from
	}
	over = p.ledger.Heard(s, packets, now)
	// Packets that were under way when the lease ended are nothing to talk about; a peer that is still sending at the next look is.
	if b.drain.heard > 1 && !b.drain.logged {
		b.drain.logged = true
		e := p.ledger.Entry(s)
		p.log.Warn().Uint16("port", e.Port).Str("stream", e.Holder.Tenant.Stream.Path()).Str("purpose", string(b.purpose)).
			Stringer("from", b.drain.peer).Uint64("packets", e.Late).Msg("a peer keeps sending to a released port")
	}
	return packets, over
}

// endDrain closes a draining slot.
func (p *pool) endDrain(s ports.Slot, now time.Time) {
	p.slots[s].bound.Close()
	p.ledger.Drained(s, now)
	if p.ledger.Suspected(s) {
		p.ticker.schedule(now, p.nextDue)
	}
	p.touched(s)
}

// probe finds out whether another program still holds a foreign slot.
func (p *pool) probe(s ports.Slot, now time.Time) {
	b := &p.slots[s]
	p.touched(s)
	bound, err := p.listen(b.addr, p.ledger.Port(s), b.want, now)
	if err != nil {
		// Whatever the error, the slot cannot be leased now.
		p.ledger.Condemn(s, now)
		return
	}
	bound.Close()
	p.ledger.Reclaim(s, now)
	p.log.Info().Uint16("port", p.ledger.Port(s)).Msg("another program gave a port of the range back")
}

// nextDue returns when there will be something to do for a tick.
func (p *pool) nextDue(now time.Time) (time.Duration, bool) {
	wait, ok := p.ledger.NextDue(now)
	if alarm, waiting := p.alarm.due(now); waiting && (!ok || alarm < wait) {
		return alarm, true
	}
	return wait, ok
}
