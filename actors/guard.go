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
		actor.WithReceiverMiddleware(r.guard),
		actor.WithSupervisor(stopOnPanic()),
	}, opts...)
	return actor.PropsFromProducer(producer, all...)
}

// stopOnPanic is the supervision of all children that do not say otherwise: stop the failing child, and tell its parent and watchers by Terminated.
func stopOnPanic() actor.SupervisorStrategy {
	return actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })
}

func (r *Runtime) guard(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(ctx actor.ReceiverContext, env *actor.MessageEnvelope) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			r.Stats.Panics.Add(1)
			r.Log.Error().Str("actor", ctx.Self().Id).Str("msg_type", fmt.Sprintf("%T", env.Message)).
				Str("panic", fmt.Sprint(cause)).Bytes("stack", debug.Stack()).Msg("actor panicked")
			switch env.Message.(type) {
			case *actor.Stopping, *actor.Stopped, *actor.Restarting:
				// Supervision of an actor that is already ending would revive it or leave it stuck.
			default:
				panic(cause)
			}
		}()
		if _, ok := env.Message.(*Crash); ok {
			panic("crash requested by a fault test")
		}
		next(ctx, env)
	}
}
