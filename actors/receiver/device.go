package receiver

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/store"
	"berth/config"
	"berth/media"
)

// deviceActor is one device of a port that many share. It publishes the device under its SSRC, and ends when the device has been silent for too long, or when its port's actor does.
type deviceActor struct {
	opts    Options
	config  *config.Config
	def     store.Receiver // of the shared port
	key     media.StreamKey
	flow    *inflow
	picture *picture
	forget  func() // makes the port forget the source
	path    func() *Talk
	log     zerolog.Logger

	root    *actor.RootContext
	self    *actor.PID
	silence silence
	timer   *time.Timer
	since   time.Time
	over    bool
}

// streamOf names the stream of a device by its SSRC, as ZLMediaKit does: eight upper-case hexadecimal digits.
func streamOf(port store.Receiver, ssrc uint32) media.StreamKey {
	app := port.Key.App
	if app == "" {
		app = DefaultApp
	}
	return media.StreamKey{VHost: port.Key.VHost, App: app, Stream: fmt.Sprintf("%08X", ssrc)}
}

func (a *deviceActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted(ctx)
	case *actor.Stopping, *actor.Restarting:
		a.close(ctx, actors.ReasonSourceLost, false)
	case *leave:
		a.end(ctx, m.reason)
	case *silenceTick:
		a.onSilenceTick(ctx)
	case *makeRoom:
		a.onMakeRoom(ctx)
	case *pause:
		a.silence.pause(a.opts.Now(), m.length)
		a.watchSilence()
		a.show()
	case *configured:
		a.config = m.config
		a.silence.limit = m.config.RTPProxy.Timeout
		a.flow.configure(m.config)
		a.watchSilence()
		a.show()
	case *GetTalk:
		talk := a.path()
		talk.Receiver = a.self
		ctx.Respond(talk)
	default:
		if a.over {
			return
		}
		if a.flow.receive(ctx) {
			a.end(ctx, actors.ReasonKicked)
			return
		}
		a.show()
	}
}

func (a *deviceActor) onStarted(ctx actor.Context) {
	a.root, a.self, a.since = ctx.ActorSystem().Root, ctx.Self(), a.opts.Now()
	a.silence = silence{limit: a.config.RTPProxy.Timeout, since: a.since}
	a.flow.prepare(ctx, &a.opts, a.config, a.log, a.key, a.key.String())
	a.show()
	a.watchSilence()
	// Whoever invents devices must not fill the log: one that is published says so.
	a.log.Debug().Stringer("peer", a.flow.peer).Str("stream", a.key.Path()).Msg("a device sends to the shared port")
}

func (a *deviceActor) silenceLeft() time.Duration {
	return a.silence.left(a.opts.Now(), a.flow.source.Stats().LastFrame)
}

func (a *deviceActor) watchSilence() {
	if a.over {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	root, self := a.root, a.self
	a.timer = time.AfterFunc(max(0, a.silenceLeft()), func() { root.Send(self, &silenceTick{}) })
}

func (a *deviceActor) onSilenceTick(ctx actor.Context) {
	switch {
	case a.over:
	case a.silenceLeft() > 0:
		a.watchSilence()
	default:
		a.end(ctx, actors.ReasonTimeout)
	}
}

// proveWithin is how long a device may take from its first packet to its first frame while others are turned away for it.
const proveWithin = 3 * time.Second

// onMakeRoom ends what is no device, as far as anybody can see, because there is no room for others.
func (a *deviceActor) onMakeRoom(ctx actor.Context) {
	now := a.opts.Now()
	if now.Sub(a.since) >= proveWithin && a.silence.pausedUntil(now).IsZero() && a.flow.source.Stats().LastFrame.IsZero() {
		a.end(ctx, actors.ReasonTimeout)
	}
}

// end ends the device and its stream. When it sends on, it is a new device.
func (a *deviceActor) end(ctx actor.Context, reason actors.CloseReason) {
	if a.over {
		return
	}
	level := zerolog.InfoLevel
	if a.flow.source.Stats().LastFrame.IsZero() {
		level = zerolog.DebugLevel
	}
	a.log.WithLevel(level).Str("reason", string(reason)).Str("stream", a.key.Path()).Msg("device of the shared port closed")
	a.close(ctx, reason, true)
	ctx.Send(ctx.Parent(), &deviceOver{a.self})
}

func (a *deviceActor) close(ctx actor.Context, reason actors.CloseReason, final bool) {
	if a.over {
		return
	}
	a.over = true
	if a.timer != nil {
		a.timer.Stop()
	}
	a.forget()
	a.flow.close(ctx, reason, final)
}

func (a *deviceActor) show() {
	s := &shown{snapshot: Snapshot{Definition: a.def, Key: a.key, Port: a.def.Port, Shared: true, Since: a.since}, silence: a.silence}
	s.snapshot.Local = netip.AddrPort{}
	a.flow.show(s)
	s.snapshot.Port = a.flow.local.Port()
	a.picture.shown.Store(s)
}
