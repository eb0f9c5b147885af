package supervisor

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/api"
	"berth/actors/portpool"
	"berth/actors/rtspd"
	"berth/actors/streams"
)

// drainPoll is how often a drain looks for viewers that are left.
const drainPoll = 250 * time.Millisecond

// drain keeps new sessions and leases away until no viewer is left or limit is over, so that a full restart interrupts as few as possible. It returns early when ctx ends. Until resume
// is called, or the engine is replaced, they stay away. Used by the API's goroutines; drains that overlap end with the first resume.
func (p *process) drain(ctx context.Context, limit time.Duration) error {
	ends := time.Now().Add(limit)
	wait := time.NewTicker(drainPoll)
	defer wait.Stop()
	p.log.Info().Dur("limit", limit).Msg("draining before a full restart: no new sessions, no new leases")
	for {
		viewers := p.keepAway(ctx, true)
		left := time.Until(ends)
		p.drained.Store(&api.DrainState{Viewers: viewers, Left: max(0, left)})
		if viewers == 0 || left <= 0 {
			p.log.Info().Int("viewers", viewers).Msg("drained")
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wait.C:
		}
	}
}

// resume lets sessions and leases in again.
func (p *process) resume() {
	p.drained.Store(nil)
	p.keepAway(context.Background(), false)
}

// keepAway tells the engine that runs now to admit nobody, or everybody again, and counts the viewers that it has; none while there is no engine.
func (p *process) keepAway(ctx context.Context, on bool) int {
	e := p.engine.Load()
	if e == nil {
		return 0
	}
	p.runtime.System.Root.Send(e.Pool, &portpool.PauseGranting{Paused: on})
	p.runtime.System.Root.Send(e.RTSP, &rtspd.TurnAway{On: on})
	if !on {
		return 0
	}
	limited, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	return viewersOf(limited, p.runtime.System, e.Streams)
}

func viewersOf(ctx context.Context, system *actor.ActorSystem, registry *actor.PID) int {
	list, err := actors.Ask[*streams.Streams](ctx, system, registry, &streams.ListStreams{})
	if err != nil {
		return 0 // the engine is ending, or does not answer: there is nothing to wait for
	}
	n := 0
	for i := range list.Streams {
		n += list.Streams[i].ReaderCount
	}
	return n
}
