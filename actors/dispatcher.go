package actors

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// retireEvery is the pause between two rounds that send half of the parked workers home.
const retireEvery = 2 * time.Second

// dispatcher runs mailboxes on goroutines that are reused. The default dispatcher starts a fresh goroutine at each idle-to-busy
// change of a mailbox, whose small stack then grows at every Receive; reuse makes a request between two actors several times cheaper.
// A parked worker waits on a plain channel receive: a timer of its own would cost more than the message that wakes it.
type dispatcher struct {
	handoff  chan func() // unbuffered: a send succeeds only when a worker is parked; nil sends one home
	parked   atomic.Int64
	retiring atomic.Bool // a round is due
}

// NewDispatcher returns a dispatcher that reuses its goroutines, shared by all actors of a system. Workers that are not needed any more end within
// seconds: half of those that are parked, every two seconds.
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
	for fn != nil {
		fn()
		d.parked.Add(1)
		d.arm()
		fn = <-d.handoff
		d.parked.Add(-1)
	}
}

// arm makes sure that a round is due while workers are parked.
func (d *dispatcher) arm() {
	if !d.retiring.Load() && d.retiring.CompareAndSwap(false, true) {
		time.AfterFunc(retireEvery, d.retire)
	}
}

// retire sends half of the parked workers home, the last one too.
func (d *dispatcher) retire() {
	for range (d.parked.Load() + 1) / 2 {
		select {
		case d.handoff <- nil:
		default: // busy after all
		}
	}
	d.retiring.Store(false)
	if d.parked.Load() > 0 {
		d.arm()
	}
}
