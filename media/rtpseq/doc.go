// Package rtpseq follows the sequence numbers of one RTP source: unwrapping, loss, jitter and receiver reports (RFC 3550 sections 6.4.1, A.1, A.3, A.8) in
// [Receiver], and putting packets back in order in [Reorder].
//
// Everything is pure: no goroutine, no socket, no clock; the time is passed in. Values belong to one goroutine, or to whoever holds the lock of their owner.
// Callers: the UDP publishing path of the RTSP server, and berth/media/hub.
package rtpseq
