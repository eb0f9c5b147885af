package sender

import (
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/media/remux"
	"berth/netio/gb28181"
)

const (
	// lookAfter is how often a stream that comes back is looked at: whether it is silent, or to be asked for again.
	lookAfter = time.Second
	// rtpHeaderBytes is what the keys of packet sizes do not count.
	rtpHeaderBytes = 12
)

// Messages to a receivedActor.
type (
	// tracksReady says what comes back.
	tracksReady struct{ tracks []*media.Track }
	// comesFrom says where from.
	comesFrom struct{ peer netip.AddrPort }
	// look lets it look at its stream.
	look struct{}
	// receiving gives its sender the source that the sender's socket is to feed.
	receiving struct {
		attempt uint64
		source  *gb28181.Source
	}
)

// receivedActor publishes what the peer of a sender sends back on the same socket or connection (recv_stream_id). It lives as long as its sender sends. A peer that is silent for rtp_proxy.timeoutSec costs the stream, which comes again with
// its media; a stream that somebody closes does not come again.
type receivedActor struct {
	opts    Options
	config  *config.Config
	log     zerolog.Logger
	key     media.StreamKey
	attempt uint64 // of the sender

	source   *gb28181.Source
	root     *actor.RootContext
	self     *actor.PID
	timer    *time.Timer
	peer     netip.AddrPort
	tracks   []*media.Track // what comes; nil while that is not known
	asked    bool           // streams has not answered yet
	attached *stream.Attached
	since    time.Time // of the present role as publisher
	over     bool
}

// sourceOptions are those of receivers, as far as the keys say them.
func (a *receivedActor) sourceOptions() gb28181.SourceOptions {
	c := a.config
	root, self := a.root, a.self
	return gb28181.SourceOptions{
		Relearn: c.RTPProxy.RelearnAfter, Buffers: a.opts.buffers,
		Payloads: gb28181.PayloadTypes{
			PS: uint8(c.RTPProxy.PSPT), H264: uint8(c.RTPProxy.H264PT), H265: uint8(c.RTPProxy.H265PT), Opus: uint8(c.RTPProxy.OpusPT), //nolint:gosec // at most 127
		},
		Tracks: remux.AssemblerOptions{
			NoAudio: !c.Protocol.EnableAudio, WaitTrackReady: patience(c.General.WaitTrackReady), WaitAudioData: patience(c.General.WaitAudioData), WaitAddTrack: patience(c.General.WaitAddTrack),
			UnreadyFrames: c.General.UnreadyFrames, VideoMTU: c.RTP.VideoMTU + rtpHeaderBytes, AudioMTU: c.RTP.AudioMTU + rtpHeaderBytes,
		},
		Ready:  func(tracks []*media.Track) { root.Send(self, &tracksReady{tracks}) },
		Locked: func(peer netip.AddrPort, _ bool) { root.Send(self, &comesFrom{peer}) },
	}
}

// patience turns a key, whose 0 waits for nothing, into an option, whose 0 is a default.
func patience(key time.Duration) time.Duration {
	if key == 0 {
		return -1
	}
	return key
}

func (a *receivedActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.root, a.self = ctx.ActorSystem().Root, ctx.Self()
		a.source = gb28181.NewSource(a.sourceOptions())
		a.lookLater()
		ctx.Send(ctx.Parent(), &receiving{a.attempt, a.source})
	case *actor.Stopping, *actor.Restarting:
		a.close(ctx)
	case *comesFrom:
		a.peer = m.peer
	case *tracksReady:
		a.tracks = m.tracks
		a.publish(ctx)
	case *look:
		a.onLook(ctx)
	case *stream.Attached:
		a.onAttached(ctx, m)
	case *stream.Refused:
		a.asked = false
		a.log.Warn().Err(m.Err).Msg("the stream of what comes back is refused; it is asked for again")
	case *stream.Ended:
		a.onEnded(m.Reason)
	case *actor.Terminated:
		// It overtakes the Ended that a stream sends before it stops, and must not be taken for a crash.
		ctx.Send(a.self, &streamGone{m.Who})
	case *streamGone:
		if a.attached != nil && a.attached.Stream.Equal(m.stream) {
			a.drop()
		}
	}
}

func (a *receivedActor) lookLater() {
	root, self := a.root, a.self
	a.timer = time.AfterFunc(lookAfter, func() { root.Send(self, &look{}) })
}

// onLook ends the role as publisher after a silence, and takes it up again after that, and after a refusal.
func (a *receivedActor) onLook(ctx actor.Context) {
	if a.over {
		return
	}
	a.lookLater()
	last := a.source.Stats().LastFrame
	if last.Before(a.since) {
		last = a.since
	}
	silent := a.opts.Now().Sub(last) >= a.config.RTPProxy.Timeout
	switch {
	case a.attached != nil && silent:
		a.log.Info().Msg("nothing comes back any more")
		a.leave(ctx, actors.ReasonTimeout)
	case a.attached == nil && a.tracks != nil && !silent:
		a.publish(ctx)
	}
}

func (a *receivedActor) publish(ctx actor.Context) {
	if a.over || a.asked {
		return
	}
	a.asked = true
	p := a.config.Protocol
	ctx.Request(a.opts.Streams, &streams.Publish{Key: a.key, Attach: stream.Attach{
		Publisher: a.self, Origin: stream.Origin{Type: stream.OriginRTPPush, URL: "rtp://" + a.peer.String(), Peer: a.peer, ID: a.key.String()}, Tracks: a.tracks,
		Options: stream.Options{ContinuePush: p.ContinuePush, EnableAudio: p.EnableAudio, AutoClose: p.AutoClose},
	}})
}

func (a *receivedActor) onAttached(ctx actor.Context, m *stream.Attached) {
	a.asked = false
	if a.attached != nil {
		ctx.Unwatch(a.attached.Stream)
	}
	actors.WatchOutliving(ctx, m.Stream)
	a.attached, a.since = m, a.opts.Now()
	if a.over {
		a.leave(ctx, actors.ReasonPeerClosed)
		return
	}
	a.source.Attach(m.Writer, m.Tracks)
	a.log.Info().Stringer("peer", a.peer).Msg("what comes back is published")
}

// onEnded takes the end of the stream. Who wanted it to end gets no other.
func (a *receivedActor) onEnded(reason actors.CloseReason) {
	switch reason {
	case actors.ReasonKicked, actors.ReasonDeleted, actors.ReasonNoReader, actors.ReasonRefused:
		a.over = true
	}
	a.drop()
}

// drop forgets the stream, which is gone.
func (a *receivedActor) drop() {
	if a.attached != nil {
		a.source.Detach()
		a.attached = nil
	}
}

// leave ends the role as publisher, and the stream with it.
func (a *receivedActor) leave(ctx actor.Context, reason actors.CloseReason) {
	if a.attached != nil {
		ctx.Unwatch(a.attached.Stream)
		ctx.Send(a.attached.Stream, &stream.Detach{Publisher: a.self, Reason: reason, Final: true})
	}
	a.drop()
}

func (a *receivedActor) close(ctx actor.Context) {
	a.over = true
	if a.timer != nil {
		a.timer.Stop()
	}
	a.leave(ctx, actors.ReasonPeerClosed)
	a.source.Close()
}

// receive begins to publish what the peer sends back, if that is wanted, before the way to the peer is opened.
func (a *senderActor) receive(ctx actor.Context) {
	if a.def.Receive == "" || a.def.Mode == store.SendTalk {
		a.phase = phaseOpening
		a.open(ctx)
		return
	}
	a.phase = phaseReceiving
	key := a.def.Stream
	key.Stream = a.def.Receive
	child := &receivedActor{opts: a.opts, config: a.config, key: key, attempt: a.attempt, log: a.log.With().Str("received", key.Path()).Logger()}
	a.received = ctx.Spawn(a.opts.Runtime.Props(func() actor.Actor { return child }))
}

func (a *senderActor) onReceiving(ctx actor.Context, m *receiving) {
	if m.attempt != a.attempt || a.phase != phaseReceiving {
		return
	}
	a.source, a.phase = m.source, phaseOpening
	a.open(ctx)
}
