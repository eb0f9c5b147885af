package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// workerIdle is how long a parked worker waits for the next wake-up before it ends.
const workerIdle = 2 * time.Second

// dispatcher runs mailboxes on goroutines that are reused. The default dispatcher starts a fresh goroutine at each idle-to-busy
// change of a mailbox, whose small stack then grows at every Receive; reuse makes a request between two actors several times cheaper.
type dispatcher struct {
	handoff chan func() // unbuffered: a send succeeds only when a worker is parked
}

// NewDispatcher returns a dispatcher that reuses its goroutines, shared by all actors of a system. Parked workers end after two idle seconds.
func NewDispatcher() actor.Dispatcher {
	return &dispatcher{handoff: make(chan func())}
}

// Schedule runs fn on a parked worker, or on a new one.
func (d *dispatcher) Schedule(fn func()) {
	select {
	case d.handoff <- fn:
	default:
		go d.work(fn)
	}
}

// Throughput is how many messages a mailbox handles before it yields the processor.
func (*dispatcher) Throughput() int { return 300 }

func (d *dispatcher) work(fn func()) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		fn()
		idle.Reset(workerIdle)
		select {
		case fn = <-d.handoff:
		case <-idle.C:
			return
		}
	}
}
