package portpool

import "github.com/asynkron/protoactor-go/actor"

// owner is an actor that was granted a lease and has not ended.
type owner struct {
	pid    *actor.PID
	number uint64 // in the ledger
}

type pidKey struct{ address, id string }

func keyOf(pid *actor.PID) pidKey { return pidKey{pid.Address, pid.Id} }

// owners are the actors that the pool watches. One is forgotten when it ends, not when it gives its last lease back, so that one that leases
// again and again is watched once.
type owners struct {
	byPID map[pidKey]*owner
	last  uint64
}

func newOwners() owners { return owners{byPID: map[pidKey]*owner{}} }

func (o *owners) find(pid *actor.PID) *owner { return o.byPID[keyOf(pid)] }

// watched returns the owner of pid, which is watched from now on. When it has ended already, Terminated comes at once.
func (o *owners) watched(ctx actor.Context, pid *actor.PID) *owner {
	key := keyOf(pid)
	if known := o.byPID[key]; known != nil {
		return known
	}
	o.last++
	added := &owner{pid: pid, number: o.last}
	o.byPID[key] = added
	ctx.Watch(pid)
	return added
}

func (o *owners) forget(pid *actor.PID) { delete(o.byPID, keyOf(pid)) }
