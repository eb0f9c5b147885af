package receiver

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/store"
	"berth/media"
)

// books keep the definitions in the store. Nobody waits for the disk: what a call has opened is on it within moments, and when the store fails, the books are compared with the next one.
type books struct {
	timer   *time.Timer
	dropped []media.StreamKey // deleted last, a ring of rememberDropped
	turn    int
}

// bookTick is posted when it is time to look for the store again.
type bookTick struct{}

// Sizes of the books' memory and patience. A store that fails loses what it had not written yet, which is less than so many deletions.
const (
	rememberDropped = 4096
	lookAgain       = 500 * time.Millisecond
)

func (b *books) start(ctx actor.Context, a *registry) { actors.WatchOutliving(ctx, a.opts.Store) }

func (b *books) stop(ctx actor.Context, a *registry) {
	if b.timer != nil {
		b.timer.Stop()
	}
	ctx.Unwatch(a.opts.Store)
}

func (b *books) put(ctx actor.Context, a *registry, def store.Receiver) {
	ctx.Send(a.opts.Store, &store.PutReceiver{Receiver: def})
}

func (b *books) drop(ctx actor.Context, a *registry, key media.StreamKey) {
	if len(b.dropped) < rememberDropped {
		b.dropped = append(b.dropped, key)
	} else {
		b.dropped[b.turn%rememberDropped] = key
	}
	b.turn++
	ctx.Send(a.opts.Store, &store.DeleteReceiver{Key: key})
}

// gone reports whether it was the store that has ended, and looks for its successor after a while.
func (b *books) gone(ctx actor.Context, a *registry, who *actor.PID) bool {
	if !who.Equal(a.opts.Store) {
		return false
	}
	b.schedule(ctx)
	return true
}

func (b *books) schedule(ctx actor.Context) {
	root, self := ctx.ActorSystem().Root, ctx.Self()
	b.timer = time.AfterFunc(lookAgain, func() { root.Send(self, &bookTick{}) })
}

func (b *books) onTick(ctx actor.Context, a *registry) {
	actors.WatchOutliving(ctx, a.opts.Store) // of a store that is still missing: its end is told again
	ctx.Request(a.opts.Store, &store.ListReceivers{})
}

// compare makes a new store agree with what runs.
func (b *books) compare(ctx actor.Context, a *registry, m *store.Receivers) {
	if m.Err != nil {
		b.schedule(ctx)
		return
	}
	dropped := make(map[media.StreamKey]bool, len(b.dropped))
	for _, key := range b.dropped {
		dropped[key] = true
	}
	stored := make(map[media.StreamKey]store.Receiver, len(m.Receivers))
	var unknown []store.Receiver
	for _, def := range m.Receivers {
		stored[def.Key] = def
		e := a.entries[def.Key]
		switch {
		case e != nil && !e.doomed && !e.over:
		case e != nil || dropped[def.Key]:
			b.drop(ctx, a, def.Key)
		default:
			unknown = append(unknown, def)
		}
	}
	for key, e := range a.entries {
		if have, ok := stored[key]; e.open && !e.doomed && !e.over && (!ok || have != e.def) {
			b.put(ctx, a, e.def)
		}
	}
	a.restore(ctx, unknown)
}
