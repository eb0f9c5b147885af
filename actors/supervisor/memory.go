package supervisor

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/portpool"
	"berth/actors/store"
	"berth/media"
)

// keepPatience bounds the wait for the store when the process ends: what it is to keep is worth a minute.
const keepPatience = 2 * time.Second

// portsKept is posted when the store has what the last pool left behind, or could not take it.
type portsKept struct{}

// reservations are the ports that the streams of stored definitions had.
func reservations(d *definitions) []portpool.Reservation {
	var out []portpool.Reservation
	for i := range d.proxies {
		for _, port := range d.proxies[i].Ports {
			if port != 0 {
				out = append(out, portpool.Reservation{Stream: d.proxies[i].Key, Purpose: portpool.PurposeRTSPPull, Port: port})
			}
		}
	}
	hold := func(stream media.StreamKey, purpose portpool.Purpose, port uint16) {
		if port != 0 {
			out = append(out, portpool.Reservation{Stream: stream, Purpose: purpose, Port: port})
		}
	}
	for i := range d.receivers {
		hold(d.receivers[i].Key, portpool.PurposeRTPReceive, d.receivers[i].Leased)
	}
	for i := range d.senders {
		hold(d.senders[i].Stream, portpool.PurposeRTPSend, d.senders[i].Leased)
	}
	return out
}

// recallPorts takes over what the pool of the process before this one left behind. Whatever fails, the server starts: it costs that a peer of old may be heard.
func (p *process) recallPorts(ctx context.Context, storePID *actor.PID) {
	kept, err := actors.Ask[*store.Cooling](ctx, p.runtime.System, storePID, &store.GetCooling{})
	if err == nil {
		err = kept.Err
	}
	if err != nil {
		p.log.Warn().Err(err).Msg("what is known of ports in use before the start cannot be read; their old peers may be heard")
		return
	}
	p.poolMemory.Leave(kept.Pairs)
}

// keepPorts stores what the last pool left behind, for the next process. stopLast goes on when it is kept.
func (a *supervisorActor) keepPorts(ctx actor.Context) {
	root, self, storePID, process := ctx.ActorSystem().Root, ctx.Self(), a.store, a.process
	go func() {
		wait, cancel := context.WithTimeout(context.Background(), keepPatience)
		defer cancel()
		done, err := actors.Ask[*store.Done](wait, process.runtime.System, storePID, &store.PutCooling{Pairs: process.poolMemory.Copy()})
		if err == nil {
			err = done.Err
		}
		if err != nil {
			process.log.Warn().Err(err).Msg("what is known of ports in use cannot be kept; after the next start their old peers may be heard")
		}
		root.Send(self, &portsKept{})
	}()
}
