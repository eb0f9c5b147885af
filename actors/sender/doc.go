// Package sender pushes streams as RTP to other platforms (GB/T 28181 cascades and two-way talk): one actor per sender, started by
// the startSendRtp family of the API.
//
// Senders of one stream that want the same form (PS, TS, elementary stream) share one, which is made while one of them lives. The actors
// lease ports, connect, watch for the end of stream and peer, and keep the definitions; the bytes are made and written in netio/gb28181.
package sender
