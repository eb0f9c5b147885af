package fanout

import (
	"runtime"
	"sync"

	"berth/media/hub"
)

// Options sets up a [Pool]. The zero value is a good default.
type Options struct {
	// Workers is the number of goroutines that write. Default GOMAXPROCS.
	Workers int
	// UDPBurst is how many bytes a UDP viewer is sent at once; more (a large key frame, the start at the last key frame) is spread over time so that it does not overrun the viewer's socket buffer, which
	// holds some 120 KB on a common system. Default 64 KiB, at least 8 KiB.
	UDPBurst int
	// UDPRate is how many bytes a second a UDP viewer is sent when more than UDPBurst is due, at least; three times the stream's own rate if that is more. Default 8 MiB/s.
	UDPRate int
	// DisableGSO sends UDP packets one by one even where the kernel could segment them (Linux UDP_SEGMENT).
	DisableGSO bool
}

// Pool writes to viewers. See the package comment.
type Pool struct {
	opts    Options
	workers []*worker
	pumps   sync.WaitGroup // workers and goroutines of parked sinks
	scratch sync.Pool      // *[]byte, for chunks that are sent with other channel numbers
	batches sync.Pool      // *batch, for UDP viewers who had to wait

	mu     sync.Mutex // guards what follows; taken before a hub's lock, never inside one
	closed bool
	turn   int // where the next shard is looked for first
	groups map[*hub.Hub]*group
	sinks  map[closer]struct{}
}

type closer interface{ Close() }

// New starts a pool's workers.
func New(opts Options) *Pool {
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	if opts.UDPBurst <= 0 {
		opts.UDPBurst = 64 << 10
	}
	opts.UDPBurst = max(opts.UDPBurst, 8<<10)
	if opts.UDPRate <= 0 {
		opts.UDPRate = 8 << 20
	}
	p := &Pool{opts: opts, groups: map[*hub.Hub]*group{}, sinks: map[closer]struct{}{}}
	p.scratch.New = func() any { b := make([]byte, 0, 64<<10); return &b }
	p.batches.New = func() any { return newBatch() }
	for range opts.Workers {
		w := &worker{due: make(chan struct{}, 1), stop: make(chan struct{})}
		p.workers = append(p.workers, w)
		p.pumps.Go(w.run)
	}
	return p
}

// Close ends all sinks that are still open, without OnError, waits for every goroutine and returns. It may be called again.
func (p *Pool) Close() {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	var open []closer
	for s := range p.sinks {
		open = append(open, s)
	}
	p.mu.Unlock()
	for _, s := range open {
		s.Close()
	}
	if first {
		for _, w := range p.workers {
			close(w.stop)
		}
	}
	p.pumps.Wait()
}

// adopt registers a sink so that Close ends it; false after Close.
func (p *Pool) adopt(s closer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.sinks[s] = struct{}{}
	return true
}

func (p *Pool) forget(s closer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sinks, s)
}

// worker serves the shards that have something due, in order.
type worker struct {
	due  chan struct{} // one token: queue is not empty
	stop chan struct{}
	plan plan // owned by the worker's goroutine, for the shard that it serves

	mu    sync.Mutex
	queue []*shard
	spare []*shard // the slice that queue was before
}

// enqueue asks for a shard to be served. A shard stands in the queue once, so the queue is bounded by the number of streams.
func (w *worker) enqueue(s *shard) {
	w.mu.Lock()
	queued := s.queued
	if !queued {
		s.queued = true
		w.queue = append(w.queue, s)
	}
	w.mu.Unlock()
	if queued {
		return
	}
	select {
	case w.due <- struct{}{}:
	default:
	}
}

func (w *worker) run() {
	for {
		select {
		case <-w.stop:
			return
		case <-w.due:
		}
		w.mu.Lock()
		batch := w.queue
		w.queue, w.spare = w.spare[:0], nil
		w.mu.Unlock()
		for i, s := range batch {
			batch[i] = nil
			// Unmarked before it is served: what is published from here on queues it again.
			w.mu.Lock()
			s.queued = false
			w.mu.Unlock()
			s.serve()
		}
		w.mu.Lock()
		w.spare = batch[:0]
		w.mu.Unlock()
	}
}
