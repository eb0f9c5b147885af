package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/netio/tcp"
)

// ErrForced is what [Run] returns when a second signal asked it to end at once.
var ErrForced = errors.New("ended at once by a second signal")

// errStuck is returned when a part of the server does not end.
var errStuck = errors.New("the server did not end in time")

// endPatience bounds an orderly end.
const endPatience = 30 * time.Second

// Run is the server: it returns after an orderly end with nil, and with the reason when the server could not start or had to end. It ends when ctx does.
func Run(ctx context.Context, opts Options) error {
	// Without overrides first: where they are kept is itself a key.
	cfg, _, err := opts.load(nil, false)
	if err != nil {
		return err
	}
	defer tuneCollector()()
	out := newLogOutput(opts.LogOutput)
	out.setFormat(cfg.Log.Format)
	setLogLevel(cfg)
	log := zerolog.New(out).With().Timestamp().Logger()
	p := &process{
		opts: opts, runtime: actors.NewRuntime(log), log: log, output: out,
		certificate: &tcp.Certificate{}, notify: &notifier{}, ended: make(chan struct{}),
	}
	defer p.runtime.System.Shutdown()
	p.readIdentity(cfg.State.Dir)
	if opts.faults.started != nil {
		opts.faults.started(p)
	}
	supervisor, err := p.runtime.System.Root.SpawnNamed(p.runtime.Props(
		func() actor.Actor { return &supervisorActor{stateDir: cfg.State.Dir, process: p, log: log} },
		actor.WithGuardian(actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })),
	), "supervisor")
	if err != nil {
		return fmt.Errorf("spawn supervisor: %w", err)
	}
	defer p.startWatchdog(supervisor)()
	return p.wait(ctx, supervisor)
}

// wait passes signals on until the supervisor has ended.
func (p *process) wait(ctx context.Context, supervisor *actor.PID) error {
	root := p.runtime.System.Root
	done := ctx.Done()
	var overdue <-chan time.Time
	ending := false
	end := func(by any) {
		ending = true
		done = nil
		overdue = time.After(endPatience)
		root.Send(supervisor, by)
	}
	for {
		select {
		case <-p.ended:
			return p.err()
		case <-done:
			end(&Shutdown{By: "its caller"})
		case sig := <-p.opts.Signals:
			last := sig == os.Interrupt || sig == syscall.SIGTERM
			switch {
			case last && ending:
				return ErrForced
			case last:
				end(&signalled{signal: sig})
			default:
				root.Send(supervisor, &signalled{signal: sig})
			}
		case <-overdue:
			return errors.Join(errStuck, p.err())
		}
	}
}
