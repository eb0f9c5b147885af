package streams

import (
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/stream"
	"berth/config"
	"berth/media"
	"berth/media/slab"
	"berth/netio/fanout"
)

// Options make a registry.
type Options struct {
	Runtime   *actors.Runtime
	Config    *config.Config
	Pool      *actor.PID                // leases the pairs of UDP viewers
	Hook      *actor.PID                // asked by on_stream_none_reader; nil = never
	Fanout    *fanout.Pool              // of the generation; not used here, since viewers' sessions own their sinks
	Now       func() time.Time          // default time.Now
	EndReason func() actors.CloseReason // what publishers and viewers hear when the registry is stopped; default ReasonRestart
}

// maxQueued bounds the publishers that wait for the end of a former stream of their key.
const maxQueued = 64

// Props returns the registry's props.
func Props(o Options) *actor.Props {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.EndReason == nil {
		o.EndReason = func() actors.CloseReason { return actors.ReasonRestart }
	}
	return o.Runtime.Props(func() actor.Actor { return newRegistry(o) })
}

// registry is the actor.
type registry struct {
	Options
	log zerolog.Logger

	byKey    map[media.StreamKey]*entry
	byPID    map[string]*entry // by the stream's PID id
	names    uint64            // incarnations made; no name is used twice
	waiters  waiters
	gathers  gathers
	flusher  *stream.Flusher
	memory   *slab.Pool  // of the media of streams without viewers
	stopping atomic.Bool // read by children that are being stopped
	released bool
}

// entry is one stream actor, from its making until it has terminated.
type entry struct {
	key    media.StreamKey
	pid    *actor.PID
	tracks []*media.Track        // set when it can be watched
	ending bool                  // nothing may be forwarded any more
	open   map[string]openAttach // publishers whose Attach has not been answered, by PID id
	queued []*stream.Attach      // publishers for the successor, in order
}

// openAttach counts a publisher's unanswered requests.
type openAttach struct {
	publisher *actor.PID
	count     int
}

func newRegistry(o Options) *registry {
	return &registry{
		Options: o, log: o.Runtime.Log.With().Str("actor", "streams").Logger(),
		byKey: map[media.StreamKey]*entry{}, byPID: map[string]*entry{},
		waiters: newWaiters(), gathers: newGathers(), flusher: &stream.Flusher{}, memory: NewMemory(),
	}
}

func (a *registry) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		a.release(ctx)
	case *actor.Stopped:
		a.flusher.Close()
		a.memory.Close()
	case *actor.Terminated:
		a.onTerminated(ctx, m.Who)
	case *Publish:
		a.onPublish(ctx, m)
	case *Subscribe:
		a.onSubscribe(ctx, m)
	case *ListStreams:
		a.onListStreams(ctx, m)
	case *CloseStreams:
		a.onCloseStreams(ctx, m)
	case *stream.Online:
		a.onOnline(ctx, m)
	case *stream.Settled:
		a.onSettled(m)
	case *stream.Ending:
		a.onEnding(m)
	case *stream.Finished:
		ctx.Poison(m.Stream) // behind what has been forwarded, so that the stream sends it back
	case *stream.Bounced:
		a.onBounced(ctx, m)
	case *stream.Collected:
		a.gathers.collected(ctx, m)
	case *stream.Shutting:
		a.gathers.shutting(ctx, m)
	case *actors.ConfigChanged:
		a.onConfigChanged(ctx, m)
	case *waitTick:
		a.waiters.expire(ctx, a, m)
	}
}

func (a *registry) onPublish(ctx actor.Context, m *Publish) {
	attach := m.Attach
	if attach.Publisher == nil {
		attach.Publisher = ctx.Sender()
	}
	if attach.Publisher == nil {
		return // nobody could be told, and nobody could be watched
	}
	a.publish(ctx, m.Key, &attach)
}

// publish brings a publisher to the stream of its key.
func (a *registry) publish(ctx actor.Context, key media.StreamKey, m *stream.Attach) {
	if a.stopping.Load() {
		a.refuse(ctx, m.Publisher, key, ErrRestarted)
		return
	}
	if !key.Valid() {
		a.refuse(ctx, m.Publisher, key, ErrKey)
		return
	}
	e := a.byKey[key]
	switch {
	case e == nil:
		var err error
		if e, err = a.spawn(ctx, key); err != nil {
			a.log.Error().Err(err).Str("stream", key.Path()).Msg("stream could not be started")
			a.refuse(ctx, m.Publisher, key, err)
			return
		}
	case e.ending && len(e.queued) >= maxQueued:
		a.refuse(ctx, m.Publisher, key, ErrCrowded)
		return
	case e.ending:
		e.queued = append(e.queued, m)
		return
	}
	o := e.open[m.Publisher.Id]
	e.open[m.Publisher.Id] = openAttach{m.Publisher, o.count + 1}
	ctx.RequestWithCustomSender(e.pid, m, m.Publisher)
}

func (a *registry) spawn(ctx actor.Context, key media.StreamKey) (*entry, error) {
	a.names++
	pid, err := ctx.SpawnNamed(stream.Props(stream.Setup{
		Runtime: a.Runtime, Config: a.Config, Key: key, Pool: a.Pool, Hook: a.Hook, Flusher: a.flusher, Memory: a.memory, Now: a.Now,
		EndReason: a.childEnd,
	}), childName(key, a.names))
	if err != nil {
		return nil, fmt.Errorf("start stream %s: %w", key.Path(), err)
	}
	e := &entry{key: key, pid: pid, open: map[string]openAttach{}}
	a.byKey[key], a.byPID[pid.Id] = e, e
	return e, nil
}

// childEnd says why a stream is being stopped that has not ended by itself: with the registry, or because it panicked. Called by streams.
func (a *registry) childEnd() actors.CloseReason {
	if a.stopping.Load() {
		return a.EndReason()
	}
	return actors.ReasonCrashed
}

// nameBytes bounds the part of a PID that shows the key.
const nameBytes = 64

// childName makes a PID name that shows the key as far as it can, and is used once.
func childName(key media.StreamKey, incarnation uint64) string {
	shown := key.Path()
	if key.VHost != media.DefaultVHost {
		shown = key.String()
	}
	var b strings.Builder
	for i := range len(shown) {
		c := shown[i]
		switch {
		case b.Len() >= nameBytes:
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return fmt.Sprintf("%s~%d", b.String(), incarnation)
}

func (a *registry) refuse(ctx actor.Context, who *actor.PID, key media.StreamKey, err error) {
	if who != nil {
		ctx.Send(who, &Refused{Key: key, Err: err})
	}
}

func (a *registry) onOnline(ctx actor.Context, m *stream.Online) {
	e := a.byPID[m.Stream.Id]
	if e == nil || e.ending {
		return
	}
	e.tracks = m.Tracks
	a.waiters.appeared(ctx, e)
}

func (a *registry) onSettled(m *stream.Settled) {
	if e := a.byPID[m.Stream.Id]; e != nil {
		e.answered(m.Publisher)
	}
}

func (e *entry) answered(publisher *actor.PID) {
	o := e.open[publisher.Id]
	if o.count--; o.count <= 0 {
		delete(e.open, publisher.Id)
		return
	}
	e.open[publisher.Id] = o
}

func (a *registry) onEnding(m *stream.Ending) {
	if e := a.byPID[m.Stream.Id]; e != nil {
		e.ending, e.tracks = true, nil
	}
}

// onBounced takes a publisher back from a stream that is over. Its entry may be gone already: a termination overtakes other messages.
func (a *registry) onBounced(ctx actor.Context, m *stream.Bounced) {
	if e := a.byPID[m.Stream.Id]; e != nil {
		e.answered(m.Attach.Publisher)
	}
	a.publish(ctx, m.Key, m.Attach)
}

// onTerminated hears of children, and of viewers that wait.
func (a *registry) onTerminated(ctx actor.Context, who *actor.PID) {
	a.waiters.gone(who)
	e := a.byPID[who.Id]
	if e == nil {
		return
	}
	delete(a.byPID, who.Id)
	delete(a.byKey, e.key)
	a.gathers.gone(ctx, who)
	if a.stopping.Load() {
		return
	}
	if !e.ending {
		// It panicked; what it had not answered is lost with its mailbox.
		for _, o := range e.open {
			a.refuse(ctx, o.publisher, e.key, stream.ErrCrashed)
		}
	}
	for _, m := range e.queued {
		a.publish(ctx, e.key, m)
	}
}

func (a *registry) onConfigChanged(ctx actor.Context, m *actors.ConfigChanged) {
	a.Config = m.Config
	for _, e := range a.byKey {
		ctx.Send(e.pid, &stream.Configure{Config: m.Config})
	}
	ctx.Respond(&actors.ConfigTaken{Owner: "streams"})
}

// release answers all who wait. The streams are stopped by the library right afterwards, and the flusher when they are gone.
func (a *registry) release(ctx actor.Context) {
	if a.released {
		return
	}
	a.released = true
	a.stopping.Store(true)
	a.waiters.refuseAll(ctx, ErrRestarted)
	for e := range maps.Values(a.byKey) {
		for _, m := range e.queued {
			a.refuse(ctx, m.Publisher, e.key, ErrRestarted)
		}
		for _, o := range e.open {
			a.refuse(ctx, o.publisher, e.key, ErrRestarted)
		}
		e.queued, e.open = nil, map[string]openAttach{}
	}
	a.gathers.refuseAll(ctx)
}
