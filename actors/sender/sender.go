package sender

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/portpool"
	"berth/actors/receiver"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/netio/gb28181"
)

// view is what a sender shows of itself.
type view struct {
	Since  time.Time
	Local  netip.AddrPort
	Peer   netip.AddrPort
	sender *gb28181.Sender // nil before it sends
}

// picture is the present view. Written by the sender, read by senders.
type picture = atomic.Pointer[view]

func (v *view) snapshot(def store.Sender) Snapshot {
	s := Snapshot{Definition: def, Stream: def.Stream, SSRC: def.SSRC, Local: v.Local, Peer: v.Peer, Since: v.Since}
	if v.sender != nil {
		s.Stats = v.sender.Stats()
	}
	return s
}

// phase is where a sender stands.
type phase int

const (
	phaseFinding   phase = iota // waiting for the stream
	phaseLeasing                // waiting for its port, or for the way back to a device
	phaseJoining                // waiting to be a viewer
	phaseReceiving              // waiting for what takes in what comes back
	phaseOpening                // looking a name up, connecting
	phaseSending                // or waiting for its peer
	phaseClosing                // waiting for the lease to be back
	phasePausing                // until the next attempt
	phaseOver
)

// Messages of a sender to itself. attempt tells one attempt from the next.
type (
	// opened says that a way to the peer has been found, or not; see way.
	opened struct{ attempt uint64 }
	// met says that the peer is known.
	met struct {
		attempt     uint64
		local, peer netip.AddrPort
	}
	// ended says that the sender has ended by itself.
	ended struct {
		attempt uint64
		err     error
	}
	// retry ends a pause.
	retry struct{ attempt uint64 }
	// streamGone is a stream's Terminated, in line with what the stream sent before.
	streamGone struct{ stream *actor.PID }
)

// senderActor runs one definition.
type senderActor struct {
	opts     Options
	config   *config.Config
	def      store.Sender
	number   uint64
	epoch    uint64
	picture  *picture
	restored bool // it goes on trying until deadline
	deadline time.Time
	log      zerolog.Logger

	root   *actor.RootContext
	self   *actor.PID
	parent *actor.PID

	phase   phase
	attempt uint64
	stream  *actor.PID   // of which it is a viewer, or about to be
	origin  originFields // of the stream, for the hook
	sockets sockets
	path    *gb28181.ReturnPath // two-way talk
	form    *gb28181.Form
	way     way // being opened
	sender  *gb28181.Sender
	source  *gb28181.Source // takes in what comes back; nil when that is thrown away
	work    sync.WaitGroup  // goroutine of the present attempt
	timer   *time.Timer
	leasing bool // the pool has not answered yet

	received *actor.PID // publishes what comes back; nil when nobody does

	after    afterClosing
	err      error  // why it ends by itself
	port     uint16 // that it has, or had
	released bool
}

// afterClosing says what comes when everything has been given back.
type afterClosing int

const (
	thenTellOver afterClosing = iota // quietly
	thenTellHook                     // on_send_rtp_stopped
	thenTryAgain
)

func (a *senderActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted(ctx)
	case *actor.Stopping, *actor.Restarting:
		a.release(ctx)
	case leave:
		a.restored = false
		a.close(ctx, thenTellOver, nil)
	case *streams.Subscribed:
		a.onSubscribed(ctx, m)
	case *stream.Refused:
		if a.phase == phaseFinding {
			a.fail(ctx, ErrNoSource)
		}
	case *receiver.Talk:
		a.onTalk(ctx, m)
	case *portpool.PairLeased:
		a.onLeased(ctx, m)
	case *portpool.LeaseRefused:
		a.onLeaseRefused(ctx, m)
	case *portpool.LeaseReleased:
		a.onReleased(ctx)
	case *receiving:
		a.onReceiving(ctx, m)
	case *stream.ReaderAdded:
		a.onReaderAdded(ctx, m)
	case *stream.Snapshot:
		a.origin = originOf(m)
	case *opened:
		if m.attempt == a.attempt && a.phase == phaseOpening {
			a.onOpened(ctx)
		}
	case *met:
		a.onMet(ctx, m)
	case *ended:
		a.onEnded(ctx, m)
	case *retry:
		if m.attempt == a.attempt && a.phase == phasePausing {
			a.begin(ctx)
		}
	case *stream.Ended:
		a.onStreamEnded(ctx, m.Reason)
	case *actor.Terminated:
		// It overtakes the Ended that a stream sends before it stops, and must not be taken for a crash.
		ctx.Send(a.self, &streamGone{m.Who})
	case *streamGone:
		if a.stream != nil && a.stream.Equal(m.stream) {
			a.onStreamEnded(ctx, actors.ReasonCrashed)
		}
	case *actor.DeadLetterResponse:
		a.onNobody(ctx)
	}
}

func (a *senderActor) onStarted(ctx actor.Context) {
	a.root, a.self, a.parent = ctx.ActorSystem().Root, ctx.Self(), ctx.Parent()
	a.log = a.opts.Runtime.Log.With().Str("actor", "sender").Str("stream", a.def.Stream.Path()).Str("ssrc", a.def.SSRC).Logger()
	if a.def.CloseDelay <= 0 {
		a.def.CloseDelay = 5 * time.Second
	}
	a.deadline = a.opts.Now().Add(a.opts.RestoreFor)
	if a.def.HoldSource && !a.restored {
		a.log.Info().Msg("enable_origin_recv_limit has no effect: a live source waits for nobody; a peer that is too slow goes on at a later key frame")
	}
	a.begin(ctx)
}

// begin starts an attempt.
func (a *senderActor) begin(ctx actor.Context) {
	a.attempt++
	a.phase = phaseFinding
	find := &streams.Subscribe{Reader: a.self, Key: a.def.Stream}
	if a.restored {
		find.Wait = max(a.deadline.Sub(a.opts.Now()), 0)
	}
	ctx.Request(a.opts.Streams, find)
}

func (a *senderActor) onSubscribed(ctx actor.Context, m *streams.Subscribed) {
	if a.phase != phaseFinding {
		return // of an attempt that is over
	}
	a.stream = m.Stream
	actors.WatchOutliving(ctx, m.Stream)
	a.phase = phaseLeasing
	if a.def.Mode == store.SendTalk {
		a.askForPath(ctx)
		return
	}
	a.lease(ctx, a.wantedPort())
}

// join makes the sender a viewer of its stream.
func (a *senderActor) join(ctx actor.Context) {
	a.phase = phaseJoining
	ctx.Request(a.stream, &stream.GetStream{})
	a.introduce(ctx)
}

// introduce tells the stream who its viewer is.
func (a *senderActor) introduce(ctx actor.Context) {
	v := a.picture.Load()
	protocol := "rtp"
	if a.def.Mode == store.SendTalk {
		protocol = "rtp_talk"
	}
	add := &stream.AddReader{
		Reader: a.self,
		Info:   stream.ReaderInfo{ID: "rtp_sender-" + a.def.SSRC, Protocol: protocol, Peer: v.Peer, Local: v.Local, Since: v.Since},
	}
	if a.sender != nil {
		add.Count = a.sender.Viewer
	}
	ctx.Request(a.stream, add)
}

func (a *senderActor) onReaderAdded(ctx actor.Context, m *stream.ReaderAdded) {
	if a.phase != phaseJoining || a.stream == nil || !a.stream.Equal(m.Stream) {
		return // an answer to an introduction
	}
	form, err := a.opts.forms.Use(m.Hub, gb28181.FormOptions{
		Kind: gb28181.FormKind(a.def.Form), OnlyAudio: a.def.OnlyAudio, G711Packet: a.config.RTPProxy.G711Packet,
		PayloadBytes: a.config.RTP.VideoMTU,
	})
	if err != nil {
		a.restored = false // it will not be otherwise the next time
		a.fail(ctx, err)
		return
	}
	a.form = form
	for _, codec := range form.LeftOut() {
		a.log.Warn().Str("codec", codec).Stringer("form", form.Kind()).Msg("the sound of this stream has no place in the form that is asked for, and is left out")
	}
	a.receive(ctx)
}

// onMet notes who the peer is.
func (a *senderActor) onMet(ctx actor.Context, m *met) {
	if m.attempt != a.attempt || a.phase != phaseSending {
		return
	}
	a.show(m.local, m.peer)
	a.introduce(ctx)
	a.log.Info().Stringer("peer", m.peer).Stringer("local", m.local).Stringer("form", a.form.Kind()).Msg("sending")
}

func (a *senderActor) show(local, peer netip.AddrPort) {
	since := a.picture.Load().Since
	a.picture.Store(&view{Since: since, Local: local, Peer: peer, sender: a.sender})
}

// started is called when the sender runs: it sends, or waits for its peer.
func (a *senderActor) started(ctx actor.Context, s *gb28181.Sender, local netip.AddrPort) {
	a.sender, a.phase = s, phaseSending
	a.picture.Store(&view{Since: a.opts.Now(), Local: local, Peer: s.Peer(), sender: s})
	a.introduce(ctx)
	a.port = local.Port()
	ctx.Send(a.parent, &settled{number: a.number, epoch: a.epoch, port: a.port, leased: a.sockets.leasedPort()})
}

// senderOptions are those of the present attempt.
func (a *senderActor) senderOptions() gb28181.SenderOptions {
	root, self, attempt := a.root, a.self, a.attempt
	o := gb28181.SenderOptions{
		Form: a.form, Source: a.source, SSRC: ssrcOf(a.def.SSRC), PayloadType: a.def.PayloadType, PeerTimeout: a.def.CloseDelay, NeedReports: a.def.RTCPTimeout,
		OnPeer: func(local, peer netip.AddrPort) { root.Send(self, &met{attempt, local, peer}) },
		OnEnd:  func(err error) { root.Send(self, &ended{attempt, err}) },
	}
	if a.restored {
		o.PeerTimeout = max(a.deadline.Sub(a.opts.Now()), a.def.CloseDelay) // the peer has to find out first
	}
	return o
}
