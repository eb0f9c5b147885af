package proxy

import (
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/stream"
	"berth/actors/streams"
)

// listPatience is how long a list waits for the pictures of the streams; it is then answered without them.
const listPatience = 2 * time.Second

// gatherActor answers one ListProxies: the proxies' pictures are there, the streams' have to be asked for.
type gatherActor struct {
	streams *actor.PID
	filter  streams.Filter
	asker   *actor.PID
	found   []Snapshot
	timer   *time.Timer
}

// gatherOver ends the wait.
type gatherOver struct{}

func (g *gatherActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		root, self := ctx.ActorSystem().Root, ctx.Self()
		g.timer = time.AfterFunc(listPatience, func() { root.Send(self, gatherOver{}) })
		ctx.Request(g.streams, &streams.ListStreams{Filter: g.filter})
	case *streams.Streams:
		g.join(m.Streams)
		g.answer(ctx)
	case gatherOver, *actor.DeadLetterResponse:
		g.answer(ctx)
	case *actor.Stopping:
		g.timer.Stop()
		g.answer(ctx)
	}
}

// join puts each stream beside the proxy that publishes it.
func (g *gatherActor) join(live []stream.Snapshot) {
	byKey := make(map[string]*stream.Snapshot, len(live))
	for i := range live {
		if live[i].Origin.Type == stream.OriginPull {
			byKey[live[i].Key.String()] = &live[i]
		}
	}
	for i := range g.found {
		g.found[i].Live = byKey[g.found[i].Key]
	}
}

func (g *gatherActor) answer(ctx actor.Context) {
	if g.asker == nil {
		return
	}
	ctx.Send(g.asker, &Proxies{Proxies: g.found})
	g.asker = nil
	ctx.Stop(ctx.Self())
}

func (a *registry) onList(ctx actor.Context, m *ListProxies) {
	g := &gatherActor{streams: a.opts.Streams, asker: ctx.Sender()}
	if g.asker == nil {
		return
	}
	if g.found = a.pictures(m.Key); len(g.found) == 0 {
		ctx.Respond(&Proxies{})
		return
	}
	if m.Key != "" {
		k := g.found[0].Stream
		g.filter = streams.Filter{VHost: k.VHost, App: k.App, Stream: k.Stream}
	}
	ctx.Spawn(a.opts.Runtime.Props(func() actor.Actor { return g }))
}

// pictures are the proxies' own views of themselves, in key order: of all, or of the one with that key.
func (a *registry) pictures(wanted string) []Snapshot {
	var found []Snapshot
	for key, e := range a.entries {
		if snap := e.picture.Load(); snap != nil && (wanted == "" || wanted == key) {
			found = append(found, *snap)
		}
	}
	slices.SortFunc(found, func(a, b Snapshot) int { return strings.Compare(a.Key, b.Key) })
	return found
}
