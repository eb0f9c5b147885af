package supervisor

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/portpool"
)

// Question and answer of the watchdog to the supervisor.
type (
	checkAlive struct{}
	isAlive    struct{}
)

// watchdog tells the service manager that the server lives, as long as it really answers.
type watchdog struct {
	every time.Duration               // half of what the service manager allows between two signs of life
	probe func(context.Context) error // nil when the server answers
	alive func()                      // tells the service manager
	log   zerolog.Logger
}

// startWatchdog starts the watchdog if the service manager wants one (WATCHDOG_USEC). The function that it returns ends it and waits for that.
func (p *process) startWatchdog(supervisor *actor.PID) func() {
	allowed, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		p.log.Warn().Err(err).Msg("the service manager's WATCHDOG_USEC cannot be understood; no sign of life is sent")
	}
	if err != nil || allowed <= 0 {
		return func() {}
	}
	w := &watchdog{
		every: allowed / 2, alive: p.notify.alive, log: p.log,
		probe: func(ctx context.Context) error { return p.answers(ctx, supervisor) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// run probes at each interval and gives a sign of life when the answer is in time. A probe may take half the interval, so that
// the sign of a slow one still comes before the service manager's patience ends.
func (w *watchdog) run(ctx context.Context) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	silent := 0
	for {
		wait, cancel := context.WithTimeout(ctx, w.every/2)
		err := w.probe(wait)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if silent > 0 {
				w.log.Warn().Int("missed", silent).Msg("the server answers its watchdog again")
			}
			silent = 0
			w.alive()
		default:
			silent++
			w.log.Error().Err(err).Int("missed", silent).Dur("allowed", 2*w.every).Msg("the server does not answer its watchdog; the service manager will restart it")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// answers makes a round trip through the supervisor and, while there is an engine, through its port pool.
func (p *process) answers(ctx context.Context, supervisor *actor.PID) error {
	if _, err := actors.Ask[*isAlive](ctx, p.runtime.System, supervisor, &checkAlive{}); err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}
	engine := p.engine.Load()
	if engine == nil {
		return nil // being built or torn down, which has bounds of its own
	}
	if _, err := actors.Ask[*portpool.Pool](ctx, p.runtime.System, engine.Pool, &portpool.GetPool{}); err != nil && p.engine.Load() == engine {
		return fmt.Errorf("port pool: %w", err)
	}
	return nil
}
