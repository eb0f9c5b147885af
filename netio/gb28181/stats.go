package gb28181

import "time"

// SourceStats are the counters of one device's RTP since its [Source] was made.
type SourceStats struct {
	Packets    uint64        // RTP packets taken in
	Bytes      uint64        // of these, RTP headers included
	Lost       uint64        // sequence numbers that never came
	Reordered  uint64        // packets that came before one of their predecessors
	Late       uint64        // packets that came after their place had been given up, or twice; dropped
	Strangers  uint64        // packets from another address than the one that is locked; dropped
	OtherSSRC  uint64        // packets of an SSRC that is not wanted; dropped
	Invalid    uint64        // not RTP, or of a payload that nobody understands; dropped
	Damaged    uint64        // access units given up because a part of them was missing
	Refused    uint64        // packets made for the hub that it did not take
	Unwatched  uint64        // packets not looked into because nobody needs the stream
	Skipped    uint64        // bytes passed over to find the next packet on a TCP connection, or the next start code in a container
	Restarts   uint64        // changes of SSRC, jumps in sequence or time
	Relocks    uint64        // times the device came back from another address
	Frames     uint64        // access units taken out
	LastPacket time.Time     // zero before the first
	LastFrame  time.Time     // zero before the first
	Jitter     time.Duration // interarrival jitter (RFC 3550 section 6.4.1)
	Payload    string        // ps, ts, h264, h265, aac, pcma, ...; "" while unknown
	SSRC       uint32        // 0 while unknown
}

// SenderStats are the counters of one sender.
type SenderStats struct {
	Packets    uint64    // RTP packets handed to the kernel
	Bytes      uint64    // of these, RTP headers and TCP framing included
	Dropped    uint64    // packets not sent because the peer, or the network, takes too little
	Jumps      uint64    // times it went on at a later key frame because of that
	Errors     uint64    // failed writes that did not end it
	LastReport time.Time // arrival of the last receiver report; zero before the first
}
