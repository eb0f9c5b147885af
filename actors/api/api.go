package api

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/config"
	"berth/netio/httpd"
)

// owner is the actor's name in the verdict of a reload.
const owner = "api"

// Options configure the actor.
type Options struct {
	Runtime *actors.Runtime
	Config  *config.Config // in force at the start
	// Listeners are served from the start and owned by the actor from then on.
	Listeners []httpd.Listener
	// GetCertificate answers TLS handshakes; may be nil when no listener speaks TLS.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Engine returns the engine that runs now; false while there is none. Called from any goroutine, must not block.
	Engine func() (Engine, bool)
	Reload *actor.PID
	Store  *actor.PID
	// Restart does a full restart and returns when it is over. Called from any goroutine; may block until ctx ends, and the restart goes on then. An error means that
	// it was refused or that it failed; the text says what is in force.
	Restart func(ctx context.Context, by string) (RestartResult, error)
	// Drain keeps new sessions away and returns when no viewer is left, limit is over or ctx ends; Resume lets them in again, after a restart that did not come about.
	// Draining returns how far a drain is, nil without one. Called from any goroutine; nil when the server cannot be drained.
	Drain    func(ctx context.Context, limit time.Duration) error
	Resume   func()
	Draining func() *DrainState
	// Secret returns the installation's random secret, which counts while api.secret is empty or a published one. Called from any goroutine, must not block.
	Secret func() string
	// ServerID is shown as general.mediaServerId while that key is empty.
	ServerID string
	// Version is the program's version, such as 1.2.0; commit and build time are read from the binary.
	Version string
	// Metrics are shown by /metrics beside those of this package and of Go's runtime; may be nil.
	Metrics prometheus.Gatherer
	Log     zerolog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Props makes the actor.
func Props(opts Options) *actor.Props {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Secret == nil {
		opts.Secret = func() string { return "" }
	}
	return opts.Runtime.Props(func() actor.Actor { return &apiActor{opts: opts} })
}

// apiActor owns the HTTP server. It opens it when it starts and closes it when it ends, however it ends.
type apiActor struct {
	opts    Options
	service *service      // nil before Started and after release
	http    *httpd.Server // nil before Started and after release
}

// Receive routes; see messages.go.
func (a *apiActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted()
	case *actor.Stopping, *actor.Restarting:
		a.release()
	case *actors.ConfigChanged:
		a.service.config.Store(m.Config)
		a.http.SetLimits(limitsOf(m.Config))
		ctx.Respond(&actors.ConfigTaken{Owner: owner})
	case *SetListeners:
		a.http.SetListeners(m.Listeners)
		ctx.Respond(&ListenersSet{})
	}
}

func (a *apiActor) onStarted() {
	a.service = newService(a.opts)
	a.http = httpd.New(httpd.Options{
		Handler: a.service, Limits: limitsOf(a.opts.Config), GetCertificate: a.opts.GetCertificate,
		Refuse: a.service.refuse, OnAccess: a.service.onAccess, OnPanic: a.service.onPanic, OnFault: a.service.onFault,
		OnAcceptFault: a.service.onAcceptFault, Now: a.opts.Now,
	})
	a.service.http = a.http
	a.http.SetListeners(a.opts.Listeners)
	a.opts.Listeners = nil
}

// release closes the server. It waits for running requests, at most for the server's grace period: their contexts end at once, so that the wait is short.
func (a *apiActor) release() {
	if a.http == nil {
		return
	}
	_ = a.http.Close()
	a.service.close()
	a.http, a.service = nil, nil
}

// limitsOf translates the configuration.
func limitsOf(cfg *config.Config) httpd.Limits {
	return httpd.Limits{
		HeaderBytes:   int(cfg.Limits.HTTPHeaderBytes),
		HeaderTimeout: cfg.Limits.HTTPHeaderTimeout,
		BodyBytes:     int64(cfg.HTTP.MaxReqSize),
		KeepAlive:     cfg.HTTP.KeepAlive,
		Connections:   cfg.Limits.HTTPConnections,
		CrossDomains:  cfg.HTTP.AllowCrossDomains,
	}
}
