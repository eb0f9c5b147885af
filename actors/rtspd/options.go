package rtspd

import (
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/config"
	"berth/netio/fanout"
)

// Listener is one source of connections. Its Close only detaches this generation: the socket is the supervisor's.
type Listener struct {
	net.Listener
	TLS      bool   // its connections are TLS: media stays on them
	Protocol string // rtsp or rtsps, for lists and logs
}

// Options are what the server is made of.
type Options struct {
	Runtime   *actors.Runtime
	Config    *config.Config
	Streams   *actor.PID
	Pool      *actor.PID
	Hook      *actor.PID
	Fanout    *fanout.Pool
	Listeners []Listener
	// Server is the Server header of responses. Default "berth".
	Server string
	// EndReason says why sessions end when the server is stopped; asked while it stops, from any goroutine. Default: [actors.ReasonRestart].
	EndReason func() actors.CloseReason
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Props returns the props of the rtspd actor.
func Props(opts Options) *actor.Props {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Server == "" {
		opts.Server = "berth"
	}
	if opts.EndReason == nil {
		opts.EndReason = func() actors.CloseReason { return actors.ReasonRestart }
	}
	return opts.Runtime.Props(func() actor.Actor { return newServer(opts) })
}
