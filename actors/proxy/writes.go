package proxy

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/store"
)

// errStopped answers a RemoveProxy whose end proxies does not live to see.
var errStopped = errors.New("the engine is being rebuilt; whether the proxy was deleted shows when it is back")

// errStoreFailed answers a write that a failing store has not confirmed.
var errStoreFailed = fmt.Errorf("the store failed and is opened anew, try again: %w", actors.ErrGone)

// written tells proxies how a write of a definition went.
type written struct {
	key    string
	delete bool
	err    error
}

// writeActor carries one write to the store, whose answers do not say what they answer. It ends with the answer.
type writeActor struct {
	store   *actor.PID
	request any
	result  written
	told    bool
}

func (w *writeActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		// What is queued in a store that fails is dropped without a word: only its end tells.
		actors.WatchOutliving(ctx, w.store)
		ctx.Request(w.store, w.request)
	case *store.Done:
		w.finish(ctx, m.Err)
	case *actor.Terminated, *actor.DeadLetterResponse:
		w.finish(ctx, errStoreFailed)
	case *actor.Stopping:
		ctx.Unwatch(w.store)
	}
}

func (w *writeActor) finish(ctx actor.Context, err error) {
	if w.told {
		return
	}
	w.told = true
	result := w.result
	result.err = err
	ctx.Send(ctx.Parent(), &result)
	ctx.Stop(ctx.Self())
}

// pump writes what is due for an entry. There is one write at a time for each, so that a deletion cannot be overtaken.
func (a *registry) pump(ctx actor.Context, e *entry) {
	if e.writing || e.deleted {
		return
	}
	w := &writeActor{store: a.opts.Store, result: written{key: e.key}}
	switch {
	case e.doomed && !e.stored:
		e.deleted = true
		a.onDeleted(ctx, e)
		return
	case e.doomed:
		w.request, w.result.delete = &store.DeleteProxy{Key: e.def.Key}, true
	case e.dirty:
		e.dirty = false
		w.request = &store.PutProxy{Proxy: e.def}
	default:
		return
	}
	e.writing = true
	ctx.Spawn(a.opts.Runtime.Props(func() actor.Actor { return w }))
}

func (a *registry) onWritten(ctx actor.Context, m *written) {
	e := a.entries[m.key]
	if e == nil || !e.writing {
		return
	}
	e.writing = false
	switch {
	case m.delete:
		a.onDelete(ctx, e, m.err)
	case m.err == nil:
		e.stored = true
		if e.pid == nil && e.fresh && !e.doomed {
			a.spawn(ctx, e)
		}
	case e.stored:
		a.log.Warn().Str("stream", e.def.Key.Path()).Err(m.err).Msg("the ports of a proxy could not be remembered")
	default:
		a.doom(ctx, e, fmt.Errorf("the definition could not be stored: %w", m.err))
	}
	if a.entries[m.key] == e {
		a.pump(ctx, e)
	}
}

// onDelete takes the outcome of a deletion.
func (a *registry) onDelete(ctx actor.Context, e *entry, err error) {
	if err == nil {
		e.deleted = true
		a.onDeleted(ctx, e)
		return
	}
	a.answerRemovers(ctx, e, err)
	if !e.over {
		// It was an API call's wish, which has been refused: the pull goes on.
		e.doomed, e.outcome = false, nil
		if e.pid == nil {
			a.spawnAfter(ctx, e, a.config.Proxy.RetryDelayMin) // it crashed meanwhile
		}
		return
	}
	// The proxy has given up, so nothing is left to run here; only the disk still knows it.
	a.log.Error().Str("stream", e.def.Key.Path()).Err(err).Msg("the definition of an ended proxy could not be deleted: it will be back after a restart")
	e.deleted = true
	a.onDeleted(ctx, e)
}

// onDeleted ends the proxy of a deleted definition.
func (a *registry) onDeleted(ctx actor.Context, e *entry) {
	switch {
	case e.pid == nil:
		a.settle(ctx, e)
	case e.over:
		ctx.Stop(e.pid)
	default:
		ctx.Send(e.pid, leave{actors.ReasonDeleted})
	}
}
