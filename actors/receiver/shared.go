package receiver

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/config"
	"berth/netio/gb28181"
)

// shared is the inside of a receiver of many devices: the actor of `rtp_proxy.port`, or of a port that openRtpServerMultiplex opened. Each device has an actor of its own, a child.
type shared struct {
	actor   *receiverActor
	port    *gb28181.Port
	devices map[string]*sharedDevice // by PID id
	flows   map[*inflow]*sharedDevice
	made    uint64
	warned  time.Time // when it was last logged that there are too many

	// Read by the goroutines of the port.
	limit  atomic.Int64 // rtp_proxy.max_devices
	count  atomic.Int64 // sources made and not forgotten
	pushed atomic.Int64 // when a device was last turned away and room was asked for, Unix nanoseconds
}

// roomEvery is how often devices are asked to make room, at most.
const roomEvery = time.Second

// crowdNote is how often it is logged that there are too many devices, at most.
const crowdNote = time.Minute

// sharedDevice is one device.
type sharedDevice struct {
	pid  *actor.PID
	flow *inflow
}

// Messages of devices.
type (
	// deviceFound is posted by a goroutine of the port that has heard of a new device.
	deviceFound struct {
		from  *shared
		flow  *inflow
		ssrc  uint32
		peer  netip.AddrPort
		local netip.AddrPort
	}
	// crowded is posted by a goroutine of the port that has turned a device away because there are too many.
	crowded struct{ from *shared }
	// makeRoom is handed down to all devices then: those from which nothing has come that makes sense leave.
	makeRoom struct{}
	// deviceOver is sent by a device that has ended.
	deviceOver struct{ device *actor.PID }
	// deviceCame and deviceLeft tell receivers of devices.
	deviceCame struct {
		pid     *actor.PID
		picture *picture
	}
	deviceLeft struct{ pid *actor.PID }
)

// openShared begins to receive any number of devices.
func (a *receiverActor) openShared(_ actor.Context) error {
	m := &shared{actor: a, devices: map[string]*sharedDevice{}, flows: map[*inflow]*sharedDevice{}}
	m.limit.Store(int64(a.config.RTPProxy.MaxDevices))
	local := netip.AddrPortFrom(a.sockets.local, a.sockets.port)
	source, root, self, spare := a.sourceOptions(0), a.root, a.self, a.config.RTPProxy.ParseOnDemand
	o := gb28181.PortOptions{
		UDP: a.sockets.rtp, RTCP: a.sockets.rtcp, ReadBuffer: int(a.config.RTPProxy.UDPBuffer), Buffers: a.opts.buffers, Now: a.opts.Now,
		NewSource: func(ssrc uint32, peer netip.AddrPort, tcp bool) *gb28181.Source {
			if m.count.Add(1) > m.limit.Load() {
				m.count.Add(-1)
				m.crowd(root, self)
				return nil
			}
			flow := &inflow{local: local, peer: peer, tcp: tcp}
			flow.sparing.Store(spare)
			options := source
			options.SSRC = ssrc
			flow.callbacks(&options, root, self)
			flow.source = gb28181.NewSource(options)
			root.Send(self, &deviceFound{m, flow, ssrc, peer, local})
			return flow.source
		},
	}
	switch {
	case a.entryFixed:
		o.Listener = a.opts.Shared.TCP()
	case a.sockets.tcp != nil:
		o.Listener = a.sockets.tcp
	}
	port, err := gb28181.NewPort(o)
	if err != nil {
		return err
	}
	m.port = port
	a.many = m
	return nil
}

// crowd asks for room. Whoever invents SSRCs could else keep all devices out with a packet or two for each.
func (m *shared) crowd(root *actor.RootContext, self *actor.PID) {
	now, last := m.actor.opts.Now().UnixNano(), m.pushed.Load()
	if now-last >= int64(roomEvery) && m.pushed.CompareAndSwap(last, now) {
		root.Send(self, &crowded{m})
	}
}

// receive handles what concerns the devices.
func (m *shared) receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *deviceFound:
		if msg.from == m {
			m.onFound(ctx, msg)
		}
	case *crowded:
		if msg.from == m {
			m.onCrowded(ctx)
		}
	case *deviceLocked:
		m.pass(ctx, msg.from, msg)
	case *tracksReady:
		m.pass(ctx, msg.from, msg)
	case *deviceOver:
		ctx.Stop(msg.device)
	case *actor.Terminated:
		m.onTerminated(ctx, msg.Who)
	}
}

func (m *shared) onCrowded(ctx actor.Context) {
	for _, d := range m.devices {
		ctx.Send(d.pid, &makeRoom{})
	}
	if now := m.actor.opts.Now(); now.Sub(m.warned) >= crowdNote {
		m.warned = now
		m.actor.log.Warn().Int("devices", len(m.devices)).Int64("rtp_proxy.max_devices", m.limit.Load()).
			Msg("new devices of the shared port are turned away: there are too many; those that have sent nothing that makes sense make room")
	}
}

// pass hands on what a source posted before, or beside, the making of its actor.
func (m *shared) pass(ctx actor.Context, flow *inflow, msg any) {
	if d := m.flows[flow]; d != nil {
		ctx.Send(d.pid, msg)
	}
}

func (m *shared) onFound(ctx actor.Context, found *deviceFound) {
	a := m.actor
	m.made++
	key := streamOf(a.def, found.ssrc)
	child := &deviceActor{
		opts: a.opts, config: a.config, def: a.def, key: key, flow: found.flow, picture: newPicture(a.def),
		forget: func() { m.port.Remove(found.flow.source) },
		path: func() *Talk {
			path, err := m.port.ReturnPath(found.flow.source)
			return &Talk{Path: path, Err: err}
		},
		log: a.log.With().Stringer("peer", found.peer).Str("device", key.Path()).Logger(),
	}
	pid, err := ctx.SpawnNamed(a.opts.Runtime.Props(func() actor.Actor { return child }), fmt.Sprintf("%s-%d", key.Stream, m.made))
	if err != nil {
		panic(err) // the number makes the name unique
	}
	d := &sharedDevice{pid, found.flow}
	m.devices[pid.Id], m.flows[found.flow] = d, d
	ctx.Request(a.parent, &deviceCame{pid, child.picture})
}

// onTerminated forgets a device whose actor has ended: in order, or by a panic, after which the device is found anew with its next packet.
func (m *shared) onTerminated(ctx actor.Context, who *actor.PID) {
	d := m.devices[who.Id]
	if d == nil {
		return
	}
	delete(m.devices, who.Id)
	delete(m.flows, d.flow)
	m.count.Add(-1)
	ctx.Send(m.actor.parent, &deviceLeft{who})
}

func (m *shared) configure(ctx actor.Context, cfg *config.Config) {
	m.limit.Store(int64(cfg.RTPProxy.MaxDevices))
	for _, d := range m.devices {
		ctx.Send(d.pid, &configured{cfg})
	}
}

// close ends the port, waits for its goroutines, and then ends the devices.
func (m *shared) close(ctx actor.Context, reason actors.CloseReason) {
	m.port.Close()
	for _, d := range m.devices {
		ctx.Send(d.pid, &leave{reason})
	}
}
