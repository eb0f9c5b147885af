package supervisor

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/api"
	"berth/actors/reload"
	"berth/actors/store"
	"berth/config"
)

// Errors of [Restarted].
var (
	// ErrShuttingDown refuses a restart of a server that is ending.
	ErrShuttingDown = errors.New("the server is shutting down")
)

// phase is what the supervisor is doing; one thing at a time.
type phase int

const (
	phaseBooting   phase = iota // store and configuration are being read
	phaseLoading                // no engine; the definitions for the next one are being read
	phaseStarting               // a generation was spawned and has not answered yet
	phaseRunning                // the engine runs
	phasePreparing              // the engine runs; a restart was asked for and nothing has been touched
	phaseStopping               // the engine is being torn down, another follows
	phaseEnding                 // the engine is being torn down, nothing follows
)

// supervisorActor owns the process's sockets and the generation number.
type supervisorActor struct {
	process  *process // what Run and the actors share
	stateDir string   // of the store
	moved    bool     // the store has other overrides than the reload actor knows
	log      zerolog.Logger

	phase      phase
	store      *actor.PID
	reload     *actor.PID
	api        *actor.PID
	engine     *actor.PID // the present generation's root, nil between generations
	generation uint64
	plan       *plan        // what the present or next generation is built from
	former     *plan        // what the generation before was built from, until the present one runs
	failure    error        // why the generation before this one could not start
	adopted    bool         // the reload actor waits for Commit
	restored   int          // definitions given to the present generation
	askers     []*actor.PID // of the restart under way
	next       []*actor.PID // of the one after it
	again      bool         // a restart was asked for while one was under way
	enders     []*actor.PID // who waits for ShutDown
	downSince  time.Time
	announced  bool // the world knows that the server runs
	breakdowns breakdowns
	pause      time.Duration // before the next generation is built
}

func (a *supervisorActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted(ctx)
	case *booted:
		a.onBooted(ctx, m)
	case *Restart:
		a.onRestart(ctx, m)
	case *prepared:
		a.onPrepared(ctx, m)
	case *definitions:
		a.onDefinitions(ctx, m)
	case *engineUp:
		a.onEngineUp(ctx, m)
	case *engineBroken:
		a.onEngineBroken(ctx, m)
	case *actor.Terminated:
		a.onTerminated(ctx, m.Who)
	case *Shutdown:
		a.onShutdown(ctx, m)
	case *signalled:
		a.onSignal(ctx, m)
	case *store.Reopened:
		a.onReopened(ctx, m)
	case *portsKept:
		a.stopLast(ctx)
	case *overridesRead:
		a.onOverridesRead(ctx, m)
	case *actors.ConfigChanged:
		setLogLevel(m.Config)
		a.plan = a.plan.with(m.Config)
		ctx.Respond(&actors.ConfigTaken{Owner: "supervisor"})
	case *reload.Verdict: // the answer to a reload by signal; the reload actor has logged it
		if a.phase != phaseEnding {
			a.process.notify.ready(statusOfReload(m))
		}
	case *actor.Stopping:
		if a.phase != phaseEnding {
			// The children end now, and none of them is to be made anew.
			a.phase = phaseEnding
			a.process.fail(errors.New("the supervisor ended by itself, see its panic in the log"))
		}
	case *actor.Stopped:
		a.onStopped()
	case *Restarted: // the answer to a restart by signal, logged below
		if a.phase != phaseEnding {
			a.process.notify.ready(statusOfRestart(m))
		}
	case *checkAlive:
		ctx.Respond(&isAlive{})
	}
}

// onRestart begins a full restart, or lets the request share the next one.
func (a *supervisorActor) onRestart(ctx actor.Context, m *Restart) {
	asker := ctx.Sender()
	switch a.phase {
	case phaseEnding:
		tell(ctx, withAsker(nil, asker), &Restarted{Err: ErrShuttingDown, Generation: a.generation})
	case phaseRunning:
		a.log.Info().Str("by", m.By).Msg("full restart asked for")
		a.askers = withAsker(nil, asker)
		a.phase = phasePreparing
		a.prepare(ctx)
	default:
		a.again = true
		a.next = withAsker(a.next, asker)
	}
}

// onPrepared tears the engine down, or refuses with nothing touched.
func (a *supervisorActor) onPrepared(ctx actor.Context, m *prepared) {
	switch {
	case a.phase != phasePreparing:
		// The engine broke or the server ends: the plan has no use.
		if m.plan != nil {
			m.plan.doors.closeExcept(a.plan.doors)
		}
		ctx.Send(a.reload, &reload.Commit{})
	case m.err != nil:
		a.phase = phaseRunning
		ctx.Send(a.reload, &reload.Commit{})
		a.log.Error().Err(m.err).Msg("full restart refused, nothing was touched")
		a.conclude(ctx, &Restarted{Err: m.err, Generation: a.generation})
	default:
		a.former, a.plan, a.adopted = a.plan, m.plan, true
		a.tearDown(ctx, phaseStopping, actors.ReasonRestart)
	}
}

// tearDown ends the engine; afterTearDown goes on when it has ended.
func (a *supervisorActor) tearDown(ctx actor.Context, next phase, reason actors.CloseReason) {
	a.phase = next
	a.downSince = time.Now()
	a.process.engine.Store(nil)
	if a.engine == nil {
		a.afterTearDown(ctx)
		return
	}
	ctx.Send(a.engine, &stopEngine{reason: reason})
}

func (a *supervisorActor) afterTearDown(ctx actor.Context) {
	if a.phase == phaseEnding {
		if a.generation == 0 {
			a.stopLast(ctx)
			return
		}
		a.keepPorts(ctx)
		return
	}
	a.phase = phaseLoading
	if dir := a.plan.config.State.Dir; dir != a.stateDir {
		a.stateDir, a.moved = dir, true
		ctx.Stop(a.store) // goes on in onStoreEnded
		return
	}
	a.loadDefinitions(ctx)
}

// onStoreEnded opens the store again: it failed, or state.dir has changed.
func (a *supervisorActor) onStoreEnded(ctx actor.Context) {
	a.spawnStore(ctx)
	switch {
	case !a.moved:
		a.log.Error().Msg("the store ended by itself and was opened anew")
	case a.phase == phaseLoading:
		a.loadDefinitions(ctx)
	}
}

// onReopened passes on what a store that could not be read at the start holds after all.
func (a *supervisorActor) onReopened(ctx actor.Context, m *store.Reopened) {
	if e := a.process.engine.Load(); e != nil {
		ctx.Send(e.Proxies, m)
		ctx.Send(e.Receivers, m)
		ctx.Send(e.Senders, m)
	}
	if len(m.Overrides) > 0 && a.phase == phaseRunning {
		ctx.Stop(a.reload) // it is made anew with them
		a.moved = true
	}
}

// onDefinitions spawns the next generation from the plan.
func (a *supervisorActor) onDefinitions(ctx actor.Context, m *definitions) {
	if a.phase != phaseLoading {
		return
	}
	a.phase = phaseStarting
	a.generation++
	a.restored = m.count()
	parts := parts{
		process: a.process, plan: a.plan, generation: a.generation,
		store: a.store, reload: a.reload, parent: ctx.Self(), definitions: m, endReason: &atomic.Value{},
	}
	props := a.process.runtime.Props(func() actor.Actor { return &engineActor{parts: parts, log: a.log} })
	name := fmt.Sprintf("engine-%d", a.generation)
	pid, err := ctx.SpawnNamed(props, name)
	if err != nil {
		panic(fmt.Sprintf("spawn %s: %v", name, err))
	}
	a.engine = pid
}

func (a *supervisorActor) onEngineUp(ctx actor.Context, m *engineUp) {
	if a.phase != phaseStarting || m.engine.Generation != a.generation {
		return
	}
	a.phase = phaseRunning
	a.process.engine.Store(m.engine)
	a.process.open.Store(&a.plan.doors)
	result := &Restarted{Generation: a.generation, Restored: a.restored - m.failed, Failed: m.failed, Err: a.failure}
	if !a.downSince.IsZero() {
		result.Duration = time.Since(a.downSince)
	}
	former := a.former
	a.former, a.failure = nil, nil
	if former != nil {
		result.Applied = config.Diff(former.config, a.plan.config)
		former.doors.closeExcept(a.plan.doors) // only now that the new ones are served
		a.process.certificate.Use(a.plan.certificate)
		a.process.output.setFormat(a.plan.config.Log.Format)
	}
	if a.adopted {
		a.adopted = false
		commit := &reload.Commit{}
		if former != nil {
			commit.Config = a.plan.config
		}
		ctx.Send(a.reload, commit)
	}
	a.log.Info().Uint64("generation", a.generation).Dur("duration", result.Duration).Int("restored", result.Restored).Int("failed", result.Failed).
		Stringer("port_range", a.plan.config.RTPProxy.PortRange).Msg("engine running")
	if former != nil && a.api != nil {
		// The front hears it from reload too, but perhaps only after it listens elsewhere: who connects there must meet the new limits.
		ctx.Request(a.api, &actors.ConfigChanged{Config: a.plan.config})
	}
	switch {
	case a.api == nil:
		a.spawnAPI(ctx)
	case former != nil && !(former.doors.same(a.plan.doors, doorHTTP) && former.doors.same(a.plan.doors, doorHTTPS)):
		ctx.Request(a.api, &api.SetListeners{Listeners: a.webListeners()})
	}
	if !a.announced { // by the first generation that runs; one that breaks while it starts does not
		a.announced = true
		a.process.ready(a.plan, statusOfRestart(result))
	}
	if a.moved {
		ctx.Stop(a.reload) // it is made anew with the overrides of the new directory
	}
	a.conclude(ctx, result)
}

// conclude answers those who asked and begins the restart that was asked for meanwhile.
func (a *supervisorActor) conclude(ctx actor.Context, result *Restarted) {
	tell(ctx, a.askers, result)
	a.askers = nil
	if !a.again {
		return
	}
	a.askers, a.next, a.again = a.next, nil, false
	a.phase = phasePreparing
	a.prepare(ctx)
}

// onEngineBroken rebuilds a generation that lost a part: at once the first time, with growing pauses when it happens again and again. A
// generation that breaks while it starts with a new configuration gives way to the configuration from before.
func (a *supervisorActor) onEngineBroken(ctx actor.Context, m *engineBroken) {
	if m.generation != a.generation {
		return
	}
	switch a.phase {
	case phasePreparing:
		// The restart that is being prepared waits until the engine runs again.
		a.again = true
		a.next, a.askers = append(a.next, a.askers...), nil
	case phaseStarting:
		if a.former != nil && a.failure == nil {
			a.failure = fmt.Errorf("generation %d could not start (%s ended, see the log); the configuration from before is in force again",
				m.generation, m.child)
			a.log.Error().Err(a.failure).Msg("full restart failed")
			a.plan.doors.closeExcept(a.former.doors)
			a.plan, a.former = a.former, nil
		}
	case phaseRunning:
	default:
		return
	}
	a.process.breakdowns.Add(1)
	a.pause = a.breakdowns.pause(time.Now())
	if a.pause > 0 {
		a.log.Error().Dur("pause", a.pause).Msg("the engine breaks again and again; the next generation waits")
	}
	a.tearDown(ctx, phaseStopping, actors.ReasonCrashed)
}

func (a *supervisorActor) onTerminated(ctx actor.Context, who *actor.PID) {
	switch {
	case a.engine != nil && who.Equal(a.engine):
		a.engine = nil
		if a.phase == phaseStopping || a.phase == phaseEnding {
			a.afterTearDown(ctx)
			return
		}
		// The engine actor itself failed: as bad as any of its children.
		a.onEngineBroken(ctx, &engineBroken{generation: a.generation, child: "engine"})
	case a.phase == phaseEnding:
		a.stopLast(ctx)
	case a.api != nil && who.Equal(a.api):
		a.log.Error().Msg("the HTTP front ended by itself and is made anew")
		a.spawnAPI(ctx)
	case a.store != nil && who.Equal(a.store):
		a.onStoreEnded(ctx)
	case a.reload != nil && who.Equal(a.reload):
		if !a.moved {
			a.log.Error().Msg("the reload part ended by itself and is made anew")
		}
		a.moved = false
		a.readOverrides(ctx)
	}
}

func (a *supervisorActor) onShutdown(ctx actor.Context, m *Shutdown) {
	a.enders = withAsker(a.enders, ctx.Sender())
	if a.phase == phaseEnding {
		return
	}
	a.log.Info().Str("by", m.By).Msg("shutting down")
	a.process.notify.stopping()
	tell(ctx, append(a.askers, a.next...), &Restarted{Err: ErrShuttingDown, Generation: a.generation})
	a.askers, a.next, a.again = nil, nil, false
	if a.phase == phaseStopping {
		a.phase = phaseEnding // the teardown under way leads to the end
		return
	}
	a.tearDown(ctx, phaseEnding, actors.ReasonShutdown)
}

// stopLast ends the parts that live as long as the process, front to back: no request is taken, then no reload, then nothing is
// stored. Called again at each end.
func (a *supervisorActor) stopLast(ctx actor.Context) {
	living := map[string]bool{}
	for _, child := range ctx.Children() {
		living[child.Id] = true
	}
	for _, child := range []*actor.PID{a.api, a.reload, a.store} {
		if child != nil && living[child.Id] {
			ctx.Stop(child)
			return
		}
	}
	tell(ctx, a.enders, &ShutDown{})
	a.enders = nil
	ctx.Stop(ctx.Self())
}

// onStopped closes what the process owned and lets Run return.
func (a *supervisorActor) onStopped() {
	if a.plan != nil {
		a.plan.doors.close()
	}
	if a.former != nil {
		a.former.doors.close()
	}
	close(a.process.ended)
}

func withAsker(askers []*actor.PID, asker *actor.PID) []*actor.PID {
	if asker == nil {
		return askers
	}
	return append(askers, asker)
}

func tell(ctx actor.Context, askers []*actor.PID, answer any) {
	for _, asker := range askers {
		ctx.Send(asker, answer)
	}
}
