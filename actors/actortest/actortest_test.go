package actortest_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/netio/ports"
)

func TestMain(m *testing.M) { actortest.Main(m) }

type ping struct{ n int }

type pong struct{ n int }

func echo(ctx actor.Context) {
	if m, ok := ctx.Message().(*ping); ok {
		ctx.Respond(&pong{m.n})
	}
}

func TestProbeAsksAndHears(t *testing.T) {
	rt := actortest.Runtime()
	asked := actortest.SpawnFunc(t, rt, "echo", echo)
	p := actortest.NewProbe(t, rt, "asker")
	p.Watch(asked)
	for n := range 3 {
		p.Request(asked, &ping{n})
		require.Equal(t, n, actortest.Expect[*pong](t, p).n)
	}
	p.ExpectNothing(t)

	require.True(t, actortest.Alive(rt, asked))
	p.Request(asked, &ping{7})
	actortest.Eventually(t, func() bool { return p.Drain(t) == 1 }, "pong")
	actortest.Stop(t, rt, asked)
	actortest.Stop(t, rt, asked) // gone already
	require.True(t, actortest.Await[*actor.Terminated](t, p).Who.Equal(asked))
	require.Zero(t, p.Drain(t))
}

func TestCrashIsHeardByWatchers(t *testing.T) {
	actortest.CheckLeaks(t)
	rt := actortest.Runtime()
	p := actortest.NewProbe(t, rt, "watcher")
	// Only a child is stopped by its parent's rule; the guardian would restart a top-level actor.
	child := make(chan *actor.PID, 1)
	actortest.SpawnFunc(t, rt, "parent", func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			child <- ctx.Spawn(rt.Props(func() actor.Actor { return actor.ReceiveFunc(echo) }))
		}
	})
	pid := <-child
	p.Watch(pid)
	p.ExpectNothing(t)
	rt.System.Root.Send(pid, &actors.Crash{})
	actortest.Expect[*actor.Terminated](t, p)
}

func TestBubblePassesTimeAtOnce(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		began := time.Now()
		p := actortest.NewProbe(t, rt, "late")
		timer := time.AfterFunc(24*time.Second, func() { rt.System.Root.Send(p.PID, &pong{1}) })
		defer timer.Stop()
		actortest.Expect[*pong](t, p)
		require.Equal(t, 24*time.Second, time.Since(began))
	})
}

func TestNeedPeerFindsWhatIsThere(t *testing.T) {
	actortest.NeedPeer(t, "go")
	t.Setenv(actortest.InteropVariable, "")
	t.Run("absent", func(t *testing.T) {
		actortest.NeedPeer(t, "no-such-program-of-berth")
		t.Error("not skipped")
	})
}

func TestRangesOfTestsDoNotMeet(t *testing.T) {
	var taken []ports.Range
	for _, pairs := range []int{1, 18, 60, 10} {
		r := actortest.FreeRange(t, pairs)
		require.Equal(t, pairs, r.Pairs())
		for _, other := range taken {
			require.True(t, r.High < other.Low || other.High < r.Low, "%s and %s", r, other)
		}
		taken = append(taken, r)
	}
	for range 20 {
		t.Run("one that ends gives its range back", func(t *testing.T) { actortest.FreeRange(t, 500) })
	}
}
