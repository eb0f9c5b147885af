package ports

import "time"

const foreignLevels = 7

// foreignBackoff is how long a foreign slot is left alone after its n-th failed try.
var foreignBackoff = [foreignLevels]time.Duration{
	time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute,
}

// Condemn notes that slot s, which is free, cooling or foreign, could not be bound because another program holds one of its ports. It is tried again after a second, then
// after twice as long each time, up to a minute. A try ahead of that time does not lengthen it.
func (l *Ledger) Condemn(s Slot, now time.Time) {
	l.expect(s, "condemnation", Free, Cooling, Foreign)
	at := l.clock(now)
	r := &l.slots[s]
	if r.suspect {
		l.leave(s)
		l.waitForeign(s, at)
		return
	}
	again := r.state == Foreign
	l.leave(s)
	switch {
	case !again:
		r.level = 0
		l.setState(s, Foreign)
	case at-r.checked >= foreignBackoff[r.level]:
		r.level = min(r.level+1, foreignLevels-1)
	}
	r.checked = at
	r.queue = inForeign
	l.push(&l.foreign[r.level], byState, s)
}

// Probe returns a foreign slot whose time to be tried again has come: the caller tries to bind it, and calls [Ledger.Reclaim] or [Ledger.Condemn]. False when none is due.
func (l *Ledger) Probe(now time.Time) (Slot, bool) {
	at := l.clock(now)
	for level := range l.foreign {
		if s := l.foreign[level].head; s != None && at-l.slots[s].checked >= foreignBackoff[level] {
			return s, true
		}
	}
	return None, false
}

// Reclaim notes that a foreign slot could be bound (and was closed again): it is free.
func (l *Ledger) Reclaim(s Slot, now time.Time) {
	l.expect(s, "reclaim", Foreign)
	l.clock(now)
	l.leave(s)
	l.becomeFree(s)
}

// NextDue returns how long after now [Ledger.Poll], [Ledger.Probe] or [Ledger.Recheck] will have something to do, 0 when they have now; false when nothing is draining, foreign or suspect.
func (l *Ledger) NextDue(now time.Time) (time.Duration, bool) {
	at := l.clock(now)
	best, ok := time.Duration(0), false
	consider := func(due time.Duration) {
		if wait := max(0, due-at); !ok || wait < best {
			best, ok = wait, true
		}
	}
	if s := l.draining.head; s != None {
		consider(l.slots[s].checked + l.pollEvery())
	}
	for level := range l.foreign {
		if s := l.foreign[level].head; s != None {
			consider(l.slots[s].checked + foreignBackoff[level])
		}
	}
	l.considerSuspects(consider)
	return best, ok
}

// staleForeign returns the foreign slot that was tried longest ago, unless that is less than the shortest back-off.
func (l *Ledger) staleForeign(at time.Duration) (Slot, bool) {
	oldest := None
	for level := range l.foreign {
		if s := l.foreign[level].head; s != None && (oldest == None || l.slots[s].checked < l.slots[oldest].checked) {
			oldest = s
		}
	}
	if oldest == None || at-l.slots[oldest].checked < foreignBackoff[0] {
		return None, false
	}
	return oldest, true
}
