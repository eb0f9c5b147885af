package receiver

import (
	"net/netip"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/stream"
	"berth/config"
	"berth/media"
	"berth/media/hub"
	"berth/netio/gb28181"
)

// inflow is one device's media within an actor: the source that takes its packets in, and the feed that publishes what comes out. Its plain fields belong to the actor.
type inflow struct {
	source *gb28181.Source
	feed   feed
	local  netip.AddrPort
	peer   netip.AddrPort // of the device; zero before its first valid packet
	tcp    bool
	id     string // what the API knows the device by

	// Read by the goroutines that push packets.
	sparing atomic.Bool                // rtp_proxy.parse_on_demand
	writer  atomic.Pointer[hub.Writer] // nil while nothing is published
}

// Messages that the goroutines of a source post to its actor. from tells the source from a successor's.
type (
	// tracksReady says what the device sends.
	tracksReady struct {
		from   *inflow
		tracks []*media.Track
	}
	// deviceLocked says where it sends from.
	deviceLocked struct {
		from *inflow
		peer netip.AddrPort
		tcp  bool
	}
)

// prepare makes the feed; the source comes with start.
func (f *inflow) prepare(ctx actor.Context, opts *Options, cfg *config.Config, log zerolog.Logger, key media.StreamKey, id string) {
	f.id = id
	f.sparing.Store(cfg.RTPProxy.ParseOnDemand)
	f.feed = feed{
		streams: opts.Streams, self: ctx.Self(), root: ctx.ActorSystem().Root, log: log, now: opts.Now, key: key, config: cfg, outlet: f,
	}
}

// callbacks completes the options of a source with what it tells this actor.
func (f *inflow) callbacks(o *gb28181.SourceOptions, root *actor.RootContext, self *actor.PID) {
	o.Locked = func(peer netip.AddrPort, tcp bool) { root.Send(self, &deviceLocked{f, peer, tcp}) }
	o.Ready = func(tracks []*media.Track) { root.Send(self, &tracksReady{f, tracks}) }
	o.OnDemand = f.needed
}

// needed reports whether anybody wants the frames. Asked for each packet.
func (f *inflow) needed() bool {
	if !f.sparing.Load() {
		return true
	}
	w := f.writer.Load()
	return w == nil || w.Watched()
}

// Attach is the feed's outlet.
func (f *inflow) Attach(offer []*media.Track, w *hub.Writer, tracks []int) {
	f.writer.Store(w)
	f.source.Answer(offer, w, tracks)
}

// Detach is the feed's outlet.
func (f *inflow) Detach() {
	f.source.Detach()
	f.writer.Store(nil)
}

func (f *inflow) configure(cfg *config.Config) {
	f.feed.config = cfg
	f.sparing.Store(cfg.RTPProxy.ParseOnDemand)
}

// receive handles a message of the source or of streams. over reports that the device is to go, because somebody ended its stream.
func (f *inflow) receive(ctx actor.Context) (over bool) {
	switch m := ctx.Message().(type) {
	case *deviceLocked:
		if m.from == f {
			f.peer, f.tcp = m.peer, m.tcp
		}
	case *tracksReady:
		if m.from == f {
			f.feed.tracksKnown(ctx, m.tracks, f.peer, f.local, f.id)
		}
	case askAgain:
		f.feed.publish(ctx)
	case *stream.Attached:
		f.feed.onAttached(ctx, m)
	case *stream.Refused:
		f.feed.onRefused(m.Err)
	case *stream.Ended:
		return f.feed.onEnded(ctx, m.Key, m.Reason)
	case *actor.Terminated:
		// It overtakes the Ended that a stream sends before it stops, and must not be taken for a crash.
		ctx.Send(ctx.Self(), &streamGone{m.Who})
	case *streamGone:
		f.feed.onStreamGone(ctx, m.stream)
	}
	return false
}

// close ends source and feed; whoever pushes packets has been stopped before.
func (f *inflow) close(ctx actor.Context, reason actors.CloseReason, final bool) {
	f.source.Close()
	f.feed.leave(ctx, reason, final)
}

// show adds what lists tell of the device.
func (f *inflow) show(s *shown) {
	s.source = f.source
	s.snapshot.Stream, s.snapshot.Peer, s.snapshot.Local = f.feed.published(), f.peer, f.local
	if f.peer.IsValid() {
		s.snapshot.Transport = "udp"
		if f.tcp {
			s.snapshot.Transport = "tcp"
		}
	}
}
