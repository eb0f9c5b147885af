package actors_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
)

func TestAskEndsWithItsContext(t *testing.T) {
	rt := actortest.Runtime()
	silent := actortest.NewProbe(t, rt, "silent")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := actors.Ask[*answer](ctx, rt.System, silent.PID, &question{})
		ended <- err
	}()
	asker := silent.Next(t).Sender
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.False(t, actortest.Alive(rt, asker), "the asker must not stay registered")
	rt.System.Root.Send(asker, &answer{}) // too late: a dead letter, nothing else
}

// Answers that come twice, or just as the asker gives up, are neither a race nor an error.
func TestAnswersAtTheLastMoment(t *testing.T) {
	rt := actortest.Runtime()
	pid := actortest.SpawnFunc(t, rt, "twice", func(ctx actor.Context) {
		if _, ok := ctx.Message().(*question); ok {
			ctx.Respond(&answer{n: 1})
			ctx.Respond(&answer{n: 2})
		}
	})
	var askers sync.WaitGroup
	for n := range 200 {
		askers.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*time.Microsecond)
			defer cancel()
			got, err := actors.Ask[*answer](ctx, rt.System, pid, &question{})
			if err == nil && got.n != 1 {
				t.Errorf("the first answer counts, got %d", got.n)
			}
		})
	}
	askers.Wait()
}
