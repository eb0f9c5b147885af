package rtspd

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/media"
	"berth/netio/rtsp"
)

// settle publishes what changed and arms the timer; called after every message.
func (a *session) settle(ctx actor.Context) {
	if a.machine == nil || a.released {
		return
	}
	info := a.info
	info.State, info.Transport = a.machine.State().String(), a.machine.Transport().String()
	info.Stream = a.machine.Key()
	if info != a.info {
		if info.Stream != (media.StreamKey{}) && a.machine.State() != rtsp.StateClosed {
			a.last = info
		}
		a.info = info
		published := info
		a.opts.status.Store(&published)
	}
	due := a.machine.Deadline(a.heard())
	if !a.nextReport.IsZero() && (due.IsZero() || a.nextReport.Before(due)) {
		due = a.nextReport
	}
	if due.IsZero() || !a.timerAt.IsZero() && !due.Before(a.timerAt) {
		return // a timer that fires early finds nothing to do and is armed again
	}
	a.timerAt = due
	wait := max(due.Sub(a.opts.Now()), time.Millisecond)
	if a.timer == nil {
		root, self, t := a.root, a.self, &tick{incarnation: a.incarnation}
		a.timer = time.AfterFunc(wait, func() { root.Send(self, t) })
		return
	}
	a.timer.Reset(wait)
}

// heard gathers when the peer gave a sign of life beside its requests.
func (a *session) heard() rtsp.Tick {
	var t rtsp.Tick
	if a.source != nil {
		t.Media = a.source.ingest.LastMedia()
	}
	if a.viewer != nil {
		t.Heard = a.viewer.lastHeard()
	}
	return t
}

func (a *session) onTick(ctx actor.Context) {
	a.timerAt = time.Time{}
	if now := a.opts.Now(); a.source != nil && !a.nextReport.IsZero() && !now.Before(a.nextReport) {
		a.report(ctx, now)
		a.nextReport = now.Add(reportInterval)
	}
	a.step(ctx, a.heard())
}
