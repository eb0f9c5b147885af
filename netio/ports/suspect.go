package ports

import "time"

// queue is which list a cooling or foreign slot is in.
type queue uint8

const (
	inCooling queue = iota + 1
	inHeld
	inRecheck
	inForeign
)

// recheckEvery is how long a suspect is left alone after it could not be bound to be listened to.
const recheckEvery = 4 * time.Second

// Hold keeps free or cooling slot s for a tenant, for so long from now. It counts as cooling, and no stranger is offered it before, however little is left.
func (l *Ledger) Hold(s Slot, tenant Tenant, d time.Duration, now time.Time) {
	l.expect(s, "hold", Free, Cooling)
	at := l.clock(now)
	l.leave(s)
	r := &l.slots[s]
	r.holder = Holder{Tenant: tenant}
	r.queue, r.until, r.checked = inHeld, at+max(0, d), at
	l.setState(s, Cooling)
	// Holds are made once, when a pool begins, and nearly always for one and the same time.
	after := l.held.tail
	for after != None && l.slots[after].until > r.until {
		after = l.slots[after].links[byState].prev
	}
	l.insert(&l.held, byState, after, s)
}

// Suspect closes free slot s as one that somebody had until now, whose peer may still be sending though nobody could listen: it cools, and is listened to before a stranger has it. It is for what a former
// ledger of the range had issued.
func (l *Ledger) Suspect(s Slot, tenant Tenant, now time.Time) {
	l.expect(s, "suspicion", Free)
	at := l.clock(now)
	l.leave(s)
	r := &l.slots[s]
	r.holder = Holder{Tenant: tenant}
	r.heard, r.checked, r.freed, r.mute = at, at, at, false
	l.suspected(s)
}

// Suspected reports whether slot s must be listened to before a stranger has it.
func (l *Ledger) Suspected(s Slot) bool { return l.slots[s].suspect }

// Held reports whether slot s is kept for its tenant.
func (l *Ledger) Held(s Slot) bool { return l.slots[s].state == Cooling && l.slots[s].queue == inHeld }

// Recheck returns a suspect whose cooling time is over: the caller binds it and calls [Ledger.Redrain], or [Ledger.Condemn] when it cannot be bound. False when
// there is none.
func (l *Ledger) Recheck(now time.Time) (Slot, bool) {
	at := l.clock(now)
	l.thaw(at)
	if s := l.recheck.head; s != None && at-l.slots[s].checked >= recheckEvery {
		return s, true
	}
	return None, false
}

// Redrain notes that suspect s is bound again and listened to. It drains like a slot that was released now, for the tenant that it had.
func (l *Ledger) Redrain(s Slot, now time.Time) {
	l.expect(s, "second drain", Cooling, Foreign)
	at := l.clock(now)
	l.leave(s)
	r := &l.slots[s]
	r.heard, r.checked, r.freed, r.mute = at, at, at, false
	l.setSuspect(s, false)
	l.drain(s)
}

// suspected makes a slot that is in no list a suspect that cools.
func (l *Ledger) suspected(s Slot) {
	r := &l.slots[s]
	l.setSuspect(s, true)
	l.setState(s, Cooling)
	if l.timing.CoolDown <= 0 {
		l.waitRecheck(s)
		return
	}
	r.queue = inCooling
	l.push(&l.cooling, byState, s)
}

// cooled ends the cooling time, or the hold, of slot s.
func (l *Ledger) cooled(s Slot) {
	l.leave(s)
	if l.slots[s].suspect {
		l.waitRecheck(s)
		return
	}
	l.becomeFree(s)
}

// waitRecheck queues a suspect to be listened to at once.
func (l *Ledger) waitRecheck(s Slot) {
	r := &l.slots[s]
	r.queue, r.checked = inRecheck, l.latest-recheckEvery
	l.insert(&l.recheck, byState, None, s) // before those that could not be bound
}

// waitForeign queues a suspect that could not be bound.
func (l *Ledger) waitForeign(s Slot, at time.Duration) {
	r := &l.slots[s]
	r.queue, r.checked = inRecheck, at
	if r.state != Foreign {
		l.setState(s, Foreign)
	}
	l.push(&l.recheck, byState, s)
}

// leaveCooling takes a cooling slot out of its lists.
func (l *Ledger) leaveCooling(s Slot) {
	switch r := &l.slots[s]; {
	case r.queue == inHeld:
		l.remove(&l.held, byState, s)
	case r.queue == inRecheck:
		l.remove(&l.recheck, byState, s)
	default:
		l.remove(&l.cooling, byState, s)
		if !r.suspect {
			l.rouse(s)
		}
	}
}

// coolUntil returns when a cooling slot comes free at the earliest.
func (l *Ledger) coolUntil(r *record) time.Duration {
	due := r.since + l.timing.CoolDown
	switch r.queue {
	case inHeld:
		due = r.until
	case inRecheck:
		due = l.latest
	}
	if r.suspect {
		due += l.timing.DrainIdle + l.timing.CoolDown
	}
	return due
}

// considerSuspects names the times at which a suspect may be due. A slot that cools or is held without being one costs a look too many.
func (l *Ledger) considerSuspects(consider func(time.Duration)) {
	if s := l.recheck.head; s != None {
		consider(l.slots[s].checked + recheckEvery)
	}
	if s := l.held.head; s != None {
		consider(l.slots[s].until)
	}
	if l.suspects > 0 {
		if s := l.cooling.head; s != None {
			consider(l.slots[s].since + l.timing.CoolDown)
		}
	}
}

func (l *Ledger) setSuspect(s Slot, suspect bool) {
	r := &l.slots[s]
	switch {
	case suspect && !r.suspect:
		l.suspects++
	case !suspect && r.suspect:
		l.suspects--
	}
	r.suspect = suspect
}
