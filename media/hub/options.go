package hub

import "time"

// Options sets a hub's bounds. The zero value is a good default for everything.
type Options struct {
	// RingChunks is the number of chunks the ring can hold, rounded up to a power of two. Default 4096.
	RingChunks int
	// RingPackets is how many packets a reader may fall behind before its policy applies (`stream.ring_packets`). Default 4096. Chunks since the last key
	// frame are kept beyond that within GOPBytes.
	RingPackets int
	// RingBytes bounds all media that the ring holds, whatever the other bounds allow. Default GOPBytes + 32 MiB.
	RingBytes int64
	// GOPBytes bounds the media since the last key frame that is kept for new readers (`stream.gop_cache_bytes`). Default 16 MiB; negative keeps none, so that
	// readers begin at the next key frame.
	GOPBytes int64
	// ChunkBytes bounds one chunk; a larger access unit leaves in pieces. Default 32 KiB, at most 60 KiB. A single packet may be larger.
	ChunkBytes int
	// HoldTime is how long the first packet of an access unit may wait for its last. Default 5 ms. It is checked when packets arrive and on Flush.
	HoldTime time.Duration
	// ReportInterval is the distance between the sender reports of a track. Default 5 s.
	ReportInterval time.Duration
	// Rand returns random numbers for SSRCs and first sequence numbers and timestamps (RFC 3550 sections 5.1 and 8). Default math/rand/v2's seeded generator.
	Rand func() uint32
}
