// Package ports keeps the account of a port range: which pair of ports is free, leased, draining, cooling, held by another program or
// excluded, and which one is leased next.
//
// A slot is a pair: an even port and the odd one above it, as RTP and RTCP use them (RFC 3550, section 11). The even port's TCP side
// belongs to the same slot, so that one number never has two holders.
//
// [NewPlan] computes what range a given load needs, and [Set] is the arithmetic of port ranges that it and the checks of a host share.
//
// The package opens no socket, reads no clock and starts no goroutine: whoever owns a [Ledger] (the port pool actor) binds and closes
// sockets, and passes the time in. A Ledger is for one goroutine at a time; the other types are values.
package ports
