package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// drainPoll is how often `berth restart --drain` asks how far the drain is.
const drainPoll = 500 * time.Millisecond

// drainReply is the reply to getRestartState.
type drainReply struct {
	Data struct {
		Draining bool    `json:"draining"`
		Viewers  int     `json:"viewers"`
		LeftSec  float64 `json:"left_sec"`
	} `json:"data"`
}

// watchDrain prints how many viewers are left whenever that changes, until the returned function is called.
func (p *program) watchDrain(ctx context.Context, server *client) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(drainPoll)
		defer tick.Stop()
		last := -1
		for {
			var state drainReply
			// A server that cannot say so just now is asked again.
			if err := server.call(ctx, "getRestartState", nil, &state); err == nil && state.Data.Draining && state.Data.Viewers != last {
				last = state.Data.Viewers
				left := time.Duration(state.Data.LeftSec * float64(time.Second)).Round(time.Second)
				_, _ = fmt.Fprintf(p.out, "draining: %s left, at most %s\n", counted(last, "viewer"), left)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		cancel()
		work.Wait()
	}
}
