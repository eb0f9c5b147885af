// Package udp binds the sockets of a media slot: the even/odd pair of UDP sockets that RTP and RTCP use (RFC 3550, section 11) and the TCP
// listener on the even port. It also has what a bound socket needs on its way from one holder to the next: a wrapper that lends it out
// ([Borrowed]), a way to make every older handle useless ([Renew]), and one to throw away what it has received ([Discarder]). A socket that carries much is read in
// batches by a [Reader], and written in batches by [Messages], which the kernel cuts into datagrams where it can, at a [Pace].
//
// No pool socket is bound with SO_REUSEADDR or SO_REUSEPORT, with which two programs could hold one port without noticing; only the TCP
// listener has SO_REUSEADDR, as every Go listener, where it just means that old connections do not block it.
//
// It is called by the port pool, by those who hand leased sockets to libraries, and by netio/fanout and netio/gb28181. Nothing here starts a goroutine, and nothing but reading and writing
// waits. Functions may be called from any goroutine; a Discarder, a Reader and Messages are for one at a time.
package udp
