package streams

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/media"
)

// Bounds of waiting.
const (
	maxWaiters  = 10_000
	longestWait = 5 * time.Minute
)

// waiter is a viewer that came before its stream.
type waiter struct {
	key    media.StreamKey
	reader *actor.PID
	until  time.Time
}

// waiters are all of them, with one timer for the nearest deadline.
type waiters struct {
	byKey    map[media.StreamKey][]*waiter
	byReader map[string]int // how many waits a watched reader has, by PID id
	count    int
	timer    *time.Timer
	armed    time.Time // what the timer is set to; zero when it is not
}

// waitTick is the timer's message. Only the one of the timer's last setting counts.
type waitTick struct{ at time.Time }

func newWaiters() waiters {
	return waiters{byKey: map[media.StreamKey][]*waiter{}, byReader: map[string]int{}}
}

func (a *registry) onSubscribe(ctx actor.Context, m *Subscribe) {
	reader := m.Reader
	if reader == nil {
		reader = ctx.Sender()
	}
	if reader == nil {
		return
	}
	e := a.byKey[m.Key]
	switch {
	case a.stopping.Load():
		a.refuse(ctx, reader, m.Key, ErrRestarted)
	case e != nil && e.tracks != nil:
		ctx.Send(reader, &Subscribed{Key: m.Key, Stream: e.pid, Tracks: e.tracks})
	case m.Wait <= 0 || !m.Key.Valid():
		a.refuse(ctx, reader, m.Key, ErrNotFound)
	case a.waiters.count >= maxWaiters:
		a.refuse(ctx, reader, m.Key, ErrCrowded)
	default:
		a.waiters.add(ctx, &waiter{m.Key, reader, a.Now().Add(min(m.Wait, longestWait))}, a.Now())
	}
}

func (w *waiters) add(ctx actor.Context, one *waiter, now time.Time) {
	w.byKey[one.key] = append(w.byKey[one.key], one)
	w.count++
	if w.byReader[one.reader.Id]++; w.byReader[one.reader.Id] == 1 {
		ctx.Watch(one.reader)
	}
	if w.armed.IsZero() || one.until.Before(w.armed) {
		w.arm(ctx, one.until, now)
	}
}

func (w *waiters) arm(ctx actor.Context, at, now time.Time) {
	w.stop()
	root, self := ctx.ActorSystem().Root, ctx.Self()
	w.armed = at
	w.timer = time.AfterFunc(max(0, at.Sub(now)), func() { root.Send(self, &waitTick{at}) })
}

func (w *waiters) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.armed = time.Time{}
}

// done forgets a waiter that has been taken from its list.
func (w *waiters) done(ctx actor.Context, one *waiter) {
	w.count--
	if w.byReader[one.reader.Id]--; w.byReader[one.reader.Id] == 0 {
		delete(w.byReader, one.reader.Id)
		ctx.Unwatch(one.reader)
	}
}

// appeared answers those who wait for a stream that can be watched now.
func (w *waiters) appeared(ctx actor.Context, e *entry) {
	list := w.byKey[e.key]
	delete(w.byKey, e.key)
	for _, one := range list {
		w.done(ctx, one)
		ctx.Send(one.reader, &Subscribed{Key: e.key, Stream: e.pid, Tracks: e.tracks})
	}
}

// expire refuses those whose time is up, and sets the timer to the next.
func (w *waiters) expire(ctx actor.Context, a *registry, m *waitTick) {
	if !m.at.Equal(w.armed) {
		return
	}
	w.armed = time.Time{}
	now := a.Now()
	var next time.Time
	for key, list := range w.byKey {
		kept := list[:0:0]
		for _, one := range list {
			if !one.until.After(now) {
				w.done(ctx, one)
				a.refuse(ctx, one.reader, key, ErrNotFound)
				continue
			}
			kept = append(kept, one)
			if next.IsZero() || one.until.Before(next) {
				next = one.until
			}
		}
		w.keep(key, kept)
	}
	if !next.IsZero() {
		w.arm(ctx, next, now)
	}
}

func (w *waiters) keep(key media.StreamKey, list []*waiter) {
	if len(list) == 0 {
		delete(w.byKey, key)
	} else {
		w.byKey[key] = list
	}
}

// gone drops the waits of a reader that has ended.
func (w *waiters) gone(who *actor.PID) {
	if w.byReader[who.Id] == 0 {
		return
	}
	delete(w.byReader, who.Id)
	for key, list := range w.byKey {
		kept := list[:0:0]
		for _, one := range list {
			if one.reader.Equal(who) {
				w.count--
			} else {
				kept = append(kept, one)
			}
		}
		w.keep(key, kept)
	}
}

// refuseAll empties the lists.
func (w *waiters) refuseAll(ctx actor.Context, err error) {
	w.stop()
	for key, list := range w.byKey {
		for _, one := range list {
			w.done(ctx, one)
			ctx.Send(one.reader, &Refused{Key: key, Err: err})
		}
	}
	clear(w.byKey)
}
