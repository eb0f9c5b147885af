package rtspd

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/stream"
	"berth/media"
	"berth/netio/rtsp"
)

// end finishes the session: at once, or after the peer had time to read the last response.
func (a *session) end(ctx actor.Context, reason actors.CloseReason, detail string, responded bool) {
	a.ended, a.reason, a.detail = true, reason, detail
	a.leave(ctx, reason)
	if responded {
		a.conn.Linger(lingerTime)
		return
	}
	ctx.Stop(a.self)
}

// onEnded: the stream is over. A viewer first gets what is left of it.
func (a *session) onEnded(ctx actor.Context, m *stream.Ended) {
	if m.Key != a.key || a.stream == nil {
		return
	}
	a.endCause = m.Reason
	if a.viewer != nil && a.viewer.playing() && a.drain == nil {
		root, self, incarnation := a.root, a.self, a.incarnation
		a.drain = time.AfterFunc(drainTime, func() { root.Send(self, &drained{incarnation: incarnation}) })
		return
	}
	a.step(ctx, rtsp.StreamEnded{Cause: rtsp.CloseCause(m.Reason)})
}

// onTerminated: the stream's actor is gone. It says Ended before it stops in order, so this is a crash, or crossed with our joining.
func (a *session) onTerminated(ctx actor.Context, m *actor.Terminated) {
	if a.stream == nil || !a.stream.Equal(m.Who) || a.drain != nil {
		return
	}
	a.step(ctx, rtsp.StreamEnded{Cause: rtsp.CloseCause(actors.ReasonSourceLost)})
}

// onDrained: a viewer has got what there was.
func (a *session) onDrained(ctx actor.Context) {
	if a.viewer == nil || !a.viewer.playing() {
		return
	}
	cause := a.endCause
	if cause == "" {
		cause = actors.ReasonStreamEnded
	}
	a.step(ctx, rtsp.StreamEnded{Cause: rtsp.CloseCause(cause)})
}

// leave gives back everything that belongs to the stream.
func (a *session) leave(ctx actor.Context, reason actors.CloseReason) {
	if a.drain != nil {
		a.drain.Stop()
		a.drain = nil
	}
	if a.viewer != nil {
		a.leaveViewer(ctx)
	}
	if a.source != nil {
		a.leaveSource(ctx, reason)
	}
	if a.stream != nil {
		ctx.Unwatch(a.stream)
		a.stream = nil
	}
	a.nextReport = time.Time{}
}

// release frees all that the session holds. Called from Stopping and Restarting; further calls do nothing.
func (a *session) release(ctx actor.Context) {
	if a.released {
		return
	}
	a.released = true
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.reason == "" {
		a.reason = a.opts.EndReason()
	}
	if a.conn == nil {
		_ = closeNow(a.opts.conn)
	} else {
		a.conn.SetSink(nil)
		stuck := a.stuck || a.sink.Stats().Parked
		a.leave(ctx, a.reason)
		if stuck {
			a.conn.Abort()
		} else {
			a.conn.Close()
		}
		a.sink.Close()
	}
	a.opts.gate.leave(a.info.Peer.Addr())
	a.logEnd()
}

func (a *session) logEnd() {
	line := a.log.Info()
	if a.last.Stream == (media.StreamKey{}) {
		line = a.log.Debug() // a probe, a scanner or a health check
	}
	if a.conn != nil {
		a.totals.in = a.conn.Stats().Bytes
	}
	if a.sink != nil {
		a.totals.out += a.sink.Stats().Bytes
	}
	line.Str("reason", string(a.reason)).Str("detail", a.detail).Str("stream", a.last.Stream.Path()).Str("state", a.last.State).
		Str("transport", a.last.Transport).Dur("duration", a.opts.Now().Sub(a.info.Since)).
		Uint64("bytes_in", a.totals.in).Uint64("bytes_out", a.totals.out).
		Uint64("packets", a.totals.packets).Uint64("dropped", a.totals.dropped).Msg("session closed")
}
