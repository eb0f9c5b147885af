// Package gb28181 is RTP as GB/T 28181 devices and platforms push it, without RTSP around it: MPEG-PS, MPEG-TS or elementary streams over UDP and TCP,
// in and out.
//
// Receiving: a [Source] turns the RTP packets of one device into the packets of a hub. A [Receiver] feeds one source from a leased pair, from an accepted or an own TCP
// connection; a [Port] feeds any number of sources from one UDP socket and one TCP listener, told apart by SSRC and address. A [ReturnPath] is the way back to a device.
//
//	socket -> batch or [Framer] -> source lock (address, SSRC) -> order -> one lane for each payload type: [Prober], then demuxer or depacketizer -> assembler -> hub
//
// Sockets are read by goroutines of their own, which hold [Buffers] only while there is something to read and do the whole way to the hub themselves; callbacks are called by them, under the source's
// lock. What is leased is never closed here, and not used any more once Close has returned.
//
// Sending: a [Form] makes the packets of one stream in one form, once; a [Sender] writes them to one peer.
//
// The package is called by actors/receiver and actors/sender. It leases nothing and decides nothing about names, limits and hooks.
package gb28181
