package reload

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/portpool"
	"berth/actors/store"
	"berth/config"
	"berth/netio/ports"
)

// PoolOwner is the name under which the port pool registers; it also hears which range is pending.
const PoolOwner = "portpool"

// errStoreFailed rejects an override that a failing store has not confirmed.
var errStoreFailed = fmt.Errorf("the store failed and is opened anew, try again: %w", actors.ErrGone)

// ErrStrict rejects a strict reload that would leave keys waiting for a full restart.
var ErrStrict = errors.New("refused as a whole, because strict was asked for and these keys would wait for a full restart")

// Options configure the actor.
type Options struct {
	Runtime   *actors.Runtime
	Running   *config.Config    // in force at the start
	Overrides map[string]string // runtime overrides that Running was loaded with
	Store     *actor.PID        // keeps overrides
	// Load reads and validates the configuration with these overrides. It is called from a goroutine and may block.
	Load func(overrides map[string]string) (Loaded, error)
	// Probe finds out, for a dry run, whether the values of next that differ from running would work. It changes nothing. It is called from a goroutine
	// and may block, for less than ApplyTimeout; nil finds out nothing.
	Probe func(running, next *config.Config) []Probe
	// ApplyTimeout bounds how long owners may take to answer; 0 means 5 s.
	ApplyTimeout time.Duration
	Now          func() time.Time // nil means time.Now
}

// Props makes the actor.
func Props(opts Options) *actor.Props {
	if opts.ApplyTimeout == 0 {
		opts.ApplyTimeout = 5 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return opts.Runtime.Props(func() actor.Actor {
		return &reloadActor{
			Options: opts,
			log:     opts.Runtime.Log.With().Str("actor", "reload").Logger(),
			owners:  map[string]*owner{},
			results: map[Result]uint64{}, generation: 1, accepted: opts.Now(),
		}
	})
}

type reloadActor struct {
	Options
	log zerolog.Logger

	owners     map[string]*owner // by name
	pending    []config.Change   // restart keys that differ from Running in the last accepted load
	last       *Verdict
	number     uint64
	results    map[Result]uint64 // of all reloads but dry runs
	generation uint64            // of Running
	accepted   time.Time

	current *job // under way, nil when idle
	queue   []*job
	timer   *time.Timer // of current's apply, nil otherwise
}

// Receive routes; see messages.go.
func (a *reloadActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *Reload:
		a.enqueue(ctx, &job{by: m.By, dryRun: m.DryRun, strict: m.Strict})
	case *Override:
		a.enqueue(ctx, &job{by: m.By, override: maps.Clone(m.Values)})
	case *Adopt:
		a.enqueue(ctx, &job{by: "full restart", adopt: true})
	case *Commit:
		a.onCommit(ctx, m)
	case *Register:
		a.onRegister(ctx, m)
	case *GetConfig:
		ctx.Respond(&State{
			Running: a.Running, Pending: slices.Clone(a.pending), Overrides: a.Overrides, Last: a.last, Results: maps.Clone(a.results),
			Generation: a.generation, Accepted: a.accepted,
		})
	case *loadDone:
		a.onLoaded(ctx, m)
	case *store.Done:
		a.onStored(ctx, m)
	case *actors.ConfigTaken:
		a.onTaken(ctx, m)
	case *applyTimeout:
		if m.job == a.current {
			a.decide(ctx)
		}
	case *actor.Terminated:
		if a.current != nil && a.current.storing && m.Who.Equal(a.Store) {
			a.onStored(ctx, &store.Done{Err: errStoreFailed})
		}
		a.onOwnerGone(ctx, m.Who)
	case *actor.Stopping, *actor.Restarting:
		a.stopTimer()
	}
}

func (a *reloadActor) enqueue(ctx actor.Context, next *job) {
	if sender := ctx.Sender(); sender != nil {
		next.askers = append(next.askers, sender)
	}
	for _, waiting := range a.queue {
		if waiting.shares(next) {
			waiting.askers = append(waiting.askers, next.askers...)
			return
		}
	}
	a.queue = append(a.queue, next)
	a.begin(ctx)
}

// begin starts the next job when none is under way.
func (a *reloadActor) begin(ctx actor.Context) {
	if a.current != nil || len(a.queue) == 0 {
		return
	}
	next := a.queue[0]
	a.queue = a.queue[1:]
	a.current = next
	a.number++
	next.number = a.number
	next.overrides = next.withOverrides(a.Overrides)
	load, probe, overrides, running := a.Load, a.Probe, next.overrides, a.Running
	if !next.dryRun {
		probe = nil
	}
	root, self := ctx.ActorSystem().Root, ctx.Self()
	go func() {
		loaded, err := load(overrides)
		var probes []Probe
		if err == nil && probe != nil {
			probes = probe(running, loaded.Config)
		}
		root.Send(self, &loadDone{job: next, loaded: loaded, probes: probes, err: err})
	}()
}

func (a *reloadActor) onLoaded(ctx actor.Context, m *loadDone) {
	if m.job != a.current {
		return
	}
	current := m.job
	if current.adopt {
		a.answer(ctx, &Adopted{Config: m.loaded.Config, Warnings: m.loaded.Warnings, Err: m.err})
		if m.err != nil {
			a.end(ctx)
		}
		return // the job stays open until Commit
	}
	if m.err != nil {
		a.reject(ctx, m.err, nil)
		return
	}
	current.loaded, current.probes = m.loaded, m.probes
	current.target, current.pending = config.Advance(a.Running, m.loaded.Config)
	current.changes = config.Diff(a.Running, current.target)
	switch {
	case current.strict && len(current.pending) > 0:
		a.refuseStrict(ctx)
	case current.dryRun:
		a.succeed(ctx)
	case current.override != nil && !maps.Equal(current.overrides, a.Overrides):
		// Durable first: an override that is acknowledged must outlive kill -9.
		// What is queued in a store that fails is dropped without a word: only its end tells.
		current.storing = true
		ctx.Watch(a.Store)
		ctx.Request(a.Store, &store.PutOverrides{Values: served(current.override)})
	default:
		a.apply(ctx)
	}
}

// served leaves out the keys that cannot be overridden.
func served(override map[string]*string) map[string]*string {
	out := map[string]*string{}
	for key, value := range override {
		if overridable(key) {
			out[key] = value
		}
	}
	return out
}

func (a *reloadActor) onStored(ctx actor.Context, m *store.Done) {
	current := a.current
	if current == nil || !current.storing {
		return // the answer to an undo
	}
	current.storing = false
	ctx.Unwatch(a.Store)
	if m.Err != nil {
		a.reject(ctx, fmt.Errorf("keep the override: %w", m.Err), nil)
		return
	}
	a.apply(ctx)
}

// apply hands the new snapshot to every owner. Even without a changed key it goes on to succeed, since a certificate may have changed.
func (a *reloadActor) apply(ctx actor.Context) {
	current := a.current
	current.waiting, current.taken = map[string]bool{}, map[string]error{}
	if len(current.changes) > 0 {
		for _, o := range a.owners {
			current.waiting[o.name] = true
			a.tell(ctx, o, current.target, current.changes)
		}
	}
	if len(current.waiting) == 0 {
		a.decide(ctx)
		return
	}
	root, self := ctx.ActorSystem().Root, ctx.Self()
	a.timer = time.AfterFunc(a.ApplyTimeout, func() { root.Send(self, &applyTimeout{job: current}) })
}

func (a *reloadActor) tell(ctx actor.Context, o *owner, cfg *config.Config, changes []config.Change) {
	o.unanswered++
	ctx.Request(o.pid, &actors.ConfigChanged{Config: cfg, Changes: changes})
}

func (a *reloadActor) onTaken(ctx actor.Context, m *actors.ConfigTaken) {
	o := a.owners[m.Owner] // an answer has no sender
	if o == nil || o.unanswered == 0 {
		return
	}
	o.unanswered--
	current := a.current
	if o.unanswered > 0 || current == nil || !current.waiting[o.name] {
		return
	}
	delete(current.waiting, o.name)
	current.taken[o.name] = m.Err
	if len(current.waiting) == 0 {
		a.decide(ctx)
	}
}

func (a *reloadActor) onOwnerGone(ctx actor.Context, who *actor.PID) {
	var o *owner
	for _, each := range a.owners {
		if each.pid.Equal(who) {
			o = each
		}
	}
	if o == nil {
		return // replaced by the next generation's
	}
	delete(a.owners, o.name)
	if a.current != nil && a.current.waiting[o.name] {
		// It will be made anew with the configuration of its generation: nothing to wait for.
		delete(a.current.waiting, o.name)
		if len(a.current.waiting) == 0 {
			a.decide(ctx)
		}
	}
}

// decide ends the apply: all owners took the snapshot, or it is undone everywhere.
func (a *reloadActor) decide(ctx actor.Context) {
	a.stopTimer()
	current := a.current
	refusals := current.refusals()
	if len(refusals) == 0 {
		a.succeed(ctx)
		return
	}
	undo := config.Diff(current.target, a.Running)
	for _, o := range a.owners {
		a.tell(ctx, o, a.Running, undo)
	}
	if current.override != nil {
		ctx.Request(a.Store, &store.PutOverrides{Values: a.formerValues(current.override)})
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(refusals)) {
		errs = append(errs, fmt.Errorf("%s: %s", name, refusals[name]))
	}
	a.reject(ctx, fmt.Errorf("undone, because an owner refused it: %w", errors.Join(errs...)), current.changes)
}

// formerValues returns what the store must hold again after an override was undone.
func (a *reloadActor) formerValues(override map[string]*string) map[string]*string {
	former := map[string]*string{}
	for key := range served(override) {
		former[key] = nil
		if value, had := a.Overrides[key]; had {
			former[key] = &value
		}
	}
	return former
}

func (a *reloadActor) onRegister(ctx actor.Context, m *Register) {
	o := &owner{name: m.Name, pid: m.PID}
	a.owners[m.Name] = o
	ctx.Watch(m.PID)
	if a.current == nil || !a.current.adopt {
		// A reload may have come between the making of the owner and its registration.
		a.tell(ctx, o, a.Running, nil)
	}
	a.tellPool(ctx)
}

func (a *reloadActor) onCommit(ctx actor.Context, m *Commit) {
	if a.current == nil || !a.current.adopt {
		return
	}
	if m.Config != nil {
		changes := config.Diff(a.Running, m.Config)
		a.Running, a.pending, a.accepted = m.Config, nil, a.Now()
		if len(changes) > 0 {
			a.generation++
		}
		for _, o := range a.owners {
			a.tell(ctx, o, a.Running, changes)
		}
		a.tellPool(ctx)
	}
	a.end(ctx)
}

// tellPool lets the pool's refusals say which range waits for a full restart.
func (a *reloadActor) tellPool(ctx actor.Context) {
	var waiting ports.Range
	for _, change := range a.pending {
		if change.Key != "rtp_proxy.port_range" {
			continue
		}
		if parsed, err := config.ParsePortRange(change.New); err == nil {
			waiting = ports.Range{Low: parsed.Low, High: parsed.High}
		}
	}
	for _, o := range a.owners {
		if o.name == PoolOwner {
			ctx.Send(o.pid, &portpool.SetPendingRange{Range: waiting})
		}
	}
}

func (a *reloadActor) stopTimer() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}
