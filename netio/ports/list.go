package ports

// list is a doubly linked list of slots threaded through their records: adding, removing and moving cost no search and no memory.
// The zero list is not usable; see emptyList.
type list struct {
	head, tail Slot
	length     int
}

func emptyList() list { return list{head: None, tail: None} }

// thread is which of its links a record uses for a list. A slot is in at most one list of each thread.
type thread uint8

const (
	byState thread = iota // the queue of the slot's state
	byQuiet               // draining and cooling slots, longest quiet first
	byHush                // draining slots, longest quiet first
	byParty               // leased slots of one owner, or draining slots of one tenant
	threads
)

type link struct{ prev, next Slot }

// push adds s at the tail.
func (l *Ledger) push(q *list, t thread, s Slot) {
	l.slots[s].links[t] = link{prev: q.tail, next: None}
	if q.tail == None {
		q.head = s
	} else {
		l.slots[q.tail].links[t].next = s
	}
	q.tail = s
	q.length++
}

// insert adds s behind after, or at the head when after is None.
func (l *Ledger) insert(q *list, t thread, after, s Slot) {
	if after == q.tail {
		l.push(q, t, s)
		return
	}
	next := q.head
	if after != None {
		next = l.slots[after].links[t].next
		l.slots[after].links[t].next = s
	} else {
		q.head = s
	}
	l.slots[s].links[t] = link{prev: after, next: next}
	l.slots[next].links[t].prev = s
	q.length++
}

// remove takes s out of the list it is in.
func (l *Ledger) remove(q *list, t thread, s Slot) {
	at := l.slots[s].links[t]
	if at.prev == None {
		q.head = at.next
	} else {
		l.slots[at.prev].links[t].next = at.next
	}
	if at.next == None {
		q.tail = at.prev
	} else {
		l.slots[at.next].links[t].prev = at.prev
	}
	q.length--
}

// requeue moves s to the tail.
func (l *Ledger) requeue(q *list, t thread, s Slot) {
	if q.tail == s {
		return
	}
	l.remove(q, t, s)
	l.push(q, t, s)
}

// hush puts a slot that hears nothing from now on among the quiet ones.
func (l *Ledger) hush(s Slot) {
	if l.slots[s].mute {
		l.push(&l.mute, byQuiet, s)
		return
	}
	l.push(&l.quiet, byQuiet, s)
}

// rouse takes s out of the quiet ones.
func (l *Ledger) rouse(s Slot) {
	if l.slots[s].mute {
		l.remove(&l.mute, byQuiet, s)
		return
	}
	l.remove(&l.quiet, byQuiet, s)
}

// join adds a draining slot to those of its tenant.
func (l *Ledger) join(tenant Tenant, s Slot) {
	q, ok := l.kept[tenant]
	if !ok {
		q = emptyList()
	}
	l.push(&q, byParty, s)
	l.kept[tenant] = q
}

// part takes a draining slot out of those of its tenant, and forgets a tenant that has no slot left.
func (l *Ledger) part(tenant Tenant, s Slot) {
	q := l.kept[tenant]
	l.remove(&q, byParty, s)
	if q.length == 0 {
		delete(l.kept, tenant)
		return
	}
	l.kept[tenant] = q
}
