package ports

// manyLeases is from how many leases on an owner has an index of them: fewer are found by looking at each.
const manyLeases = 8

// Owner is the account of one holder of leases in one [Ledger]. It is the ledger's alone; callers keep the pointer. Make one with [NewOwner]. One that holds nothing may be dropped.
type Owner struct {
	leases list            // the longest held first
	byID   map[uint64]Slot // nil until there have been many at once
}

// NewOwner returns the account of a holder that holds nothing yet.
func NewOwner() *Owner { return &Owner{leases: emptyList()} }

// Leases returns how many slots the owner holds.
func (o *Owner) Leases() int { return o.leases.length }

// Find returns the slot that owner leased under id. A nil owner holds nothing.
func (l *Ledger) Find(owner *Owner, id uint64) (Slot, bool) {
	if owner == nil {
		return None, false
	}
	if owner.byID != nil {
		s, ok := owner.byID[id]
		return s, ok
	}
	for s := owner.leases.head; s != None; s = l.slots[s].links[byParty].next {
		if l.slots[s].holder.ID == id {
			return s, true
		}
	}
	return None, false
}

// Owned returns the slot that owner has held longest; false when it holds none.
func (l *Ledger) Owned(owner *Owner) (Slot, bool) {
	if owner == nil {
		return None, false
	}
	return owner.leases.head, owner.leases.head != None
}

// enter adds a slot that the owner leases now.
func (l *Ledger) enter(s Slot) {
	h := &l.slots[s].holder
	o := h.Owner
	l.push(&o.leases, byParty, s)
	switch {
	case o.byID != nil:
		o.byID[h.ID] = s
	case o.leases.length == manyLeases:
		o.byID = make(map[uint64]Slot, 2*manyLeases)
		for each := o.leases.head; each != None; each = l.slots[each].links[byParty].next {
			o.byID[l.slots[each].holder.ID] = each
		}
	}
}

// exit takes a slot out of its owner's account.
func (l *Ledger) exit(s Slot) {
	h := &l.slots[s].holder
	l.remove(&h.Owner.leases, byParty, s)
	if h.Owner.byID != nil {
		delete(h.Owner.byID, h.ID)
	}
}
