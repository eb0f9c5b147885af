package supervisor

import (
	"crypto/rand"
	"errors"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/api"
	"berth/actors/portpool"
	"berth/actors/store"
	"berth/config"
	"berth/netio/tcp"
)

// process is what Run, the supervisor and the engine's parts share. Its plain fields are set before the actor starts and not changed afterwards.
type process struct {
	opts        Options
	runtime     *actors.Runtime
	log         zerolog.Logger
	output      *logOutput
	certificate *tcp.Certificate
	notify      *notifier

	drained    atomic.Pointer[api.DrainState] // of the drain under way, nil without one
	poolMemory portpool.Memory                // what the last pool left behind for the next

	identity   atomic.Pointer[identity]
	engine     atomic.Pointer[api.Engine] // nil while there is none
	open       atomic.Pointer[doors]      // the listening sockets of the plan in force
	hookIndex  atomic.Uint64              // numbers hooks through all generations
	breakdowns atomic.Uint64              // generations lost to a panic
	failure    atomic.Pointer[error]      // why the server ends, nil for an orderly end
	ended      chan struct{}              // closed when the supervisor has stopped
}

// identity is what this installation was given once, for keys that are left empty.
type identity struct {
	secret   string // of the API
	serverID string // general.mediaServerId
}

// readIdentity reads the identity kept in dir. When the directory cannot be used, the one in use stays, or one is made up that lasts as long as the process.
func (p *process) readIdentity(dir string) {
	secret, err := store.Secret(dir)
	id, idErr := store.ServerID(dir)
	if err = errors.Join(err, idErr); err == nil {
		p.identity.Store(&identity{secret: secret, serverID: id})
		return
	}
	p.log.Error().Err(err).Str("state.dir", dir).Msg("the state directory cannot be used: API secret and server id are not kept")
	p.identity.CompareAndSwap(nil, &identity{secret: rand.Text(), serverID: rand.Text()})
}

// fail remembers why the server ends; the first reason counts.
func (p *process) fail(err error) { p.failure.CompareAndSwap(nil, &err) }

func (p *process) err() error {
	if err := p.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// ready tells the world that the server runs for the first time; status is for the service manager.
func (p *process) ready(plan *plan, status string) {
	p.notify.ready(status)
	if p.opts.Ready == nil {
		return
	}
	p.opts.Ready(Ready{
		HTTP: plan.doors.addr(doorHTTP), HTTPS: plan.doors.addr(doorHTTPS),
		RTSP: plan.doors.addr(doorRTSP), RTSPS: plan.doors.addr(doorRTSPS),
		RTP:    plan.doors.addr(doorRTP),
		Secret: p.secret(plan.config), Config: plan.config,
	})
}

// secret is what API calls must present: the configured one, or the random one of this installation.
func (p *process) secret(cfg *config.Config) string {
	if cfg.API.NeedsSecret() {
		return p.identity.Load().secret
	}
	return cfg.API.Secret
}

// breakdowns paces the rebuilding of an engine that breaks again and again. Owned by the supervisor actor.
type breakdowns struct {
	last  time.Time
	inRow int
}

// The pause doubles from breakPauseMin to breakPauseMax while breakdowns follow each other within breakWindow.
const (
	breakWindow   = time.Minute
	breakPauseMin = time.Second
	breakPauseMax = 30 * time.Second
)

// pause returns how long to wait before the next generation: nothing after a first breakdown.
func (b *breakdowns) pause(now time.Time) time.Duration {
	if b.last.IsZero() || now.Sub(b.last) > breakWindow {
		b.inRow = 0
	} else {
		b.inRow++
	}
	b.last = now
	if b.inRow == 0 {
		return 0
	}
	return min(breakPauseMin<<min(b.inRow-1, 10), breakPauseMax)
}
