package stream

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/hook"
	"berth/actors/portpool"
	"berth/config"
	"berth/media"
	"berth/media/hub"
	"berth/media/slab"
)

// Setup is what the registry makes a stream of.
type Setup struct {
	Runtime   *actors.Runtime
	Config    *config.Config
	Key       media.StreamKey
	Pool      *actor.PID // leases the UDP pairs
	Hook      *actor.PID // asked by on_stream_none_reader; nil = never
	Flusher   *Flusher
	Memory    *slab.Pool // where the stream's media lies while it has no viewers; nil = the heap
	Now       func() time.Time
	EndReason func() actors.CloseReason // why the actor is stopped, when it did not end by itself
}

// Props returns a stream's props. Only the registry spawns streams.
func Props(s Setup) *actor.Props {
	return s.Runtime.Props(func() actor.Actor { return newStream(s) })
}

// maxTracks is the hub's limit.
const maxTracks = 64

// streamActor executes what its state decides. All fields belong to the actor, except where said otherwise.
type streamActor struct {
	Setup
	log  zerolog.Logger
	root *actor.RootContext
	self *actor.PID

	state     state
	created   time.Time
	hub       *hub.Hub // nil until the first publisher is admitted
	writer    *hub.Writer
	publisher *actor.PID // attached now; nil while waiting
	origin    Origin
	params    string
	readers   map[string]*reader // by PID id, the same keys as state.readers
	pairs     pairs
	question  uint64 // id of the on_stream_none_reader that counts

	timer    *time.Timer
	timerAt  time.Time // zero when not armed
	finished bool      // Finished has been sent
	released bool
}

// reader is a registered viewer.
type reader struct {
	pid   *actor.PID
	info  ReaderInfo
	count func() hub.ReaderStats
	heard *Heard
}

// tick is the actor's one timer.
type tick struct{ from *streamActor }

func newStream(s Setup) *streamActor {
	log := s.Runtime.Log.With().Str("actor", "stream").Str("stream", s.Key.Path()).Logger()
	return &streamActor{Setup: s, log: log, state: newState(), readers: map[string]*reader{}, pairs: newPairs()}
}

func (a *streamActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.root, a.self, a.created = ctx.ActorSystem().Root, ctx.Self(), a.Now()
		return
	case *actor.Stopping, *actor.Restarting:
		a.release(ctx)
		return
	case *actor.Terminated:
		a.onTerminated(ctx, m.Who)
	case *Attach:
		a.onAttach(ctx, m)
	case *Detach:
		a.onDetach(ctx, m)
	case *AddReader:
		a.onAddReader(ctx, m)
	case *RemoveReader:
		a.removeReader(ctx, m.Reader)
	case *OpenUDP:
		a.onOpenUDP(ctx, m)
	case *portpool.PairLeased:
		a.onPairLeased(ctx, m)
	case *portpool.LeaseRefused:
		a.onLeaseFailed(ctx, m.ID, m.Err)
	case *actor.DeadLetterResponse:
		a.onNoAnswer(ctx)
	case *Close:
		ctx.Respond(&Closed{Key: a.Key, Closed: a.onClose(ctx, *m)})
	case *Shut:
		ctx.Respond(&Shutting{Number: m.Number, Stream: a.self, Closed: a.onClose(ctx, m.Close)})
	case *GetStream:
		ctx.Respond(a.snapshot(m.Readers))
	case *Collect:
		ctx.Respond(&Collected{Number: m.Number, Stream: a.self, Snapshot: a.snapshot(m.Readers)})
	case *Configure:
		former := a.noReaderDelay()
		a.Config = m.Config
		a.state.noReaderDelayChanged(former, a.noReaderDelay())
	case *hook.Answer:
		a.onNoneReaderAnswer(ctx, m)
	case *tick:
		if m.from != a {
			return
		}
		a.timerAt = time.Time{}
		a.onTick(ctx)
	}
	a.settle(ctx)
}

// settle follows every message: an ended stream that nobody holds up reports so, and the timer is set to the state's next deadline.
func (a *streamActor) settle(ctx actor.Context) {
	if a.state.finished(a.Now()) {
		if !a.finished {
			a.finished = true
			ctx.Send(ctx.Parent(), &Finished{Stream: a.self})
		}
		return
	}
	at := a.state.deadline()
	if at.IsZero() || at.Equal(a.timerAt) {
		return
	}
	a.stopTimer()
	root, self := a.root, a.self
	a.timerAt = at
	a.timer = time.AfterFunc(max(0, at.Sub(a.Now())), func() { root.Send(self, &tick{a}) })
}

func (a *streamActor) stopTimer() {
	if a.timer != nil {
		a.timer.Stop()
	}
}

func (a *streamActor) onTick(ctx actor.Context) {
	for {
		switch a.state.due(a.Now()) {
		case sourceLost:
			a.end(ctx, actors.ReasonSourceLost)
		case wentIdle:
			a.onIdle(ctx)
		default:
			return
		}
	}
}

func (a *streamActor) onAttach(ctx actor.Context, m *Attach) {
	switch a.state.admit(m.Publisher.Id) {
	case overAlready:
		ctx.Send(ctx.Parent(), &Bounced{Key: a.Key, Stream: a.self, Attach: m})
		return
	case refusedExists:
		a.refuse(ctx, m.Publisher, ErrExists)
		return
	}
	options := m.Options
	if a.state.phase != phaseFresh {
		options = a.state.options
	}
	sources, err := kept(m.Tracks, options)
	fresh := a.hub == nil
	if err == nil && fresh {
		a.hub = hub.New(wanted(sources), a.hubOptions())
	}
	var writer *hub.Writer
	var mapping []int
	if err == nil {
		writer, mapping, err = a.hub.Attach(sources)
	}
	switch {
	case err == nil:
		a.admit(ctx, m, writer, mapping, fresh)
	case fresh:
		a.refuse(ctx, m.Publisher, err)
		a.end(ctx, actors.ReasonRefused)
	case errors.Is(err, hub.ErrTracks):
		a.log.Info().Str("publisher", m.Publisher.Id).Msg("publisher brings other tracks: the stream is replaced")
		a.dropPublisher(ctx) // hears of the new stream, not of the end of this one
		a.end(ctx, actors.ReasonReplaced)
		ctx.Send(ctx.Parent(), &Bounced{Key: a.Key, Stream: a.self, Attach: m})
	default:
		a.refuse(ctx, m.Publisher, err)
	}
}

// admit makes a publisher whose tracks the hub has taken the stream's source.
func (a *streamActor) admit(ctx actor.Context, m *Attach, writer *hub.Writer, mapping []int, fresh bool) {
	now := a.Now()
	if a.publisher == nil || !a.publisher.Equal(m.Publisher) {
		ctx.Watch(m.Publisher)
	}
	a.useWriter(writer)
	a.publisher, a.origin, a.params = m.Publisher, m.Origin, m.Params
	a.state.attached(now, m.Publisher.Id, m.Options, a.noReaderDelay())
	if fresh {
		// Before the publisher knows, so that whoever learns of the stream from it finds it in the registry.
		ctx.Send(ctx.Parent(), &Online{Stream: a.self, Tracks: a.hub.Tracks()})
	}
	ctx.Send(m.Publisher, &Attached{Key: a.Key, Stream: a.self, Writer: writer, Tracks: mapping})
	a.answered(ctx, m.Publisher)
	a.log.Info().Str("publisher", m.Publisher.Id).Stringer("origin", m.Origin.Type).Str("from", m.Origin.ID).
		Int("tracks", len(a.hub.Tracks())).Bool("continued", !fresh).Msg("stream has a publisher")
}

// kept returns the publisher's tracks with nil in place of those that the options drop.
func kept(tracks []*media.Track, o Options) ([]*media.Track, error) {
	sources := make([]*media.Track, len(tracks))
	n := 0
	for i, t := range tracks {
		if t == nil || t.Kind == media.KindAudio && !o.EnableAudio {
			continue
		}
		sources[i] = t
		n++
	}
	switch {
	case n == 0:
		return nil, ErrNoTracks
	case n > maxTracks:
		return nil, ErrTooManyTracks
	}
	return sources, nil
}

func wanted(sources []*media.Track) []*media.Track {
	out := make([]*media.Track, 0, len(sources))
	for _, t := range sources {
		if t != nil {
			out = append(out, t)
		}
	}
	return out
}

func (a *streamActor) hubOptions() hub.Options {
	c := a.Config.Stream
	o := hub.Options{RingPackets: c.RingPackets, RingTime: c.ReaderMaxLag, GOPBytes: int64(c.GOPCache), MergeTime: a.Config.General.MergeWrite, Memory: a.Memory}
	if o.MergeTime == 0 {
		o.MergeTime = -1 // the key's 0 merges nothing, the hub's 0 is its default
	}
	if o.GOPBytes == 0 {
		o.GOPBytes = -1 // the key's 0 keeps none, the hub's 0 is its default
	}
	return o
}

func (a *streamActor) refuse(ctx actor.Context, publisher *actor.PID, err error) {
	ctx.Send(publisher, &Refused{Key: a.Key, Err: err})
	a.answered(ctx, publisher)
}

func (a *streamActor) answered(ctx actor.Context, publisher *actor.PID) {
	ctx.Send(ctx.Parent(), &Settled{Stream: a.self, Publisher: publisher})
}

func (a *streamActor) useWriter(w *hub.Writer) {
	if a.writer != nil {
		a.Flusher.remove(a.writer)
		a.writer.Close()
	}
	a.writer = w
	if w != nil {
		a.Flusher.add(w)
	}
}

func (a *streamActor) onDetach(ctx actor.Context, m *Detach) {
	if m.Publisher != nil {
		a.publisherLeft(ctx, m.Publisher, m.Final, partingReason(m.Reason))
	}
}

// publisherLeft is told by the publisher, by its end as an actor, or by both in any order.
func (a *streamActor) publisherLeft(ctx actor.Context, who *actor.PID, final bool, reason actors.CloseReason) {
	// Where nothing was ever published there is nothing to continue.
	nothing := a.hub != nil && a.hub.Stats().Packets == 0
	switch a.state.left(a.Now(), who.Id, final || nothing) {
	case partingWaits:
		a.dropPublisher(ctx)
		a.log.Info().Dur("wait", a.state.options.ContinuePush).Int("viewers", len(a.readers)).Msg("publisher has gone; viewers wait for it to come back")
	case partingEnds:
		a.dropPublisher(ctx)
		a.end(ctx, reason)
	}
}

// dropPublisher ends the publisher's access; the stream may go on.
func (a *streamActor) dropPublisher(ctx actor.Context) {
	a.useWriter(nil)
	if a.publisher == nil {
		return
	}
	if _, reads := a.readers[a.publisher.Id]; !reads {
		ctx.Unwatch(a.publisher)
	}
	a.publisher = nil
}

func (a *streamActor) onTerminated(ctx actor.Context, who *actor.PID) {
	a.publisherLeft(ctx, who, false, actors.ReasonSourceLost)
	a.removeReader(ctx, who)
}

// onClose obeys an order to end and reports whether it did.
func (a *streamActor) onClose(ctx actor.Context, m Close) bool {
	if a.state.phase == phaseEnded {
		return true
	}
	if !a.state.closable(m.Force) {
		return false
	}
	reason := m.Reason
	if reason == "" {
		reason = actors.ReasonKicked
	}
	a.end(ctx, reason)
	return true
}

// end makes the stream be over: the registry first, so that nothing more is forwarded, then everyone who takes part.
func (a *streamActor) end(ctx actor.Context, reason actors.CloseReason) {
	if a.state.phase == phaseEnded {
		return
	}
	a.state.end(a.Now())
	ctx.Send(ctx.Parent(), &Ending{Stream: a.self})
	a.tellEnded(ctx, reason)
}

func (a *streamActor) tellEnded(ctx actor.Context, reason actors.CloseReason) {
	ended := &Ended{Key: a.Key, Reason: reason}
	if a.publisher != nil {
		ctx.Send(a.publisher, ended)
	}
	a.dropPublisher(ctx)
	if a.hub != nil {
		a.hub.Close()
		stats := a.hub.Stats()
		a.log.Info().Str("reason", string(reason)).Int("viewers", len(a.readers)).Uint64("packets", stats.Packets).Uint64("bytes", stats.Bytes).
			Uint64("lost", stats.Lost).Dur("lasted", a.Now().Sub(a.created)).Msg("stream ended")
	}
	for _, r := range a.readers {
		ctx.Send(r.pid, ended)
	}
	a.refuseWaitingForPairs(ctx, ErrEnded)
}

// release frees what the actor holds, however it ends. The read loops have returned before a pair is given back.
func (a *streamActor) release(ctx actor.Context) {
	if a.released {
		return
	}
	a.released = true
	a.stopTimer()
	if a.state.phase != phaseEnded {
		a.state.end(a.Now())
		a.tellEnded(ctx, a.EndReason())
	}
	a.releasePairs(ctx)
}
