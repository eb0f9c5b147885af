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

// Ask sends a request from outside the actor tree (an HTTP handler, a command, a test) and waits for its answer of type T.
// It must not be called from Receive, and no message that grants a lease may be asked for this way: an answer that comes too late would be lost.
// The wait ends with ctx; without a deadline it ends after a minute.
func Ask[T any](ctx context.Context, system *actor.ActorSystem, to *actor.PID, msg any) (T, error) {
	var zero T
	if to == nil {
		return zero, ErrGone
	}
	wait := time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline)
	}
	if wait <= 0 {
		return zero, context.DeadlineExceeded
	}
	// The future may hold both a value and a timeout: the value counts.
	answer, err := system.Root.RequestFuture(to, msg, wait).Result()
	switch v := answer.(type) {
	case T:
		return v, nil
	case nil:
		if errors.Is(err, actor.ErrDeadLetter) {
			return zero, ErrGone
		}
		return zero, fmt.Errorf("%T to %s: %w", msg, to.Id, err)
	default:
		return zero, fmt.Errorf("%T to %s: unexpected answer %T", msg, to.Id, answer)
	}
}
