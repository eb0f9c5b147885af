package sender

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/stream"
	"berth/actors/streams"
	"berth/media"
)

// lookPatience bounds the search for a stream.
const lookPatience = 2 * time.Second

// lookActor answers a Stop that hit nothing: what to say depends on whether there is such a stream.
type lookActor struct {
	streams *actor.PID
	asker   *actor.PID
	stream  media.StreamKey
	timer   *time.Timer
}

// lookOver ends the wait.
type lookOver struct{}

func (a *lookActor) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		root, self := ctx.ActorSystem().Root, ctx.Self()
		a.timer = time.AfterFunc(lookPatience, func() { root.Send(self, lookOver{}) })
		ctx.Request(a.streams, &streams.Subscribe{Reader: ctx.Self(), Key: a.stream})
	case *streams.Subscribed:
		a.answer(ctx, ErrNothing)
	case *stream.Refused:
		a.answer(ctx, ErrNoSource)
	case lookOver, *actor.DeadLetterResponse:
		a.answer(ctx, ErrInterrupted)
	case *actor.Stopping:
		a.timer.Stop()
		a.answer(ctx, ErrInterrupted)
	}
}

func (a *lookActor) answer(ctx actor.Context, err error) {
	if a.asker == nil {
		return
	}
	ctx.Send(a.asker, &Stopped{Err: err})
	a.asker = nil
	ctx.Stop(ctx.Self())
}
