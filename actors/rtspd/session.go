package rtspd

import (
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/portpool"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/media/hub"
	"berth/netio/fanout"
	"berth/netio/rtsp"
)

const (
	// lingerTime is how long a peer has to read the response after which its connection ends.
	lingerTime = time.Second
	// drainTime is how long a viewer has to take what is left of a stream that ended.
	drainTime = 500 * time.Millisecond
	// reportInterval is the distance of receiver reports to a publisher (RFC 3550 6.2's minimum).
	reportInterval = 5 * time.Second
	// answerMargin is added to the longest wait that is configured before an answer counts as lost.
	answerMargin = 15 * time.Second
)

// sessionOptions are what a session actor is made of.
type sessionOptions struct {
	Options
	config *config.Config // as it was when the connection came: the RTSP keys are for new sessions
	conn   net.Conn
	gate   *gate
	secret string // the Session header's value
	secure bool
	status *atomic.Pointer[SessionInfo] // shared with the server; written here only
}

// Messages to a session from its goroutines and its parent.
type (
	// wired is what the wire or a sink reports.
	wired struct {
		incarnation uint64
		event       rtsp.Event
	}
	// tick is the session's one timer.
	tick struct{ incarnation uint64 }
	// drained means that a viewer has got everything of a stream that ended, or had time for it.
	drained struct{ incarnation uint64 }
	// kick ends the session.
	kick struct{ reason actors.CloseReason }
)

// session is the actor of one connection. It executes the machine's actions and decides nothing about the protocol.
type session struct {
	opts        sessionOptions
	info        SessionInfo // published through opts.status whenever it changes
	last        SessionInfo // as it was while there was a stream, for the log
	log         zerolog.Logger
	incarnation uint64
	root        *actor.RootContext
	self        *actor.PID

	machine *rtsp.Session
	conn    *rtsp.Conn
	sink    *fanout.TCPSink
	events  []rtsp.Event // to be stepped after the actions of the present one

	key    media.StreamKey // of the stream that was asked for last
	stream *actor.PID      // found, joined or published; nil otherwise
	viewer *viewer         // while joined
	source *source         // while publishing

	timer      *time.Timer
	timerAt    time.Time // zero when the timer is not armed
	nextReport time.Time // zero unless publishing
	drain      *time.Timer
	endCause   actors.CloseReason // of the stream, once it has ended
	ended      bool               // the machine has closed; only the peer's end of the connection is awaited
	reason     actors.CloseReason
	detail     string
	stuck      bool // the peer has not taken what was written to it
	released   bool
	totals     totals
}

// totals are a session's counters at its end, for the log.
type totals struct {
	in, out          uint64 // bytes on the connection, both ways; UDP media is counted apart
	packets, dropped uint64
}

func newSession(opts sessionOptions) *session {
	info := *opts.status.Load()
	return &session{
		opts: opts, info: info, incarnation: rand.Uint64(),
		log: opts.Runtime.Log.With().Str("actor", "session").Str("session", info.ID).Str("protocol", info.Protocol).Stringer("peer", info.Peer).Logger(),
	}
}

// Receive routes messages.
func (a *session) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted(ctx)
		return
	case *actor.Stopping, *actor.Restarting:
		a.release(ctx)
		return
	case *wired:
		if m.incarnation == a.incarnation {
			a.onWired(ctx, m.event)
		}
	case *tick:
		if m.incarnation == a.incarnation {
			a.onTick(ctx)
		}
	case *settleTick:
		a.onSettleTick(ctx, m)
	case *drained:
		if m.incarnation == a.incarnation {
			a.onDrained(ctx)
		}
	case *kick:
		a.step(ctx, rtsp.Kicked{Cause: rtsp.CloseCause(m.reason)})
	case *streams.Subscribed:
		a.onSubscribed(ctx, m)
	case *streams.Refused:
		a.onRefused(ctx, m)
	case *stream.ReaderAdded:
		a.onReaderAdded(ctx, m)
	case *stream.UDPOpened:
		a.onUDPOpened(ctx, m)
	case *stream.Attached:
		a.onAttached(ctx, m)
	case *stream.Ended:
		a.onEnded(ctx, m)
	case *portpool.PairLeased:
		a.onPairLeased(ctx, m)
	case *portpool.LeaseRefused:
		a.step(ctx, rtsp.Refused{Why: rtsp.RefusedNoPorts, Text: m.Err.Error()})
	case *actor.Terminated:
		a.onTerminated(ctx, m)
	case *actor.DeadLetterResponse:
		a.step(ctx, rtsp.Refused{Why: rtsp.RefusedUnavailable, Text: "the server is restarting, try again"})
	}
	a.settle(ctx)
}

func (a *session) onStarted(ctx actor.Context) {
	a.root, a.self = ctx.ActorSystem().Root, ctx.Self()
	a.opts.gate.take(a.opts.conn)
	now := a.opts.Now()
	a.machine = rtsp.NewSession(now, a.machineOptions())
	root, self, incarnation := a.root, a.self, a.incarnation
	notify := func(event rtsp.Event) { root.Send(self, &wired{incarnation: incarnation, event: event}) }
	a.sink = a.opts.Fanout.NewTCPSink(a.opts.conn, fanout.SinkOptions{
		OnError: func(err error) { notify(rtsp.WriteFailed{Err: err}) },
		OnEnd:   func() { root.Send(self, &drained{incarnation: incarnation}) },
	})
	a.conn = rtsp.NewConn(rtsp.ConnOptions{Conn: a.opts.conn, Notify: notify, Now: a.opts.Now})
	a.conn.Start()
	a.settle(ctx)
}

// machineOptions translates the configuration.
func (a *session) machineOptions() rtsp.SessionOptions {
	c := a.opts.config
	auth := rtsp.AuthOptions{Basic: c.RTSP.AuthBasic, Publish: c.RTSP.AuthPublish, Play: c.RTSP.AuthPlay}
	for _, u := range c.RTSP.AuthUsers {
		auth.Users = append(auth.Users, rtsp.Credential{User: u.User, Password: u.Password})
	}
	source := a.info.Local.Addr()
	if c.Pool.Advertise.IsValid() {
		source = c.Pool.Advertise
	}
	return rtsp.SessionOptions{
		ID: a.opts.secret, Nonce: cryptorand.Text(), Server: a.opts.Server, Secure: a.opts.secure,
		IPv6: a.info.Local.Addr().Is6(), Host: a.info.Local.String(), Source: source.WithZone("").String(),
		AllowTCP: c.RTSP.Transport != config.RTPOverUDP, AllowUDP: c.RTSP.Transport != config.RTPOverTCP,
		VirtualHosts: c.General.EnableVhost, Auth: auth,
		HandshakeTimeout: c.RTSP.HandshakeTimeout, KeepAlive: c.RTSP.KeepAlive, AnswerTimeout: c.General.MaxStreamWait + answerMargin,
	}
}

func (a *session) onWired(ctx actor.Context, event rtsp.Event) {
	_, isClosed := event.(rtsp.PeerClosed)
	if a.ended {
		switch {
		case isClosed:
			ctx.Stop(a.self)
		default:
			if failed, ok := event.(rtsp.WriteFailed); ok && failed.Err != nil {
				ctx.Stop(a.self) // nobody reads the last response
			}
		}
		return
	}
	a.step(ctx, event)
}

// step feeds the machine and executes what it wants, and then what that led to at once.
func (a *session) step(ctx actor.Context, event rtsp.Event) {
	a.events = append(a.events, event)
	if len(a.events) > 1 {
		return // a step is being executed; it goes on with this one
	}
	for len(a.events) > 0 {
		responded := false
		if _, failed := a.events[0].(rtsp.WriteFailed); failed {
			a.stuck = true
		}
		for _, action := range a.machine.Step(a.opts.Now(), a.events[0]) {
			if end, ok := action.(rtsp.Close); ok {
				a.end(ctx, actors.CloseReason(end.Cause), end.Detail, responded)
				continue
			}
			if _, ok := action.(rtsp.Respond); ok {
				responded = true
			}
			a.execute(ctx, action)
		}
		a.events = a.events[1:]
	}
	a.events = nil
}

// execute does one action of the machine.
func (a *session) execute(ctx actor.Context, action rtsp.Action) {
	switch act := action.(type) {
	case rtsp.Respond:
		a.respond(ctx, act)
	case rtsp.Subscribe:
		a.key, a.stream = act.Key, nil
		ctx.Request(a.opts.Streams, &streams.Subscribe{Reader: a.self, Key: act.Key, Wait: a.opts.config.General.MaxStreamWait})
	case rtsp.Join:
		a.join(ctx)
	case rtsp.OpenUDP:
		a.openUDP(ctx, act)
	case rtsp.PreparePlay:
		a.prepare(ctx, act)
	case rtsp.StartPlay:
		a.play(ctx)
	case rtsp.PausePlay:
		a.pause()
	case rtsp.Publish:
		a.publish(ctx, act)
	case rtsp.LeasePair:
		a.leasePair(ctx, act)
	case rtsp.ReleasePair:
		a.releasePair(ctx, act.Track)
	case rtsp.MapChannels:
		a.source.ingest.MapTCP(act.Track, act.Channels)
		a.conn.SetSink(a.source.ingest.Frame)
	case rtsp.StartRecord:
		a.source.ingest.Resume()
		a.nextReport = a.opts.Now().Add(reportInterval)
	case rtsp.StopRecord:
		a.source.ingest.Pause()
	case rtsp.Leave:
		a.leave(ctx, actors.CloseReason(act.Cause))
	}
}

func (a *session) respond(ctx actor.Context, act rtsp.Respond) {
	b, err := act.Response.Marshal()
	if err == nil {
		err = a.sink.WriteControl(b)
	}
	a.conn.Answered()
	if err != nil {
		a.step(ctx, rtsp.WriteFailed{Err: fmt.Errorf("response not written: %w", err)})
	}
}

func (a *session) onRefused(ctx actor.Context, m *streams.Refused) {
	refused := rtsp.Refused{Why: rtsp.RefusedUnavailable, Text: m.Err.Error()}
	switch {
	case errors.Is(m.Err, streams.ErrNotFound):
		refused.Why = rtsp.RefusedNotFound
	case errors.Is(m.Err, streams.ErrExists):
		refused.Why = rtsp.RefusedExists
	}
	a.step(ctx, refused)
}

// peerAt is the peer's address with another port.
func (a *session) peerAt(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(a.info.Peer.Addr(), port)
}

// readerOptions translates the configured treatment of slow viewers.
func (a *session) readerOptions(tracks []int) hub.ReaderOptions {
	c := a.opts.config.Stream
	o := hub.ReaderOptions{Tracks: tracks, MaxBytes: int64(c.ReaderMaxBytes), MaxTime: c.ReaderMaxLag}
	if c.ReaderPolicy == config.ReaderClose {
		o.Policy = hub.PolicyClose
	}
	return o
}
