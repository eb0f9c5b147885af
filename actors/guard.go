package actors

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
)

// Crash makes the actor that receives it panic. It exists for fault tests and for nothing else: no production code sends it.
type Crash struct{}

// Runtime is what every actor of one system shares. Made once by [NewRuntime].
type Runtime struct {
	System *actor.ActorSystem
	Log    zerolog.Logger
	Stats  *Stats

	dispatcher actor.Dispatcher
}

// Stats counts what goes wrong in the actor system. Read at any time.
type Stats struct {
	DeadLetters atomic.Uint64 // messages to actors that are gone
	Panics      atomic.Uint64 // panics in Receive, all actors
}

// Props wraps a producer for spawning: the reuse dispatcher, and the guard, which logs a panic with its stack before supervision sees it, and keeps a panic in
// Stopping, Stopped or Restarting from leaving a zombie behind. Children are stopped when they panic, never restarted in place; whoever wants another one spawns it
// (opts may set another strategy).
func (r *Runtime) Props(producer func() actor.Actor, opts ...actor.PropsOption) *actor.Props {
	all := append([]actor.PropsOption{
		actor.WithDispatcher(r.dispatcher),
		actor.WithSupervisor(stopOnPanic()),
	}, opts...)
	return actor.PropsFromProducer(func() actor.Actor { return &guarded{inner: producer(), runtime: r} }, all...)
}

// stopOnPanic is the supervision of all children that do not say otherwise: stop the failing child, and tell its parent and watchers by Terminated.
func stopOnPanic() actor.SupervisorStrategy {
	return actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })
}

// guarded is an actor behind the guard. The guard wraps the actor and is no receiver middleware, since the library makes an envelope of every message that passes through one.
type guarded struct {
	inner   actor.Actor
	runtime *Runtime
}

// Receive hands the message on.
func (g *guarded) Receive(ctx actor.Context) {
	defer g.recovered(ctx)
	if _, ok := ctx.Message().(*Crash); ok {
		panic("crash requested by a fault test")
	}
	g.inner.Receive(ctx)
}

// recovered is deferred: it looks at a panic of Receive, and lets supervision see it when the actor is not ending anyway.
func (g *guarded) recovered(ctx actor.Context) {
	cause := recover()
	if cause == nil {
		return
	}
	g.runtime.Stats.Panics.Add(1)
	g.runtime.Log.Error().Str("actor", ctx.Self().Id).Str("msg_type", fmt.Sprintf("%T", ctx.Message())).
		Str("panic", fmt.Sprint(cause)).Bytes("stack", debug.Stack()).Msg("actor panicked")
	switch ctx.Message().(type) {
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
		// Supervision of an actor that is already ending would revive it or leave it stuck.
	default:
		panic(cause)
	}
}
