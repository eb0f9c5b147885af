// Package store keeps what must survive a full restart, a process restart and a power cut: the definitions of proxies, receivers and senders and the runtime configuration overrides,
// in a bbolt database under state.dir, and two small secrets in files of their own beside it.
//
// # The promise
//
// What was acknowledged is on disk (fsync) before the answer leaves. A database that is missing is made; one that another process holds is reported and
// tried again; a damaged one is set aside, what can be read of it is carried over into a new one, and [Health] says so. While no database can
// be written every write is answered with [NotDurableError], and nothing else of the server stops. Writes that were no requests are answered to nobody: they are kept until
// the database can be written, and what is put and deleted again before that never reaches it.
//
// # Layout of berth.db
//
//	meta/schema                 decimal schema version
//	meta/sequence               decimal number of the last record or commit
//	proxies/<vhost/app/stream>  one record per proxy
//	receivers/<vhost/app/stream>  one record per RTP receiver
//	senders/<vhost/app/stream>#<ssrc>[@host:port]  one record per RTP sender
//	overrides/<config key>      one record per override
//	cooling/pairs               one record for all port pairs whose old peers may still be sending
//
// A record is self-describing and checked (see record.go), because bbolt has checksums on its two meta pages only. The file is read and
// verified by a bounded reader of our own before bbolt maps it into memory, since bbolt panics, loops or faults on damaged pages (see inspect.go).
//
// # Goroutines
//
// The supervisor spawns the one store actor. It owns one writer goroutine, which alone touches the database and ends with the actor.
// [Secret], [ReadSecret] and [ServerID] are plain functions that need no actor; the command line uses them while a server runs.
package store
