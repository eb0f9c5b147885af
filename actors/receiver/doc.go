// Package receiver takes in RTP that is pushed without a session protocol, as GB/T 28181 cameras do. Three actors: receivers, the registry of definitions, one per engine; receiver, one per
// opened receiver, and one for the fixed port (`rtp_proxy.port`) that any number of devices share; and, below such a shared port, device, one for each of its devices.
//
//	API ── Open, Close, Connect, List, ... ──> receivers ── PutReceiver, DeleteReceiver ──> store
//	                                              │ spawns, watches
//	                                           receiver ── LeasePair ──> portpool
//	                                              │  └── Publish ──────> streams
//	                                              └ (shared ports) spawns a device for each SSRC, which publishes
//
// The actors decide: they lease, open and close, publish to streams, watch for silence, keep the definitions. Packets go past them, from the sockets through netio/gb28181 into the stream's hub.
//
// # From the call to the stream
//
// An Open is answered when the sockets are bound, without waiting for the disk: the definition is on it moments later. The first valid packet locks the port to its device. When it is known which tracks
// the device sends, the stream is published; a stream that has another publisher is asked for again every second. A receiver that takes in no frame for `rtp_proxy.timeoutSec` is closed: its
// stream ends, its pair goes back, then on_rtp_server_timeout is told. Close, and whoever ends the stream by an order, do the same without the hook. A stream that fails is published anew.
//
// # Ports
//
// Port 0, and every even port of the range, is leased from the pool. A port outside the range is bound by the receiver itself, with the port above it for RTCP. An odd port inside the range is
// refused, because it would take ports of two of the pool's pairs, and so is a port whose RTCP port lies inside. re_use_port is accepted and changes nothing: two sockets on one port
// are what the pool exists to prevent, and the same stream gets its pair back at once without it. A receiver of tcp_mode 2 holds a UDP pair that it does not read, and connects from that port.
//
// # After a restart
//
// Stored receivers are opened again with the pair that they had, or with any when that is not to be had; one that was opened with a certain port waits for that. A receiver of tcp_mode 2 connects again. Until an
// API call asks for it, a receiver that came back counts as restored: that call takes it over instead of being told that it exists. What is not needed any more ends by its silence.
//
// # Failure
//
// A receiver that panics is stopped, its lease and its publisher's role end with it, and receivers spawns it again after a moment: the same stream gets its pair back, and viewers are kept
// waiting for it. A device that panics is found anew with its next packet. A panic in receivers ends the engine's generation. When the store fails, its successor is compared with what runs.
package receiver
