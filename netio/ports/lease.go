package ports

import "time"

// QuietEnough is how long a draining or cooling slot must have heard nothing before a stranger may have it when nothing is free. One that heard nothing while it was leased either has been
// quiet for long enough when it is released.
const QuietEnough = time.Second

// Candidate returns the slot to try next for a tenant that takes any: the free slot that waited longest; when none is free, the draining or cooling
// slot that has been quiet longest, if that is [QuietEnough], or the one that was released first of those that have been mute; then the foreign slot that was tried longest ago, if that is a second. It changes nothing
// but the slots whose cooling time is over: the caller binds the slot and calls [Ledger.Lease] or [Ledger.Condemn], or learns that a draining slot is
// not quiet and calls [Ledger.Heard]. Each of them leads to another candidate the next time, so that a search ends after at most [Ledger.Len] tries.
func (l *Ledger) Candidate(now time.Time) (Slot, bool) {
	at := l.clock(now)
	l.thaw(at)
	if l.free.head != None {
		return l.free.head, true
	}
	if s := l.longestQuiet(at); s != None {
		return s, true
	}
	return l.staleForeign(at)
}

// longestQuiet returns the draining or cooling slot that a stranger may have, None when there is none.
func (l *Ledger) longestQuiet(at time.Duration) Slot {
	s, mute := l.quiet.head, l.mute.head
	if s == None || at-l.slots[s].heard < QuietEnough || mute != None && l.slots[mute].heard < l.slots[s].heard {
		return mute
	}
	return s
}

// QuietDraining returns the draining slot that has been quiet longest, if that is [QuietEnough] or if it has been mute; false when there is none. It is for a caller who has no descriptors left: the slot
// holds some, and is what a stranger might have under pressure.
func (l *Ledger) QuietDraining(now time.Time) (Slot, bool) {
	at := l.clock(now)
	if s := l.hushed.head; s != None && (l.slots[s].mute || at-l.slots[s].heard >= QuietEnough) {
		return s, true
	}
	return None, false
}

// NextFree returns how long after now a slot may be a candidate at the earliest, if nothing is released before; false when nothing is draining, cooling or foreign.
func (l *Ledger) NextFree(now time.Time) (time.Duration, bool) {
	at := l.clock(now)
	if l.free.head != None {
		return 0, true
	}
	best, ok := time.Duration(0), false
	consider := func(due time.Duration) {
		if wait := max(0, due-at); !ok || wait < best {
			best, ok = wait, true
		}
	}
	if l.mute.head != None {
		return 0, true
	}
	if s := l.quiet.head; s != None {
		consider(l.slots[s].heard + QuietEnough)
	}
	if s := l.cooling.head; s != None && !l.slots[s].suspect {
		consider(l.slots[s].since + l.timing.CoolDown)
	}
	if s := l.held.head; s != None && !l.slots[s].suspect {
		consider(l.slots[s].until)
	}
	for level := range l.foreign {
		if s := l.foreign[level].head; s != None {
			consider(l.slots[s].checked + foreignBackoff[0])
		}
	}
	return best, ok
}

// FreeIn returns how long after now slot s comes free by itself: for a draining slot if it hears nothing more, for a foreign one when it is tried next. False when that
// is not known, as for a leased or excluded slot.
func (l *Ledger) FreeIn(s Slot, now time.Time) (time.Duration, bool) {
	at := l.clock(now)
	r := &l.slots[s]
	var due time.Duration
	switch r.state {
	case Free:
		return 0, true
	case Draining:
		due = min(r.heard+l.timing.DrainIdle, r.freed+l.timing.DrainMax) + l.timing.CoolDown
	case Cooling:
		due = l.coolUntil(r)
	case Foreign:
		if r.suspect {
			return 0, false
		}
		due = r.checked + foreignBackoff[r.level]
	default:
		return 0, false
	}
	return max(0, due-at), true
}

// Lease issues slot s, which may be in any state but leased and excluded, to a holder whose ID is not in use. It returns the epoch of the
// lease, which no other lease of the ledger has.
func (l *Ledger) Lease(s Slot, holder Holder, now time.Time) uint64 {
	l.expect(s, "lease", Free, Draining, Cooling, Foreign)
	if holder.Owner == nil {
		panic("ports: a lease without an owner")
	}
	if _, taken := l.Find(holder.Owner, holder.ID); taken {
		panic("ports: an owner leases twice under one ID")
	}
	at := l.clock(now)
	l.leave(s)
	r := &l.slots[s]
	r.early = !r.mute && at-r.heard < QuietEnough
	l.epoch++
	r.holder, r.epoch, r.late, r.level, r.mute = holder, l.epoch, 0, 0, false
	l.setSuspect(s, false)
	l.setState(s, Leased)
	l.enter(s)
	l.highWater = max(l.highWater, l.counts[Leased])
	return l.epoch
}

// Mute notes that the holder of leased slot s has heard nothing on it. It is for a slot that is about to be released, and does nothing for one that was leased before it had been
// quiet for [QuietEnough], as its own stream may, or who asks for its port.
func (l *Ledger) Mute(s Slot) {
	l.expect(s, "silence", Leased)
	l.slots[s].mute = !l.slots[s].early
}

// Release ends the lease of slot s. When its UDP sockets stay bound it drains; otherwise it cools, or is free at once when there is no cooling time.
func (l *Ledger) Release(s Slot, bound bool, now time.Time) {
	l.expect(s, "release", Leased)
	at := l.clock(now)
	l.leave(s)
	r := &l.slots[s]
	r.heard, r.checked, r.freed = at, at, at
	if !bound {
		l.becomeCooling(s)
		return
	}
	l.drain(s)
}

// drain puts a slot that is in no list among the draining ones.
func (l *Ledger) drain(s Slot) {
	l.setState(s, Draining)
	l.push(&l.draining, byState, s)
	l.hush(s)
	l.push(&l.hushed, byHush, s)
	if tenant := l.slots[s].holder.Tenant; tenant.Stream.Valid() {
		l.join(tenant, s)
	}
}

// Exclude takes a slot out of the pool for good. It reports false, and does nothing, when the slot is leased or draining.
func (l *Ledger) Exclude(s Slot) bool {
	switch l.slots[s].state {
	case Leased, Draining:
		return false
	case Excluded:
		return true
	}
	l.leave(s)
	l.setSuspect(s, false)
	l.setState(s, Excluded)
	return true
}

// leave takes s out of every list of its state. The caller gives it the next state at once.
func (l *Ledger) leave(s Slot) {
	r := &l.slots[s]
	switch r.state {
	case Free:
		l.remove(&l.free, byState, s)
	case Leased:
		l.exit(s)
	case Draining:
		l.leaveDrain(s)
		l.rouse(s)
	case Cooling:
		l.leaveCooling(s)
	case Foreign:
		if r.queue == inRecheck {
			l.remove(&l.recheck, byState, s)
		} else {
			l.remove(&l.foreign[r.level], byState, s)
		}
	}
}

func (l *Ledger) becomeFree(s Slot) {
	l.setState(s, Free)
	l.push(&l.free, byState, s)
}
