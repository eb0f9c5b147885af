package portpool

import (
	"github.com/asynkron/protoactor-go/actor"

	"berth/netio/ports"
)

// owner is an actor that was granted a lease and has not ended.
type owner struct {
	pid     *actor.PID
	account *ports.Owner           // in the home book
	others  map[*book]*ports.Owner // in other books; nil while it never leased there
	process actor.Process          // what pid stood for when it was watched: its name may be another actor's by now
	use     *useCount              // of its last lease: most owners have ports for one thing
}

// useCount counts the pairs that one kind of owner holds.
type useCount struct {
	purpose Purpose
	app     string
	pairs   int
}

type use struct {
	purpose Purpose
	app     string
}

// owners are the actors that the pool watches. One is forgotten when it ends, not when it gives its last lease back, so that one that leases
// again and again is watched once.
type owners struct {
	byID map[string]*owner // by the PID's id: owners are actors of this process
	uses map[use]*useCount // pairs leased now, by kind of owner
}

func newOwners() owners { return owners{byID: map[string]*owner{}, uses: map[use]*useCount{}} }

func (o *owners) find(pid *actor.PID) *owner { return o.byID[pid.Id] }

// watched returns the owner of pid, which is watched from now on. When it has ended already, Terminated comes at once.
func (o *owners) watched(ctx actor.Context, pid *actor.PID) *owner {
	if known := o.byID[pid.Id]; known != nil {
		return known
	}
	added := &owner{pid: pid, account: ports.NewOwner()}
	added.process, _ = ctx.ActorSystem().ProcessRegistry.GetLocal(pid.Id)
	o.byID[pid.Id] = added
	ctx.Watch(pid)
	return added
}

// in returns the owner's account in a book, nil when it never leased there.
func (o *owner) in(k *book) *ports.Owner {
	if k.bind.IsValid() {
		return o.others[k]
	}
	return o.account
}

// open returns the owner's account in a book.
func (o *owner) open(k *book) *ports.Owner {
	account := o.in(k)
	if account == nil {
		if account = ports.NewOwner(); o.others == nil {
			o.others = map[*book]*ports.Owner{}
		}
		o.others[k] = account
	}
	return account
}

// find returns what the owner leased under id, in whichever book.
func (o *owner) find(home *book, id uint64) (*book, ports.Slot, bool) {
	if s, held := home.ledger.Find(o.account, id); held {
		return home, s, true
	}
	for k, account := range o.others {
		if s, held := k.ledger.Find(account, id); held {
			return k, s, true
		}
	}
	return nil, ports.None, false
}

func (o *owners) forget(pid *actor.PID) { delete(o.byID, pid.Id) }

// leased counts a pair for its kind of owner.
func (o *owners) leased(by *owner, purpose Purpose, app string) *useCount {
	count := by.use
	// A count without pairs may have been forgotten.
	if count == nil || count.pairs == 0 || count.purpose != purpose || count.app != app {
		kind := use{purpose, app}
		if count = o.uses[kind]; count == nil {
			count = &useCount{purpose: purpose, app: app}
			o.uses[kind] = count
		}
		by.use = count
	}
	count.pairs++
	return count
}

// maxIdleUses is how many kinds of owner without a pair are remembered.
const maxIdleUses = 256

// returned takes a pair off its count. Kinds of owner that hold nothing are forgotten when there are many, so that clients which
// make up application names cost nothing in the long run.
func (o *owners) returned(count *useCount) {
	count.pairs--
	if count.pairs > 0 || len(o.uses) <= maxIdleUses {
		return
	}
	delete(o.uses, use{count.purpose, count.app})
}
