package proxy

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/store"
	"berth/netio/camera"
)

// What is still in the mailbox when proxies is asked to stop is handled while its children end: a proxy that was spawned then would never be told to end, and the full restart would
// wait for it for ever.
func TestNothingBeginsWhileProxiesEnds(t *testing.T) {
	const adds = 20
	asked := make(chan struct{}, 2*adds)
	f := newFixture(t, func(f *fixture) {
		f.store = actortest.SpawnFunc(t, f.rt, "store", func(ctx actor.Context) {
			if _, put := ctx.Message().(*store.PutProxy); put {
				asked <- struct{}{} // and never answers: the test does
			}
		})
	})
	c := startCamera(t, camera.Options{})
	adder, watcher := actortest.NewProbe(t, f.rt, "adder"), actortest.NewProbe(t, f.rt, "watcher")
	named := func(i int) store.Proxy {
		return definition(c, func(d *store.Proxy) { d.Key = testKey(fmt.Sprintf("x%d", i)) })
	}
	for i := range adds {
		adder.Request(f.proxies, &AddProxy{Definition: named(i)})
	}
	for range adds {
		<-asked
	}
	watcher.Watch(f.proxies)
	watcher.Request(f.store, "anything") // behind the Watch
	root := f.rt.System.Root
	root.Stop(f.proxies)
	for i := range adds {
		root.Send(f.proxies, &written{key: testKey(fmt.Sprintf("x%d", i)).String()})
	}
	adder.Request(f.proxies, &AddProxy{Definition: named(adds)})
	root.Send(f.proxies, &store.Reopened{Proxies: []store.Proxy{named(adds + 1)}})
	root.Send(f.proxies, &actors.ConfigChanged{Config: f.config})
	_ = actortest.Await[*actor.Terminated](t, watcher)
	for range adds {
		require.ErrorIs(t, actortest.Await[*ProxyAdded](t, adder).Err, ErrInterrupted)
	}
}
