package gb28181

import (
	"sync"

	"berth/netio/udp"
)

// streamBytes is how much is read from a connection at once: a key picture of 2 Mb/s.
const streamBytes = 64 << 10

// Buffers are what sockets and connections are read into. They are taken only while there is something to read, so one value serves any number of receivers, and idle ones hold nothing. The zero value is
// ready.
type Buffers struct {
	datagrams udp.Buffers

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
