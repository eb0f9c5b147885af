package fanout

import "time"

// Options sets up a [Pool]. The zero value is a good default.
type Options struct {
	// Workers is the number of goroutines that write. Default GOMAXPROCS.
	Workers int
	// MergeWait is how long packets that are not urgent (audio between two pictures) may wait to leave in the write of the next picture. Default 20 ms; negative sends at once.
	MergeWait time.Duration
}

// Pool writes to viewers. See the package comment.
type Pool struct{ opts Options }

// New starts a pool's workers.
func New(opts Options) *Pool { return &Pool{opts: opts} }

// Close ends all sinks that are still open, without OnError, waits for every goroutine and returns. It may be called again.
func (p *Pool) Close() {}
