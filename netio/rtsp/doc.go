// Package rtsp speaks RTSP 1.0 (RFC 2326): the server's side of a session, the reader of a connection's bytes, and the client that pulls from other
// servers.
//
// # Server
//
// [Session] is the protocol as a plain state machine: Step takes an [Event] and the time, and answers with the [Action] list that somebody else executes. It has no
// socket, clock, goroutine or logger, and is used from one goroutine at a time; in berth that is the session actor of actors/rtspd. [Conn] is the read side of
// one connection: one goroutine that parses requests and interleaved frames with [Reader], hands requests upward through a callback and media frames straight to the
// sink that its owner set, so that no packet crosses a mailbox. The write side belongs to netio/fanout. [Ingest] is the packet path of a
// publisher: frames of its connection, or datagrams on leased port pairs, into a hub.Writer, with RFC 3550 receiver reports back.
//
//	bytes -> Reader -> Conn -+-> Notify(RequestReceived) -> Session.Step -> []Action -> executor
//	                         +-> frame sink (Ingest, or the viewer's receiver reports)
//
// # What peers may do
//
// The server is strict in what it holds in memory (every size is in [Limits]) and lenient in what it reads: line ends of LF alone, header names in any case, folded header
// lines, requests without CSeq or Session, track URLs in every form that ffmpeg, GStreamer, live555 and gortsplib build, and stray bytes between interleaved frames.
//
// # Client
//
// The pull is built on gortsplib's Client; see the client files.
package rtsp
