package receiver

import (
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/portpool"
	"berth/actors/store"
	"berth/config"
	"berth/media"
	"berth/media/remux"
	"berth/netio/gb28181"
)

// Messages between receivers and the actor of a receiver. epoch tells one spawned actor of a definition from its successor.
type (
	// bound tells receivers how the opening went.
	bound struct {
		key    media.StreamKey
		epoch  uint64
		port   uint16
		leased uint16 // the even port when the pool's, else 0
		err    error
	}
	// finished tells receivers that a receiver which ends of its own accord has given its sockets back and has nothing left to do.
	finished struct {
		key    media.StreamKey
		epoch  uint64
		reason actors.CloseReason
	}
	// connected tells receivers where a receiver of tcp_mode 2 was connected to.
	connected struct {
		key   media.StreamKey
		epoch uint64
		host  string
		port  uint16
	}
	// leave ends a receiver or a device.
	leave struct{ reason actors.CloseReason }
	// setSSRC changes the wanted SSRC.
	setSSRC struct{ ssrc uint32 }
	// claimed hands down the definition by which an API call took a restored receiver over.
	claimed struct{ def store.Receiver }
	// pause suspends the test for silence.
	pause struct{ length time.Duration }
	// configured hands down a new snapshot.
	configured struct{ config *config.Config }
)

// silenceTick is posted when the silence of a receiver or device may be over its limit.
type silenceTick struct{}

// openAgain is posted when a restored receiver that could not get its sockets may try again.
type openAgain struct{}

// Pauses between the attempts of a restored receiver to get its sockets.
const (
	openRetryMin = 500 * time.Millisecond
	openRetryMax = 5 * time.Second
)

// receiverActor is one opened receiver, or a port that many devices share.
type receiverActor struct {
	opts       Options
	config     *config.Config
	def        store.Receiver
	epoch      uint64
	picture    *picture
	entryFixed bool // it is rtp_proxy.port
	fresh      bool // opened by an API call just now, not restored
	log        zerolog.Logger

	root   *actor.RootContext
	self   *actor.PID
	parent *actor.PID

	asked   uint16 // port that the lease was asked for with
	waiting bool   // for the pool's answer to that
	sockets sockets
	tries   int
	one     *single // of one device; nil before the sockets are there, and of a shared port
	many    *shared // of a shared port; nil before the sockets are there
	silence silence
	timer   *time.Timer
	again   *time.Timer
	reason  actors.CloseReason
	ending  bool
	over    bool

	dismissed bool // receivers has ordered the end, and waits for that of this actor alone
}

func newReceiver(opts Options, cfg *config.Config, e *entry) *receiverActor {
	return &receiverActor{
		opts: opts, config: cfg, def: e.def, epoch: e.epoch, picture: e.picture, entryFixed: e.fixed, fresh: !e.restored && !e.open,
		log: opts.Runtime.Log.With().Str("actor", "receiver").Str("stream", e.def.Key.Path()).Logger(),
	}
}

func (a *receiverActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted(ctx)
	case *actor.Stopping, *actor.Restarting:
		a.release(ctx)
	case *portpool.PairLeased:
		a.onLeased(ctx, m)
	case *portpool.LeaseRefused:
		a.onLeaseRefused(ctx, m)
	case *portpool.LeaseReleased:
		a.finish(ctx)
	case *openAgain:
		if !a.ending {
			a.acquire(ctx)
		}
	case *dialAgain:
		a.onDialAgain(m)
	case *leave:
		a.dismissed = true
		a.end(ctx, m.reason)
	case *silenceTick:
		a.onSilenceTick(ctx)
	case *pause:
		a.silence.pause(a.opts.Now(), m.length)
		a.watchSilence()
		a.show()
	case *setSSRC:
		a.def.SSRC = m.ssrc
		if a.one != nil {
			a.one.source.SetSSRC(m.ssrc)
		}
		a.show()
	case *claimed:
		a.def = m.def
		a.silence.pause(a.opts.Now(), 0) // its device is invited only now
		a.show()
	case *configured:
		a.onConfigured(ctx, m)
	case *GetTalk:
		a.onGetTalk(ctx)
	case *Connect:
		a.onConnect(ctx, m)
	default:
		a.receiveMedia(ctx)
	}
}

// receiveMedia handles what concerns devices and their streams.
func (a *receiverActor) receiveMedia(ctx actor.Context) {
	if a.one == nil {
		if a.many != nil {
			a.many.receive(ctx)
		}
		return
	}
	if a.one.receive(ctx, a) {
		a.end(ctx, actors.ReasonKicked)
		return
	}
	a.show()
}

func (a *receiverActor) onStarted(ctx actor.Context) {
	a.root, a.self, a.parent = ctx.ActorSystem().Root, ctx.Self(), ctx.Parent()
	a.silence = silence{limit: a.config.RTPProxy.Timeout, since: a.opts.Now()}
	a.acquire(ctx)
}

// use begins to receive on sockets that are there.
func (a *receiverActor) use(ctx actor.Context, s sockets) {
	a.sockets = s
	var err error
	if a.def.Multiplex {
		err = a.openShared(ctx)
	} else {
		err = a.openSingle(ctx)
	}
	if err != nil {
		a.giveBackAfter(ctx, err)
		return
	}
	a.tries = 0
	a.silence.since = a.opts.Now()
	a.watchSilence()
	a.show()
	var leased uint16
	if s.lease != nil {
		leased = s.port
	}
	ctx.Send(a.parent, &bound{a.def.Key, a.epoch, s.port, leased, nil})
	a.log.Debug().Uint16("port", s.port).Bool("leased", s.lease != nil).Msg("receiver open")
}

// giveBackAfter ends an opening whose sockets turned out to be unusable.
func (a *receiverActor) giveBackAfter(ctx actor.Context, err error) {
	a.sockets.close()
	if lease := a.sockets.lease; lease != nil {
		ctx.Send(a.opts.Pool, &portpool.ReleaseLease{Owner: a.self, ID: leaseID, Epoch: lease.Epoch})
	}
	a.sockets = sockets{}
	a.openFailed(ctx, err)
}

// openFailed reports that there are no sockets. A receiver that was there before tries again, until it has been silent for too long.
func (a *receiverActor) openFailed(ctx actor.Context, err error) {
	ctx.Send(a.parent, &bound{key: a.def.Key, epoch: a.epoch, err: err})
	if a.fresh {
		return
	}
	pause := min(openRetryMin<<min(a.tries, 10), openRetryMax)
	a.tries++
	a.log.Warn().Err(err).Dur("retry_in", pause).Msg("a restored receiver has no sockets yet")
	a.schedule(pause, &openAgain{})
	if a.timer == nil {
		a.watchSilence()
	}
}

// schedule posts a message after a pause; a former one is forgotten.
func (a *receiverActor) schedule(after time.Duration, msg any) {
	if a.again != nil {
		a.again.Stop()
	}
	root, self := a.root, a.self
	a.again = time.AfterFunc(after, func() { root.Send(self, msg) })
}

// watchSilence sets the timer to the moment at which the present silence is over its limit. Ports of many devices are watched device by device.
func (a *receiverActor) watchSilence() {
	if a.def.Multiplex || a.ending {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	root, self := a.root, a.self
	a.timer = time.AfterFunc(max(0, a.silenceLeft()), func() { root.Send(self, &silenceTick{}) })
}

func (a *receiverActor) silenceLeft() time.Duration {
	var heard time.Time
	if a.one != nil {
		heard = a.one.source.Stats().LastFrame
	}
	return a.silence.left(a.opts.Now(), heard)
}

func (a *receiverActor) onSilenceTick(ctx actor.Context) {
	switch {
	case a.ending:
	case a.silenceLeft() > 0:
		a.watchSilence()
	default:
		a.end(ctx, actors.ReasonTimeout)
	}
}

func (a *receiverActor) onConfigured(ctx actor.Context, m *configured) {
	a.config = m.config
	a.silence.limit = m.config.RTPProxy.Timeout
	switch {
	case a.one != nil:
		a.one.configure(m.config)
	case a.many != nil:
		a.many.configure(ctx, m.config)
	}
	a.watchSilence()
	a.show()
}

func (a *receiverActor) onGetTalk(ctx actor.Context) {
	if a.one == nil {
		ctx.Respond(&Talk{Err: ErrNotFound})
		return
	}
	path, err := a.one.in.ReturnPath()
	ctx.Respond(&Talk{Receiver: a.self, Path: path, Err: err})
}

// end closes the receiver for good: first its stream and its read loops, then its sockets. It goes on in finish, when the pool has the pair back.
func (a *receiverActor) end(ctx actor.Context, reason actors.CloseReason) {
	if a.ending {
		return
	}
	a.ending, a.reason = true, reason
	a.stopTimers()
	one := a.one
	a.closeMedia(ctx, reason, true)
	mute := a.fresh && one != nil && one.in.Mute() // a receiver that was restored has had a life before
	switch {
	case a.waiting: // what the pool grants now comes back at once
	case a.sockets.lease != nil:
		a.giveBack(ctx, mute)
	default:
		a.sockets.close()
		a.finish(ctx)
	}
}

// giveBack returns the pair, whose read loops have ended; finish goes on when the pool has it. mute says that nothing has ever come in on it.
func (a *receiverActor) giveBack(ctx actor.Context, mute bool) {
	ctx.Request(a.opts.Pool, &portpool.ReleaseLease{Owner: a.self, ID: leaseID, Epoch: a.sockets.lease.Epoch, Mute: mute})
}

// finish tells receivers, now that nothing is held any more: by ending when that is what they wait for.
func (a *receiverActor) finish(ctx actor.Context) {
	if !a.ending || a.over {
		return
	}
	a.over = true
	level := zerolog.InfoLevel
	if a.reason == actors.ReasonDeleted { // what a platform does all day
		level = zerolog.DebugLevel
	}
	a.log.WithLevel(level).Str("reason", string(a.reason)).Uint16("port", a.sockets.port).Msg("receiver closed")
	if a.dismissed {
		ctx.Stop(a.self)
		return
	}
	ctx.Send(a.parent, &finished{a.def.Key, a.epoch, a.reason})
}

func (a *receiverActor) stopTimers() {
	for _, t := range []*time.Timer{a.timer, a.again} {
		if t != nil {
			t.Stop()
		}
	}
}

// closeMedia ends everything that uses the sockets, and waits for the read loops.
func (a *receiverActor) closeMedia(ctx actor.Context, reason actors.CloseReason, final bool) {
	if a.one != nil {
		a.one.close(ctx, reason, final)
		a.one = nil
	}
	if a.many != nil {
		a.many.close(ctx, reason)
		a.many = nil
	}
}

// release ends what is left when the actor stops: nothing after an orderly end, everything after a panic and when the engine ends. The pool takes the pair back as soon as this actor
// is gone, and by then nobody may read from it. The stream is left to wait for a successor.
func (a *receiverActor) release(ctx actor.Context) {
	a.ending, a.over = true, true
	a.stopTimers()
	a.closeMedia(ctx, actors.ReasonSourceLost, false)
	a.sockets.close()
}

// show publishes what lists tell of the receiver.
func (a *receiverActor) show() {
	s := &shown{snapshot: Snapshot{Definition: a.def, Key: a.def.Key, Since: a.def.Created, Port: a.sockets.port}, silence: a.silence}
	if a.sockets.port != 0 {
		s.snapshot.Local = netip.AddrPortFrom(a.sockets.local, a.sockets.port)
	}
	if a.one != nil {
		a.one.show(s)
	}
	a.picture.shown.Store(s)
}

// sourceOptions are what definition and configuration say about a source.
func (a *receiverActor) sourceOptions(ssrc uint32) gb28181.SourceOptions {
	c := a.config
	return gb28181.SourceOptions{
		SSRC: ssrc, Relearn: c.RTPProxy.RelearnAfter, Buffers: a.opts.buffers,
		Payloads: gb28181.PayloadTypes{
			PS: uint8(c.RTPProxy.PSPT), H264: uint8(c.RTPProxy.H264PT), H265: uint8(c.RTPProxy.H265PT), Opus: uint8(c.RTPProxy.OpusPT), //nolint:gosec // at most 127
		},
		Tracks: remux.AssemblerOptions{
			OnlyTrack: a.def.OnlyTrack, NoAudio: !c.Protocol.EnableAudio,
			WaitTrackReady: patience(c.General.WaitTrackReady), WaitAudioData: patience(c.General.WaitAudioData), WaitAddTrack: patience(c.General.WaitAddTrack),
			UnreadyFrames: c.General.UnreadyFrames, VideoMTU: c.RTP.VideoMTU + rtpHeader, AudioMTU: c.RTP.AudioMTU + rtpHeader,
		},
	}
}

// rtpHeader is what the keys do not count: they bound the payload of a packet.
const rtpHeader = 12

// patience turns a key, whose 0 waits for nothing, into an option, whose 0 is a default.
func patience(key time.Duration) time.Duration {
	if key == 0 {
		return -1
	}
	return key
}
