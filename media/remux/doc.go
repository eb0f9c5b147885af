// Package remux turns frames into RTP packets and back, and frames of a container's elementary streams into the tracks of a stream.
//
// Three types, each usable alone:
//
//   - [Packetizer] lays the frames of one track out as RTP packets: RFC 6184 (H.264), RFC 7798 (H.265), RFC 3640 and RFC 6416 (AAC), RFC 2250 (MPEG audio), RFC 3551 (G.711 and its
//     kin), RFC 7587 (Opus).
//   - [Depacketizer] makes frames of the RTP packets of one track: what a muxer (media/mpegps, media/mpegts, later FLV and fMP4) needs to serve a stream that came in as RTP.
//   - [Assembler] stands between a demuxer and a hub: it finds out which tracks there are and when they are known well enough, keeps frames until then, puts the source's
//     times in order and hands on RTP packets and sender reports.
//
// NAL units and frames of audio pass through all three unchanged, byte for byte; only the zeros between NAL units, which carry nothing, are not kept.
//
// # For other protocols
//
// Whoever gets frames from a device that does not speak RTP (an RTMP publisher, a file that is played as a stream) gives them to an Assembler: one id for each of its streams,
// [Assembler.Announce] where the protocol says in advance what is coming (the metadata of RTMP), H.264 and H.265 as byte stream with parameter sets before the first key frame,
// AAC with its configuration in the frame. Whoever needs frames of a stream (a recording, an RTMP player) reads the hub's chunks and gives each track's packets to a
// Depacketizer; [Depacketizer.Align], fed from the sender reports among them, puts the frames of all tracks on one time line.
//
// # Goroutines and memory
//
// Like everything in media the types are pure: they start nothing, read no clock and know no hub. Each belongs to one goroutine at a time and calls back from within its methods. What they
// keep is bounded by their options, whatever comes. Callers are netio/gb28181 and, later, every protocol that is not RTP.
package remux
