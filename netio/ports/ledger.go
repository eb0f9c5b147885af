package ports

import (
	"fmt"
	"time"

	"berth/media"
)

// Slot names a slot of one [Ledger]: its index in port order, from 0.
type Slot int32

// None is no slot.
const None Slot = -1

// Tenant is whose traffic a slot carries, and for what. The same tenant may take its own draining slot back.
type Tenant struct {
	Stream media.StreamKey // the zero key means that the slot is never kept for its tenant
	Use    string          // distinguishes the uses that one stream has for ports
}

// Holder is who holds a lease.
type Holder struct {
	Owner  *Owner
	ID     uint64 // the owner's own number of the lease; unique among its leases
	Tenant Tenant
}

// Timing is how long a released slot is kept from strangers.
type Timing struct {
	DrainIdle time.Duration // a draining slot is closed when it has been quiet for so long
	DrainMax  time.Duration // a draining slot is closed after so long, quiet or not
	CoolDown  time.Duration // a closed slot is not given out for so long; 0 = it is free at once
}

// Options describe a ledger.
type Options struct {
	Range    Range
	Excluded func(port uint16) bool           // a pair with an excluded port is never leased; nil = none is excluded
	Shuffle  func(n int, swap func(i, j int)) // the order of the first leases, as rand.Shuffle; nil = by port
	Timing   Timing
	Now      time.Time // the time of making
}

// Ledger is the account of a range of ports. Every slot is in exactly one state; it is issued to one holder at a time. Time must be passed in
// and is taken as standing still when it goes backwards. An operation that the slot's state does not allow panics: the books of the caller
// are wrong then, and going on would give a port to two holders.
//
// No operation searches, and in steady state none allocates.
type Ledger struct {
	rng    Range
	timing Timing
	first  uint16
	slots  []record

	free     list
	draining list                // the slot that was looked at longest ago first
	cooling  list                // the slot that was closed first first
	held     list                // slots kept for a tenant, the one whose time is over first first; they count as cooling
	recheck  list                // suspects to be listened to before a stranger has them; they count as cooling or foreign
	quiet    list                // draining and cooling slots together, the longest quiet first; without suspects, held ones and those in mute
	mute     list                // the same of those that have heard nothing since before they were leased, the one released first first
	hushed   list                // draining slots, the longest quiet first
	foreign  [foreignLevels]list // by back-off level; each the slot that was tried longest ago first

	kept map[Tenant]list // draining slots by tenant

	base      time.Time
	latest    time.Duration // the latest time seen, since base
	counts    Counts
	highWater int
	epoch     uint64 // of the latest lease
	suspects  int    // slots that are suspect
}

// record is a slot. Times are since the ledger's base.
type record struct {
	holder  Holder        // the present or the last one
	epoch   uint64        // of its lease
	late    uint64        // packets heard since the release
	since   time.Duration // when the state began
	heard   time.Duration // draining and cooling: the last packet, or the release
	checked time.Duration // draining: when it was last looked at; foreign: when it was last tried
	freed   time.Duration // draining: when it was released
	links   [threads]link
	state   State
	until   time.Duration // held: when it stops being kept
	level   uint8         // foreign: index of its back-off
	queue   queue         // cooling and foreign: which list it is in
	suspect bool          // its old peer was still sending when it was closed, or nobody has listened since
	early   bool          // leased before it had been quiet for long enough: what was heard before counts on
	mute    bool          // its present or last holder heard nothing, and nothing has been heard since
}

// NewLedger makes the ledger of a range, all of it free but what is excluded. An empty range is allowed and has no slots.
func NewLedger(opts Options) *Ledger {
	pairs := opts.Range.Pairs()
	l := &Ledger{
		rng: opts.Range, timing: opts.Timing, first: uint16(opts.Range.first()), //nolint:gosec // meaningless when there are no pairs
		slots: make([]record, pairs), base: opts.Now,
		free: emptyList(), draining: emptyList(), cooling: emptyList(), held: emptyList(), recheck: emptyList(), quiet: emptyList(), mute: emptyList(), hushed: emptyList(),
		kept: map[Tenant]list{},
	}
	for i := range l.foreign {
		l.foreign[i] = emptyList()
	}
	order := make([]Slot, pairs)
	for i := range order {
		order[i] = Slot(i)
		l.slots[i].heard = -QuietEnough // nobody has had it
	}
	if opts.Shuffle != nil {
		opts.Shuffle(pairs, func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
	for _, s := range order {
		port := l.Port(s)
		if opts.Excluded != nil && (opts.Excluded(port) || opts.Excluded(port+1)) {
			l.setState(s, Excluded)
			continue
		}
		l.setState(s, Free)
		l.push(&l.free, byState, s)
	}
	return l
}

// Range returns the range that the ledger was made for.
func (l *Ledger) Range() Range { return l.rng }

// Timing returns the times in force.
func (l *Ledger) Timing() Timing { return l.timing }

// SetTiming puts other times in force, for slots that are already draining or cooling too.
func (l *Ledger) SetTiming(t Timing) { l.timing = t }

// Len returns the number of slots.
func (l *Ledger) Len() int { return len(l.slots) }

// At returns the slot whose even port is port; false when the range has no such pair.
func (l *Ledger) At(port uint16) (Slot, bool) {
	i := (int(port) - int(l.first)) / 2
	if port%2 != 0 || port < l.first || i >= len(l.slots) {
		return None, false
	}
	return Slot(i), true
}

// Port returns the even port of a slot.
func (l *Ledger) Port(s Slot) uint16 { return l.first + 2*uint16(s) } //nolint:gosec // a slot is below 32768

// State returns the state of a slot. A slot whose cooling time is over counts as cooling until [Ledger.Advance] is called.
func (l *Ledger) State(s Slot) State { return l.slots[s].state }

// Counts returns the number of slots by state, as of the last [Ledger.Advance].
func (l *Ledger) Counts() Counts { return l.counts }

// HighWater returns the most slots that were leased at once since the ledger was made.
func (l *Ledger) HighWater() int { return l.highWater }

// Entry is a picture of one slot.
type Entry struct {
	Port   uint16
	State  State
	Holder Holder    // the present holder of a leased slot, the last one of others; zero when it never had one
	Epoch  uint64    // of that holder's lease
	Since  time.Time // when the state began
	Late   uint64    // packets heard since the release
}

// Entry returns a picture of slot s.
func (l *Ledger) Entry(s Slot) Entry {
	r := &l.slots[s]
	return Entry{
		Port: l.Port(s), State: r.state, Holder: r.holder, Epoch: r.epoch,
		Since: l.base.Add(r.since), Late: r.late,
	}
}

// Epoch returns the epoch of the present lease of slot s, or of the last one; 0 when it never had one.
func (l *Ledger) Epoch(s Slot) uint64 { return l.slots[s].epoch }

// Tenant returns the present tenant of slot s, or the last one.
func (l *Ledger) Tenant(s Slot) Tenant { return l.slots[s].holder.Tenant }

// Kept returns the draining slot that tenant released first; false when none is kept for it.
func (l *Ledger) Kept(tenant Tenant) (Slot, bool) {
	q, ok := l.kept[tenant]
	return q.head, ok
}

// Advance frees the slots whose cooling time is over at now.
func (l *Ledger) Advance(now time.Time) { l.thaw(l.clock(now)) }

func (l *Ledger) thaw(at time.Duration) {
	for s := l.cooling.head; s != None && at-l.slots[s].since >= l.timing.CoolDown; s = l.cooling.head {
		l.cooled(s)
	}
	for s := l.held.head; s != None && at >= l.slots[s].until; s = l.held.head {
		l.cooled(s)
	}
}

// clock turns now into time since base; it never goes backwards, which keeps every queue in order.
func (l *Ledger) clock(now time.Time) time.Duration {
	if at := now.Sub(l.base); at > l.latest {
		l.latest = at
	}
	return l.latest
}

func (l *Ledger) setState(s Slot, state State) {
	r := &l.slots[s]
	if r.state != 0 {
		l.counts[r.state]--
	}
	r.state, r.since = state, l.latest
	l.counts[state]++
}

// expect panics unless s is in one of the states.
func (l *Ledger) expect(s Slot, op string, states ...State) {
	for _, state := range states {
		if l.slots[s].state == state {
			return
		}
	}
	panic(fmt.Sprintf("ports: %s of port %d, which is %s", op, l.Port(s), l.slots[s].state))
}
