package proxy

import (
	"context"
	"math/rand/v2"
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/store"
	"berth/config"
)

// Options are what proxies are made of.
type Options struct {
	Runtime *actors.Runtime
	Config  *config.Config // the snapshot in force; a later one comes by actors.ConfigChanged
	Store   *actor.PID
	Streams *actor.PID
	Pool    *actor.PID
	// Restore are the definitions that were stored before; their pulls begin at once.
	Restore []store.Proxy
	// Dial opens connections to sources. Default: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand returns numbers in [0, 1) for the jitter of pauses. Default math/rand/v2's.
	Rand func() float64
}

// Props returns the props of the proxies actor.
func Props(opts Options) *actor.Props {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Rand == nil {
		opts.Rand = rand.Float64
	}
	return opts.Runtime.Props(func() actor.Actor { return newRegistry(opts) })
}
