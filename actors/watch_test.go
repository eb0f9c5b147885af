package actors_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
)

// brief watches another actor until it is asked to stop.
type brief struct {
	who   *actor.PID
	ended chan<- *actor.Terminated
	_     [1 << 16]byte
}

func (b *brief) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		actors.WatchOutliving(ctx, b.who)
	case *actor.Terminated:
		b.ended <- m
	case *actor.Stopping:
		ctx.Unwatch(b.who)
	}
}

func TestWatchOutlivingTellsTheEnd(t *testing.T) {
	rt := actortest.Runtime()
	watched := actortest.SpawnFunc(t, rt, "watched", func(actor.Context) {})
	ended := make(chan *actor.Terminated, 2)
	actortest.Spawn(t, rt, rt.Props(func() actor.Actor { return &brief{who: watched, ended: ended} }), "brief")
	actortest.Stop(t, rt, watched)
	require.Equal(t, watched.Id, (<-ended).Who.Id)
	actortest.Spawn(t, rt, rt.Props(func() actor.Actor { return &brief{who: watched, ended: ended} }), "late")
	require.Equal(t, actor.TerminatedReason_NotFound, (<-ended).Why)
}

func TestWatchOutlivingKeepsNothingOfTheWatcher(t *testing.T) {
	rt := actortest.Runtime()
	watched := actortest.SpawnFunc(t, rt, "watched", func(actor.Context) {})
	var watchers []weak.Pointer[brief]
	for range 5 {
		actortest.Stop(t, rt, rt.System.Root.Spawn(rt.Props(func() actor.Actor {
			b := &brief{who: watched}
			watchers = append(watchers, weak.Make(b))
			return b
		})))
	}
	actortest.Eventually(t, func() bool {
		runtime.GC()
		for _, w := range watchers {
			if w.Value() != nil {
				return false
			}
		}
		return true
	}, "the watchers are forgotten")
}
