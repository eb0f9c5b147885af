package stream

import (
	"sync"
	"time"
)

// flushInterval bounds how long the packets of an unfinished picture can stay unseen when their source falls silent. With sources that do not finish their pictures the hub asks its wakers for a
// shorter wait, so that this one costs an idle server little.
const flushInterval = 100 * time.Millisecond

// flushable is a hub's writer.
type flushable interface{ Flush(now time.Time) }

// Flusher pushes out unfinished access units of all streams: one goroutine, which exists only while there are streams with a publisher. The
// zero value is ready for use. Safe for use from any goroutine.
type Flusher struct {
	mu      sync.Mutex
	writers map[flushable]struct{}
	stop    chan struct{} // ends the goroutine; nil when there is none
	closed  bool
	running sync.WaitGroup
}

// add takes a writer in until remove.
func (f *Flusher) add(w flushable) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if f.writers == nil {
		f.writers = map[flushable]struct{}{}
	}
	f.writers[w] = struct{}{}
	if f.stop == nil {
		stop := make(chan struct{})
		f.stop = stop
		f.running.Go(func() { f.run(stop) })
	}
}

func (f *Flusher) remove(w flushable) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.writers, w)
	if len(f.writers) == 0 {
		f.halt()
	}
}

// halt ends the goroutine; f.mu is held.
func (f *Flusher) halt() {
	if f.stop != nil {
		close(f.stop)
		f.stop = nil
	}
}

// Close ends the goroutine and waits for it. It may be called again.
func (f *Flusher) Close() {
	f.mu.Lock()
	f.closed = true
	f.halt()
	f.mu.Unlock()
	f.running.Wait()
}

func (f *Flusher) run(stop <-chan struct{}) {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	var now []flushable
	for {
		select {
		case <-stop:
			return
		case at := <-ticker.C:
			now = f.list(now[:0])
			for _, w := range now {
				w.Flush(at)
			}
			clear(now)
		}
	}
}

func (f *Flusher) list(into []flushable) []flushable {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.writers {
		into = append(into, w)
	}
	return into
}
