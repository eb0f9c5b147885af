package portpool

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/netio/ports"
	"berth/netio/udp"
)

func (p *pool) onLease(ctx actor.Context, m *LeasePair) {
	if m.Owner == nil {
		p.log.Error().Uint64("lease", m.ID).Str("purpose", string(m.Purpose)).Msg("lease asked for without an owner")
		return
	}
	now := p.opts.Now()
	o := p.owners.find(m.Owner)
	if o != nil {
		if k, s, held := o.find(p.home(), m.ID); held {
			p.grant(ctx, k, s, m.ID)
			return
		}
	}
	k, err := p.bookOf(p.localAddr(m))
	if err != nil {
		p.refuse(ctx, p.home(), m, &RefusedError{Reason: ReasonAddress, Err: err}, now)
		return
	}
	s, bound, refused := p.acquire(k, m, now)
	if refused != nil {
		p.refuse(ctx, k, m, refused, now)
		return
	}
	if o == nil {
		o = p.owners.watched(ctx, m.Owner)
	}
	who := tenant(m.Stream, m.Purpose)
	k.ledger.Lease(s, ports.Holder{Owner: o.open(k), ID: m.ID, Tenant: who}, now)
	k.slots[s] = slot{bound: bound, want: m.Sockets, addr: p.localAddr(m), owner: o, purpose: m.Purpose, peer: m.Peer}
	p.touched(k, s)
	k.slots[s].count = p.owners.leased(o, m.Purpose, m.Stream.App)
	p.stats.granted++
	if e := p.log.Debug(); e.Enabled() {
		e.Uint16("port", k.ledger.Port(s)).Stringer("bind", k.slots[s].addr).Stringer("sockets", m.Sockets).Str("stream", m.Stream.Path()).Str("purpose", string(m.Purpose)).
			Str("peer", m.Peer).Str("owner", m.Owner.Id).Msg("pair leased")
	}
	k.history.Granted(now, k.ledger.Counts()[ports.Leased])
	p.usage(ctx, k, now)
	p.grant(ctx, k, s, m.ID)
}

// grant tells the owner of leased slot s what it holds.
func (p *pool) grant(ctx actor.Context, k *book, s ports.Slot, id uint64) {
	b := &k.slots[s]
	ctx.Send(b.owner.pid, &PairLeased{
		ID: id, Epoch: k.ledger.Epoch(s), Port: k.ledger.Port(s), RTP: b.bound.RTP, RTCP: b.bound.RTCP, TCP: b.bound.TCP,
	})
}

// refuse completes the error and tells the owner.
func (p *pool) refuse(ctx actor.Context, k *book, m *LeasePair, err *RefusedError, now time.Time) {
	err.Range, err.Pending, err.Counts, err.Port, err.Bind = k.ledger.Range(), p.pending, k.ledger.Counts(), m.Port, k.bind
	if err.Reason == ReasonExhausted || err.Reason == ReasonTimeout {
		err.Largest = p.largest()
		if wait, ok := k.ledger.NextFree(now); ok {
			err.Retry = max(wait, time.Millisecond)
		}
	}
	p.stats.refused[err.Reason]++
	k.history.Refused(now)
	ctx.Send(m.Owner, &LeaseRefused{ID: m.ID, Err: err})
	if e := p.log.Debug(); e.Enabled() {
		e.Str("stream", m.Stream.Path()).Str("purpose", string(m.Purpose)).Str("owner", m.Owner.Id).Str("reason", string(err.Reason)).
			Uint16("port", m.Port).Msg("lease refused")
	}
	switch err.Reason {
	case ReasonExhausted, ReasonTimeout, ReasonAddress, ReasonProcess:
		p.alarm.shortage(now, err)
		if err.Reason == ReasonExhausted {
			p.exhausted(ctx, k, now)
		}
		if err.Reason == ReasonAddress && k != p.home() && k.idle() {
			p.drop(k) // nobody makes the pool keep account of addresses that are not there
		}
		p.ticker.schedule(now, p.nextDue)
	}
}

// acquire finds a slot for m and binds it. The slot's state in the ledger is not leased yet.
func (p *pool) acquire(k *book, m *LeasePair, now time.Time) (ports.Slot, Bound, *RefusedError) {
	k.ledger.Advance(now)
	switch {
	case p.closing, p.paused:
		return ports.None, Bound{}, &RefusedError{Reason: ReasonRestarting}
	case !m.Sockets.Valid():
		return ports.None, Bound{}, invalid("it asks for sockets %q", m.Sockets)
	case m.Port%2 != 0:
		return ports.None, Bound{}, invalid("port %d is odd, and a pair begins with an even port", m.Port)
	case m.Port != 0:
		return p.acquireWanted(k, m, now)
	}
	if s, ok := k.ledger.Kept(tenant(m.Stream, m.Purpose)); ok && !m.Fresh {
		bound, err := p.takeBack(k, s, m, now)
		if err == nil {
			return s, bound, nil
		}
		// Whatever hinders taking the old pair back, a new one may do.
	}
	return p.acquireAny(k, m, now)
}

func invalid(format string, args ...any) *RefusedError {
	return &RefusedError{Reason: ReasonInvalid, Err: fmt.Errorf(format, args...)}
}

// acquireAny tries one candidate after the other until one can be bound, none is left, or the time for it is over.
func (p *pool) acquireAny(k *book, m *LeasePair, now time.Time) (ports.Slot, Bound, *RefusedError) {
	deadline := now.Add(p.budget)
	var last error
	tried := 0
	for {
		s, ok := k.ledger.Candidate(now)
		if !ok {
			return ports.None, Bound{}, &RefusedError{Reason: ReasonExhausted, Tried: tried, Err: last}
		}
		if tried > 0 && now.After(deadline) {
			return ports.None, Bound{}, &RefusedError{Reason: ReasonTimeout, Tried: tried, Err: last}
		}
		if k.ledger.State(s) == ports.Draining {
			if packets, _ := p.look(k, s, now); packets > 0 {
				continue // it is not quiet after all, and no candidate any more
			}
			p.endDrain(k, s, now)
		}
		bound, err := p.listenPressed(p.localAddr(m), k.ledger.Port(s), m.Sockets, now)
		if err == nil {
			return s, bound, nil
		}
		if refused := hopeless(err); refused != nil {
			return ports.None, Bound{}, refused
		}
		p.condemn(k, s, m, err, now)
		last = err
		tried++
		now = p.opts.Now()
	}
}

// hopeless returns the refusal for an error that another port would not cure.
func hopeless(err error) *RefusedError {
	switch {
	case errors.Is(err, udp.ErrInUse):
		return nil
	case errors.Is(err, udp.ErrProcess):
		return &RefusedError{Reason: ReasonProcess, Err: err}
	default:
		return &RefusedError{Reason: ReasonAddress, Err: err}
	}
}

// condemn notes that another program holds a port of slot s, which was tried for m.
func (p *pool) condemn(k *book, s ports.Slot, m *LeasePair, err error, now time.Time) {
	k.slots[s].want, k.slots[s].addr = m.Sockets, p.localAddr(m)
	k.ledger.Condemn(s, now)
	p.touched(k, s)
	p.stats.conflicts++
	p.alarm.conflict(now, k.ledger.Port(s), err)
	p.ticker.schedule(now, p.nextDue)
}

// acquireWanted binds the one slot that m asks for, if it is to be had.
func (p *pool) acquireWanted(k *book, m *LeasePair, now time.Time) (ports.Slot, Bound, *RefusedError) {
	s, ok := k.ledger.At(m.Port)
	if !ok {
		return ports.None, Bound{}, &RefusedError{Reason: ReasonOutOfRange}
	}
	last := k.ledger.Tenant(s).Stream
	own := last == m.Stream && m.Stream.Valid()
	no := func(reason Reason) (ports.Slot, Bound, *RefusedError) {
		wait, _ := k.ledger.FreeIn(s, now)
		holder := ""
		if last.Valid() {
			holder = last.Path()
		}
		return ports.None, Bound{}, &RefusedError{Reason: reason, Holder: holder, Retry: wait}
	}
	if k.ledger.Suspected(s) && !own {
		return no(ReasonCooling) // another program may hold it just now, which changes nothing
	}
	switch k.ledger.State(s) {
	case ports.Excluded:
		return no(ReasonExcluded)
	case ports.Leased:
		return no(ReasonLeased)
	case ports.Cooling:
		if !own {
			return no(ReasonCooling)
		}
	case ports.Draining:
		if !own {
			return no(ReasonDraining)
		}
		if bound, err := p.takeBack(k, s, m, now); err == nil {
			return s, bound, nil
		}
		p.endDrain(k, s, now)
	}
	bound, err := p.listenPressed(p.localAddr(m), m.Port, m.Sockets, now)
	if err == nil {
		return s, bound, nil
	}
	if refused := hopeless(err); refused != nil {
		return ports.None, Bound{}, refused
	}
	p.condemn(k, s, m, err, now)
	wait, _ := k.ledger.FreeIn(s, now)
	return ports.None, Bound{}, &RefusedError{Reason: ReasonForeign, Tried: 1, Retry: wait, Err: err}
}

// errOtherSockets says that a draining slot is bound otherwise than it is wanted now.
var errOtherSockets = errors.New("the draining pair is bound to another address, or other sockets are wanted")

// takeBack hands the sockets of a draining slot to its old tenant without unbinding them: under new handles, so that nobody who still has an old
// one can read what the new holder receives, and without what was received for the old lease. On error the slot still drains.
func (p *pool) takeBack(k *book, s ports.Slot, m *LeasePair, now time.Time) (Bound, error) {
	b := &k.slots[s]
	if !m.Sockets.Has(ports.UDPPair) || b.addr != p.localAddr(m) {
		return Bound{}, errOtherSockets
	}
	taken := Bound{}
	var err error
	if kept := b.bound.TCP; kept != nil {
		udp.TurnAway(kept, staleInput)
		b.bound.TCP = nil
		if m.Sockets.Has(ports.TCPListener) {
			taken.TCP = kept
		} else {
			_ = kept.Close()
		}
	}
	if m.Sockets.Has(ports.TCPListener) && taken.TCP == nil {
		side, err := p.listen(b.addr, k.ledger.Port(s), ports.TCPListener, now)
		if err != nil {
			return Bound{}, err
		}
		taken.TCP = side.TCP
	}
	// Each socket keeps an open handle in the slot until both have their new one.
	if b.bound.RTP, err = renewed(b.bound.RTP); err == nil {
		b.bound.RTCP, err = renewed(b.bound.RTCP)
	}
	if err != nil {
		taken.Close()
		return Bound{}, err
	}
	taken.RTP, taken.RTCP = b.bound.RTP, b.bound.RTCP
	b.bound = Bound{}
	p.discard.Discard(taken.RTP, staleInput)
	p.discard.Discard(taken.RTCP, staleInput)
	return taken, nil
}
