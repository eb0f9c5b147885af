package portpool

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// tick tells the pool that something may be due.
type tick struct{}

// tickMin is the shortest wait for a tick: what comes due in the meantime is done together.
const tickMin = 5 * time.Millisecond

// ticker posts a tick when the earliest thing is due. It is one timer, set when there is something to wait for and not running otherwise. A tick too
// many does no harm.
type ticker struct {
	timer *time.Timer
	at    time.Time // when it fires; zero when it is not set
}

func newTicker(ctx actor.Context) ticker {
	root, self := ctx.ActorSystem().Root, ctx.Self()
	timer := time.AfterFunc(time.Hour, func() { root.Send(self, &tick{}) })
	timer.Stop()
	return ticker{timer: timer}
}

// schedule sees to it that a tick comes when next says, or earlier.
func (t *ticker) schedule(now time.Time, next func(time.Time) (time.Duration, bool)) {
	wait, ok := next(now)
	if !ok {
		return
	}
	wait = max(wait, tickMin)
	if at := now.Add(wait); t.at.IsZero() || at.Before(t.at) {
		t.at = at
		t.timer.Reset(wait)
	}
}

// fired notes that the tick has come.
func (t *ticker) fired() { t.at = time.Time{} }

func (t *ticker) stop() { t.timer.Stop() }
