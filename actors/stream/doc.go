// Package stream is the actor of one published stream: it owns the hub, admits the publisher, keeps the books of the viewers, leases the UDP pairs that all UDP viewers
// of the stream share, and decides when the stream ends.
//
// # Life
//
// The streams registry spawns a stream for the first publisher of a key and forwards that publisher's [Attach] to it. When the publisher goes, the stream waits
// Options.ContinuePush for another one, while its viewers stay. It ends when that wait is over, when it is closed, when nobody has watched it for
// general.streamNoneReaderDelayMS under auto_close, or when a publisher brings tracks that the viewers do not know. A stream that ends closes its hub, tells
// publisher and viewers by [Ended], lets its UDP viewers leave, and reports [Finished] to the registry, which then stops it. Until then it sends
// back every [Attach] that crossed its end, so that no publisher is left without an answer.
//
// Whoever asks a stream should watch it: an actor that has stopped does not answer.
//
// # Goroutines
//
// What is decided stands in state.go, which knows no actor, clock or socket. The actor executes it. Two read loops for each leased pair (udploop.go) belong to the
// actor; they note that a viewer was heard and never post a message, and they have returned before the pair is given back. [Flusher] is one goroutine for all streams.
package stream
