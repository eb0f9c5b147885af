package actors_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
)

func TestMain(m *testing.M) { actortest.Main(m) }

// buffer is a log destination that several goroutines may write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

type (
	question struct{}
	answer   struct{ n int }
	other    struct{}
)

func TestAsk(t *testing.T) {
	rt := actortest.Runtime()
	pid := actortest.SpawnFunc(t, rt, "asked", func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *question:
			ctx.Respond(&answer{n: 7})
		case *other:
			ctx.Respond("not what was asked for")
		}
	})
	got, err := actors.Ask[*answer](t.Context(), rt.System, pid, &question{})
	require.NoError(t, err)
	require.Equal(t, 7, got.n)

	_, err = actors.Ask[*answer](t.Context(), rt.System, pid, &other{})
	require.ErrorContains(t, err, "unexpected answer string")

	_, err = actors.Ask[*answer](t.Context(), rt.System, nil, &question{})
	require.ErrorIs(t, err, actors.ErrGone)

	over, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err = actors.Ask[*answer](over, rt.System, pid, &question{})
	require.ErrorIs(t, err, context.DeadlineExceeded)

	actortest.Stop(t, rt, pid)
	_, err = actors.Ask[*answer](t.Context(), rt.System, pid, &question{})
	require.ErrorIs(t, err, actors.ErrGone)
}

func TestAPanicIsLoggedOnceAndStopsTheActor(t *testing.T) {
	var log buffer
	rt := actors.NewRuntime(zerolog.New(&log))
	watcher := actortest.NewProbe(t, rt, "watcher")
	pid := actortest.SpawnFunc(t, rt, "parent", func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			child := ctx.Spawn(rt.Props(func() actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) }))
			watcher.Watch(child)
			ctx.Send(child, &actors.Crash{})
		}
	})
	require.NotNil(t, actortest.Expect[*actor.Terminated](t, watcher).Who)
	require.EqualValues(t, 1, rt.Stats.Panics.Load())
	require.Contains(t, log.String(), "crash requested by a fault test")
	require.Contains(t, log.String(), "guard.go", "the stack must be in the log")
	require.NotContains(t, log.String(), "Recovering")
	require.True(t, actortest.Alive(rt, pid), "a child's panic must not reach its parent")
}

// A panic while an actor ends must not leave a zombie: its parent would wait for ever.
func TestAPanicWhileStoppingStillEndsTheActor(t *testing.T) {
	for name, when := range map[string]func(any) bool{
		"stopping": func(m any) bool { _, ok := m.(*actor.Stopping); return ok },
		"stopped":  func(m any) bool { _, ok := m.(*actor.Stopped); return ok },
	} {
		t.Run(name, func(t *testing.T) {
			rt := actortest.Runtime()
			watcher := actortest.NewProbe(t, rt, "watcher")
			pid := actortest.SpawnFunc(t, rt, "clumsy", func(ctx actor.Context) {
				if when(ctx.Message()) {
					panic(errors.New("cannot even end"))
				}
			})
			watcher.Watch(pid)
			rt.System.Root.Stop(pid)
			actortest.Expect[*actor.Terminated](t, watcher)
		})
	}
}

func TestDeadLettersAreCountedAndNotLogged(t *testing.T) {
	var log buffer
	rt := actors.NewRuntime(zerolog.New(&log))
	rt.System.Root.Send(actor.NewPID(rt.System.Address(), "nobody"), &question{})
	require.EqualValues(t, 1, rt.Stats.DeadLetters.Load())
	require.NotContains(t, log.String(), "DeadLetter")
}

func TestTheLogBridgeNamesMessagesByType(t *testing.T) {
	var log buffer
	rt := actors.NewRuntime(zerolog.New(&log))
	rt.System.Logger().Error("something", "message", &answer{n: 424242}, "self", actor.NewPID("here", "me"))
	require.Contains(t, log.String(), "*actors_test.answer")
	require.Contains(t, log.String(), `"self":"me"`)
	require.NotContains(t, log.String(), "424242")
}

func TestTheDispatcherRunsEverythingAndLosesItsWorkers(t *testing.T) {
	d := actors.NewDispatcher()
	var done sync.WaitGroup
	for range 1000 {
		done.Add(1)
		d.Schedule(done.Done)
	}
	done.Wait()
	require.Positive(t, d.Throughput())
}
