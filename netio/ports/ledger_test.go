package ports

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/media"
)

var (
	start  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	timing = Timing{DrainIdle: 3 * time.Second, DrainMax: time.Minute, CoolDown: 5 * time.Second}
)

func tenant(stream string) Tenant {
	return Tenant{Stream: media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: stream}, Use: "pull"}
}

// testLedger gives its owners numbers.
type testLedger struct {
	*Ledger
	owners map[uint64]*Owner
}

func numbered(l *Ledger) *testLedger { return &testLedger{l, map[uint64]*Owner{}} }

func (l *testLedger) owner(n uint64) *Owner {
	if l.owners[n] == nil {
		l.owners[n] = NewOwner()
	}
	return l.owners[n]
}

func newLedger(pairs int) *testLedger {
	return numbered(NewLedger(Options{Range: Range{30000, uint16(30000 + 2*pairs - 1)}, Timing: timing, Now: start}))
}

// take leases the candidate.
func take(t *testing.T, l *testLedger, owner, id uint64, stream string, now time.Time) Slot {
	t.Helper()
	s, ok := l.Candidate(now)
	require.True(t, ok, "no candidate: %s", l.Counts())
	if l.State(s) == Draining {
		l.Drained(s, now)
	}
	l.Lease(s, Holder{Owner: l.owner(owner), ID: id, Tenant: tenant(stream)}, now)
	return s
}

func TestFreeSlotsAreUsedInShuffledOrderThenFIFO(t *testing.T) {
	const pairs = 100
	l := numbered(NewLedger(Options{
		Range: Range{30000, 30000 + 2*pairs - 1}, Now: start,
		Shuffle: rand.New(rand.NewPCG(1, 2)).Shuffle, //nolint:gosec // a fixed order for the test
	}))
	first := make([]Slot, pairs)
	sorted := 0
	for i := range first {
		first[i] = take(t, l, 1, uint64(i), "a", start)
		if i > 0 && first[i] == first[i-1]+1 {
			sorted++
		}
	}
	require.Less(t, sorted, pairs/4, "the order is sequential")
	_, ok := l.Candidate(start)
	require.False(t, ok)
	for _, s := range first { // no drain, no cooling time: free at once, at the tail
		l.Release(s, false, start)
	}
	for i := range first {
		require.Equal(t, first[i], take(t, l, 1, uint64(i), "a", start))
	}
	require.Equal(t, pairs, l.HighWater())
}

func TestReleaseDrainsThenCoolsThenFrees(t *testing.T) {
	l := newLedger(2)
	s := take(t, l, 1, 1, "a", start)
	now := start.Add(time.Minute)
	l.Release(s, true, now)
	require.Equal(t, Draining, l.State(s))
	require.Equal(t, Counts{Free: 1, Draining: 1}, l.Counts())

	_, due := l.Poll(now.Add(700 * time.Millisecond))
	require.False(t, due)
	wait, ok := l.NextDue(now.Add(700 * time.Millisecond))
	require.True(t, ok)
	require.Equal(t, 50*time.Millisecond, wait)

	now = now.Add(2 * time.Second)
	got, due := l.Poll(now)
	require.True(t, due)
	require.Equal(t, s, got)
	require.False(t, l.Heard(s, 7, now), "a packet starts the quiet time anew")
	now = now.Add(2 * time.Second)
	require.False(t, l.Heard(s, 0, now))
	now = now.Add(time.Second)
	require.True(t, l.Heard(s, 0, now), "quiet for three seconds")
	l.Drained(s, now)
	require.Equal(t, Cooling, l.State(s))
	e := l.Entry(s)
	require.EqualValues(t, 7, e.Late)
	require.Equal(t, "live/a", e.Holder.Tenant.Stream.Path())
	require.True(t, e.Since.Equal(now), e.Since)
	_, ok = l.NextDue(now)
	require.False(t, ok, "cooling needs no look")

	l.Advance(now.Add(5*time.Second - 1))
	require.Equal(t, Cooling, l.State(s))
	l.Advance(now.Add(5 * time.Second))
	require.Equal(t, Counts{Free: 2}, l.Counts())
}

func TestDrainingEndsAtDrainMaxHoweverMuchArrives(t *testing.T) {
	l := newLedger(1)
	s := take(t, l, 1, 1, "a", start)
	l.Release(s, true, start)
	for i := 1; i < 60; i++ {
		require.False(t, l.Heard(s, 100, start.Add(time.Duration(i)*time.Second)))
	}
	now := start.Add(time.Minute)
	require.True(t, l.Heard(s, 100, now))
	l.Drained(s, now)
	require.Equal(t, Cooling, l.State(s))
	require.True(t, l.Suspected(s))
	wait, ok := l.FreeIn(s, now)
	require.True(t, ok)
	require.Equal(t, 13*time.Second, wait, "cooling, draining again, cooling")
	_, ok = l.Candidate(now.Add(5*time.Second - 1))
	require.False(t, ok, "its peer still sends, whatever the pressure")
	_, ok = l.Recheck(now.Add(5*time.Second - 1))
	require.False(t, ok)
	due, ok := l.NextDue(now.Add(5*time.Second - 1))
	require.True(t, ok)
	require.Equal(t, time.Nanosecond, due)
	now = now.Add(5 * time.Second)
	got, ok := l.Recheck(now)
	require.True(t, ok)
	require.Equal(t, s, got)
	_, ok = l.Candidate(now)
	require.False(t, ok)
	l.Condemn(s, now) // somebody else has it meanwhile
	require.Equal(t, Foreign, l.State(s))
	_, ok = l.Probe(now.Add(time.Hour))
	require.False(t, ok, "it must be listened to, not only be bound")
	_, ok = l.Candidate(now.Add(time.Hour))
	require.False(t, ok)
	now = now.Add(time.Hour)
	got, ok = l.Recheck(now)
	require.True(t, ok)
	require.Equal(t, s, got)
	l.Redrain(s, now)
	kept, ok := l.Kept(tenant("a"))
	require.True(t, ok)
	require.Equal(t, s, kept)
	require.True(t, l.Heard(s, 0, now.Add(3*time.Second)))
	l.Drained(s, now.Add(3*time.Second))
	require.False(t, l.Suspected(s), "it is quiet at last")
	l.Advance(now.Add(8 * time.Second))
	require.Equal(t, Counts{Free: 1}, l.Counts())
}

func TestHeldSlotsWaitForTheirTenant(t *testing.T) {
	l := newLedger(3)
	l.Hold(0, tenant("a"), 10*time.Second, start)
	l.Hold(2, tenant("b"), 5*time.Second, start)
	require.Equal(t, Counts{Free: 1, Cooling: 2}, l.Counts())
	require.Equal(t, tenant("a"), l.Tenant(0))
	require.True(t, l.Held(0))
	s, ok := l.Candidate(start)
	require.True(t, ok)
	require.Equal(t, Slot(1), s)
	l.Lease(s, Holder{Owner: l.owner(1), ID: 1}, start)
	_, ok = l.Candidate(start.Add(4 * time.Second))
	require.False(t, ok, "however little is left")
	wait, ok := l.NextFree(start.Add(4 * time.Second))
	require.True(t, ok)
	require.Equal(t, time.Second, wait)
	l.Lease(0, Holder{Owner: l.owner(2), ID: 1, Tenant: tenant("a")}, start.Add(4*time.Second)) // its tenant comes
	s, ok = l.Candidate(start.Add(5 * time.Second))
	require.True(t, ok)
	require.Equal(t, Slot(2), s)
}

func TestUnderPressureTheLongestQuietSlotIsUsed(t *testing.T) {
	l := newLedger(3)
	a, b, c := take(t, l, 1, 1, "a", start), take(t, l, 1, 2, "b", start), take(t, l, 1, 3, "c", start)
	l.Release(a, true, start)
	l.Release(b, true, start.Add(100*time.Millisecond))
	l.Release(c, false, start.Add(200*time.Millisecond)) // nothing stays bound: cools at once
	wait, ok := l.NextFree(start.Add(200 * time.Millisecond))
	require.True(t, ok)
	require.Equal(t, 800*time.Millisecond, wait)
	_, ok = l.Candidate(start.Add(999 * time.Millisecond))
	require.False(t, ok)

	now := start.Add(1200 * time.Millisecond)
	s, ok := l.Candidate(now)
	require.True(t, ok)
	require.Equal(t, a, s)
	l.Heard(a, 1, now) // it turns out not to be quiet
	s, _ = l.Candidate(now)
	require.Equal(t, b, s)
	l.Heard(b, 1, now)
	s, _ = l.Candidate(now)
	require.Equal(t, c, s)
	l.Lease(c, Holder{Owner: l.owner(2), ID: 1}, now)
	_, ok = l.Candidate(now)
	require.False(t, ok, "everything else heard a packet just now")
}

// Who opens and closes faster than a second a pair has nothing but pairs that were released just now. Those on which nobody ever sent are quiet.
func TestUnderPressureASlotThatHeardNothingIsUsedAtOnce(t *testing.T) {
	l := newLedger(3)
	a, b, c := take(t, l, 1, 1, "a", start), take(t, l, 1, 2, "b", start), take(t, l, 1, 3, "c", start)
	l.Release(a, true, start)
	l.Mute(b)
	l.Release(b, true, start.Add(100*time.Millisecond))
	l.Mute(c)
	l.Release(c, false, start.Add(200*time.Millisecond))
	now := start.Add(300 * time.Millisecond)
	wait, ok := l.NextFree(now)
	require.True(t, ok)
	require.Zero(t, wait)
	s, ok := l.Candidate(now)
	require.True(t, ok)
	require.Equal(t, b, s)
	l.Heard(b, 1, now) // its device has begun to send meanwhile
	s, ok = l.Candidate(now)
	require.True(t, ok)
	require.Equal(t, c, s)
	l.Lease(c, Holder{Owner: l.owner(2), ID: 1}, now)
	l.Release(c, true, now)
	_, ok = l.Candidate(now)
	require.False(t, ok, "nobody says of its last holder that it heard nothing")
	s, ok = l.Candidate(start.Add(QuietEnough))
	require.True(t, ok)
	require.Equal(t, a, s)
	require.Panics(t, func() { l.Mute(a) })

	l = newLedger(1)
	a = take(t, l, 1, 1, "a", start)
	l.Release(a, true, start)
	l.Lease(a, Holder{Owner: l.owner(1), ID: 2, Tenant: tenant("a")}, start) // taken back, nobody knows when its device sent last
	l.Mute(a)
	l.Release(a, true, start)
	_, ok = l.Candidate(start)
	require.False(t, ok)
	l.Drained(a, start)
	l.Lease(a, Holder{Owner: l.owner(2), ID: 3, Tenant: tenant("b")}, start) // another stream asked for its port
	l.Mute(a)
	l.Release(a, true, start)
	_, ok = l.Candidate(start)
	require.False(t, ok)
	now = start.Add(QuietEnough)
	l.Lease(a, Holder{Owner: l.owner(2), ID: 4, Tenant: tenant("b")}, now)
	l.Mute(a)
	l.Release(a, true, now)
	_, ok = l.Candidate(now)
	require.True(t, ok, "it was quiet before it was taken back")
}

func TestWithoutDescriptorsTheLongestQuietDrainEnds(t *testing.T) {
	l := newLedger(4)
	a, b, c := take(t, l, 1, 1, "a", start), take(t, l, 1, 2, "b", start), take(t, l, 1, 3, "c", start)
	l.Release(c, false, start) // cools: it holds nothing that could be closed
	l.Release(a, true, start)
	l.Release(b, true, start.Add(100*time.Millisecond))
	_, ok := l.QuietDraining(start.Add(999 * time.Millisecond))
	require.False(t, ok)
	now := start.Add(1200 * time.Millisecond)
	s, ok := l.QuietDraining(now)
	require.True(t, ok)
	require.Equal(t, a, s)
	l.Heard(a, 1, now) // it turns out not to be quiet
	s, ok = l.QuietDraining(now)
	require.True(t, ok)
	require.Equal(t, b, s)
	l.Drained(b, now)
	_, ok = l.QuietDraining(now)
	require.False(t, ok, "the other one has just heard a packet")
	s, ok = l.QuietDraining(now.Add(QuietEnough))
	require.True(t, ok)
	require.Equal(t, a, s)
	l.Lease(a, Holder{Owner: l.owner(2), ID: 1, Tenant: tenant("a")}, now.Add(QuietEnough))
	_, ok = l.QuietDraining(now.Add(time.Minute))
	require.False(t, ok)

	now = now.Add(time.Minute)
	l.Lease(c, Holder{Owner: l.owner(3), ID: 1, Tenant: tenant("c")}, now)
	l.Mute(c)
	l.Release(c, true, now)
	s, ok = l.QuietDraining(now)
	require.True(t, ok, "nothing ever came in")
	require.Equal(t, c, s)
	l.Heard(c, 1, now)
	_, ok = l.QuietDraining(now)
	require.False(t, ok)
}

func TestATenantFindsItsOwnDrainingSlots(t *testing.T) {
	l := newLedger(4)
	a, b := take(t, l, 1, 1, "a", start), take(t, l, 1, 2, "a", start)
	other := take(t, l, 1, 3, "b", start)
	_, ok := l.Kept(tenant("a"))
	require.False(t, ok)
	l.Release(b, true, start)
	l.Release(a, true, start)
	l.Release(other, true, start)
	s, ok := l.Kept(tenant("a"))
	require.True(t, ok)
	require.Equal(t, b, s, "the one released first")
	l.Lease(s, Holder{Owner: l.owner(2), ID: 1, Tenant: tenant("a")}, start)
	s, ok = l.Kept(tenant("a"))
	require.True(t, ok)
	require.Equal(t, a, s)
	l.Drained(a, start)
	_, ok = l.Kept(tenant("a"))
	require.False(t, ok)
	_, ok = l.Kept(Tenant{Stream: tenant("b").Stream, Use: "play"})
	require.False(t, ok, "another use of the same stream")

	// Without a stream nothing is kept.
	s, _ = l.Candidate(start)
	l.Lease(s, Holder{Owner: l.owner(3), ID: 1}, start)
	l.Release(s, true, start)
	_, ok = l.Kept(Tenant{})
	require.False(t, ok)
}

func TestOwnersAreEnumeratedAndFoundByID(t *testing.T) {
	l := newLedger(10)
	want := []Slot{}
	for id := range uint64(5) {
		want = append(want, take(t, l, 7, id, "a", start))
		take(t, l, 8, id, "b", start)
	}
	s, ok := l.Find(l.owner(7), 3)
	require.True(t, ok)
	require.Equal(t, want[3], s)
	_, ok = l.Find(l.owner(9), 3)
	require.False(t, ok)
	got := []Slot{}
	for s, ok := l.Owned(l.owner(7)); ok; s, ok = l.Owned(l.owner(7)) {
		got = append(got, s)
		l.Release(s, false, start)
	}
	require.Equal(t, want, got)
	require.Equal(t, Counts{Leased: 5, Cooling: 5}, l.Counts())
	_, ok = l.Find(l.owner(7), 3)
	require.False(t, ok)
}

func TestForeignSlotsAreTriedAgainWithBackOff(t *testing.T) {
	l := newLedger(1)
	now := start
	s, _ := l.Candidate(now)
	l.Condemn(s, now)
	require.Equal(t, Counts{Foreign: 1}, l.Counts())
	_, ok := l.Candidate(now)
	require.False(t, ok, "not twice at once")
	for _, wait := range []int{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		due, ok := l.NextDue(now)
		require.True(t, ok)
		require.Equal(t, time.Duration(wait)*time.Second, due)
		_, ok = l.Probe(now.Add(due - 1))
		require.False(t, ok)
		now = now.Add(due)
		s, ok := l.Probe(now)
		require.True(t, ok)
		l.Condemn(s, now)
	}
	// When nothing else is left it is a candidate a second after the last try, and that does not lengthen the back-off.
	_, ok = l.Candidate(now.Add(time.Second - 1))
	require.False(t, ok)
	now = now.Add(time.Second)
	s, ok = l.Candidate(now)
	require.True(t, ok)
	l.Condemn(s, now)
	require.True(t, l.Entry(s).Since.Equal(start))
	now = now.Add(time.Minute)
	s, ok = l.Probe(now)
	require.True(t, ok)
	l.Reclaim(s, now)
	require.Equal(t, Counts{Free: 1}, l.Counts())
	l.Condemn(s, now)
	due, _ := l.NextDue(now)
	require.Equal(t, time.Second, due, "the back-off begins anew")
	l.Lease(s, Holder{Owner: l.owner(1), ID: 1}, now)
	require.Equal(t, Counts{Leased: 1}, l.Counts(), "a wanted port may be leased while it counts as foreign")
}

func TestExclude(t *testing.T) {
	l := numbered(NewLedger(Options{
		Range: Range{30000, 30009}, Timing: timing, Now: start,
		Excluded: func(port uint16) bool { return port == 30003 || port == 30004 },
	}))
	require.Equal(t, Counts{Free: 3, Excluded: 2}, l.Counts())
	for i := range 3 {
		s := take(t, l, 1, uint64(i), "a", start)
		require.NotContains(t, []uint16{30002, 30004}, l.Port(s))
		require.False(t, l.Exclude(s), "leased")
		if i == 0 {
			l.Release(s, true, start)
			require.False(t, l.Exclude(s), "bound")
			l.Drained(s, start)
			require.True(t, l.Exclude(s))
			require.True(t, l.Exclude(s))
		}
	}
	require.Equal(t, Counts{Leased: 2, Excluded: 3}, l.Counts())
	excluded, _ := l.At(30002)
	require.Panics(t, func() { l.Lease(excluded, Holder{Owner: l.owner(9)}, start) })
	_, ok := l.NextFree(start)
	require.False(t, ok)
}

func TestWrongUsePanics(t *testing.T) {
	l := newLedger(3)
	s := take(t, l, 1, 1, "a", start)
	free, _ := l.Candidate(start)
	for name, misuse := range map[string]func(){
		"lease of a leased slot":    func() { l.Lease(s, Holder{Owner: l.owner(2), ID: 2}, start) },
		"lease under a used ID":     func() { l.Lease(free, Holder{Owner: l.owner(1), ID: 1}, start) },
		"condemnation of a lease":   func() { l.Condemn(s, start) },
		"release of a free slot":    func() { l.Release(free, true, start) },
		"drained while leased":      func() { l.Drained(s, start) },
		"heard while leased":        func() { l.Heard(s, 1, start) },
		"reclaim of what is leased": func() { l.Reclaim(s, start) },
	} {
		before := l.Counts()
		require.Panics(t, misuse, name)
		require.Equal(t, before, l.Counts(), name)
	}
	l.Release(s, false, start)
	require.Panics(t, func() { l.Release(s, false, start) })
}

func TestTimeGoingBackwardsStandsStill(t *testing.T) {
	l := newLedger(1)
	s := take(t, l, 1, 1, "a", start)
	l.Release(s, false, start.Add(time.Hour))
	l.Advance(start)
	require.Equal(t, Cooling, l.State(s))
	l.Advance(start.Add(time.Hour + timing.CoolDown))
	require.Equal(t, Free, l.State(s))
}

func TestTimingChangesHot(t *testing.T) {
	l := newLedger(2)
	a, b := take(t, l, 1, 1, "a", start), take(t, l, 1, 2, "b", start)
	l.Release(a, true, start)
	l.Release(b, false, start)
	l.SetTiming(Timing{DrainIdle: 10 * time.Millisecond, DrainMax: time.Minute, CoolDown: 20 * time.Millisecond})
	now := start.Add(20 * time.Millisecond)
	require.True(t, l.Heard(a, 0, now))
	l.Advance(now)
	require.Equal(t, Free, l.State(b))
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	l := newLedger(5000)
	now, id := start, uint64(0)
	held := []Slot{}
	streams := []Tenant{tenant("a"), tenant("b"), tenant("c")}
	round := func() {
		now = now.Add(time.Millisecond)
		id++
		s, ok := l.Candidate(now)
		require.True(t, ok)
		l.Lease(s, Holder{Owner: l.owner(id % 64), ID: id, Tenant: streams[id%3]}, now)
		held = append(held, s)
		if len(held) == 100 {
			l.Release(held[0], true, now)
			copy(held, held[1:])
			held = held[:99]
		}
		for s, due := l.Poll(now); due; s, due = l.Poll(now) {
			if l.Heard(s, 0, now) {
				l.Drained(s, now)
			}
		}
	}
	for range 20000 {
		round()
	}
	require.Less(t, testing.AllocsPerRun(20000, round), 0.5)
}

func BenchmarkLeaseRelease(b *testing.B) {
	l := numbered(NewLedger(Options{Range: Range{20000, 29999}, Now: start}))
	for i := range uint64(4500) {
		s, _ := l.Candidate(start)
		l.Lease(s, Holder{Owner: l.owner(i), ID: 1, Tenant: tenant("a")}, start)
	}
	b.ReportAllocs()
	one := NewOwner()
	for b.Loop() {
		s, _ := l.Candidate(start)
		l.Lease(s, Holder{Owner: one, ID: 1, Tenant: tenant("a")}, start)
		l.Release(s, false, start)
	}
}
