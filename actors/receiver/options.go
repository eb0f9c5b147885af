package receiver

import (
	"net"
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/store"
	"berth/config"
	"berth/netio/gb28181"
)

// Options are what receivers are made of.
type Options struct {
	Runtime *actors.Runtime
	Config  *config.Config // the snapshot in force; a later one comes by actors.ConfigChanged
	Store   *actor.PID
	Streams *actor.PID
	Pool    *actor.PID
	Hook    *actor.PID // told of receivers that were silent for too long; nil = nobody
	// Restore are the definitions that were stored before. They are opened at once, with the ports that they had.
	Restore []store.Receiver
	// Shared are the sockets of `rtp_proxy.port`; nil when it is off.
	Shared *Shared
	// Now is the clock of silences and pauses. Default time.Now.
	Now func() time.Time

	buffers *gb28181.Buffers // of all receivers together
}

// Shared are the two sockets of the port that any number of devices share. They belong to the supervisor and outlive the engine.
type Shared struct {
	UDP   *net.UDPConn        // never closed here
	TCP   func() net.Listener // lends the listening socket; closing the loan leaves it open
	Local netip.AddrPort      // of both
}

// Props returns the props of the receivers actor.
func Props(opts Options) *actor.Props {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.buffers = &gb28181.Buffers{}
	return opts.Runtime.Props(func() actor.Actor { return newRegistry(opts) })
}
