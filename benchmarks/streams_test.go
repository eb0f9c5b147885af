package benchmarks

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5/pkg/format"

	"berth/actors"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
)

// streamsMade is how many streams the registry holds where its size matters.
const streamsMade = 1000

func streamKey(n int) media.StreamKey {
	return media.StreamKey{VHost: media.DefaultVHost, App: "bench", Stream: fmt.Sprint("camera/", n)}
}

func streamKeys() []media.StreamKey {
	keys := make([]media.StreamKey, streamsMade)
	for i := range keys {
		keys[i] = streamKey(i)
	}
	return keys
}

func videoTrack(b *testing.B) []*media.Track {
	b.Helper()
	t, err := media.NewTrack(&format.H264{PayloadTyp: 96, PacketizationMode: 1})
	if err != nil {
		b.Fatal(err)
	}
	return []*media.Track{t}
}

func spawnRegistry(b *testing.B) *actor.PID {
	b.Helper()
	root := quiet().System.Root
	pid := root.Spawn(streams.Props(streams.Options{Runtime: quiet(), Config: config.Default()}))
	b.Cleanup(func() { _ = root.StopFuture(pid).Wait() })
	return pid
}

// loop is an actor that takes one step after another and signals when it has taken all that it was told to.
type loop struct {
	step func(ctx actor.Context) // asks for something whose answer is a T of receive
	got  func(ctx actor.Context, msg any) (stepped bool)
	left int
	done *sync.WaitGroup
}

// steps tells a loop how many steps to take.
type steps struct {
	n    int
	done *sync.WaitGroup
}

func (l *loop) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *steps:
		l.left, l.done = m.n, m.done
	default:
		if !l.got(ctx, m) {
			return
		}
		l.left--
	}
	if l.left == 0 {
		l.done.Done()
		return
	}
	l.step(ctx)
}

// runLoops spreads b.N steps over loops and waits for them.
func runLoops(b *testing.B, loops []*loop) {
	b.Helper()
	root := quiet().System.Root
	pids := make([]*actor.PID, len(loops))
	for i, l := range loops {
		pids[i] = root.Spawn(quiet().Props(func() actor.Actor { return l }))
	}
	b.Cleanup(func() {
		for _, pid := range pids {
			_ = root.StopFuture(pid).Wait()
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	var done sync.WaitGroup
	for i, pid := range pids {
		n := b.N / len(pids)
		if i < b.N%len(pids) {
			n++
		}
		if n > 0 {
			done.Add(1)
			root.Send(pid, &steps{n, &done})
		}
	}
	done.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}

// fill publishes streams from one actor and waits until all are there.
func fill(b *testing.B, registry *actor.PID, n int) {
	b.Helper()
	tracks := videoTrack(b)
	var done sync.WaitGroup
	done.Add(n)
	pid := quiet().System.Root.Spawn(quiet().Props(func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case *actor.Started:
				for i := range n {
					ctx.Request(registry, &streams.Publish{Key: streamKey(i), Attach: stream.Attach{Publisher: ctx.Self(), Tracks: tracks}})
				}
			case *stream.Attached:
				done.Done()
			}
		})
	}))
	b.Cleanup(func() { _ = quiet().System.Root.StopFuture(pid).Wait() })
	done.Wait()
}

// BenchmarkStreamLookup asks a registry of 1,000 streams for one of them, as a viewer's session does.
func BenchmarkStreamLookup(b *testing.B) {
	keys := streamKeys()
	for _, askers := range askersTried {
		b.Run(fmt.Sprintf("actor/askers=%d", askers), func(b *testing.B) {
			registry := spawnRegistry(b)
			fill(b, registry, streamsMade)
			loops := make([]*loop, askers)
			for i := range loops {
				n := i
				loops[i] = &loop{
					step: func(ctx actor.Context) {
						n++
						ctx.Request(registry, &streams.Subscribe{Reader: ctx.Self(), Key: keys[n%streamsMade]})
					},
					got: func(_ actor.Context, msg any) bool { _, ok := msg.(*streams.Subscribed); return ok },
				}
			}
			runLoops(b, loops)
		})
	}
	for _, askers := range askersTried {
		b.Run(fmt.Sprintf("baseline=rwmutex/askers=%d", askers), func(b *testing.B) {
			var mu sync.RWMutex
			table := map[media.StreamKey]*actor.PID{}
			for i, key := range keys {
				table[key] = actor.NewPID("", fmt.Sprint(i))
			}
			b.ReportAllocs()
			b.ResetTimer()
			var done sync.WaitGroup
			for i := range askers {
				done.Go(func() {
					for n := i; n < b.N; n += askers {
						mu.RLock()
						pid := table[keys[n%streamsMade]]
						mu.RUnlock()
						if pid == nil {
							panic("not found")
						}
					}
				})
			}
			done.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}

// BenchmarkPublish publishes a stream and ends it, again and again with the same key: the successor waits for the end of its predecessor, so that an
// op is a stream actor spawned, its hub made, attached, ended and stopped.
func BenchmarkPublish(b *testing.B) {
	for _, publishers := range askersTried {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			registry, tracks := spawnRegistry(b), videoTrack(b)
			loops := make([]*loop, publishers)
			for i := range loops {
				key := streamKey(i)
				loops[i] = &loop{
					step: func(ctx actor.Context) {
						ctx.Request(registry, &streams.Publish{Key: key, Attach: stream.Attach{Publisher: ctx.Self(), Tracks: tracks}})
					},
					got: func(ctx actor.Context, msg any) bool {
						a, ok := msg.(*stream.Attached)
						if ok {
							ctx.Send(a.Stream, &stream.Detach{Publisher: ctx.Self(), Final: true})
						}
						return ok
					},
				}
			}
			runLoops(b, loops)
		})
	}
}

// BenchmarkListStreams gathers the snapshots of 1,000 streams, as the HTTP API and the metrics do.
func BenchmarkListStreams(b *testing.B) {
	registry := spawnRegistry(b)
	fill(b, registry, streamsMade)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		answer, err := actors.Ask[*streams.Streams](ctx, quiet().System, registry, &streams.ListStreams{})
		if err != nil || len(answer.Streams) != streamsMade {
			b.Fatalf("%d streams, %v", len(answer.Streams), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/streamsMade, "ns/stream")
}

// BenchmarkSpawnStop spawns a child with the props that every actor has, stops it, and waits for its end.
func BenchmarkSpawnStop(b *testing.B) {
	for _, parents := range askersTried {
		b.Run(fmt.Sprintf("parents=%d", parents), func(b *testing.B) {
			props := quiet().Props(func() actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) })
			loops := make([]*loop, parents)
			for i := range loops {
				loops[i] = &loop{
					step: func(ctx actor.Context) { ctx.Stop(ctx.Spawn(props)) },
					got:  func(_ actor.Context, msg any) bool { _, ok := msg.(*actor.Terminated); return ok },
				}
			}
			runLoops(b, loops)
		})
	}
}
