package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// ErrGone means that the actor which was asked does not exist (any more), as during a full restart.
var ErrGone = errors.New("the asked part of the server is not running now")

// askPatience bounds the wait of an [Ask] whose context has no deadline.
const askPatience = time.Minute

// Ask sends a request from outside the actor tree (an HTTP handler, a command, a test) and waits for its answer of type T.
// It must not be called from Receive, and no message that grants a lease may be asked for this way: an answer that comes too late would be lost.
// The wait ends with ctx, by deadline or cancellation; without a deadline it ends after a minute.
func Ask[T any](ctx context.Context, system *actor.ActorSystem, to *actor.PID, msg any) (T, error) {
	var zero T
	if to == nil {
		return zero, ErrGone
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askPatience)
		defer cancel()
	}
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	box := &inbox{first: make(chan any, 1)}
	self, ok := system.ProcessRegistry.Add(box, "ask"+system.ProcessRegistry.NextId())
	if !ok {
		return zero, fmt.Errorf("%T to %s: the asker's name %s is taken", msg, to.Id, self.Id)
	}
	defer system.ProcessRegistry.Remove(self)
	system.Root.RequestWithCustomSender(to, msg, self)
	switch v := box.wait(ctx).(type) {
	case T:
		return v, nil
	case nil:
		return zero, fmt.Errorf("%T to %s: %w", msg, to.Id, ctx.Err())
	case *actor.DeadLetterResponse:
		return zero, ErrGone
	default:
		return zero, fmt.Errorf("%T to %s: unexpected answer %T", msg, to.Id, v)
	}
}

// inbox receives the answer to one [Ask]. The library's future would do, but cannot be cancelled, and an answer that arrives as it times
// out is a data race in it.
type inbox struct {
	first chan any // capacity 1: the first answer counts, later ones are dropped
}

var _ actor.Process = (*inbox)(nil)

// wait returns the answer, or nil when ctx ends before there is one.
func (b *inbox) wait(ctx context.Context) any {
	select {
	case answer := <-b.first:
		return answer
	case <-ctx.Done():
	}
	select {
	case answer := <-b.first: // it came at the last moment: it counts
		return answer
	default:
		return nil
	}
}

func (b *inbox) SendUserMessage(_ *actor.PID, message any) {
	select {
	case b.first <- actor.UnwrapEnvelopeMessage(message):
	default:
	}
}

func (*inbox) SendSystemMessage(*actor.PID, any) {}

func (*inbox) Stop(*actor.PID) {}
