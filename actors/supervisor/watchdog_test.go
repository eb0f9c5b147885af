package supervisor

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/api"
	"berth/actors/reload"
)

func TestWatchdogGivesASignOnlyWhenTheServerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stuck atomic.Bool
		var signs atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		w := &watchdog{
			every: time.Second, alive: func() { signs.Add(1) }, log: zerolog.Nop(),
			probe: func(ctx context.Context) error {
				if !stuck.Load() {
					return nil
				}
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				require.LessOrEqual(t, time.Until(deadline), time.Second/2)
				<-ctx.Done()
				return ctx.Err()
			},
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.run(ctx)
		}()
		time.Sleep(3*time.Second + time.Millisecond)
		require.EqualValues(t, 4, signs.Load(), "at once, and each second")
		stuck.Store(true)
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 4, signs.Load(), "a server that does not answer gives no sign")
		stuck.Store(false)
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 6, signs.Load())
		stuck.Store(true)
		time.Sleep(time.Second + 100*time.Millisecond) // in the middle of a probe
		cancel()
		<-done
	})
}

func TestAnswersTellsWhoIsSilent(t *testing.T) {
	s := newServer(t, 18)
	s.start(faults{})
	p, supervisor := s.process, s.named("supervisor")
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	require.NoError(t, p.answers(t.Context(), supervisor))

	root := p.runtime.System.Root
	silent := root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
	err := p.answers(short(), silent)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "supervisor: ")

	real := p.engine.Load()
	p.engine.Store(&api.Engine{Pool: silent})
	err = p.answers(short(), supervisor)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "port pool: ")
	require.NoError(t, root.StopFuture(silent).Wait())
	err = p.answers(t.Context(), supervisor)
	require.ErrorIs(t, err, actors.ErrGone, "a pool that is gone while the engine is said to run is no sign of life")
	p.engine.Store(nil)
	require.NoError(t, p.answers(t.Context(), supervisor), "between two generations the supervisor alone is asked")
	p.engine.Store(real)
}

func TestStatusForTheServiceManager(t *testing.T) {
	keys := []reload.KeyVerdict{
		{Key: "rtsp.keepAliveSecond", Outcome: reload.AppliedNew},
		{Key: "log.level", Outcome: reload.Applied},
		{Key: "rtp_proxy.port_range", Outcome: reload.Pending},
	}
	require.Equal(t, "running; 2 changed keys applied; waiting for a full restart: rtp_proxy.port_range", statusOfReload(&reload.Verdict{Keys: keys}))
	require.Equal(t, "running; 2 changed keys applied", statusOfReload(&reload.Verdict{Keys: keys[:2]}))
	require.Equal(t, "reload rejected, nothing changed: first", statusOfReload(&reload.Verdict{Err: errors.New("first\nsecond")}))
	require.Equal(t, "generation 3 runs; 4 definitions restored", statusOfRestart(&Restarted{Generation: 3, Restored: 4}))
	require.Equal(t, "generation 3 runs; full restart refused or failed: no", statusOfRestart(&Restarted{Generation: 3, Err: errors.New("no")}))
	long := oneLine(string(make([]rune, 100)) + "äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü")
	require.LessOrEqual(t, len(long), maxStatusBytes+3)
}

func TestServerIsReadyAlsoWhenItsFirstGenerationBreaks(t *testing.T) {
	s := newServer(t, 18)
	s.start(faults{breaking: func(generation uint64) string {
		if generation == 1 {
			return "portpool"
		}
		return ""
	}})
	require.EqualValues(t, 2, s.generation())
}
