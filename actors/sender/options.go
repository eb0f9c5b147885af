package sender

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/store"
	"berth/config"
	"berth/netio/gb28181"
)

// Options are what senders are made of.
type Options struct {
	Runtime   *actors.Runtime
	Config    *config.Config // the snapshot in force; a later one comes by actors.ConfigChanged
	Store     *actor.PID
	Streams   *actor.PID
	Pool      *actor.PID
	Hook      *actor.PID // told of senders that ended by themselves; nil = nobody
	Receivers *actor.PID // asked for the way back to a device; nil = two-way talk is refused
	// Restore are the definitions that were stored before. They wait for their streams, RestoreFor at most.
	Restore []store.Sender
	// RestoreFor is how long a restored sender tries to come back before it is given up. Default a minute.
	RestoreFor time.Duration
	// RetryEvery is the pause between two attempts of a restored sender. Default a second.
	RetryEvery time.Duration
	// Dial opens TCP connections; local is the zero value, or an address and a port (each may be unspecified). Default [gb28181.Dial].
	Dial func(ctx context.Context, local netip.AddrPort, target string) (net.Conn, error)
	// Lookup finds the addresses of a name. Default net.DefaultResolver's.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Now is the clock. Default time.Now.
	Now func() time.Time

	forms   *gb28181.Forms   // of all senders together
	buffers *gb28181.Buffers // of all that senders receive
}

// Props returns the props of the senders actor.
func Props(opts Options) *actor.Props {
	if opts.RestoreFor <= 0 {
		opts.RestoreFor = time.Minute
	}
	if opts.RetryEvery <= 0 {
		opts.RetryEvery = time.Second
	}
	if opts.Dial == nil {
		opts.Dial = gb28181.Dial
	}
	if opts.Lookup == nil {
		opts.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.forms, opts.buffers = &gb28181.Forms{}, &gb28181.Buffers{}
	return opts.Runtime.Props(func() actor.Actor { return newRegistry(opts) })
}
