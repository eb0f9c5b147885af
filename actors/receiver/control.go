package receiver

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"berth/media"
)

func (a *registry) onConnect(ctx actor.Context, m *Connect) {
	e := a.entries[m.Key]
	switch {
	case e == nil || e.doomed || e.over:
		ctx.Respond(&Connected{Err: ErrNotFound})
	case e.def.TCPMode != tcpActive:
		ctx.Respond(&Connected{Err: ErrNotActive})
	case m.Host == "" || m.Port == 0:
		ctx.Respond(&Connected{Err: fmt.Errorf("%q, port %d: no address to connect to", m.Host, m.Port)})
	case e.pid == nil:
		ctx.Respond(&Connected{Err: errCrashed})
	default:
		ctx.RequestWithCustomSender(e.pid, m, ctx.Sender())
	}
}

// onConnected remembers where a receiver was connected to, for the time after a restart.
func (a *registry) onConnected(ctx actor.Context, m *connected) {
	if e := a.running(m.key, m.epoch); e != nil && !e.doomed && (e.def.Host != m.host || e.def.HostPort != m.port) {
		e.def.Host, e.def.HostPort = m.host, m.port
		a.books.put(ctx, a, e.def)
	}
}

func (a *registry) onSetSSRC(ctx actor.Context, m *SetSSRC) {
	e := a.entries[m.Key]
	if e == nil || e.doomed || e.over || e.def.Multiplex {
		ctx.Respond(&Done{Err: ErrNotFound})
		return
	}
	if e.def.SSRC != m.SSRC {
		e.def.SSRC = m.SSRC
		a.books.put(ctx, a, e.def)
	}
	if e.pid != nil {
		ctx.Send(e.pid, &setSSRC{m.SSRC})
	}
	ctx.Respond(&Done{})
}

func (a *registry) onPauseCheck(ctx actor.Context, m *PauseCheck) {
	pid := a.find(m.Key)
	if pid == nil {
		ctx.Respond(&Done{Err: ErrNotFound})
		return
	}
	ctx.Send(pid, &pause{m.For})
	ctx.Respond(&Done{})
}

func (a *registry) onGetTalk(ctx actor.Context, m *GetTalk) {
	pid := a.find(m.Stream)
	if pid == nil {
		ctx.Respond(&Talk{Err: ErrNotFound})
		return
	}
	ctx.RequestWithCustomSender(pid, m, ctx.Sender())
}

// find returns the actor behind a published stream or, failing that, of a receiver that was opened under the key; nil when there is none.
func (a *registry) find(key media.StreamKey) *actor.PID {
	for _, e := range a.entries {
		if e.running() && e.picture.stream() == key {
			return e.pid
		}
	}
	for _, d := range a.devices {
		if d.picture.stream() == key || d.picture.key() == key {
			return d.pid
		}
	}
	if e := a.entries[key]; e != nil && e.running() {
		return e.pid
	}
	return nil
}

// running reports whether there is an actor that is not about to end.
func (e *entry) running() bool { return e.pid != nil && !e.doomed && !e.over }
