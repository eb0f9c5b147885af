package ports

import "time"

// A draining slot is looked at several times in the time that it has to be quiet for, so that it is closed neither early nor much too late;
// not more often than pollMin, whatever that time is, and at least every pollMax, so that late packets are noticed.
const (
	pollsPerIdle = 4
	pollMin      = time.Millisecond
	pollMax      = time.Second
)

func (l *Ledger) pollEvery() time.Duration {
	return min(max(l.timing.DrainIdle/pollsPerIdle, pollMin), pollMax)
}

// Poll returns a draining slot that is due to be looked at: the caller reads what its sockets hold and calls [Ledger.Heard]. False when none is due.
func (l *Ledger) Poll(now time.Time) (Slot, bool) {
	at := l.clock(now)
	if s := l.draining.head; s != None && at-l.slots[s].checked >= l.pollEvery() {
		return s, true
	}
	return None, false
}

// Heard notes that a draining slot was looked at and how many packets it had received since it was looked at last; their time counts as now. It reports whether the slot has
// drained: quiet for DrainIdle, or draining for DrainMax. The caller then closes its sockets and calls [Ledger.Drained].
func (l *Ledger) Heard(s Slot, packets int, now time.Time) (over bool) {
	l.expect(s, "look", Draining)
	at := l.clock(now)
	r := &l.slots[s]
	r.checked = at
	l.requeue(&l.draining, byState, s)
	if packets > 0 {
		r.late += uint64(packets)
		r.heard = at
		l.rouse(s)
		r.mute = false
		l.hush(s)
		l.requeue(&l.hushed, byHush, s)
	}
	return at-r.heard >= l.timing.DrainIdle || at-r.freed >= l.timing.DrainMax
}

// Drained notes that the sockets of a draining slot were closed: it cools, or is free at once when there is no cooling time. One whose peer still sends, so that DrainMax ended its
// drain, is a suspect from then on: see [Ledger.Recheck].
func (l *Ledger) Drained(s Slot, now time.Time) {
	l.expect(s, "close", Draining)
	at := l.clock(now)
	l.leaveDrain(s)
	r := &l.slots[s]
	if r.heard > r.freed && at-r.freed >= l.timing.DrainMax && at-r.heard < l.timing.DrainIdle {
		l.rouse(s)
		l.suspected(s)
		return
	}
	if l.timing.CoolDown <= 0 {
		l.rouse(s)
		l.becomeFree(s)
		return
	}
	// The slot keeps its place among the quiet ones: what it heard last does not change by closing it.
	r.queue = inCooling
	l.setState(s, Cooling)
	l.push(&l.cooling, byState, s)
}

// becomeCooling is for a slot that comes from no quiet list and was in use until now.
func (l *Ledger) becomeCooling(s Slot) {
	if l.timing.CoolDown <= 0 {
		l.becomeFree(s)
		return
	}
	l.slots[s].queue = inCooling
	l.setState(s, Cooling)
	l.push(&l.cooling, byState, s)
	l.hush(s)
}

// leaveDrain takes s out of the lists that only draining slots are in.
func (l *Ledger) leaveDrain(s Slot) {
	l.remove(&l.draining, byState, s)
	l.remove(&l.hushed, byHush, s)
	if tenant := l.slots[s].holder.Tenant; tenant.Stream.Valid() {
		l.part(tenant, s)
	}
}
