package streams_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/media"
)

// restless is an actor that publishes, leaves, and publishes again, until it has done so often enough. It keeps count of what it was told.
type restless struct {
	w      *world
	key    media.StreamKey
	tracks [2]*media.Track
	rng    *rand.Rand
	left   int
	done   func(err error)
	live   bool
}

type again struct{}

func (r *restless) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started, *again:
		if r.left == 0 {
			r.done(nil)
			return
		}
		r.left--
		ctx.Request(r.w.pid, &streams.Publish{Key: r.key, Attach: stream.Attach{
			Publisher: ctx.Self(), Tracks: []*media.Track{r.tracks[r.rng.IntN(2)]}, Options: waits,
		}})
	case *stream.Attached:
		if r.live {
			r.done(fmt.Errorf("admitted twice"))
		}
		r.live = true
		switch r.rng.IntN(3) {
		case 0: // be closed by others, or by itself
			ctx.Send(r.w.pid, &streams.CloseStreams{Filter: streams.Filter{Stream: r.key.Stream}, Force: true})
		default:
			r.live = false
			ctx.Send(m.Stream, &stream.Detach{Publisher: ctx.Self(), Final: r.rng.IntN(2) == 0})
			ctx.Send(ctx.Self(), &again{})
		}
	case *stream.Ended:
		if r.live {
			r.live = false
			ctx.Send(ctx.Self(), &again{})
		}
	case *streams.Refused:
		ctx.Send(ctx.Self(), &again{})
	}
}

// TestEveryPublisherIsAnswered lets many publishers fight for a few keys, with other tracks, farewells and orders to close. Each request must be answered once: an
// actor that is not answered never ends, one that is answered twice is admitted twice.
func TestEveryPublisherIsAnswered(t *testing.T) {
	actortest.CheckLeaks(t)
	w := newWorld(t, actortest.Runtime())
	const publishers, rounds, keys = 24, 40, 3
	ends := make(chan error, 2*publishers*rounds)
	for n := range publishers {
		key := cam
		key.Stream = fmt.Sprint("fought-", n%keys)
		r := &restless{
			w: w, key: key, tracks: [2]*media.Track{h264(t), h265(t)}, rng: rand.New(rand.NewPCG(uint64(n), 9)), left: rounds,
			done: func(err error) { ends <- err },
		}
		actortest.Spawn(t, w.rt, w.rt.Props(func() actor.Actor { return r }), "restless")
	}
	for range publishers {
		select {
		case err := <-ends:
			require.NoError(t, err)
		case <-time.After(actortest.Wait):
			t.Fatal("a publisher was never answered")
		}
	}
	require.Equal(t, &actors.ConfigTaken{Owner: "streams"}, w.ask(&actors.ConfigChanged{Config: w.cfg}))
	answer := w.ask(&streams.CloseStreams{Force: true})
	require.IsType(t, &streams.StreamsClosed{}, answer)
	require.Empty(t, w.list(streams.Filter{}))
}
