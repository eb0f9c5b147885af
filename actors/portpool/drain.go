package portpool

import (
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/netio/ports"
	"berth/netio/udp"
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
	p.alarm.flush(now)
	for _, k := range p.books {
		p.tend(ctx, k, now)
	}
	if wait, ok := p.nextDue(now); ok && wait <= 0 {
		ctx.Send(ctx.Self(), &tick{})
		return
	}
	p.ticker.schedule(now, p.nextDue)
}

// tend does what is due in one book.
func (p *pool) tend(ctx actor.Context, k *book, now time.Time) {
	k.ledger.Advance(now)
	p.usage(ctx, k, now)
	for range looksPerTick {
		s, due := k.ledger.Poll(now)
		if !due {
			break
		}
		if _, over := p.look(k, s, now); over {
			p.endDrain(k, s, now)
		}
	}
	for range probesPerTick {
		s, due := k.ledger.Recheck(now)
		if !due {
			break
		}
		p.recheck(k, s, now)
	}
	for range probesPerTick {
		s, due := k.ledger.Probe(now)
		if !due {
			break
		}
		p.probe(k, s, now)
	}
}

// look throws away what a draining slot has received since the last look. It returns how many packets and connections that was, and whether the slot has drained.
func (p *pool) look(k *book, s ports.Slot, now time.Time) (packets int, over bool) {
	b := &k.slots[s]
	packets, from := p.discard.Discard(b.bound.RTP, staleInput)
	more, other := p.discard.Discard(b.bound.RTCP, staleInput)
	if !from.IsValid() {
		from = other
	}
	packets += more
	more, other = udp.TurnAway(b.bound.TCP, staleInput)
	if !from.IsValid() {
		from = other
	}
	packets += more
	if packets > 0 {
		p.stats.late += uint64(packets) //nolint:gosec // at most twice staleInput
		b.drain.heard++
		b.drain.peer = from
	}
	over = k.ledger.Heard(s, packets, now)
	// Packets that were under way when the lease ended are nothing to talk about; a peer that is still sending at the next look is.
	if b.drain.heard > 1 && !b.drain.logged {
		b.drain.logged = true
		e := k.ledger.Entry(s)
		p.log.Warn().Uint16("port", e.Port).Str("stream", e.Holder.Tenant.Stream.Path()).Str("purpose", string(b.purpose)).
			Stringer("from", b.drain.peer).Uint64("packets", e.Late).Msg("a peer keeps sending to a released port")
	}
	return packets, over
}

// endDrain closes a draining slot.
func (p *pool) endDrain(k *book, s ports.Slot, now time.Time) {
	b := &k.slots[s]
	if b.want = ports.UDPPair; b.bound.TCP != nil {
		b.want |= ports.TCPListener // should it have to be listened to again
	}
	b.bound.Close()
	k.ledger.Drained(s, now)
	if k.ledger.Suspected(s) {
		p.ticker.schedule(now, p.nextDue)
	}
	p.touched(k, s)
}

// probe finds out whether another program still holds a foreign slot.
func (p *pool) probe(k *book, s ports.Slot, now time.Time) {
	b := &k.slots[s]
	p.touched(k, s)
	bound, err := p.listen(b.addr, k.ledger.Port(s), b.want, now)
	if err != nil {
		// Whatever the error, the slot cannot be leased now.
		k.ledger.Condemn(s, now)
		return
	}
	bound.Close()
	k.ledger.Reclaim(s, now)
	p.log.Info().Uint16("port", k.ledger.Port(s)).Msg("another program gave a port of the range back")
}

// nextDue returns when there will be something to do for a tick.
func (p *pool) nextDue(now time.Time) (time.Duration, bool) {
	wait, waiting := p.alarm.due(now)
	for _, k := range p.books {
		due, waits := k.ledger.NextDue(now)
		if k.level == LevelExhausted && (!waits || due > logEvery) {
			due, waits = logEvery, true // pairs come free by time alone
		}
		if waits && (!waiting || due < wait) {
			wait, waiting = due, true
		}
	}
	return wait, waiting
}
