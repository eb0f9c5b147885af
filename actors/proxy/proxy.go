package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/portpool"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/netio/rtsp"
)

// stopGrace is how long the stop of a proxy waits for its pull: for a TEARDOWN to be written, and for read loops to let go of leased sockets.
const stopGrace = time.Second

// Messages between proxies and proxy. epoch tells one spawned proxy of a definition from its successor.
type (
	// firstResult tells proxies how the first attempt went.
	firstResult struct {
		key   string
		epoch uint64
		err   error
	}
	// gaveUp tells proxies that there will be no further attempt.
	gaveUp struct {
		key    string
		epoch  uint64
		err    error
		reason actors.CloseReason
	}
	// portsTaken tells proxies which ports to remember.
	portsTaken struct {
		key   string
		epoch uint64
		ports []uint16
	}
	// configured hands a new snapshot to a proxy.
	configured struct{ config *config.Config }
)

// picture is what a proxy shows of itself. Written by the proxy, read by proxies.
type picture = atomic.Pointer[Snapshot]

// streamGone is a stream's Terminated, in line with what the stream sent before.
type streamGone struct{ stream *actor.PID }

// timerFired is the timer's message; a stale serial is ignored.
type timerFired struct{ serial uint64 }

// proxyActor pulls one definition. It routes, executes and cleans up; state decides.
type proxyActor struct {
	opts    Options
	def     store.Proxy
	key     string
	epoch   uint64
	picture *picture
	fresh   bool // added by an API call just now, not restored
	config  *config.Config
	log     zerolog.Logger

	state  state
	root   *actor.RootContext
	self   *actor.PID
	parent *actor.PID
	queue  []any // events that actions brought about
	busy   bool

	pull     *rtsp.Pull // of the present attempt, until it has been closed
	deadline time.Time  // of the present attempt
	granted  map[int]*portpool.PairLeased
	sockets  map[int]*portpool.PairLeased // leases in use, by track
	attached *stream.Attached
	former   *actor.PID     // the stream that was attached before
	work     sync.WaitGroup // goroutines of the present pull
	timer    *time.Timer
	serial   uint64
	released bool
}

func (a *proxyActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted(ctx)
	case *actor.Stopping, *actor.Restarting:
		a.release(ctx)
	case *timerFired:
		if m.serial == a.serial {
			a.handle(ctx, tick{})
		}
	case described, fellBack, played, ended, leave:
		a.handle(ctx, m)
	case closed:
		a.pull = nil
		a.handle(ctx, m)
	case *portpool.PairLeased:
		a.granted[leasedTrack(m.ID)] = m
		a.handle(ctx, granted{leasedTrack(m.ID), m.Epoch, m.Port})
	case *portpool.LeaseRefused:
		a.handle(ctx, refused{leasedTrack(m.ID), m.Err})
	case *stream.Attached:
		a.onAttached(ctx, m)
	case *stream.Refused:
		a.handle(ctx, published{err: m.Err})
	case *streams.StreamsClosed:
		a.handle(ctx, streamCleared{})
	case *stream.Ended:
		if a.attached != nil {
			a.endAttached(ctx, m.Reason)
		}
	case *actor.Terminated:
		// It overtakes the Ended that a stream sends before it stops, and must not be taken for a crash.
		ctx.Send(a.self, &streamGone{m.Who})
	case *streamGone:
		if a.attached != nil && a.attached.Stream.Equal(m.stream) {
			a.endAttached(ctx, actors.ReasonCrashed)
		}
	case *configured:
		a.config = m.config
		a.configure()
	}
}

func (a *proxyActor) onStarted(ctx actor.Context) {
	a.root, a.self, a.parent = ctx.ActorSystem().Root, ctx.Self(), ctx.Parent()
	a.granted, a.sockets = map[int]*portpool.PairLeased{}, map[int]*portpool.PairLeased{}
	a.log = a.opts.Runtime.Log.With().Str("actor", "proxy").Str("stream", a.def.Key.Path()).Str("source", rtsp.SafeURL(a.def.URL)).Logger()
	a.state = state{random: a.opts.Rand, ports: a.def.Ports, leases: map[int]*lease{}, given: map[int]uint64{}}
	a.configure()
	a.handle(ctx, begin{})
}

// configure makes the settings from definition and configuration.
func (a *proxyActor) configure() {
	c := a.config.Proxy
	a.state.settings = settings{
		retryCount: a.def.RetryCount, rtpType: a.def.RTPType, enableAudio: a.streamOptions().EnableAudio,
		firstIsLast: a.fresh && !a.def.Force, timeout: a.def.Timeout, delayMin: c.RetryDelayMin, delayMax: c.RetryDelayMax,
	}
	if a.state.timeout <= 0 {
		a.state.timeout = c.ConnectTimeout
	}
}

func (a *proxyActor) streamOptions() stream.Options {
	p := a.config.Protocol
	o := stream.Options{ContinuePush: p.ContinuePush, EnableAudio: p.EnableAudio, AutoClose: p.AutoClose}
	if a.def.EnableAudio != nil {
		o.EnableAudio = *a.def.EnableAudio
	}
	if a.def.AutoClose != nil {
		o.AutoClose = *a.def.AutoClose
	}
	return o
}

func (a *proxyActor) onAttached(ctx actor.Context, m *stream.Attached) {
	former := a.attached
	a.attached = m
	a.handle(ctx, published{stream: m.Stream})
	if !a.state.attached {
		a.attached = former // it came too late and has been given back
		return
	}
	ctx.Watch(m.Stream)
}

// endAttached reacts to the end of the stream that is published.
func (a *proxyActor) endAttached(ctx actor.Context, reason actors.CloseReason) {
	a.attached = nil
	a.handle(ctx, streamEnded{reason})
}

// handle runs the state machine for one event and for those that its actions bring about.
func (a *proxyActor) handle(ctx actor.Context, ev any) {
	a.queue = append(a.queue, ev)
	if a.busy {
		return
	}
	a.busy = true
	for len(a.queue) > 0 {
		ev := a.queue[0]
		a.queue = a.queue[1:]
		for _, act := range a.state.step(a.opts.Now(), ev) {
			a.execute(ctx, act)
		}
	}
	a.busy = false
	a.show()
}

func (a *proxyActor) execute(ctx actor.Context, act action) {
	switch act := act.(type) {
	case connect:
		a.connect(ctx, act)
	case leasePair:
		a.leasePair(ctx, act)
	case keep:
		a.sockets[act.track] = a.granted[act.track]
	case release:
		a.releasePair(ctx, act)
	case publish:
		a.publish(ctx)
	case clearStream:
		k := a.def.Key
		ctx.Request(a.opts.Streams, &streams.CloseStreams{
			Filter: streams.Filter{VHost: k.VHost, App: k.App, Stream: k.Stream}, Force: true, Reason: actors.ReasonReplaced,
		})
	case play:
		a.play(act)
	case closePull:
		a.closePull(ctx, act)
	case detach:
		a.detach(ctx, act)
	case schedule:
		a.schedule(act.after)
	case unschedule:
		a.unschedule()
	case rememberPorts:
		ctx.Send(a.parent, &portsTaken{a.key, a.epoch, act.ports})
	case tellFirst:
		a.tellFirst(ctx, act.err)
	case over:
		ctx.Send(a.parent, &gaveUp{a.key, a.epoch, act.err, act.reason})
	case note:
		a.log.Info().Err(act.err).Int("failed", a.state.failed).Msg(act.text)
	}
}

func (a *proxyActor) tellFirst(ctx actor.Context, err error) {
	if err == nil {
		a.log.Info().Str("transport", a.state.transport).Msg("pulling")
	}
	ctx.Send(a.parent, &firstResult{a.key, a.epoch, err})
}

func (a *proxyActor) schedule(after time.Duration) {
	a.unschedule()
	root, self, fired := a.root, a.self, &timerFired{a.serial}
	a.timer = time.AfterFunc(after, func() { root.Send(self, fired) })
}

func (a *proxyActor) unschedule() {
	a.serial++
	if a.timer != nil {
		a.timer.Stop()
	}
}

func (a *proxyActor) publish(ctx actor.Context) {
	local, peer := a.pull.Endpoints()
	ctx.Request(a.opts.Streams, &streams.Publish{
		Key: a.def.Key,
		Attach: stream.Attach{
			Publisher: a.self,
			Origin:    stream.Origin{Type: stream.OriginPull, URL: rtsp.SafeURL(a.def.URL), Peer: peer, Local: local, ID: a.key},
			Tracks:    a.state.tracks,
			Options:   a.streamOptions(),
		},
	})
}

func (a *proxyActor) detach(ctx actor.Context, act detach) {
	to := act.pid
	if to == nil {
		if a.attached != nil {
			a.former = a.attached.Stream
			ctx.Unwatch(a.former)
			a.attached = nil
		}
		if to = a.former; to == nil {
			return
		}
	}
	ctx.Send(to, &stream.Detach{Publisher: a.self, Reason: act.reason, Final: act.final})
}

// show publishes what ListProxies answers.
func (a *proxyActor) show() {
	s := &a.state
	snap := &Snapshot{
		Definition: a.def, Key: a.key, Stream: a.def.Key, Playing: s.phase == phasePlaying, Since: s.since, RetryAt: s.retryAt,
		Repulls: max(s.plays-1, 0), Failures: s.failed, Transport: s.transport, Status: "connecting",
	}
	snap.Definition.Ports = s.ports
	switch {
	case s.phase == phasePlaying:
		snap.Status = "success"
	case s.err != nil:
		snap.Status = s.err.Error()
	}
	a.picture.Store(snap)
}

// release ends everything that the proxy has, when it stops or has panicked. It waits for the pull, which takes as long as writing a TEARDOWN and at most stopGrace: the
// pool takes the leases back as soon as this actor is gone, and by then nobody may read from their sockets. All proxies of an engine stop at the same time.
func (a *proxyActor) release(ctx actor.Context) {
	if a.released {
		return
	}
	a.released = true
	a.unschedule()
	if pull := a.pull; pull != nil {
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_ = pull.Close() // always nil
			a.work.Wait()
		}()
		grace := time.NewTimer(stopGrace)
		defer grace.Stop()
		select {
		case <-gone:
		case <-grace.C:
			a.log.Warn().Dur("after", stopGrace).Msg("the source's connection could not be ended in time and is left to itself")
		}
	}
	if a.attached != nil {
		ctx.Send(a.attached.Stream, &stream.Detach{Publisher: a.self, Reason: actors.ReasonSourceLost})
	}
}
