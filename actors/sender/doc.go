// Package sender pushes streams as RTP to other platforms (GB/T 28181 cascades and two-way talk). Two kinds of actors: senders, the registry of definitions, one per engine; and sender, one
// per definition, started by the startSendRtp family of the API.
//
//	API ── Start, Stop, List ──> senders ── writes ──> store
//	                                │ spawns, watches
//	                              sender ── Subscribe, AddReader ──> streams, stream
//	                                │  ├── LeasePair ──> portpool      (UDP, passive TCP, TCP from a given port of the range)
//	                                │  └── GetTalk ────> receivers     (two-way talk)
//	                                └ runs gb28181.Sender; DNS and TCP connections on a goroutine that posts one message back
//
// A sender is a viewer of its stream and shows up as one. Senders of one stream that want the same form (PS, TS, elementary stream) share one, which is made while one of them lives. The actors decide; the bytes are made and
// written in netio/gb28181.
//
// # The order of a start
//
//	the stream is there -> port -> viewer of the stream, form -> name looked up, connected -> answered
//
// A UDP sender is answered when its sockets are bound and the name is known, an active TCP one when its connection stands, a passive one at once when its port is bound. src_port inside the range is leased and must be
// even; outside the range it is bound directly. What fails on the way gives everything back before it is answered.
//
// # Ends
//
// A sender whose stream ends in normal life goes quietly with it, as in ZLMediaKit. One that ends by itself (its peer closes, takes nothing, sends no reports, or does not come) gives its port back, then fires
// on_send_rtp_stopped. Either way, and by stopSendRtp, the definition is deleted. It is kept when the engine ends, when the stream's actor fails, and when its own does: such a sender is restored. It asks for its old port, waits for its
// stream, connects again, and tries so until Options.RestoreFor is over; then it is given up with on_send_rtp_stopped, since the platform believes it to be alive.
//
// A start with stream and SSRC of a running sender replaces that one, unless ssrc_multi_send is set and the peers differ: it begins when the former one has given its port back, which it may so take over.
//
// # What comes back
//
// With recv_stream_id what the peer sends back on the same socket or connection is a stream beside the source, published by a child of the sender. It ends with the sender, and after rtp_proxy.timeoutSec without media, until there is
// some again. Elsewhere what comes back is thrown away.
//
// # What enable_origin_recv_limit does
//
// Nothing: it is accepted and kept. In ZLMediaKit it stops reading from the source while a TCP peer is slow, which makes sense for a recording that is read as fast as the peer takes it. Berth sends live streams only, whose
// writer waits for nobody; a peer that is too slow goes on at a later key frame, which is counted.
//
// # Failure
//
// A sender that panics is stopped; its lease and its place among the viewers end with it, and senders restores it. A panic in senders ends the engine's generation. Goroutines of a sender have returned before its lease is given back.
package sender
