package supervisor

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/reload"
	"berth/actors/store"
	"berth/config"
	"berth/netio/hostcheck"
	"berth/netio/tcp"
)

// askPatience bounds what the supervisor's goroutines ask of the process's other actors.
const askPatience = 15 * time.Second

// plan is what a generation is built from. Never changed after it was made.
type plan struct {
	config      *config.Config
	doors       doors
	certificate *tls.Certificate // nil without TLS
}

// with returns the plan after a hot reload.
func (p *plan) with(cfg *config.Config) *plan {
	next := *p
	next.config = cfg
	return &next
}

// newPlan opens what cfg needs beside the sockets that are open already.
func newPlan(cfg *config.Config, open doors) (*plan, error) {
	pair, err := loadCertificate(cfg)
	if err != nil {
		return nil, err
	}
	next, err := open.next(cfg)
	if err != nil {
		return nil, err
	}
	return &plan{config: cfg, doors: next, certificate: pair}, nil
}

func loadCertificate(cfg *config.Config) (*tls.Certificate, error) {
	if cfg.TLS.CertFile == "" {
		return nil, nil
	}
	return tcp.LoadPair(cfg.TLS.CertFile, cfg.TLS.KeyFile)
}

// Messages to self, each posted once by a goroutine.
type (
	// booted carries the first plan.
	booted struct {
		plan      *plan
		overrides map[string]string
		err       error
	}
	// prepared carries the plan of a full restart.
	prepared struct {
		plan *plan
		err  error
	}
	// definitions are what the next generation starts again.
	definitions struct {
		proxies   []store.Proxy
		receivers []store.Receiver
		senders   []store.Sender
	}
	// overridesRead carries the overrides for a reload actor that is made anew.
	overridesRead struct{ values map[string]string }
	// signalled is a signal to the process.
	signalled struct{ signal os.Signal }
)

func (a *supervisorActor) onStarted(ctx actor.Context) {
	a.spawnStore(ctx)
	root, self, storePID, process := ctx.ActorSystem().Root, ctx.Self(), a.store, a.process
	go func() { root.Send(self, boot(process, storePID)) }()
}

// spawnStore opens the store. After a breakdown it has the name of the one before, so that everybody who knows its PID reaches it.
func (a *supervisorActor) spawnStore(ctx actor.Context) {
	a.store = mustSpawn(ctx, "store", store.Props(store.Options{
		Runtime: a.process.runtime, Dir: a.stateDir, Notify: ctx.Self(), Log: a.log,
	}))
}

func mustSpawn(ctx actor.Context, name string, props *actor.Props) *actor.PID {
	pid, err := ctx.SpawnNamed(props, name)
	if err != nil {
		panic(fmt.Sprintf("spawn %s: %v", name, err))
	}
	return pid
}

// boot reads the overrides and makes the first plan.
func boot(p *process, storePID *actor.PID) *booted {
	ctx, cancel := context.WithTimeout(context.Background(), askPatience)
	defer cancel()
	overrides, err := actors.Ask[*store.Overrides](ctx, p.runtime.System, storePID, &store.GetOverrides{})
	if err != nil {
		return &booted{err: fmt.Errorf("read runtime overrides: %w", err)}
	}
	if overrides.Err != nil {
		p.log.Error().Err(overrides.Err).Msg("runtime overrides cannot be read; going on without them")
	}
	cfg, report, err := p.opts.load(overrides.Values, true)
	if err != nil {
		return &booted{err: err}
	}
	for _, line := range report.Lines() {
		p.log.Warn().Msg(line)
	}
	p.recallPorts(ctx, storePID)
	plan, err := newPlan(cfg, doors{})
	if err == nil {
		warnAboutHost(p, cfg, hostcheck.System())
	}
	return &booted{plan: plan, overrides: overrides.Values, err: err}
}

func (a *supervisorActor) onBooted(ctx actor.Context, m *booted) {
	if m.err != nil {
		a.process.fail(m.err)
		a.onShutdown(ctx, &Shutdown{By: "failure to start"})
		return
	}
	if a.phase != phaseBooting {
		m.plan.doors.close()
		return
	}
	a.plan = m.plan
	a.process.open.Store(&m.plan.doors)
	a.process.certificate.Use(m.plan.certificate)
	a.spawnReload(ctx, m.overrides)
	a.phase = phaseLoading
	a.loadDefinitions(ctx)
}

// spawnReload makes the reload actor, at the start and after a breakdown of the one before.
func (a *supervisorActor) spawnReload(ctx actor.Context, overrides map[string]string) {
	process := a.process
	a.reload = mustSpawn(ctx, "reload", reload.Props(reload.Options{
		Runtime: process.runtime, Running: a.plan.config, Overrides: overrides, Store: a.store,
		Load:  func(overrides map[string]string) (reload.Loaded, error) { return load(process, overrides) },
		Probe: func(running, next *config.Config) []reload.Probe { return newProber(process, running, next).probe() },
	}))
	ctx.Send(a.reload, &reload.Register{Name: "supervisor", PID: ctx.Self()})
}

// readOverrides begins to make the reload actor anew after a breakdown.
func (a *supervisorActor) readOverrides(ctx actor.Context) {
	root, self, storePID, process := ctx.ActorSystem().Root, ctx.Self(), a.store, a.process
	go func() {
		wait, cancel := context.WithTimeout(context.Background(), askPatience)
		defer cancel()
		overrides, err := actors.Ask[*store.Overrides](wait, process.runtime.System, storePID, &store.GetOverrides{})
		if err == nil {
			err = overrides.Err
		}
		if err != nil {
			process.log.Error().Err(err).Msg("runtime overrides cannot be read; going on without them")
			root.Send(self, &overridesRead{})
			return
		}
		root.Send(self, &overridesRead{values: overrides.Values})
	}()
}

func (a *supervisorActor) onOverridesRead(ctx actor.Context, m *overridesRead) {
	if a.phase == phaseEnding {
		return
	}
	a.adopted = false
	a.spawnReload(ctx, m.values)
	if a.engine != nil {
		ctx.Send(a.engine, &registerAgain{})
	}
	if a.api != nil {
		ctx.Send(a.reload, &reload.Register{Name: "api", PID: a.api})
	}
	ctx.Request(a.reload, &reload.Reload{By: "reload part made anew"})
}

// load reads the configuration for a reload, and the certificate that goes with it.
func load(p *process, overrides map[string]string) (reload.Loaded, error) {
	cfg, report, err := p.opts.load(overrides, false)
	if err != nil {
		return reload.Loaded{}, err
	}
	pair, err := loadCertificate(cfg)
	if err != nil {
		return reload.Loaded{}, err
	}
	loaded := reload.Loaded{Config: cfg, Warnings: report.Lines()}
	if pair != nil { // without one TLS is off, or is to be switched off by a full restart: the open listeners go on with theirs
		loaded.Commit = func() { p.certificate.Use(pair) }
	}
	return loaded, nil
}

// prepare makes the plan of a full restart, with nothing touched.
func (a *supervisorActor) prepare(ctx actor.Context) {
	root, self, system := ctx.ActorSystem().Root, ctx.Self(), ctx.ActorSystem()
	reloadPID, open := a.reload, a.plan.doors
	go func() {
		wait, cancel := context.WithTimeout(context.Background(), askPatience)
		defer cancel()
		adopted, err := actors.Ask[*reload.Adopted](wait, system, reloadPID, &reload.Adopt{})
		if err == nil {
			err = adopted.Err
		}
		if err != nil {
			root.Send(self, &prepared{err: err})
			return
		}
		plan, err := newPlan(adopted.Config, open)
		root.Send(self, &prepared{plan: plan, err: err})
	}()
}

// loadDefinitions reads what the next generation starts again, after the pause that a broken engine has earned.
func (a *supervisorActor) loadDefinitions(ctx actor.Context) {
	root, self, process, storePID, dir := ctx.ActorSystem().Root, ctx.Self(), a.process, a.store, a.stateDir
	pause := time.NewTimer(a.pause)
	a.pause = 0
	go func() {
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-process.ended:
			return
		}
		process.readIdentity(dir)
		wait, cancel := context.WithTimeout(context.Background(), askPatience)
		defer cancel()
		found, err := readDefinitions(wait, process.runtime.System, storePID)
		if err != nil {
			process.log.Error().Err(err).Msg("stored definitions cannot be read; the engine starts without them")
			found = &definitions{}
		}
		root.Send(self, found)
	}()
}

// readDefinitions asks the store for everything that a generation starts again.
func readDefinitions(ctx context.Context, system *actor.ActorSystem, storePID *actor.PID) (*definitions, error) {
	proxies, err := actors.Ask[*store.Proxies](ctx, system, storePID, &store.ListProxies{})
	if err == nil {
		err = proxies.Err
	}
	if err != nil {
		return nil, err
	}
	receivers, err := actors.Ask[*store.Receivers](ctx, system, storePID, &store.ListReceivers{})
	if err == nil {
		err = receivers.Err
	}
	if err != nil {
		return nil, err
	}
	senders, err := actors.Ask[*store.Senders](ctx, system, storePID, &store.ListSenders{})
	if err == nil {
		err = senders.Err
	}
	if err != nil {
		return nil, err
	}
	return &definitions{proxies: proxies.Proxies, receivers: receivers.Receivers, senders: senders.Senders}, nil
}

// count is how many there are.
func (d *definitions) count() int { return len(d.proxies) + len(d.receivers) + len(d.senders) }

// onSignal does what the signal asks for.
func (a *supervisorActor) onSignal(ctx actor.Context, m *signalled) {
	switch m.signal {
	case syscall.SIGHUP, syscall.SIGUSR1:
		if a.reload == nil {
			a.log.Info().Str("signal", m.signal.String()).Msg("reload signal ignored: the configuration is being read for the first time")
			return
		}
		a.process.notify.reloading()
		ctx.Request(a.reload, &reload.Reload{By: signalName(m.signal)})
	case syscall.SIGUSR2:
		a.process.notify.reloading()
		ctx.Request(ctx.Self(), &Restart{By: signalName(m.signal)})
	default:
		a.onShutdown(ctx, &Shutdown{By: signalName(m.signal)})
	}
}

func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGHUP:
		return "SIGHUP"
	case syscall.SIGUSR1:
		return "SIGUSR1"
	case syscall.SIGUSR2:
		return "SIGUSR2"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGINT:
		return "SIGINT"
	}
	return s.String()
}
