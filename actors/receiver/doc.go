// Package receiver takes in RTP that is pushed without a session protocol, as GB/T 28181 cameras do: one actor per opened receiver, on a
// pair leased from the port pool, and one for the fixed port (`rtp_proxy.port`) that any number of devices share.
//
// The actors decide: they lease, open and close, publish to streams, watch for silence, keep the definitions. Packets go past them, from the
// sockets through netio/gb28181 into the stream's hub.
package receiver
