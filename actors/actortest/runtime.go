package actortest

import (
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"berth/actors"
)

// Wait bounds every wait of this package. It only bounds the time until a broken test says so, and is therefore far above what a slow machine needs.
const Wait = 30 * time.Second

// poll is how often a condition is looked at.
const poll = 2 * time.Millisecond

// shared is the one actor system of a test process: each costs megabytes.
var shared = sync.OnceValue(func() *actors.Runtime { return actors.NewRuntime(Log()) })

// Log returns the logger for tests: everything on stderr with `go test -v`, nothing otherwise.
func Log() zerolog.Logger {
	if !testing.Verbose() {
		return zerolog.Nop()
	}
	return zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, NoColor: true, TimeFormat: "15:04:05.000"}).
		Level(zerolog.DebugLevel).With().Timestamp().Logger()
}

// Runtime returns the actor system of the test binary, which all its tests share. It must not be used inside a synctest bubble; see [Bubble].
func Runtime() *actors.Runtime { return shared() }

// Bubble runs f in a synctest bubble with an actor system of its own, so that timers of any length pass at once. Actors that f spawned must have been
// stopped when it returns (those made by this package stop by themselves).
func Bubble(t *testing.T, f func(t *testing.T, rt *actors.Runtime)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		// Runs after every other clean-up: virtual time in which parked workers and the library's dead letter throttle end.
		t.Cleanup(func() { <-time.After(10 * time.Second) })
		f(t, actors.NewRuntime(Log()))
	})
}

// Spawn starts an actor that the test stops at its end, and waits until it has stopped.
func Spawn(t testing.TB, rt *actors.Runtime, props *actor.Props, name string) *actor.PID {
	t.Helper()
	pid, err := rt.System.Root.SpawnNamed(props, name+rt.System.ProcessRegistry.NextId())
	require.NoError(t, err)
	t.Cleanup(func() { Stop(t, rt, pid) })
	return pid
}

// SpawnFunc starts an actor that hands every message, the library's included, to receive. The test stops it at its end.
func SpawnFunc(t testing.TB, rt *actors.Runtime, name string, receive func(ctx actor.Context)) *actor.PID {
	t.Helper()
	return Spawn(t, rt, rt.Props(func() actor.Actor { return actor.ReceiveFunc(receive) }), name)
}

// Stop stops an actor and returns when it and its children have stopped. Stopping one that is gone is no error.
func Stop(t testing.TB, rt *actors.Runtime, pid *actor.PID) {
	t.Helper()
	limit := time.Now().Add(Wait)
	for {
		// A future's wait is fixed at ten seconds; on an actor that is already stopping it returns at once.
		err := rt.System.Root.StopFuture(pid).Wait()
		if err == nil && !Alive(rt, pid) {
			return
		}
		if time.Now().After(limit) {
			t.Errorf("actor %s has not stopped after %s", pid.Id, Wait)
			return
		}
		<-time.After(poll)
	}
}

// Alive reports whether an actor is registered, that is, has not stopped.
func Alive(rt *actors.Runtime, pid *actor.PID) bool {
	_, ok := rt.System.ProcessRegistry.Get(pid)
	return ok
}

// Eventually waits until cond is true, and fails the test with what when it does not become so.
func Eventually(t testing.TB, cond func() bool, what string, args ...any) {
	t.Helper()
	limit := time.Now().Add(Wait)
	for !cond() {
		if time.Now().After(limit) {
			t.Fatalf("has not happened after %s: "+what, append([]any{Wait}, args...)...)
		}
		<-time.After(poll)
	}
}
