package gb28181

import (
	"sync"

	"berth/media/pes"
	"berth/netio/udp"
)

// streamBytes is how much is read from a connection at once: a key picture of 2 Mb/s.
const streamBytes = 64 << 10

// Buffers are what sockets and connections are read into, and what sources gather large pictures in. They are taken only while there is something to read or to gather, so one value serves any number of
// receivers and sources, and idle ones hold nothing of it. The zero value is ready.
type Buffers struct {
	datagrams udp.Buffers
	units     pes.Buffers

	mu      sync.Mutex
	streams []*[streamBytes]byte // at most keptStreams
}

// keptStreams is how many are kept while nobody uses them: as many as processors are likely to be reading at a time.
const keptStreams = 8

func (b *Buffers) stream() *[streamBytes]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.streams); n > 0 {
		got := b.streams[n-1]
		b.streams = b.streams[:n-1]
		return got
	}
	return new([streamBytes]byte)
}

func (b *Buffers) putStream(used *[streamBytes]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.streams) < keptStreams {
		b.streams = append(b.streams, used)
	}
}

// gathering returns what demuxers gather units in; nil where nothing is shared.
func (b *Buffers) gathering() *pes.Buffers {
	if b == nil {
		return nil
	}
	return &b.units
}
