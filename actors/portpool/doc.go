// Package portpool is the actor that owns the range of media ports: the ledger (netio/ports) and every socket bound from it.
//
// An actor that needs ports sends [LeasePair] and hears [PairLeased] or [LeaseRefused]. The lease is its own until it sends
// [ReleaseLease] or ends, however it ends: the pool watches every owner. Sockets stay the pool's; owners use them and never close them.
// Callers that are not actors hold no leases: they ask an actor that does.
//
// One pool owns one range. On one local address a port number has at most one holder, whichever of UDP and TCP it is leased for; a wildcard is one address with all that it
// covers. A lease may ask for a local address that does not overlap with pool.bind: the pool keeps a book for each such address.
//
// A pool is never restarted alone, since its ledger is the truth about what is held: it is made by the engine, and when it fails the whole
// engine is built again. Everything runs inside Receive, which binds, closes and reads sockets without waiting. Two timers post to the actor: one for
// what is due, one for the audit of each minute. The audit's reading of the kernel's tables is the one goroutine that the package starts; the pool waits for it
// when it ends.
//
// What a pool leaves behind, the pairs whose peers may still be sending, goes to the next one in a [Memory].
package portpool
