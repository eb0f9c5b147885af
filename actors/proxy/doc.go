// Package proxy pulls streams from elsewhere. Two actors: proxies, the registry of definitions, one per engine; and proxy, one per definition, which connects to the source,
// leases ports, publishes the stream, plays, and begins anew after a back-off when the source is lost.
//
//	API ── AddProxy, RemoveProxy, ListProxies ──> proxies ── writes ──> store
//	                                                 │ spawns, watches
//	                                               proxy ── LeasePair ──> portpool
//	                                                 │  └── Publish ────> streams
//	                                                 └ runs rtsp.Pull on goroutines that post one message each back
//
// What a proxy decides is in state.go, a plain state machine: step(now, event) returns actions, which proxy.go executes. Packets go from the pull's read loops straight into the
// stream's hub.Writer; no mailbox sees one.
//
// # The order of an attempt
//
//	describe -> lease a pair a track (UDP only) -> publish -> set up and play -> first packet: playing
//
// Ports are leased before SETUP is signalled and given back after the pull's read loops have returned. Whatever fails, the attempt ends the same way: the pull is closed, leases are
// released, the publisher's role is given up (the stream keeps its viewers for protocol.continue_push_ms), and the next attempt is scheduled or the proxy gives up.
//
// # Failure
//
// A proxy that panics is stopped; its leases and its stream's publisher role end with it, and proxies spawns it again after a back-off. A panic in proxies ends the engine's generation.
// Goroutines of a proxy are waited for when it stops, at most stopGrace.
package proxy
