package hub

import (
	"fmt"
	"math/rand/v2"
	"time"

	"berth/media/slab"
)

// Options sets a hub's bounds. The zero value is a good default for everything.
type Options struct {
	// RingChunks is the number of chunks the ring can hold, rounded up to a power of two. Default 4096.
	RingChunks int
	// RingPackets is how many packets a reader may fall behind before its policy applies (`stream.ring_packets`). Default 4096. Chunks since the last key
	// frame are kept beyond that within GOPBytes.
	RingPackets int
	// RingTime is how long a reader may fall behind before its policy applies, beyond what its socket holds (seconds at common rates). Default 4 s. It costs memory only while a reader
	// is behind. What is kept for GOPBytes is kept beyond that.
	RingTime time.Duration
	// RingBytes bounds all media that the ring holds, whatever the other bounds allow. Default GOPBytes + 32 MiB.
	RingBytes int64
	// GOPBytes bounds the media since the last key frame that is kept for new readers (`stream.gop_cache_bytes`). Default 16 MiB; negative keeps none, so that
	// readers begin at the next key frame.
	GOPBytes int64
	// ChunkBytes bounds one chunk; a larger access unit leaves in pieces. Default 32 KiB, at most 48 KiB. A single packet may be larger.
	ChunkBytes int
	// HoldTime is how long the first packet of an access unit may wait for its last. Default 5 ms. It is checked when packets arrive and on Flush. A source that has
	// ended its last 8 access units with the marker bit is not watched by a timer: should it stop inside one, that waits for the owner's next Flush.
	HoldTime time.Duration
	// MergeTime is how long packets between two pictures (audio) may wait to leave in one write with the next picture. Default 35 ms, so that at 30 pictures a second
	// all of them do, which is what a write per picture and viewer costs least (benchmarks/results/fanout.md); pictures never wait. Negative sends them at once. Nothing waits in
	// a stream without video. While pictures come evenly and often enough there is no timer either: when one is late all the same, the wait ends with the next packet or the owner's next Flush.
	MergeTime time.Duration
	// ReportInterval is the distance between the sender reports of a track. Default 5 s.
	ReportInterval time.Duration
	// CNAME is the source description of the sender reports (RFC 3550 section 6.5.1), at most 200 bytes. Default a random name.
	CNAME string
	// Memory is where the media of a stream without readers lies. Default the heap.
	Memory *slab.Pool
	// Rand returns random numbers for SSRCs and first sequence numbers and timestamps (RFC 3550 sections 5.1 and 8). Default math/rand/v2's seeded generator.
	Rand func() uint32
}

// Bounds that are not for configuration.
const (
	slabBytes     = 64 << 10
	slabPackets   = 128
	maxChunkBytes = 48 << 10
	// maxPacket is the largest packet that fits an IPv4 datagram, so that every viewer can have it.
	maxPacket = 65507
	maxTracks = 64
)

func (o *Options) setDefaults() {
	o.RingChunks = positive(o.RingChunks, 4096)
	o.RingPackets = positive(o.RingPackets, 4096)
	o.RingTime = positive(o.RingTime, 4*time.Second)
	if o.GOPBytes == 0 {
		o.GOPBytes = 16 << 20
	}
	o.RingBytes = positive(o.RingBytes, max(o.GOPBytes, 0)+32<<20)
	o.ChunkBytes = min(positive(o.ChunkBytes, 32<<10), maxChunkBytes)
	o.HoldTime = positive(o.HoldTime, 5*time.Millisecond)
	if o.MergeTime == 0 {
		o.MergeTime = 35 * time.Millisecond
	}
	o.MergeTime = max(o.MergeTime, 0)
	o.ReportInterval = positive(o.ReportInterval, 5*time.Second)
	if o.Rand == nil {
		o.Rand = rand.Uint32
	}
	if o.CNAME == "" {
		o.CNAME = fmt.Sprintf("berth-%08x", o.Rand())
	}
	o.CNAME = o.CNAME[:min(len(o.CNAME), 200)]
}

// positive returns v, or def when v is not above zero.
func positive[T int | int64 | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}
