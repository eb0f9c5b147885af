package receiver

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/hook"
	"berth/actors/store"
	"berth/media"
)

// DefaultApp is the application of receivers that name none, and of the devices of `rtp_proxy.port`.
const DefaultApp = "rtp"

// TCP modes of a definition, as openRtpServer numbers them.
const (
	tcpOff     = 0 // UDP alone
	tcpPassive = 1 // UDP, and a TCP listener on the same port
	tcpActive  = 2 // a TCP connection to the device, from the opened port
)

// onOpen opens a receiver, takes over one that came back after a restart, or waits for the end of its predecessor.
func (a *registry) onOpen(ctx actor.Context, def store.Receiver, opener *actor.PID) {
	if err := check(def); err != nil {
		respond(ctx, opener, &Opened{Err: err})
		return
	}
	if def.Created.IsZero() {
		def.Created = a.opts.Now()
	}
	e := a.entries[def.Key]
	switch {
	case e == nil:
		e = &entry{def: def, picture: newPicture(def), openers: withAsker(nil, opener)}
		a.entries[def.Key] = e
		a.spawn(ctx, e)
	case e.doomed || e.over:
		if e.next != nil {
			respond(ctx, opener, &Opened{Err: ErrExists})
			return
		}
		e.next = &waitingOpen{def, opener}
	case !e.restored:
		respond(ctx, opener, &Opened{Err: ErrExists})
	case sameSockets(e.def, def):
		a.claim(ctx, e, def, opener)
	default:
		e.next = &waitingOpen{def, opener}
		a.doom(ctx, e, actors.ReasonReplaced)
	}
}

// check refuses what no receiver could be opened for.
func check(def store.Receiver) error {
	switch {
	case !def.Key.Valid():
		return fmt.Errorf("%q names no stream: app and stream_id must be given, and app must have no slash", def.Key.Path())
	case def.TCPMode < tcpOff || def.TCPMode > tcpActive:
		return fmt.Errorf("tcp_mode %d does not exist: give 0 (UDP), 1 (UDP and TCP passive) or 2 (TCP active)", def.TCPMode)
	case def.Multiplex && def.TCPMode == tcpActive:
		return fmt.Errorf("a port of many devices cannot connect to one: give tcp_mode 0 or 1")
	case def.OnlyTrack < 0 || def.OnlyTrack > 2:
		return fmt.Errorf("only_track %d does not exist: give 0 (both), 1 (audio) or 2 (video)", def.OnlyTrack)
	case def.LocalIP.IsMulticast():
		return fmt.Errorf("local_ip %s is a multicast group, which cannot be bound", def.LocalIP)
	}
	return nil
}

// sameSockets reports whether what a stored receiver has fits a definition that asks for it again.
func sameSockets(have, want store.Receiver) bool {
	return have.TCPMode == want.TCPMode && have.Multiplex == want.Multiplex && have.LocalIP == want.LocalIP && have.OnlyTrack == want.OnlyTrack &&
		(want.Port == 0 || want.Port == have.Port || want.Port == have.Leased)
}

// claim makes a restored receiver that of an API call, without any interruption.
func (a *registry) claim(ctx actor.Context, e *entry, def store.Receiver, opener *actor.PID) {
	e.restored = false
	def.Leased, def.Host, def.HostPort, def.Created = e.def.Leased, e.def.Host, e.def.HostPort, e.def.Created
	if def.SSRC != e.def.SSRC && e.pid != nil {
		ctx.Send(e.pid, &setSSRC{def.SSRC})
	}
	e.def = def
	if e.pid != nil {
		ctx.Send(e.pid, &claimed{def})
	}
	e.openers = withAsker(e.openers, opener)
	if e.open {
		a.books.put(ctx, a, e.def)
		a.answerOpeners(ctx, e, nil)
	}
}

// onBound takes the outcome of an opening.
func (a *registry) onBound(ctx actor.Context, m *bound) {
	e := a.running(m.key, m.epoch)
	if e == nil {
		return
	}
	if m.err != nil {
		a.census.settled(ctx, m.key, false)
		if e.restored {
			return // it tries again by itself
		}
		a.answerOpeners(ctx, e, m.err)
		e.over = true
		a.books.drop(ctx, a, e.def.Key)
		ctx.Stop(e.pid)
		return
	}
	e.open, e.port = true, m.port
	if e.fixed {
		return
	}
	a.census.settled(ctx, m.key, true)
	if !e.restored || e.def.Leased != m.leased {
		e.def.Leased = m.leased
		a.books.put(ctx, a, e.def)
	}
	a.answerOpeners(ctx, e, nil)
}

// onClose ends a receiver for good.
func (a *registry) onClose(ctx actor.Context, m *Close) {
	e := a.entries[m.Key]
	if e == nil {
		ctx.Respond(&Closed{})
		return
	}
	if next := e.next; next != nil { // its successor has not begun, and does not begin
		e.next = nil
		respond(ctx, next.opener, &Opened{Err: errClosed})
	}
	e.closers = append(e.closers, &closing{asker: ctx.Sender(), answer: &Closed{Found: true}, left: 1})
	a.doom(ctx, e, actors.ReasonDeleted)
}

// doom begins the end of a receiver: its definition goes, then its stream, then its sockets.
func (a *registry) doom(ctx actor.Context, e *entry, reason actors.CloseReason) {
	if e.doomed || e.over {
		return
	}
	e.doomed = true
	a.books.drop(ctx, a, e.def.Key)
	if e.pid == nil {
		a.settle(ctx, e)
		return
	}
	ctx.Send(e.pid, &leave{reason})
}

// onFinished lets the actor of a receiver go that has ended by itself and whose sockets are back.
func (a *registry) onFinished(ctx actor.Context, m *finished) {
	e := a.running(m.key, m.epoch)
	if e == nil || e.over {
		return
	}
	if !e.doomed {
		a.books.drop(ctx, a, e.def.Key)
		e.reason = m.reason
	}
	e.over = true
	ctx.Stop(e.pid)
}

// tellTimeout tells the world of a receiver that was silent for too long, now that it is gone and its port is back: it may be opened again at once.
func (a *registry) tellTimeout(ctx actor.Context, e *entry) {
	if a.opts.Hook == nil {
		return
	}
	ctx.Send(a.opts.Hook, &hook.Notify{Name: "on_rtp_server_timeout", Body: map[string]any{
		"vhost": e.def.Key.VHost, "app": e.def.Key.App, "stream_id": e.def.Key.Stream, "local_port": int(e.port),
		"tcp_mode": e.def.TCPMode, "re_use_port": e.def.ReusePort, "ssrc": e.def.SSRC,
	}})
}

// onCloseStreams ends the receivers and devices behind matching streams.
func (a *registry) onCloseStreams(ctx actor.Context, m *CloseStreams) {
	matches := func(k media.StreamKey) bool {
		return k.Stream != "" && (m.VHost == "" || m.VHost == k.VHost) && (m.App == "" || m.App == k.App) && (m.Stream == "" || m.Stream == k.Stream)
	}
	answer := &StreamsClosed{}
	c := &closing{asker: ctx.Sender(), answer: answer, left: 1}
	var doomed []*entry
	for _, e := range a.entries {
		if matches(e.picture.stream()) {
			c.left++
			e.closers = append(e.closers, c)
			if !e.doomed && !e.over { // else it is ending already, and is waited for
				doomed = append(doomed, e)
				answer.Hit++
			}
		}
	}
	for _, d := range a.devices {
		if matches(d.picture.stream()) {
			c.left++
			answer.Hit++
			d.closers = append(d.closers, c)
			ctx.Send(d.pid, &leave{actors.ReasonKicked})
		}
	}
	for _, e := range doomed {
		a.doom(ctx, e, actors.ReasonKicked)
	}
	c.one(ctx)
}

func (a *registry) onDeviceLeft(ctx actor.Context, pid *actor.PID) {
	d := a.devices[pid.Id]
	if d == nil {
		return
	}
	delete(a.devices, pid.Id)
	for _, c := range d.closers {
		c.one(ctx)
	}
}

// dropDevices forgets the devices of a shared port whose actor has ended.
func (a *registry) dropDevices(ctx actor.Context, port *actor.PID) {
	for _, d := range a.devices {
		if d.port.Equal(port) {
			a.onDeviceLeft(ctx, d.pid)
		}
	}
}

// running returns the entry if this spawn of it is the present one.
func (a *registry) running(key media.StreamKey, epoch uint64) *entry {
	e := a.entries[key]
	if a.shared != nil && a.shared.def.Key == key && a.shared.epoch == epoch {
		e = a.shared
	}
	if e == nil || e.epoch != epoch || e.pid == nil {
		return nil
	}
	return e
}

func withAsker(list []*actor.PID, asker *actor.PID) []*actor.PID {
	if asker == nil {
		return list
	}
	return append(list, asker)
}

func respond(ctx actor.Context, to *actor.PID, answer any) {
	if to != nil {
		ctx.Send(to, answer)
	}
}
