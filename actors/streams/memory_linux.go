package streams

import (
	"golang.org/x/sys/unix"

	"berth/media/slab"
)

// NewMemory makes the memory in which streams without viewers keep their media. Each registry has its own.
func NewMemory() *slab.Pool {
	return slab.New(slab.Options{
		Map: func(bytes int) ([]byte, error) {
			return unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		},
		Discard: func(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) },
		Unmap:   func(b []byte) { _ = unix.Munmap(b) },
	})
}
