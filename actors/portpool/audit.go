package portpool

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/netio/ports"
	"berth/netio/udp"
)

// Times of an audit.
const (
	auditEvery = time.Minute
	// auditAgain is the pause before what looked wrong is looked at again: an actor that is just ending, or a socket whose last reader is just
	// returning, is no drift.
	auditAgain = 500 * time.Millisecond
	// auditRead bounds one reading of the kernel's tables.
	auditRead = 5 * time.Second
	// driftShown bounds the lines that one audit writes; the rest is counted.
	driftShown = 20
)

// auditor compares the ledger with the owners and with the kernel's socket table. Its fields belong to Receive, but the goroutine that reads the tables.
type auditor struct {
	last    *Audited // nil before the first audit is over
	audits  uint64
	found   uint64 // drift since the pool was made
	changes uint64 // counts what happened to slots
	running bool
	mark    uint64            // changes when the tables began to be read
	began   time.Time         // of the audit under way
	suspect map[driftKey]bool // what the first look found; nil during it
	askers  []*actor.PID
	timer   *time.Timer
	faulted bool // the kernel's tables could not be read the last time

	stop context.CancelFunc
	ctx  context.Context //nolint:containedctx // ends the reading when the actor stops
	work sync.WaitGroup
}

type driftKey struct {
	book *book
	slot ports.Slot
	kind DriftKind
}

// Messages of the auditor to the pool.
type (
	// auditDue begins the audit of the minute, or the second look of one.
	auditDue struct{}
	// tablesRead carries what the kernel says.
	tablesRead struct {
		from *pool
		held udp.Held
		err  error
	}
)

func (p *pool) startAuditor(ctx actor.Context) {
	p.audit.ctx, p.audit.stop = context.WithCancel(context.Background())
	root, self := ctx.ActorSystem().Root, ctx.Self()
	p.audit.timer = time.AfterFunc(p.opts.AuditEvery, func() { root.Send(self, &auditDue{}) })
}

// stopAuditor ends the reading of tables that is under way, if one is, and waits for it: it looks up from its work every thousand lines.
func (p *pool) stopAuditor(ctx actor.Context) {
	if p.audit.stop == nil {
		return
	}
	p.audit.stop()
	p.audit.stop = nil
	p.audit.timer.Stop()
	p.audit.work.Wait()
	p.answerAudit(ctx, &Audited{At: p.opts.Now(), Err: errPoolEnds})
}

// touched notes that slot s was changed, so that an audit under way does not judge it by a table that was read before or meanwhile.
func (p *pool) touched(k *book, s ports.Slot) {
	p.audit.changes++
	k.slots[s].changed = p.audit.changes
}

func (p *pool) onAudit(ctx actor.Context) {
	if asker := ctx.Sender(); asker != nil {
		p.audit.askers = append(p.audit.askers, asker)
	}
	if !p.audit.running && !p.released {
		p.beginAudit(ctx)
	}
}

// onAuditDue goes on with the audit under way, or begins the next.
func (p *pool) onAuditDue(ctx actor.Context) {
	switch {
	case p.released:
	case p.audit.running:
		p.readTables(ctx)
	default:
		p.beginAudit(ctx)
	}
}

func (p *pool) beginAudit(ctx actor.Context) {
	p.audit.running, p.audit.suspect, p.audit.began = true, nil, p.opts.Now()
	p.readTables(ctx)
}

// readTables reads the kernel's tables beside the actor.
func (p *pool) readTables(ctx actor.Context) {
	p.audit.mark = p.audit.changes
	root, self, limit, read, rng := ctx.ActorSystem().Root, ctx.Self(), p.audit.ctx, p.opts.Kernel, p.home().ledger.Range()
	p.audit.work.Go(func() {
		limited, cancel := context.WithTimeout(limit, auditRead)
		defer cancel()
		held, err := read(limited, rng)
		root.Send(self, &tablesRead{p, held, err})
	})
}

// onTablesRead judges. What looks wrong is looked at once more before it counts.
func (p *pool) onTablesRead(ctx actor.Context, m *tablesRead) {
	if m.from != p || p.released || !p.audit.running {
		return
	}
	drift, compared := p.compare(ctx, m)
	if p.audit.suspect == nil && len(drift) > 0 {
		p.audit.suspect = make(map[driftKey]bool, len(drift))
		for i := range drift {
			p.audit.suspect[drift[i].key()] = true
		}
		p.audit.timer.Reset(auditAgain)
		return
	}
	now := p.opts.Now()
	done := &Audited{At: now, Took: now.Sub(p.audit.began), Slots: compared, Err: m.err}
	for i := range drift {
		if d := &drift[i]; p.audit.suspect[d.key()] {
			d.Repaired = p.repair(ctx, d, now)
			done.Drift = append(done.Drift, *d)
		}
	}
	p.report(done)
	p.audit.running, p.audit.last = false, done
	p.audit.audits++
	p.audit.found += uint64(len(done.Drift))
	p.audit.timer.Reset(p.opts.AuditEvery)
	p.answerAudit(ctx, done)
}

func (p *pool) answerAudit(ctx actor.Context, done *Audited) {
	for _, asker := range p.audit.askers {
		ctx.Send(asker, done)
	}
	p.audit.askers = nil
}

// report logs what an audit found.
func (p *pool) report(a *Audited) {
	if (a.Err != nil) != p.audit.faulted {
		if p.audit.faulted = a.Err != nil; p.audit.faulted {
			p.log.Warn().Err(a.Err).Msg("the audit of the port pool goes on without the kernel's socket table")
		}
	}
	for i := range a.Drift[:min(len(a.Drift), driftShown)] {
		d := &a.Drift[i]
		p.log.Error().Uint16("port", d.Port).Str("drift", string(d.Kind)).Stringer("state", d.State).Str("stream", d.Stream.Path()).Str("owner", d.Owner).
			Bool("repaired", d.Repaired).Msg("port pool drift: " + d.Detail)
	}
	if more := len(a.Drift) - driftShown; more > 0 {
		p.log.Error().Int("count", more).Msg("port pool drift on more slots")
	}
}

// compare holds every slot that was not touched meanwhile against the owners and the kernel.
func (p *pool) compare(ctx actor.Context, m *tablesRead) (drift []Drift, compared int) {
	registry := ctx.ActorSystem().ProcessRegistry
	strange := map[ports.Slot]bool{} // the kernel's table does not say which book a socket that nobody knows belongs in
	for _, k := range p.books {
		others := p.heldBeside(k)
		for i := range k.slots {
			s := ports.Slot(i) //nolint:gosec // below 32768
			b, state := &k.slots[i], k.ledger.State(s)
			if b.changed > p.audit.mark || state == ports.Excluded {
				continue
			}
			compared++
			if kind, detail := k.misowned(registry, s); kind != "" {
				drift = append(drift, k.driftOf(s, kind, detail))
				continue
			}
			if m.err != nil || p.touchedBeside(k, s) {
				continue
			}
			kind, detail := b.misbound(k.ledger.Port(s), state, m.held, others)
			if kind == "" || kind == DriftStillBound && strange[s] {
				continue
			}
			strange[s] = kind == DriftStillBound
			drift = append(drift, k.driftOf(s, kind, detail))
		}
	}
	return drift, compared
}

// heldBeside counts what the pool has bound in other books than k: the kernel's table is by port alone.
func (p *pool) heldBeside(k *book) udp.Held {
	if len(p.books) == 1 {
		return udp.Held{}
	}
	held := udp.Held{UDP: map[uint16]int{}, TCP: map[uint16]int{}}
	for _, other := range p.books {
		if other == k {
			continue
		}
		for i := range other.slots {
			b, port := &other.slots[i].bound, other.ledger.Port(ports.Slot(i)) //nolint:gosec // below 32768
			if b.hasUDP() {
				held.UDP[port]++
				held.UDP[port+1]++
			}
			if b.TCP != nil {
				held.TCP[port]++
			}
		}
	}
	return held
}

// touchedBeside reports whether the same port of another book was touched while the kernel's table was read.
func (p *pool) touchedBeside(k *book, s ports.Slot) bool {
	for _, other := range p.books {
		if other != k && other.slots[s].changed > p.audit.mark {
			return true
		}
	}
	return false
}

// misowned says what is wrong between slot s and its owner.
func (k *book) misowned(registry *actor.ProcessRegistryValue, s ports.Slot) (DriftKind, string) {
	b, leased := &k.slots[s], k.ledger.State(s) == ports.Leased
	switch {
	case leased && b.owner == nil:
		return DriftNoOwner, "it is leased, and nobody is known to hold it"
	case !leased && b.owner != nil:
		return DriftNoOwner, "it is not leased, and an actor is still noted as its holder"
	case !leased:
		return "", ""
	}
	if process, alive := registry.GetLocal(b.owner.pid.Id); !alive || process != b.owner.process {
		return DriftDeadOwner, "its holder has ended, and the pool was not told"
	}
	return "", ""
}

// misbound says what is wrong between a slot and the kernel.
func (b *slot) misbound(port uint16, state ports.State, held, others udp.Held) (DriftKind, string) {
	sides := []struct {
		name  string
		bound bool
		conn  syscall.Conn
		count int
	}{
		{fmt.Sprintf("UDP port %d", port), b.bound.RTP != nil, b.bound.RTP, held.UDP[port] - others.UDP[port]},
		{fmt.Sprintf("UDP port %d", port+1), b.bound.RTCP != nil, b.bound.RTCP, held.UDP[port+1] - others.UDP[port+1]},
		{fmt.Sprintf("the TCP listener on port %d", port), b.bound.TCP != nil, b.bound.TCP, held.TCP[port] - others.TCP[port]},
	}
	bound := state == ports.Leased || state == ports.Draining
	for _, side := range sides {
		switch {
		case side.bound && !bound:
			return DriftForgotten, "the pool still has a socket of it, though it is " + state.String()
		case side.bound && side.count <= 0 && !isOpen(side.conn):
			return DriftNotBound, side.name + " is not bound, though the pool counts on it"
		case !side.bound && side.count > 0:
			return DriftStillBound, side.name + " is held by this process, and the pool knows nothing of it"
		}
	}
	return "", ""
}

// isOpen reports whether a socket has not been closed. The kernel's table alone does not prove that it was: a table that changes while it is read, a page at a time,
// may lack a line.
func isOpen(conn syscall.Conn) bool {
	raw, err := conn.SyscallConn()
	return err == nil && raw.Control(func(uintptr) {}) == nil
}

func (d *Drift) key() driftKey { return driftKey{d.book, d.slot, d.Kind} }

func (k *book) driftOf(s ports.Slot, kind DriftKind, detail string) Drift {
	e, b := k.ledger.Entry(s), &k.slots[s]
	d := Drift{book: k, slot: s, Port: e.Port, Bind: k.bind, Kind: kind, State: e.State, Detail: detail, Stream: e.Holder.Tenant.Stream}
	if b.owner != nil {
		d.Owner = b.owner.pid.Id
	}
	return d
}

// repair mends what can be mended without taking a port from anybody who may use it. It reports whether the books and the truth agree now.
func (p *pool) repair(ctx actor.Context, d *Drift, now time.Time) bool {
	k, s := d.book, d.slot
	b, state := &k.slots[s], k.ledger.State(s)
	switch d.Kind {
	case DriftDeadOwner:
		p.stats.reclaimed++
		if dead := b.owner; p.owners.byID[dead.pid.Id] == dead {
			p.owners.forget(dead.pid)
		}
		p.endLease(ctx, k, s, now, "owner found dead by the audit", false)
		return true
	case DriftNoOwner:
		if state == ports.Leased {
			p.endLease(ctx, k, s, now, "nobody holds it", false)
		}
		b.owner, b.count = nil, nil
		return true
	case DriftForgotten:
		b.bound.Close()
		p.touched(k, s)
		return true
	case DriftNotBound:
		if state == ports.Draining {
			p.endDrain(k, s, now) // nobody listens to it any more, so it cannot drain
			return true
		}
		return false // its holder finds out by itself, and the lease ends with it
	case DriftStillBound:
		p.condemnAll(s, now) // nobody gets it before it can be bound again
		return k.ledger.State(s) == ports.Foreign
	}
	return false
}

// condemnAll keeps slot s from everybody who does not have it already, on every address.
func (p *pool) condemnAll(s ports.Slot, now time.Time) {
	for _, k := range p.books {
		switch k.ledger.State(s) {
		case ports.Free, ports.Cooling, ports.Foreign:
			k.slots[s].want, k.slots[s].addr = ports.UDPPair|ports.TCPListener, p.ownAddr(k)
			k.ledger.Condemn(s, now)
			p.touched(k, s)
		}
	}
	p.ticker.schedule(now, p.nextDue)
}
