//go:build !linux

package streams

import "berth/media/slab"

// newMemory returns none: the streams of such systems keep their media on the heap.
func newMemory() *slab.Pool { return nil }
