package receiver

import (
	"context"
	"io"
	"net/netip"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/netio/gb28181"
)

// single is the inside of a receiver of one device, from the moment at which its sockets are there.
type single struct {
	inflow
	in *gb28181.Receiver

	dialling bool
	overtook bool // the dial under way was ended for the sake of an API call
	dials    sync.WaitGroup
	stop     context.CancelFunc // ends a dial under way
	asker    *actor.PID         // who waits for Connected
	retries  int
}

// Messages that goroutines of a receiver post to it.
type (
	// dialled is the outcome of a connection attempt.
	dialled struct {
		from *single
		host string
		port uint16
		err  error
	}
	// hungUp says that the connection of the device has ended.
	hungUp struct {
		from *single
		peer netip.AddrPort
		err  error
	}
)

// openSingle begins to receive one device.
func (a *receiverActor) openSingle(ctx actor.Context) error {
	one := &single{}
	one.prepare(ctx, &a.opts, a.config, a.log, a.def.Key, a.def.Key.String())
	one.local = netip.AddrPortFrom(a.sockets.local, a.sockets.port)
	source := a.sourceOptions(a.def.SSRC)
	one.callbacks(&source, a.root, a.self)
	one.source = gb28181.NewSource(source)
	root, self := a.root, a.self
	o := gb28181.ReceiverOptions{
		Source: one.source, ReadBuffer: int(a.config.RTPProxy.UDPBuffer), Buffers: a.opts.buffers, Now: a.opts.Now,
		Ended: func(peer netip.AddrPort, err error) { root.Send(self, &hungUp{one, peer, err}) },
	}
	if a.def.TCPMode != tcpActive {
		o.RTP, o.RTCP, o.Listener = a.sockets.rtp, a.sockets.rtcp, a.sockets.tcp
	}
	in, err := gb28181.NewReceiver(o)
	if err != nil {
		one.source.Close()
		return err
	}
	one.in = in
	a.one = one
	if a.def.TCPMode == tcpActive && a.def.Host != "" && !a.fresh {
		a.dial(a.def.Host, a.def.HostPort)
	}
	return nil
}

// receive handles what is the receiver's, and leaves the rest to the inflow. over reports that somebody ended the stream.
func (s *single) receive(ctx actor.Context, a *receiverActor) (over bool) {
	switch m := ctx.Message().(type) {
	case *dialled:
		if m.from == s {
			a.onDialled(ctx, m)
		}
	case *hungUp:
		if m.from == s {
			e := a.log.Info()
			if m.err != nil && m.err != io.EOF { //nolint:errorlint // of a connection, unwrapped
				e = e.AnErr("cause", m.err)
			}
			e.Stringer("peer", m.peer).Msg("the connection of the device has ended; another one is waited for")
		}
	default:
		return s.inflow.receive(ctx)
	}
	return false
}

// onConnect connects to the device on a goroutine; the answer comes when the connection stands or has failed.
func (a *receiverActor) onConnect(ctx actor.Context, m *Connect) {
	switch {
	case a.ending:
		ctx.Respond(&Connected{Err: errClosed})
	case a.one == nil:
		ctx.Respond(&Connected{Err: errNotOpen})
	case a.one.asker != nil:
		ctx.Respond(&Connected{Err: errDialling})
	default:
		a.one.asker = ctx.Sender()
		a.def.Host, a.def.HostPort = m.Host, m.Port
		a.one.retries = 0
		if a.one.dialling { // one of our own after a restart: this one counts
			a.one.overtook = true
			a.one.stop()
			return
		}
		a.dial(m.Host, m.Port)
	}
}

// dial connects from the port of the receiver, which is what the device has been told.
func (a *receiverActor) dial(host string, port uint16) {
	one, root, self := a.one, a.root, a.self
	local := netip.AddrPortFrom(a.sockets.local, a.sockets.port)
	ctx, stop := context.WithCancel(context.Background())
	one.dialling, one.stop = true, stop
	one.dials.Go(func() {
		err := one.in.Connect(ctx, local, host, port)
		stop()
		root.Send(self, &dialled{one, host, port, err})
	})
}

func (a *receiverActor) onDialled(ctx actor.Context, m *dialled) {
	one := a.one
	overtaken := one.overtook && m.err != nil
	one.dialling, one.overtook = false, false
	if a.ending {
		return
	}
	if overtaken || m.host != a.def.Host || m.port != a.def.HostPort {
		a.dial(a.def.Host, a.def.HostPort) // an API call has come in between
		return
	}
	if one.asker != nil {
		ctx.Send(one.asker, &Connected{Err: m.err})
		one.asker = nil
		if m.err == nil {
			a.log.Info().Str("host", m.host).Uint16("port", m.port).Msg("connected to the device")
			ctx.Send(a.parent, &connected{a.def.Key, a.epoch, m.host, m.port})
		}
		return
	}
	a.onRedialled(m)
}

// onRedialled takes the outcome of a connection that nobody but a restart has asked for.
func (a *receiverActor) onRedialled(m *dialled) {
	if m.err == nil {
		a.log.Info().Str("host", m.host).Uint16("port", m.port).Msg("connected to the device again after a restart")
		return
	}
	pause := min(openRetryMin<<min(a.one.retries, 10), openRetryMax)
	a.one.retries++
	a.log.Warn().Err(m.err).Dur("retry_in", pause).Msg("the device cannot be connected to after a restart")
	a.schedule(pause, &dialAgain{a.one})
}

// dialAgain is posted when the pause after a failed connection is over.
type dialAgain struct{ from *single }

func (a *receiverActor) onDialAgain(m *dialAgain) {
	if a.one == m.from && !a.ending && !a.one.dialling && a.one.asker == nil {
		a.dial(a.def.Host, a.def.HostPort)
	}
}

// close ends the device, and waits for all goroutines that use the sockets.
func (s *single) close(ctx actor.Context, reason actors.CloseReason, final bool) {
	if s.stop != nil {
		s.stop()
	}
	s.in.Close()
	s.dials.Wait()
	s.inflow.close(ctx, reason, final)
	if s.asker != nil {
		ctx.Send(s.asker, &Connected{Err: ErrInterrupted})
		s.asker = nil
	}
}
