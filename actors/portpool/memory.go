package portpool

import (
	"net/netip"
	"sync"
	"time"

	"berth/media"
	"berth/netio/ports"
)

// reserveFor is how long the ports of a stream that is expected back are kept for it by default.
const reserveFor = 20 * time.Second

// Reservation is a pair that a stream had before a restart and is expected to ask for again.
type Reservation struct {
	Stream  media.StreamKey
	Purpose Purpose
	Port    uint16 // the even port
}

// Remembered is a pair that a former pool had issued, or was keeping from strangers, when it ended. Its peer may still be sending.
type Remembered struct {
	Port    uint16          `json:"port"` // the even port
	Stream  media.StreamKey `json:"stream"`
	Purpose Purpose         `json:"purpose"`
	Peer    string          `json:"peer,omitempty"`
	Bind    netip.Addr      `json:"bind,omitzero"` // the local address, when it was not the pool's own
	Ended   time.Time       `json:"ended"`         // when the pool that had it ended
}

// Memory carries what one pool leaves behind to the next. It is for any goroutine. The zero Memory is empty and ready.
type Memory struct {
	mu    sync.Mutex
	pairs []Remembered
}

// Leave adds pairs.
func (m *Memory) Leave(pairs []Remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pairs = append(m.pairs, pairs...)
}

// Take empties the memory.
func (m *Memory) Take() []Remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	pairs := m.pairs
	m.pairs = nil
	return pairs
}

// Copy returns what is in the memory and leaves it there.
func (m *Memory) Copy() []Remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Remembered(nil), m.pairs...)
}

// remember begins with what the pool before this one left behind: its pairs cool and are listened to before a stranger has them. What ended longer ago than a peer is
// waited for is forgotten, but not what a clock that was set back calls the future.
func (p *pool) remember(now time.Time) {
	if p.opts.Memory == nil {
		return
	}
	worth := p.timing.DrainMax + p.timing.CoolDown
	n := 0
	for _, r := range p.opts.Memory.Take() {
		if now.Sub(r.Ended) > worth {
			continue
		}
		k, addr := p.home(), p.bind
		if r.Bind.IsValid() {
			var err error
			if k, err = p.bookOf(r.Bind); err != nil {
				continue // the former pool kept account of no more addresses than this one: it cannot be
			}
			addr = r.Bind
		}
		s, ok := k.ledger.At(r.Port)
		if !ok || k.ledger.State(s) != ports.Free {
			continue
		}
		k.ledger.Suspect(s, tenant(r.Stream, r.Purpose), now)
		k.slots[s].purpose, k.slots[s].peer, k.slots[s].addr, k.slots[s].want = r.Purpose, r.Peer, addr, ports.UDPPair
		n++
	}
	if n > 0 {
		p.log.Info().Int("pairs", n).Msg("pairs that were in use before the restart are kept back until they are quiet")
	}
}

// reserve keeps the ports of streams that are expected back. A pair that two streams ask for is the first one's.
func (p *pool) reserve(now time.Time) {
	k := p.home()
	for _, r := range p.opts.Reserve {
		s, ok := k.ledger.At(r.Port)
		if !ok || k.ledger.Held(s) {
			continue
		}
		if state := k.ledger.State(s); state == ports.Free || state == ports.Cooling {
			k.ledger.Hold(s, tenant(r.Stream, r.Purpose), p.opts.ReserveFor, now)
			k.slots[s].purpose = r.Purpose
		}
	}
}

// leave puts down what the next pool must know. Called when the pool ends, before its sockets are closed.
func (p *pool) leave(now time.Time) {
	if p.opts.Memory == nil {
		return
	}
	var pairs []Remembered
	for _, k := range p.books {
		for i := range k.slots {
			s := ports.Slot(i) //nolint:gosec // below 32768
			state := k.ledger.State(s)
			switch {
			case state == ports.Leased, state == ports.Draining, k.ledger.Suspected(s):
			case state == ports.Cooling && !k.ledger.Held(s):
			default:
				continue
			}
			pairs = append(pairs, p.remembered(k, s, now))
		}
	}
	p.opts.Memory.Leave(pairs)
}

func (p *pool) remembered(k *book, s ports.Slot, now time.Time) Remembered {
	e := k.ledger.Entry(s)
	r := Remembered{Port: e.Port, Stream: e.Holder.Tenant.Stream, Purpose: k.slots[s].purpose, Peer: k.slots[s].peer, Bind: k.bind, Ended: now}
	if peer := k.slots[s].drain.peer; peer.IsValid() {
		r.Peer = peer.String()
	}
	return r
}

// recheck listens again to a suspect: it drains, and is closed when it has been quiet.
func (p *pool) recheck(k *book, s ports.Slot, now time.Time) {
	b := &k.slots[s]
	p.touched(k, s)
	addr := b.addr
	if !addr.IsValid() {
		addr = p.ownAddr(k)
	}
	want := b.want | ports.UDPPair
	bound, err := p.listen(addr, k.ledger.Port(s), want, now)
	if err != nil {
		k.ledger.Condemn(s, now)
		return
	}
	b.bound, b.addr, b.want = bound, addr, want
	b.drain.heard = 0
	k.ledger.Redrain(s, now)
}
