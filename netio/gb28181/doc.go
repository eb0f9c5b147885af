// Package gb28181 is RTP as GB/T 28181 devices and platforms push it, without RTSP around it: MPEG-PS, MPEG-TS or elementary streams over UDP and TCP,
// in and out.
//
// Receiving: a [Source] turns the RTP packets of one device into the packets of a hub. A [Receiver] feeds one source from a leased pair, from an accepted or an own TCP
// connection; a [Port] feeds any number of sources from one UDP socket and one TCP listener, told apart by SSRC and address.
//
// Sending: a [Form] makes the packets of one stream in one form, once; a [Sender] writes them to one peer.
//
// The package is called by actors/receiver and actors/sender. It leases nothing and decides nothing about names, limits and hooks.
package gb28181
