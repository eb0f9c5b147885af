package ports

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestMain lets one run of the property test be long enough to exhaust a small pool. `-rapid.checks` and `-rapid.steps` make it longer:
// `go test ./netio/ports -run Model -rapid.checks=20000 -rapid.steps=500` is ten million operations.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.steps" })
	if !given {
		if err := flag.Set("rapid.steps", "200"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// modelSlot and model say again what a Ledger does, by search and without a list.
type modelSlot struct {
	state                        State
	holder                       Holder
	epoch                        uint64
	late                         uint64
	since, heard, checked, freed time.Time
	turn                         int // when it entered its queue: orders equal times
	heardTurn                    int
	level                        int
	suspect                      bool
	early                        bool  // it was leased before it had been quiet for long enough
	mute                         bool  // its holder heard nothing, and nothing has been heard since
	queue                        queue // of a cooling or foreign slot
	until                        time.Time
}

type model struct {
	timing Timing
	slots  []modelSlot
	now    time.Time
	turn   int
	epoch  uint64
	high   int
}

func (m *model) next() int { m.turn++; return m.turn }

// issue gives a slot to a holder.
func (m *model) issue(s int, h Holder) {
	r := &m.slots[s]
	m.epoch++
	r.early = !r.mute && !r.heard.IsZero() && m.now.Sub(r.heard) < QuietEnough
	m.enter(s, Leased)
	r.holder, r.epoch, r.late, r.suspect, r.mute = h, m.epoch, 0, false, false
	m.high = max(m.high, m.counts()[Leased])
}

func (m *model) enter(s int, state State) {
	m.slots[s].state, m.slots[s].since, m.slots[s].turn = state, m.now, m.next()
}

// best returns the slot of all that fit which comes first by less; -1 when none fits.
func (m *model) best(fits func(*modelSlot) bool, less func(a, b *modelSlot) bool) int {
	found := -1
	for i := range m.slots {
		if fits(&m.slots[i]) && (found < 0 || less(&m.slots[i], &m.slots[found])) {
			found = i
		}
	}
	return found
}

func inState(state State) func(*modelSlot) bool {
	return func(s *modelSlot) bool { return s.state == state }
}

func byTurn(a, b *modelSlot) bool { return a.turn < b.turn }

func (m *model) thaw() {
	for {
		s := m.best(func(s *modelSlot) bool { return s.state == Cooling && s.queue == inCooling }, byTurn)
		if s < 0 || m.now.Sub(m.slots[s].since) < m.timing.CoolDown {
			break
		}
		m.cooled(s)
	}
	for {
		s := m.best(func(s *modelSlot) bool { return s.state == Cooling && s.queue == inHeld }, func(a, b *modelSlot) bool {
			return a.until.Before(b.until) || a.until.Equal(b.until) && a.turn < b.turn
		})
		if s < 0 || m.now.Before(m.slots[s].until) {
			return
		}
		m.cooled(s)
	}
}

func (m *model) cooled(s int) {
	if m.slots[s].suspect {
		m.waitRecheck(s)
		return
	}
	m.enter(s, Free)
}

func (m *model) waitRecheck(s int) {
	r := &m.slots[s]
	r.queue, r.checked = inRecheck, m.now.Add(-recheckEvery)
	r.turn = -m.next() // before the others
}

// drained is what becomes of a draining slot that is closed.
func (m *model) drained(s int) {
	r := &m.slots[s]
	if r.heard.After(r.freed) && m.now.Sub(r.freed) >= m.timing.DrainMax && m.now.Sub(r.heard) < m.timing.DrainIdle {
		m.suspected(s)
		return
	}
	m.close(s)
}

func (m *model) suspected(s int) {
	m.slots[s].suspect = true
	m.enter(s, Cooling)
	m.slots[s].queue = inCooling
	if m.timing.CoolDown <= 0 {
		m.waitRecheck(s)
	}
}

func (m *model) candidate() int {
	m.thaw()
	if s := m.best(inState(Free), byTurn); s >= 0 {
		return s
	}
	quiet := func(s *modelSlot) bool {
		return (s.state == Draining || s.state == Cooling && s.queue == inCooling && !s.suspect) && (s.mute || m.now.Sub(s.heard) >= QuietEnough)
	}
	if s := m.best(quiet, func(a, b *modelSlot) bool {
		if a.mute != b.mute {
			return a.heard.Before(b.heard) || a.heard.Equal(b.heard) && b.mute
		}
		return a.heardTurn < b.heardTurn
	}); s >= 0 {
		return s
	}
	stale := func(s *modelSlot) bool {
		return s.state == Foreign && !s.suspect && m.now.Sub(s.checked) >= time.Second
	}
	return m.best(stale, func(a, b *modelSlot) bool {
		if a.checked.Equal(b.checked) {
			return a.level < b.level || a.level == b.level && a.turn < b.turn
		}
		return a.checked.Before(b.checked)
	})
}

func (m *model) close(s int) {
	if m.timing.CoolDown <= 0 {
		m.enter(s, Free)
		return
	}
	m.enter(s, Cooling)
	m.slots[s].queue = inCooling
}

func (m *model) counts() Counts {
	var c Counts
	for i := range m.slots {
		c[m.slots[i].state]++
	}
	return c
}

type leaseKey struct {
	owner *Owner
	id    uint64
}

// machine drives a ledger and its model alike.
type machine struct {
	l       *Ledger
	m       *model
	foreign map[int]bool // slots that another program holds
	nextID  uint64
	owners  []*Owner
	leases  map[leaseKey]int // who was told that they hold what
	seed    uint64
}

func newMachine(t *rapid.T) *machine {
	pairs := rapid.IntRange(1, 12).Draw(t, "pairs")
	tm := Timing{
		DrainIdle: time.Duration(rapid.IntRange(1, 3000).Draw(t, "idle")) * time.Millisecond,
		DrainMax:  time.Duration(rapid.IntRange(1, 6000).Draw(t, "max")) * time.Millisecond,
		CoolDown:  time.Duration(rapid.IntRange(0, 3000).Draw(t, "cool")) * time.Millisecond,
	}
	w := &machine{m: &model{timing: tm, now: start}, foreign: map[int]bool{}, leases: map[leaseKey]int{}, seed: rapid.Uint64().Draw(t, "seed")}
	w.build(t, pairs)
	return w
}

// build makes a ledger and its model of so many pairs, as a pool does when it begins.
func (w *machine) build(t *rapid.T, pairs int) {
	excluded := rapid.IntRange(-20, pairs-1).Draw(t, "excluded")
	seed := w.seed
	first := uint16(40000)
	skip := func(port uint16) bool { return excluded >= 0 && port == first+2*uint16(excluded)+1 }
	w.owners = []*Owner{NewOwner(), NewOwner(), NewOwner()}
	w.l = NewLedger(Options{
		Range: Range{first, first + 2*uint16(pairs) - 1}, Excluded: skip, Timing: w.m.timing, Now: w.m.now,
		Shuffle: rand.New(rand.NewPCG(seed, 1)).Shuffle, //nolint:gosec // drawn
	})
	order := make([]int, pairs)
	for i := range order {
		order[i] = i
	}
	rand.New(rand.NewPCG(seed, 1)).Shuffle(pairs, func(i, j int) { order[i], order[j] = order[j], order[i] }) //nolint:gosec // drawn
	w.m.slots = make([]modelSlot, pairs)
	for _, s := range order {
		w.m.enter(s, Free)
		if s == excluded {
			w.m.enter(s, Excluded)
		}
	}
}

// restart does what a full restart does: everything is released and forgotten but where it was, in a range that may be another; some ports are kept for streams that are expected back.
func (w *machine) restart(t *rapid.T) {
	before := w.m.slots
	pairs := rapid.IntRange(1, 12).Draw(t, "pairs")
	w.m.epoch, w.m.high = 0, 0
	w.seed++
	clear(w.leases)
	w.build(t, pairs)
	for s := range before[:min(len(before), pairs)] {
		old := before[s]
		if (old.state == Leased || old.state == Draining || old.state == Cooling) && w.m.slots[s].state == Free {
			w.l.Suspect(Slot(s), old.holder.Tenant, w.m.now)
			r := &w.m.slots[s]
			r.holder = Holder{Tenant: old.holder.Tenant}
			r.heard, r.heardTurn, r.checked, r.freed = w.m.now, w.m.next(), w.m.now, w.m.now
			r.mute = false
			w.m.suspected(s)
		}
		if rapid.IntRange(0, 2).Draw(t, "hold") > 0 || (w.m.slots[s].state != Free && w.m.slots[s].state != Cooling) {
			continue
		}
		wait := time.Duration(rapid.IntRange(-1, 3000).Draw(t, "wait")) * time.Millisecond
		w.l.Hold(Slot(s), old.holder.Tenant, wait, w.m.now)
		r := &w.m.slots[s]
		r.holder = Holder{Tenant: old.holder.Tenant}
		w.m.enter(s, Cooling)
		r.queue, r.until, r.checked = inHeld, w.m.now.Add(max(0, wait)), w.m.now
	}
}

// take leases slot s, which another program may hold, and checks that nobody has it.
func (w *machine) take(t *rapid.T, s int, h Holder) {
	m := &w.m.slots[s]
	if m.state == Draining {
		w.l.Drained(Slot(s), w.m.now)
		w.m.drained(s)
	}
	if w.foreign[s] {
		w.condemn(s)
		return
	}
	for key, held := range w.leases {
		if held == s {
			t.Fatalf("slot %d is issued to %v while %v holds it", s, h, key)
		}
	}
	got := w.l.Lease(Slot(s), h, w.m.now)
	w.m.issue(s, h)
	if got != w.m.epoch {
		t.Fatalf("epoch %d, want %d", got, w.m.epoch)
	}
	w.leases[leaseKey{h.Owner, h.ID}] = s
}

func (w *machine) condemn(s int) {
	w.l.Condemn(Slot(s), w.m.now)
	m := &w.m.slots[s]
	if m.suspect {
		if m.state != Foreign {
			w.m.enter(s, Foreign)
		}
		m.queue, m.turn = inRecheck, w.m.next()
	} else if m.state == Foreign {
		if w.m.now.Sub(m.checked) >= foreignBackoff[m.level] {
			m.level = min(m.level+1, foreignLevels-1)
		}
		m.turn = w.m.next()
	} else {
		w.m.enter(s, Foreign)
		m.level = 0
	}
	m.checked = w.m.now
}

func (w *machine) release(s int, bound, mute bool) {
	m := &w.m.slots[s]
	if mute {
		w.l.Mute(Slot(s))
	}
	m.mute = mute && !m.early
	w.l.Release(Slot(s), bound, w.m.now)
	delete(w.leases, leaseKey{m.holder.Owner, m.holder.ID})
	m.heard, m.heardTurn, m.checked, m.freed = w.m.now, w.m.next(), w.m.now, w.m.now
	if bound {
		w.m.enter(s, Draining)
	} else {
		w.m.close(s)
	}
}

func (w *machine) look(t *rapid.T, s, packets int) {
	m := &w.m.slots[s]
	over := w.l.Heard(Slot(s), packets, w.m.now)
	m.checked, m.turn = w.m.now, w.m.next()
	if packets > 0 {
		m.late += uint64(packets)
		m.heard, m.heardTurn, m.mute = w.m.now, w.m.next(), false
	}
	want := w.m.now.Sub(m.heard) >= w.m.timing.DrainIdle || w.m.now.Sub(m.freed) >= w.m.timing.DrainMax
	if over != want {
		t.Fatalf("over %v, want %v", over, want)
	}
	if over {
		w.l.Drained(Slot(s), w.m.now)
		w.m.drained(s)
	}
}

func (w *machine) someTenant(t *rapid.T) Tenant {
	return tenant(fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "stream")))
}

// lease does what the pool does for a request: its own draining slot, or candidates until one can be bound.
func (w *machine) lease(t *rapid.T) {
	w.nextID++
	h := Holder{Owner: w.owners[rapid.IntRange(0, len(w.owners)-1).Draw(t, "owner")], ID: w.nextID, Tenant: w.someTenant(t)}
	own := w.m.best(func(s *modelSlot) bool { return s.state == Draining && s.holder.Tenant == h.Tenant },
		func(a, b *modelSlot) bool {
			return a.freed.Before(b.freed) || a.freed.Equal(b.freed) && a.since.Before(b.since)
		})
	kept, ok := w.l.Kept(h.Tenant)
	if ok != (own >= 0) || ok && w.m.slots[kept].holder.Tenant != h.Tenant {
		t.Fatalf("kept %d %v, the model has %d", kept, ok, own)
	}
	if ok && rapid.Bool().Draw(t, "take back") {
		w.foreign[int(kept)] = false // it is still bound, so nobody else has it
		w.l.Lease(kept, h, w.m.now)
		w.m.issue(int(kept), h)
		w.leases[leaseKey{h.Owner, h.ID}] = int(kept)
		return
	}
	busy := rapid.IntRange(0, 3).Draw(t, "packets") == 0
	for tries := 0; ; tries++ {
		if tries > len(w.m.slots) {
			t.Fatalf("the search does not end")
		}
		s, ok := w.l.Candidate(w.m.now)
		want := w.m.candidate()
		if ok != (want >= 0) || ok && int(s) != want {
			t.Fatalf("candidate %d %v, want %d: %v", s, ok, want, w.l.Counts())
		}
		if !ok {
			return
		}
		if w.m.slots[s].state == Draining && busy {
			w.look(t, int(s), 1)
			continue
		}
		w.take(t, int(s), h)
		if _, got := w.leases[leaseKey{h.Owner, h.ID}]; got {
			return
		}
	}
}

func (w *machine) check(t *rapid.T) {
	counts := w.m.counts()
	if w.l.Counts() != counts || counts.Total() != len(w.m.slots) {
		t.Fatalf("counts %v, want %v", w.l.Counts(), counts)
	}
	if w.l.HighWater() != w.m.high {
		t.Fatalf("high water %d, want %d", w.l.HighWater(), w.m.high)
	}
	for i := range w.m.slots {
		m, e := &w.m.slots[i], w.l.Entry(Slot(i))
		if e.State != m.state || !e.Since.Equal(m.since) || e.Holder != m.holder || e.Epoch != m.epoch || e.Late != m.late {
			t.Fatalf("slot %d is %+v, want %+v", i, e, *m)
		}
		found, ok := w.l.Find(m.holder.Owner, m.holder.ID)
		if m.state == Leased && (!ok || found != Slot(i)) {
			t.Fatalf("the lease of slot %d is not found", i)
		}
	}
	if len(w.leases) != counts[Leased] {
		t.Fatalf("%d leases are told, %d are held", len(w.leases), counts[Leased])
	}
	w.checkLists(t, counts)
}

// checkLists walks every list both ways.
func (w *machine) checkLists(t *rapid.T, counts Counts) {
	walk := func(q list, th thread, want int) {
		n, last := 0, None
		for s := q.head; s != None; s = w.l.slots[s].links[th].next {
			if w.l.slots[s].links[th].prev != last || n > want {
				t.Fatalf("a list of thread %d is broken at %d", th, s)
			}
			last = s
			n++
		}
		if q.tail != last || q.length != want || n != want {
			t.Fatalf("a list of thread %d has %d slots and says %d, want %d", th, n, q.length, want)
		}
	}
	walk(w.l.free, byState, counts[Free])
	walk(w.l.draining, byState, counts[Draining])
	cooling, held, recheck, suspects, foreign, tenants := 0, 0, 0, 0, 0, 0
	quiet := map[bool]int{} // by mute
	for i := range w.m.slots {
		m := &w.m.slots[i]
		if m.suspect {
			suspects++
		}
		if m.state == Draining && m.holder.Tenant.Stream.Valid() {
			tenants++
		}
		if m.state == Draining {
			quiet[m.mute]++
		}
		switch {
		case m.suspect && m.queue == inRecheck:
			recheck++
		case m.state != Cooling:
		case m.queue == inHeld:
			held++
		default:
			cooling++
			if !m.suspect {
				quiet[m.mute]++
			}
		}
		if w.l.Suspected(Slot(i)) != m.suspect || w.l.Held(Slot(i)) != (m.state == Cooling && m.queue == inHeld) {
			t.Fatalf("slot %d: suspected %v, held %v, want %+v", i, w.l.Suspected(Slot(i)), w.l.Held(Slot(i)), *m)
		}
		if m.suspect && m.state == Foreign {
			foreign++
		}
	}
	if w.l.suspects != suspects {
		t.Fatalf("%d suspects are counted, want %d", w.l.suspects, suspects)
	}
	walk(w.l.cooling, byState, cooling)
	walk(w.l.held, byState, held)
	walk(w.l.recheck, byState, recheck)
	walk(w.l.quiet, byQuiet, quiet[false])
	walk(w.l.mute, byQuiet, quiet[true])
	walk(w.l.hushed, byHush, counts[Draining])
	for _, q := range w.l.foreign {
		walk(q, byState, q.length)
		foreign += q.length
	}
	owned, kept := 0, 0
	for _, o := range w.owners {
		walk(o.leases, byParty, o.Leases())
		owned += o.Leases()
		if o.byID != nil && len(o.byID) != o.Leases() {
			t.Fatalf("%d leases are indexed, %d are held", len(o.byID), o.Leases())
		}
	}
	for _, q := range w.l.kept {
		walk(q, byParty, q.length)
		kept += q.length
	}
	if foreign != counts[Foreign] || owned != counts[Leased] || kept != tenants {
		t.Fatalf("lists hold %d foreign, %d owned, %d kept slots: %v", foreign, owned, kept, counts)
	}
}

func (w *machine) drawLease(t *rapid.T) (leaseKey, int) {
	if len(w.leases) == 0 {
		t.Skip("nothing is leased")
	}
	keys := make([]leaseKey, 0, len(w.leases))
	for k := range w.leases {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b leaseKey) int { return int(a.id) - int(b.id) })
	k := rapid.SampledFrom(keys).Draw(t, "lease")
	return k, w.leases[k]
}

// poll does what the pool does at its tick.
func (w *machine) poll(t *rapid.T) {
	for range len(w.m.slots) {
		s, due := w.l.Poll(w.m.now)
		want := w.m.best(inState(Draining), byTurn)
		if want >= 0 && w.m.now.Sub(w.m.slots[want].checked) < w.l.pollEvery() {
			want = -1
		}
		if due != (want >= 0) || due && int(s) != want {
			t.Fatalf("poll %d %v, want %d", s, due, want)
		}
		if !due {
			break
		}
		w.look(t, int(s), max(0, rapid.IntRange(-3, 2).Draw(t, "packets")))
	}
	for range len(w.m.slots) {
		s, due := w.l.Probe(w.m.now)
		any := w.m.best(func(s *modelSlot) bool {
			return s.state == Foreign && !s.suspect && w.m.now.Sub(s.checked) >= foreignBackoff[s.level]
		}, byTurn)
		if due != (any >= 0) {
			t.Fatalf("probe %d %v, want %d", s, due, any)
		}
		if !due {
			break
		}
		if w.foreign[int(s)] {
			w.condemn(int(s))
			continue
		}
		w.l.Reclaim(s, w.m.now)
		w.m.enter(int(s), Free)
	}
	for range len(w.m.slots) {
		s, due := w.l.Recheck(w.m.now)
		w.m.thaw()
		want := w.m.best(func(s *modelSlot) bool { return s.suspect && s.queue == inRecheck }, byTurn)
		if want >= 0 && w.m.now.Sub(w.m.slots[want].checked) < recheckEvery {
			want = -1
		}
		if due != (want >= 0) || due && int(s) != want {
			t.Fatalf("recheck %d %v, want %d", s, due, want)
		}
		if !due {
			break
		}
		if w.foreign[want] {
			w.condemn(want)
			continue
		}
		w.l.Redrain(s, w.m.now)
		m := &w.m.slots[want]
		w.m.enter(want, Draining)
		m.suspect, m.mute = false, false
		m.heard, m.heardTurn, m.checked, m.freed = w.m.now, w.m.next(), w.m.now, w.m.now
	}
}

func TestLedgerAgreesWithTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"":      w.check,
			"lease": w.lease,
			"again": w.lease,
			"wanted port": func(t *rapid.T) {
				s := rapid.IntRange(0, len(w.m.slots)-1).Draw(t, "slot")
				switch w.m.slots[s].state {
				case Leased, Excluded:
					t.Skip("the pool refuses")
				}
				w.nextID++
				w.take(t, s, Holder{Owner: w.owners[rapid.IntRange(0, len(w.owners)-1).Draw(t, "owner")], ID: w.nextID, Tenant: w.someTenant(t)})
			},
			"release": func(t *rapid.T) {
				_, s := w.drawLease(t)
				w.release(s, rapid.Bool().Draw(t, "bound"), rapid.Bool().Draw(t, "mute"))
			},
			"owner dies": func(t *rapid.T) {
				key, _ := w.drawLease(t)
				bound := rapid.Bool().Draw(t, "bound")
				for s, ok := w.l.Owned(key.owner); ok; s, ok = w.l.Owned(key.owner) {
					w.release(int(s), bound, false)
				}
				for k := range w.leases {
					if k.owner == key.owner {
						t.Fatalf("lease %v outlives its owner", k)
					}
				}
			},
			"program takes or leaves a port": func(t *rapid.T) {
				s := rapid.IntRange(0, len(w.m.slots)-1).Draw(t, "slot")
				if st := w.m.slots[s].state; st == Leased || st == Draining {
					t.Skip("it is bound")
				}
				w.foreign[s] = !w.foreign[s]
			},
			"tick":    w.poll,
			"restart": w.restart,
			"time": func(t *rapid.T) {
				step := rapid.SampledFrom([]time.Duration{
					-time.Hour, 0, 1, 10 * time.Millisecond, 300 * time.Millisecond, time.Second, 10 * time.Second, time.Hour,
				}).Draw(t, "step")
				at := w.m.now.Add(step)
				w.l.Advance(at)
				if step > 0 {
					w.m.now = at
				}
				w.m.thaw()
			},
			"timing": func(t *rapid.T) {
				w.m.timing.DrainIdle = time.Duration(rapid.IntRange(1, 3000).Draw(t, "idle")) * time.Millisecond
				w.m.timing.CoolDown = time.Duration(rapid.IntRange(0, 3000).Draw(t, "cool")) * time.Millisecond
				w.l.SetTiming(w.m.timing)
			},
		})
	})
}
