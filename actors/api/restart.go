package api

import (
	"context"
	"net/http"
	"time"

	"berth/actors/reload"
)

// restartServer does a full restart of the engine. It answers as soon as the configuration has been found valid, or with wait the report.
func (s *service) restartServer(c *call) (object, error) {
	wait, err := c.args.boolean("wait", false)
	if err != nil {
		return nil, err
	}
	if s.opts.Restart == nil {
		return nil, failed("this server cannot be restarted through the API")
	}
	drain, err := s.drainLimit(c)
	if err != nil {
		return nil, err
	}
	if wait && drain == 0 {
		return s.restartAndReport(c, 0)
	}
	verdict, err := s.reloaded(c, &reload.Reload{By: s.caller(c), DryRun: true})
	if err != nil {
		return nil, err
	}
	if verdict.Err != nil {
		return nil, failed("full restart refused, nothing was touched: %v", verdict.Err)
	}
	if wait {
		return s.restartAndReport(c, drain)
	}
	if !s.beginRestart(s.caller(c), drain) {
		return nil, &callError{code: codeFailed, status: http.StatusServiceUnavailable, after: 1, msg: "full restarts are waiting already; try again in a second"}
	}
	return object{"msg": "the configuration is valid and a full restart has begun; /readyz answers 200 when the new engine runs"}, nil
}

// beginRestart starts a full restart that goes on after the reply. It reports false when too many wait already.
func (s *service) beginRestart(by string, drain time.Duration) bool {
	if s.waiting.Add(1) > maxRestartsWaiting {
		s.waiting.Add(-1)
		return false
	}
	s.restarts.Go(func() {
		defer s.waiting.Add(-1)
		ctx, cancel := context.WithTimeout(s.closing, drain+restartTimeout)
		defer cancel()
		if _, err := s.drainAndRestart(ctx, by, drain); err != nil && s.closing.Err() == nil {
			s.log.Error().Err(err).Str("by", by).Msg("full restart did not come to a good end")
		}
	})
	return true
}

// restartAndReport waits for the restart. The wait has its own time limit, since the restart may replace the listener that the call came through.
func (s *service) restartAndReport(c *call, drain time.Duration) (object, error) {
	type outcome struct {
		result RestartResult
		err    error
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.request.Context()), drain+restartTimeout)
	defer cancel()
	done := make(chan outcome, 1)
	by := s.caller(c)
	go func() {
		result, err := s.drainAndRestart(ctx, by, drain)
		done <- outcome{result, err}
	}()
	var got outcome
	select {
	case got = <-done:
	case <-c.request.Context().Done():
		last := time.NewTimer(lastMoment)
		defer last.Stop()
		select {
		case got = <-done:
		case <-last.C:
			cancel()
			got = <-done
		}
	}
	data := object{
		"generation": got.result.Generation, "duration_ms": float64(got.result.Duration.Microseconds()) / 1000,
		"restored": got.result.Restored, "failed": got.result.Failed, "applied": changeItems(got.result.Applied),
	}
	if got.err != nil {
		err := failed("%v", got.err)
		err.extra = object{"data": data}
		return nil, err
	}
	return object{"data": data, "msg": "success"}, nil
}

// maxDrain is the longest drain before a full restart.
const maxDrain = time.Hour

// drainLimit reads drain_sec: 0 when the restart is not to wait for viewers.
func (s *service) drainLimit(c *call) (time.Duration, error) {
	seconds, err := c.args.integer("drain_sec", 0, 0, int64(maxDrain/time.Second))
	if err != nil {
		return 0, err
	}
	limit := time.Duration(seconds) * time.Second
	if limit > 0 && s.opts.Drain == nil {
		return 0, failed("this server cannot be drained")
	}
	return limit, nil
}

// drainAndRestart waits for viewers to leave, if it is to, and restarts. Sessions are let in again when the restart does not come about.
func (s *service) drainAndRestart(ctx context.Context, by string, drain time.Duration) (RestartResult, error) {
	if drain > 0 {
		defer s.opts.Resume()
		if err := s.opts.Drain(ctx, drain); err != nil {
			return RestartResult{}, err
		}
	}
	return s.opts.Restart(ctx, by)
}

// getRestartState answers how far the drain before a full restart is.
func (s *service) getRestartState(*call) (object, error) {
	data := object{"draining": false, "viewers": 0, "left_sec": 0}
	if s.opts.Draining != nil {
		if d := s.opts.Draining(); d != nil {
			data = object{"draining": true, "viewers": d.Viewers, "left_sec": d.Left.Seconds()}
		}
	}
	return object{"data": data}, nil
}
