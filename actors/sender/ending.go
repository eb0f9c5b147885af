package sender

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/portpool"
	"berth/actors/stream"
	"berth/netio/gb28181"
)

// stopGrace is how long the stop of a sender waits for its goroutines.
const stopGrace = time.Second

// fail ends an attempt that has not come to send.
func (a *senderActor) fail(ctx actor.Context, err error) {
	switch {
	case a.restored && a.opts.Now().Before(a.deadline):
		a.close(ctx, thenTryAgain, err)
	case a.restored:
		a.close(ctx, thenTellHook, err)
	default:
		a.close(ctx, thenTellOver, err)
	}
}

// onEnded reacts to the sender's own end.
func (a *senderActor) onEnded(ctx actor.Context, m *ended) {
	switch {
	case m.attempt != a.attempt || a.phase != phaseSending:
	case errors.Is(m.err, gb28181.ErrSourceEnded):
		// The stream tells why in a moment.
	default:
		a.close(ctx, thenTellHook, m.err)
	}
}

// onStreamEnded reacts to the end of the stream.
func (a *senderActor) onStreamEnded(ctx actor.Context, reason actors.CloseReason) {
	if a.stream == nil || a.phase == phaseClosing || a.phase == phaseOver {
		return
	}
	switch reason {
	case actors.ReasonCrashed, actors.ReasonRestart, actors.ReasonShutdown:
		// It will be back; so will the sender, in this engine or the next.
		if !a.restored || a.phase == phaseSending {
			a.restored = true
			a.deadline = a.opts.Now().Add(a.opts.RestoreFor)
		}
		a.close(ctx, thenTryAgain, nil)
	default:
		a.close(ctx, thenTellOver, nil)
	}
}

// onNobody reacts to a request that nobody is there to answer.
func (a *senderActor) onNobody(ctx actor.Context) {
	switch a.phase {
	case phaseFinding, phaseLeasing, phaseJoining:
		a.fail(ctx, ErrInterrupted)
	case phaseClosing:
		a.onReleased(ctx) // the pool is gone, and everything of it with it
	}
}

// close ends what the present attempt has, and then does what is to be done. A later call changes only that, and only for less.
func (a *senderActor) close(ctx actor.Context, after afterClosing, err error) {
	if a.phase == phaseOver {
		return
	}
	if a.phase == phaseClosing {
		if after == thenTellOver {
			a.after = after
		}
		return
	}
	pausing := a.phase == phasePausing
	a.phase, a.after, a.err = phaseClosing, after, err
	a.letGo(ctx)
	if pausing {
		a.closed(ctx)
		return
	}
	a.giveBack(ctx)
}

// letGo ends everything but the lease.
func (a *senderActor) letGo(ctx actor.Context) {
	if a.timer != nil {
		a.timer.Stop()
	}
	a.stopSearch()
	if a.sender != nil {
		a.sender.Close()
		s := a.sender.Stats()
		a.log.Info().AnErr("why", a.err).Uint64("packets", s.Packets).Uint64("dropped", s.Dropped).Uint64("jumps", s.Jumps).Msg("sender ended")
		a.sender = nil
	}
	if a.form != nil {
		a.form.Release()
		a.form = nil
	}
	if a.received != nil {
		ctx.Stop(a.received)
		a.received, a.source = nil, nil
	}
	if a.stream != nil {
		ctx.Unwatch(a.stream)
		ctx.Send(a.stream, &stream.RemoveReader{Reader: a.self})
		a.stream = nil
	}
	a.path = nil
	a.sockets.closeOwn()
}

// giveBack gives the lease back, and waits for one that was asked for.
func (a *senderActor) giveBack(ctx actor.Context) {
	switch {
	case a.leasing:
		return // it comes, and is given back then
	case a.sockets.lease != nil:
		ctx.Request(a.opts.Pool, &portpool.ReleaseLease{Owner: a.self, ID: leaseID, Epoch: a.sockets.lease.Epoch})
		return
	}
	a.closed(ctx)
}

func (a *senderActor) onReleased(ctx actor.Context) {
	a.sockets = sockets{}
	if a.phase == phaseClosing {
		a.closed(ctx)
	}
}

// closed goes on when everything has been given back.
func (a *senderActor) closed(ctx actor.Context) {
	a.sockets, a.leasing = sockets{}, false
	if a.after == thenTryAgain {
		a.phase = phasePausing
		a.log.Info().Err(a.err).Dur("retry_in", a.opts.RetryEvery).Msg("the sender will be tried again")
		v := *a.picture.Load()
		v.sender = nil
		a.picture.Store(&v)
		root, self, again := a.root, a.self, &retry{a.attempt}
		a.timer = time.AfterFunc(a.opts.RetryEvery, func() { root.Send(self, again) })
		return
	}
	a.phase = phaseOver
	if a.after == thenTellHook {
		a.notify(ctx, a.err)
	}
	ctx.Send(a.parent, &over{number: a.number, epoch: a.epoch, port: a.port, err: a.err})
}

// release ends everything that the sender has, when it stops or has panicked. The pool takes the lease back as soon as this actor is gone, and by then nobody may use its sockets.
func (a *senderActor) release(ctx actor.Context) {
	if a.released {
		return
	}
	a.released = true
	if a.timer != nil {
		a.timer.Stop()
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		a.stopSearch()
		if a.sender != nil {
			a.sender.Close()
		}
		if a.form != nil {
			a.form.Release()
		}
	}()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-gone:
	case <-grace.C:
		a.log.Warn().Dur("after", stopGrace).Msg("the sender's goroutines could not be ended in time and are left to themselves")
	}
	if a.stream != nil {
		ctx.Unwatch(a.stream)
	}
	a.sockets.closeOwn()
}
