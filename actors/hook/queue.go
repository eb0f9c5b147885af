package hook

import (
	"container/list"
	"context"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// task is one hook on its way, from its message to its last try. Owned by the actor.
type task struct {
	name  string
	url   string
	body  map[string]any // the actor's; a try sends a copy
	tries int

	asker    *actor.PID // nil for a notification
	id       uint64     // of the question
	deadline *time.Timer
	cancel   context.CancelFunc // of the try under way; nil otherwise
	pause    *time.Timer        // before the next try; nil otherwise
	place    *list.Element      // in its lane
	over     bool               // answered; what still comes is ignored
}

// lane is a bounded queue with a bounded number of tries under way. A task between two tries counts as queued and keeps no place among those under way.
type lane struct {
	width   int        // tries under way at most
	room    int        // tasks at most, whatever their stage
	all     *list.List // every task, oldest first
	waiting []*task    // those that may be tried now, in order; may hold some that are over
	running int
}

func newLane(width, room int) *lane {
	return &lane{width: width, room: room, all: list.New()}
}

func (l *lane) full() bool { return l.all.Len() >= l.room }

func (l *lane) push(t *task) {
	t.place = l.all.PushBack(t)
	l.ready(t)
}

// ready puts a task in line for a try.
func (l *lane) ready(t *task) {
	if len(l.waiting) >= 2*l.room {
		l.waiting = slices.DeleteFunc(l.waiting, func(t *task) bool { return t.over })
	}
	l.waiting = append(l.waiting, t)
}

// next takes the longest waiting task when there is a place for it.
func (l *lane) next() *task {
	for l.running < l.width && len(l.waiting) > 0 {
		t := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		if !t.over {
			l.running++
			return t
		}
	}
	return nil
}

// oldest returns the oldest task that is not under way; nil when all are.
func (l *lane) oldest() *task {
	for e := l.all.Front(); e != nil; e = e.Next() {
		if t := e.Value.(*task); t.cancel == nil {
			return t
		}
	}
	return nil
}

// finish ends a task at any stage.
func (l *lane) finish(t *task) {
	t.over = true
	l.all.Remove(t.place)
	for _, timer := range []*time.Timer{t.deadline, t.pause} {
		if timer != nil {
			timer.Stop()
		}
	}
	if t.cancel != nil {
		t.cancel()
	}
}
