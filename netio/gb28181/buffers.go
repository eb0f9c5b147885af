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
	streams   sync.Pool // *[streamBytes]byte
}

func (b *Buffers) stream() *[streamBytes]byte {
	if got, ok := b.streams.Get().(*[streamBytes]byte); ok {
		return got
	}
	return new([streamBytes]byte)
}
