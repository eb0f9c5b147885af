package proxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/store"
	"berth/config"
)

// registry is the proxies actor: which definitions exist, and the proxy that runs each.
type registry struct {
	opts    Options
	config  *config.Config
	log     zerolog.Logger
	entries map[string]*entry // by key
	byPID   map[string]*entry // by PID id of the running proxy
	epochs  uint64            // proxies spawned so far
	ending  bool              // this actor is stopping, and its children with it
}

// entry is one definition.
type entry struct {
	key     string
	def     store.Proxy
	epoch   uint64
	pid     *actor.PID // the running proxy, nil before the definition is stored and between a crash and the next spawn
	picture *picture
	fresh   bool // added by an API call, and its first attempt is not over

	stored  bool // on disk, as far as we know
	writing bool // a write is under way
	dirty   bool // the definition has changed since the last write began
	doomed  bool // it is to be deleted
	deleted bool // it has been
	over    bool // its proxy makes no further attempt

	adder    *actor.PID   // who waits for ProxyAdded
	outcome  error        // for the adder, when the definition goes
	removers []*actor.PID // who wait for ProxyRemoved

	crashes int
	began   time.Time // of the last spawn
	respawn *time.Timer
}

// errCrashed answers an AddProxy whose proxy panicked before it had a result.
var errCrashed = errors.New("the proxy crashed in its first attempt")

// spawnAgain is posted when the pause after a crash is over.
type spawnAgain struct {
	key   string
	epoch uint64
}

func newEntry(def store.Proxy) *entry {
	e := &entry{key: def.Key.String(), def: def, picture: &picture{}}
	e.picture.Store(&Snapshot{Definition: def, Key: e.key, Stream: def.Key, Status: "connecting"})
	return e
}

func newRegistry(opts Options) *registry {
	return &registry{
		opts: opts, config: opts.Config, entries: map[string]*entry{}, byPID: map[string]*entry{},
		log: opts.Runtime.Log.With().Str("actor", "proxies").Logger(),
	}
}

func (a *registry) Receive(ctx actor.Context) {
	if a.ending {
		a.receiveEnding(ctx)
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.restore(ctx, a.opts.Restore)
	case *actor.Stopping, *actor.Restarting:
		a.release(ctx)
	case *AddProxy:
		a.onAdd(ctx, m)
	case *RemoveProxy:
		a.onRemove(ctx, m)
	case *ListProxies:
		a.onList(ctx, m)
	case *store.Reopened:
		a.restore(ctx, m.Proxies)
	case *written:
		a.onWritten(ctx, m)
	case *firstResult:
		a.onFirstResult(ctx, m)
	case *gaveUp:
		a.onGaveUp(ctx, m)
	case *portsTaken:
		a.onPortsTaken(ctx, m)
	case *spawnAgain:
		if e := a.entries[m.key]; e != nil && e.epoch == m.epoch && e.pid == nil && !e.doomed {
			a.spawn(ctx, e)
		}
	case *actor.Terminated:
		a.onTerminated(ctx, m.Who)
	case *actors.ConfigChanged:
		a.config = m.Config
		for _, e := range a.byPID {
			ctx.Send(e.pid, &configured{m.Config})
		}
		ctx.Respond(&actors.ConfigTaken{Owner: "proxies"})
	}
}

// restore runs stored definitions that do not run yet.
func (a *registry) restore(ctx actor.Context, definitions []store.Proxy) {
	for _, def := range definitions {
		key := def.Key.String()
		if a.entries[key] != nil {
			continue
		}
		e := newEntry(def)
		e.stored = true
		a.entries[key] = e
		a.spawn(ctx, e)
	}
	if len(definitions) > 0 {
		a.log.Info().Int("proxies", len(definitions)).Msg("proxies restored")
	}
}

func (a *registry) onAdd(ctx actor.Context, m *AddProxy) {
	def := m.Definition
	key := def.Key.String()
	if !def.Key.Valid() {
		ctx.Respond(&ProxyAdded{Key: key, Err: fmt.Errorf("%q names no stream", key)})
		return
	}
	if a.entries[key] != nil {
		ctx.Respond(&ProxyAdded{Key: key, Err: ErrExists})
		return
	}
	if def.Created.IsZero() {
		def.Created = a.opts.Now()
	}
	e := newEntry(def)
	e.fresh, e.dirty, e.adder = true, true, ctx.Sender()
	a.entries[key] = e
	a.pump(ctx, e)
}

func (a *registry) onRemove(ctx actor.Context, m *RemoveProxy) {
	e := a.entries[m.Key]
	if e == nil {
		ctx.Respond(&ProxyRemoved{})
		return
	}
	if from := ctx.Sender(); from != nil {
		e.removers = append(e.removers, from)
	}
	a.doom(ctx, e, ErrClosed)
}

// doom begins the end of a definition: deleted on disk first, then its proxy ends, then whoever waits is told. outcome is for the adder, if there is one.
func (a *registry) doom(ctx actor.Context, e *entry, outcome error) {
	if e.adder != nil && e.outcome == nil {
		e.outcome = outcome
	}
	if e.doomed {
		return
	}
	e.doomed = true
	a.pump(ctx, e)
}

func (a *registry) onFirstResult(ctx actor.Context, m *firstResult) {
	e := a.running(m.key, m.epoch)
	if e == nil {
		return
	}
	e.fresh = false
	if e.adder == nil || e.doomed {
		return
	}
	if m.err == nil || e.def.Force {
		a.answerAdder(ctx, e, nil)
		return
	}
	e.outcome = m.err // the proxy gives up; the adder hears of it when the definition is gone
}

func (a *registry) onGaveUp(ctx actor.Context, m *gaveUp) {
	e := a.running(m.key, m.epoch)
	if e == nil {
		return
	}
	e.over = true
	if e.deleted {
		ctx.Stop(e.pid)
		return
	}
	if !e.doomed {
		a.log.Warn().Str("stream", e.def.Key.Path()).Err(m.err).Str("reason", string(m.reason)).Int("retry_count", e.def.RetryCount).
			Msg("proxy gave up and is deleted")
	}
	a.doom(ctx, e, m.err)
}

func (a *registry) onPortsTaken(ctx actor.Context, m *portsTaken) {
	e := a.running(m.key, m.epoch)
	if e == nil || e.doomed || equalPorts(e.def.Ports, m.ports) {
		return
	}
	e.def.Ports, e.dirty = m.ports, true
	a.pump(ctx, e)
}

func equalPorts(a, b []uint16) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// running returns the entry if this spawn of it is the present one.
func (a *registry) running(key string, epoch uint64) *entry {
	e := a.entries[key]
	if e == nil || e.epoch != epoch || e.pid == nil {
		return nil
	}
	return e
}

func (a *registry) spawn(ctx actor.Context, e *entry) {
	a.epochs++
	e.epoch, e.began, e.over = a.epochs, a.opts.Now(), false
	child := &proxyActor{opts: a.opts, def: e.def, key: e.key, epoch: e.epoch, picture: e.picture, fresh: e.fresh, config: a.config}
	pid, err := ctx.SpawnNamed(a.opts.Runtime.Props(func() actor.Actor { return child }), fmt.Sprintf("%s-%d", e.key, e.epoch))
	if err != nil {
		panic(err) // the epoch makes the name unique
	}
	e.pid = pid
	a.byPID[pid.Id] = e
}

func (a *registry) onTerminated(ctx actor.Context, who *actor.PID) {
	e := a.byPID[who.Id]
	if e == nil {
		return // one that wrote or gathered
	}
	delete(a.byPID, who.Id)
	e.pid = nil
	if e.doomed {
		a.settle(ctx, e)
		return
	}
	// It panicked: nothing else stops a proxy that is not doomed.
	c := a.config.Proxy
	if a.opts.Now().Sub(e.began) > c.RetryDelayMax {
		e.crashes = 0
	}
	e.crashes++
	pause := backoff(e.crashes, c.RetryDelayMin, c.RetryDelayMax, a.opts.Rand())
	a.log.Error().Str("stream", e.def.Key.Path()).Int("crashes", e.crashes).Dur("retry_in", pause).Msg("proxy crashed")
	e.picture.Store(&Snapshot{Definition: e.def, Key: e.key, Stream: e.def.Key, Status: "crashed", Failures: e.crashes, RetryAt: a.opts.Now().Add(pause)})
	if e.adder != nil && !e.def.Force {
		e.over = true
		a.doom(ctx, e, errCrashed)
		return
	}
	e.fresh = false
	a.answerAdder(ctx, e, nil)
	a.spawnAfter(ctx, e, pause)
}

func (a *registry) spawnAfter(ctx actor.Context, e *entry, pause time.Duration) {
	root, self, again := ctx.ActorSystem().Root, ctx.Self(), &spawnAgain{e.key, e.epoch}
	e.respawn = time.AfterFunc(pause, func() { root.Send(self, again) })
}

// settle ends an entry whose definition is deleted and whose proxy is gone.
func (a *registry) settle(ctx actor.Context, e *entry) {
	if !e.doomed || !e.deleted || e.pid != nil || e.writing {
		return
	}
	delete(a.entries, e.key)
	a.stopRespawn(e)
	a.answerAdder(ctx, e, e.outcome)
	a.answerRemovers(ctx, e, nil)
	a.log.Info().Str("stream", e.def.Key.Path()).Msg("proxy deleted")
}

func (a *registry) stopRespawn(e *entry) {
	if e.respawn != nil {
		e.respawn.Stop()
	}
}

func (a *registry) answerAdder(ctx actor.Context, e *entry, err error) {
	if e.adder != nil {
		ctx.Send(e.adder, &ProxyAdded{Key: e.key, Err: err})
		e.adder = nil
	}
}

func (a *registry) answerRemovers(ctx actor.Context, e *entry, err error) {
	for _, from := range e.removers {
		ctx.Send(from, &ProxyRemoved{Found: true, Err: err})
	}
	e.removers = nil
}

// receiveEnding handles what comes after Stopping, while the children end. Nothing may be spawned any more: such a child would not be asked to end, and this actor would wait for it for ever.
func (a *registry) receiveEnding(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *AddProxy:
		ctx.Respond(&ProxyAdded{Key: m.Definition.Key.String(), Err: ErrInterrupted})
	case *RemoveProxy:
		ctx.Respond(&ProxyRemoved{Found: a.entries[m.Key] != nil, Err: errStopped})
	case *ListProxies:
		ctx.Respond(&Proxies{Proxies: a.pictures(m.Key)})
	case *actors.ConfigChanged:
		ctx.Respond(&actors.ConfigTaken{Owner: "proxies"})
	}
}

// release answers everyone who waits; the proxies end as children do.
func (a *registry) release(ctx actor.Context) {
	a.ending = true
	for _, e := range a.entries {
		a.stopRespawn(e)
		a.answerAdder(ctx, e, ErrInterrupted)
		a.answerRemovers(ctx, e, errStopped)
	}
}
