// Package fanout delivers the chunks of hubs (package berth/media/hub) to the sockets of viewers.
//
// A [Pool] has a few workers. When a hub publishes, its viewers are served by the workers that they are spread over: each viewer's due chunks leave in one write that does not block. A socket
// that would block is parked: a goroutine waits for it with the runtime's poller, and goes when the viewer is up to date again, so that a slow viewer never costs the others anything. An idle viewer
// has no goroutine. Connections without a plain file descriptor (TLS) are always written by such a goroutine.
//
// A [TCPSink] owns the write side of an RTSP connection: responses and chunks (RFC 2326 section 10.12) leave through it, in order and whole. A [UDPSink] sends a viewer's packets from the stream's
// shared pairs, in batches, segmented by the kernel where it can; what is due is collected and cut once for all UDP viewers of a worker that are in step.
//
// The package is called by actors/rtspd (sessions) and actors/stream (pairs). All methods may be called from any goroutine; callbacks come from workers and must not block.
package fanout
