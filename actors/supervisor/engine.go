package supervisor

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/api"
	"berth/actors/hook"
	"berth/actors/portpool"
	"berth/actors/proxy"
	"berth/actors/receiver"
	"berth/actors/reload"
	"berth/actors/rtspd"
	"berth/actors/sender"
	"berth/actors/streams"
	"berth/netio/fanout"
)

// stopPatience is how long one child may take to end before the teardown goes on without it. What it still leases is closed by the pool.
const stopPatience = 5 * time.Second

// Messages between supervisor and engine.
type (
	// engineUp tells the supervisor that every child has answered once.
	engineUp struct {
		engine *api.Engine
		failed int // definitions that could not be started
	}
	// engineBroken tells the supervisor that a child ended by itself: the generation is over.
	engineBroken struct {
		generation uint64
		child      string
	}
	// stopEngine ends the generation in order; the engine stops itself at the end.
	stopEngine struct{ reason actors.CloseReason }
	// registerAgain makes the engine register its children with a reload actor that was made anew.
	registerAgain struct{}
	// childOverdue is posted when a child did not end in time.
	childOverdue struct{ child *actor.PID }
)

// engineActor is the parent of one generation.
type engineActor struct {
	parts parts
	log   zerolog.Logger

	engine  *api.Engine
	fanout  *fanout.Pool
	names   map[string]string   // PID id -> name
	silent  map[string]struct{} // names that have not answered the first question yet
	ending  []*actor.PID        // children that still have to end, in order; nil while running
	broken  bool
	failed  int // restored receivers that have no sockets
	overdue *time.Timer
}

func (a *engineActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted(ctx)
	case *portpool.Pool:
		a.onAnswer(ctx, reload.PoolOwner)
	case *hook.Stats:
		a.onAnswer(ctx, "hook")
	case *streams.Streams:
		a.onAnswer(ctx, "streams")
	case *proxy.Proxies:
		a.onAnswer(ctx, "proxies")
	case *receiver.Restored:
		a.failed = m.Failed
		a.onAnswer(ctx, "receivers")
	case *sender.Senders:
		a.onAnswer(ctx, "senders")
	case *rtspd.Sessions:
		a.onAnswer(ctx, "rtspd")
	case *actor.Terminated:
		a.onTerminated(ctx, m.Who)
	case *portpool.Alarm:
		a.onPoolAlarm(ctx, m)
	case *stopEngine:
		a.onStop(ctx, m.reason)
	case *registerAgain:
		for id, name := range a.names {
			ctx.Send(a.parts.reload, &reload.Register{Name: name, PID: actor.NewPID(ctx.Self().Address, id)})
		}
	case *childOverdue:
		a.onOverdue(ctx, m.child)
	case *actor.Stopped:
		a.release()
	}
}

func (a *engineActor) onStarted(ctx actor.Context) {
	a.names, a.silent = map[string]string{}, map[string]struct{}{}
	a.fanout = a.parts.newFanout()
	e := &api.Engine{Generation: a.parts.generation, Started: time.Now()}
	a.engine = e
	spawn := func(name string, props *actor.Props, question any) *actor.PID {
		pid := mustSpawn(ctx, name, props)
		a.names[pid.Id] = name
		a.silent[name] = struct{}{}
		ctx.Send(a.parts.reload, &reload.Register{Name: name, PID: pid})
		if breaking := a.parts.process.opts.faults.breaking; breaking != nil && breaking(e.Generation) == name {
			ctx.Send(pid, &actors.Crash{})
		}
		ctx.Request(pid, question)
		return pid
	}
	e.Pool = spawn(reload.PoolOwner, a.parts.poolProps(ctx.Self()), &portpool.GetPool{})
	e.Hook = spawn("hook", a.parts.hookProps(), &hook.GetStats{})
	e.Streams = spawn("streams", a.parts.streamsProps(e, a.fanout), &streams.ListStreams{})
	e.Proxies = spawn("proxies", a.parts.proxiesProps(e), &proxy.ListProxies{})
	e.Receivers = spawn("receivers", a.parts.receiversProps(e), &receiver.GetRestored{})
	e.Senders = spawn("senders", a.parts.sendersProps(e), &sender.List{})
	e.RTSP = spawn("rtspd", a.parts.rtspProps(e, a.fanout), &rtspd.ListSessions{})
}

// onAnswer counts the first answers; a child that answered has started.
func (a *engineActor) onAnswer(ctx actor.Context, name string) {
	if _, waiting := a.silent[name]; !waiting {
		return
	}
	delete(a.silent, name)
	if len(a.silent) == 0 && a.ending == nil && !a.broken {
		ctx.Send(a.parts.parent, &engineUp{engine: a.engine, failed: a.failed})
	}
}

func (a *engineActor) onStop(ctx actor.Context, reason actors.CloseReason) {
	if a.ending != nil {
		return
	}
	a.log.Info().Uint64("generation", a.engine.Generation).Str("reason", string(reason)).Msg("engine stopping")
	a.parts.endReason.Store(reason)
	ctx.Send(a.engine.Pool, &portpool.StopGranting{})
	a.ending = []*actor.PID{a.engine.RTSP, a.engine.Senders, a.engine.Receivers, a.engine.Proxies, a.engine.Streams, a.engine.Hook, a.engine.Pool}
	a.stopNext(ctx)
}

// stopNext asks the first child that still lives to end; the engine itself ends after the last.
func (a *engineActor) stopNext(ctx actor.Context) {
	if a.overdue != nil {
		a.overdue.Stop()
	}
	for len(a.ending) > 0 {
		child := a.ending[0]
		if _, lives := a.names[child.Id]; !lives {
			a.ending = a.ending[1:]
			continue
		}
		ctx.Stop(child)
		root, self := ctx.ActorSystem().Root, ctx.Self()
		a.overdue = time.AfterFunc(stopPatience, func() { root.Send(self, &childOverdue{child: child}) })
		return
	}
	ctx.Stop(ctx.Self())
}

func (a *engineActor) onTerminated(ctx actor.Context, who *actor.PID) {
	name, mine := a.names[who.Id]
	if !mine {
		return
	}
	delete(a.names, who.Id)
	if a.ending != nil {
		a.stopNext(ctx)
		return
	}
	if !a.broken {
		a.broken = true
		a.log.Error().Uint64("generation", a.engine.Generation).Str("child", name).
			Msg("a part of the engine ended by itself; its state is lost, the engine is built anew")
		ctx.Send(a.parts.parent, &engineBroken{generation: a.engine.Generation, child: name})
	}
}

func (a *engineActor) onOverdue(ctx actor.Context, child *actor.PID) {
	if len(a.ending) == 0 || !a.ending[0].Equal(child) {
		return
	}
	a.log.Error().Str("child", a.names[child.Id]).Dur("waited", stopPatience).Msg("a part of the engine does not stop; going on without it")
	delete(a.names, child.Id)
	a.stopNext(ctx)
}

// release closes the fan-out workers after the last child is gone.
func (a *engineActor) release() {
	if a.overdue != nil {
		a.overdue.Stop()
	}
	if a.fanout != nil {
		a.fanout.Close()
		a.fanout = nil
	}
}
