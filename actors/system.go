package actors

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
)

// NewRuntime makes the actor system: one a process, since it costs megabytes. Its own messages go to log.
func NewRuntime(log zerolog.Logger) *Runtime {
	stats := &Stats{}
	handler := &logBridge{next: zerolog.NewSlogHandler(log.With().Str("from", "actors").Logger())}
	system := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(handler) }),
		actor.WithDeadLetterRequestLogging(false),
	)
	fewBuckets(system.ProcessRegistry.LocalPIDs)
	system.EventStream.Subscribe(func(event any) {
		if _, ok := event.(*actor.DeadLetterEvent); ok {
			stats.DeadLetters.Add(1)
		}
	})
	return &Runtime{System: system, Log: log, Stats: stats, dispatcher: NewDispatcher()}
}

// registryBuckets is how many parts the table of actors has; each has 32 shards with a lock of their own.
const registryBuckets = 16

// fewBuckets makes the table of actors small. The library's 1024 parts are 32768 small maps, which come to 12 MB as soon as each has had an actor: every question from the API is one for a moment. All of that is
// looked at by every garbage collection. To be called before anybody else uses the system.
func fewBuckets(table *actor.SliceMap) {
	all := table.LocalPIDs
	few := slices.Clone(all[:registryBuckets]) // which divides their number: what is in these stays where it is
	for i, bucket := range all[registryBuckets:] {
		for name, process := range bucket.Items() {
			few[i%registryBuckets].Set(name, process)
		}
	}
	table.LocalPIDs = few
}

// logBridge adapts the actor library's records: dead letters are counted instead of logged, messages are named by type so that no content leaks into
// the log, and the guard has already logged panics with their stack.
type logBridge struct{ next slog.Handler }

func (h *logBridge) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *logBridge) Handle(ctx context.Context, rec slog.Record) error {
	switch rec.Message {
	case "[DeadLetter]", "[ACTOR] Recovering":
		return nil
	}
	out := slog.NewRecord(rec.Time, rec.Level, rec.Message, rec.PC)
	rec.Attrs(func(attr slog.Attr) bool {
		out.AddAttrs(bridgeAttr(attr))
		return true
	})
	return h.next.Handle(ctx, out)
}

func (h *logBridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logBridge{next: h.next.WithAttrs(attrs)}
}

func (h *logBridge) WithGroup(name string) slog.Handler {
	return &logBridge{next: h.next.WithGroup(name)}
}

func bridgeAttr(attr slog.Attr) slog.Attr {
	switch v := attr.Value.Any().(type) {
	case *actor.PID:
		return slog.String(attr.Key, v.GetId())
	case error, string, fmt.Stringer:
		if attr.Key != "message" {
			return attr
		}
	}
	if attr.Key == "message" {
		return slog.String("msg_type", fmt.Sprintf("%T", attr.Value.Any()))
	}
	return attr
}
