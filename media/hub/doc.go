// Package hub is where packets change hands: one [Writer] that never waits, a bounded ring of immutable wire-ready chunks, and a cursor per [Reader].
//
// # The way of a packet
//
// A publisher's read loop calls [Writer.WriteRTP] with a whole RTP packet (RFC 3550). The hub checks it, gives it the stream's own SSRC, payload type, sequence
// number and timestamp, and lays it out once behind the four bytes of RFC 2326 section 10.12, so that what is due can be sent to every viewer by one write
// of shared memory. Packets of one access unit make one [Chunk]; a chunk is published at the RTP marker bit, when the next access unit begins, when it
// grows too large or too old, or on [Writer.Flush].
//
// # Continuity
//
// The stream outlives its publishers. A new [Writer] (and a source that restarts on its own) continues sequence numbers and timestamps where the former left off; its
// first chunk begins a new epoch, over which a reader of video steps to the first key frame. Sender reports (RFC 3550 section 6.4.1) are made
// once per stream from the source's own reports, without steps in time, and travel in the ring like everything else.
//
// # Ownership of memory
//
// Packet bytes are copied once, into slabs of 64 KiB that belong to the chunks cut from them. Published bytes are never written again. Nothing that a reader can see is reference counted: a slab
// goes back to the garbage collector when the ring and the readers have let go of all its chunks, so what a stuck viewer holds on to is the chunks it is writing.
//
// Most streams of a platform have no readers, and what is kept for those to come would be most of the garbage. So without an open reader packets are copied into pieces that are lent (package
// berth/media/slab) and go back as soon as the ring has dropped their chunks, with nobody else to ask. The first reader to be opened finds all of it moved to the heap, in which it stays while there are readers.
//
// # Goroutines
//
// The package starts no goroutine, opens no socket, reads no clock and writes no log. WriteRTP, WriteRTCP and Flush may be called by several goroutines at once; a hub serialises them
// by one mutex. A Reader belongs to one goroutine at a time; reading the ring takes no lock. All counters may be read at any time from anywhere.
// Callers are actors/stream (which owns the hub), the publishing sides of netio/rtsp, and netio/fanout.
package hub
