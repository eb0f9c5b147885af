package supervisor

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/api"
	"berth/actors/hook"
	"berth/actors/portpool"
	"berth/actors/proxy"
	"berth/actors/receiver"
	"berth/actors/reload"
	"berth/actors/rtspd"
	"berth/actors/sender"
	"berth/actors/streams"
	"berth/netio/fanout"
	"berth/netio/httpd"
)

// parts is what one generation is made of; the methods are the table of its children.
//
//	child     on panic                                   because
//	portpool  the generation ends                        its ledger is the truth about what is leased
//	hook      the generation ends                        actors wait for its answers
//	streams   the generation ends                        publishers and readers hold what it gave them
//	proxies   the generation ends                        it knows which definitions run
//	receivers the generation ends                        it knows which definitions run
//	senders   the generation ends                        it knows which definitions run
//	rtspd     the generation ends                        it knows every connection
//	stream, proxy, receiver, sender, session   that one ends   each is alone with its media
type parts struct {
	process     *process
	plan        *plan
	generation  uint64
	store       *actor.PID
	reload      *actor.PID
	parent      *actor.PID
	definitions *definitions
	endReason   *atomic.Value // actors.CloseReason, set before the children are asked to end
}

// why says why the children end.
func (p parts) why() actors.CloseReason {
	if reason, ok := p.endReason.Load().(actors.CloseReason); ok {
		return reason
	}
	return actors.ReasonCrashed
}

func (p parts) newFanout() *fanout.Pool {
	return fanout.New(fanout.Options{Workers: runtime.GOMAXPROCS(0)})
}

func (p parts) poolProps(notify *actor.PID) *actor.Props {
	return portpool.Props(p.process.runtime, portpool.Options{Config: p.plan.config, Exclude: p.plan.doors.ports(), Notify: notify, Memory: &p.process.poolMemory, Reserve: reservations(p.definitions)})
}

func (p parts) hookProps() *actor.Props {
	return hook.Props(hook.Options{
		Runtime: p.process.runtime, Config: p.plan.config, ServerID: p.process.identity.Load().serverID, Index: &p.process.hookIndex,
	})
}

func (p parts) streamsProps(e *api.Engine, out *fanout.Pool) *actor.Props {
	return streams.Props(streams.Options{
		Runtime: p.process.runtime, Config: p.plan.config, Pool: e.Pool, Hook: e.Hook, Fanout: out, EndReason: p.why,
	})
}

func (p parts) proxiesProps(e *api.Engine) *actor.Props {
	return proxy.Props(proxy.Options{
		Runtime: p.process.runtime, Config: p.plan.config, Store: p.store, Streams: e.Streams, Pool: e.Pool, Restore: p.definitions.proxies,
	})
}

func (p parts) receiversProps(e *api.Engine) *actor.Props {
	o := receiver.Options{
		Runtime: p.process.runtime, Config: p.plan.config, Store: p.store, Streams: e.Streams, Pool: e.Pool, Hook: e.Hook, Restore: p.definitions.receivers,
	}
	if door, ok := p.plan.doors[doorRTP]; ok {
		o.Shared = &receiver.Shared{UDP: door.udp, TCP: door.socket.Borrow, Local: door.socket.Addr()}
	}
	return receiver.Props(o)
}

func (p parts) sendersProps(e *api.Engine) *actor.Props {
	return sender.Props(sender.Options{
		Runtime: p.process.runtime, Config: p.plan.config, Store: p.store, Streams: e.Streams, Pool: e.Pool, Hook: e.Hook, Receivers: e.Receivers,
		Restore: p.definitions.senders,
	})
}

func (p parts) rtspProps(e *api.Engine, out *fanout.Pool) *actor.Props {
	var listeners []rtspd.Listener
	if door, ok := p.plan.doors[doorRTSP]; ok {
		listeners = append(listeners, rtspd.Listener{Listener: door.socket.Borrow(), Protocol: "rtsp"})
	}
	if door, ok := p.plan.doors[doorRTSPS]; ok {
		listeners = append(listeners, rtspd.Listener{Listener: p.tls(door.socket.Borrow()), Protocol: "rtsps", TLS: true})
	}
	return rtspd.Props(rtspd.Options{
		Runtime: p.process.runtime, Config: p.plan.config, Streams: e.Streams, Pool: e.Pool, Hook: e.Hook, Fanout: out, Listeners: listeners,
		Server:    "berth/" + p.process.opts.Version,
		EndReason: p.why,
	})
}

func (p parts) tls(plain net.Listener) net.Listener {
	return tls.NewListener(plain, p.process.certificate.Config())
}

// webListeners are the sockets of the HTTP front.
func (a *supervisorActor) webListeners() []httpd.Listener {
	var out []httpd.Listener
	if door, ok := a.plan.doors[doorHTTP]; ok {
		out = append(out, httpd.Listener{Listener: door.socket.Borrow()})
	}
	if door, ok := a.plan.doors[doorHTTPS]; ok {
		out = append(out, httpd.Listener{Listener: door.socket.Borrow(), TLS: true})
	}
	return out
}

// spawnAPI makes the HTTP front, at the start and after a breakdown of the one before.
func (a *supervisorActor) spawnAPI(ctx actor.Context) {
	process, self, system := a.process, ctx.Self(), ctx.ActorSystem()
	a.api = mustSpawn(ctx, "api", api.Props(api.Options{
		Runtime: process.runtime, Config: a.plan.config, Listeners: a.webListeners(),
		GetCertificate: process.certificate.Config().GetCertificate,
		Engine: func() (api.Engine, bool) {
			if e := process.engine.Load(); e != nil {
				return *e, true
			}
			return api.Engine{}, false
		},
		Reload: a.reload, Store: a.store,
		Restart: func(wait context.Context, by string) (api.RestartResult, error) {
			done, err := actors.Ask[*Restarted](wait, system, self, &Restart{By: by})
			if err != nil {
				return api.RestartResult{}, err
			}
			return api.RestartResult{
				Generation: done.Generation, Duration: done.Duration, Applied: done.Applied, Restored: done.Restored, Failed: done.Failed,
			}, done.Err
		},
		Drain: process.drain, Resume: process.resume, Draining: process.drained.Load,
		Secret: func() string { return process.identity.Load().secret }, ServerID: process.identity.Load().serverID,
		Version: process.opts.Version, Log: a.log,
	}))
	ctx.Send(a.reload, &reload.Register{Name: "api", PID: a.api})
}
