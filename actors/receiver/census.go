package receiver

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/media"
)

// censusLimit bounds the wait for restored receivers that do not get their sockets.
const censusLimit = time.Second

// census counts how the restored receivers come back.
type census struct {
	waiting          map[media.StreamKey]bool
	restored, failed int
	askers           []*actor.PID
	timer            *time.Timer
}

// censusOver ends the wait.
type censusOver struct{}

func (c *census) expect(key media.StreamKey) {
	if c.waiting == nil {
		c.waiting = map[media.StreamKey]bool{}
	}
	c.waiting[key] = true
}

// settled notes the first outcome of a receiver; those of others count nothing.
func (c *census) settled(ctx actor.Context, key media.StreamKey, open bool) {
	if !c.waiting[key] {
		return
	}
	delete(c.waiting, key)
	if open {
		c.restored++
	} else {
		c.failed++
	}
	if len(c.waiting) == 0 {
		c.close(ctx)
	}
}

func (c *census) ask(ctx actor.Context) {
	c.askers = withAsker(c.askers, ctx.Sender())
	if len(c.waiting) == 0 {
		c.close(ctx)
		return
	}
	if c.timer == nil {
		root, self := ctx.ActorSystem().Root, ctx.Self()
		c.timer = time.AfterFunc(censusLimit, func() { root.Send(self, &censusOver{}) })
	}
}

// close answers with what is known.
func (c *census) close(ctx actor.Context) {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	for _, asker := range c.askers {
		ctx.Send(asker, &Restored{Restored: c.restored, Failed: c.failed + len(c.waiting)})
	}
	c.askers = nil
}
