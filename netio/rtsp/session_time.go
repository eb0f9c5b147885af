package rtsp

import (
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// expiry returns when the session ends if nothing more is heard, zero when it may be silent for ever.
func (s *Session) expiry(t Tick) time.Time {
	if s.pending.step != stepNone {
		return s.waiting.Add(s.opts.AnswerTimeout)
	}
	silence := silenceFactor * s.opts.KeepAlive
	switch s.state {
	case StateInit, StateReady:
		return s.since.Add(s.opts.HandshakeTimeout)
	case StateRecording:
		return latest(s.recording, t.Media).Add(s.opts.KeepAlive)
	case StatePlaying, StatePaused:
		// A TCP viewer lives as long as its connection: writes, or the kernel's keep-alive while paused, find a dead one.
		if s.role == rolePlay && s.Transport() == TransportTCP {
			return time.Time{}
		}
		return latest(s.lastRequest, t.Heard).Add(silence)
	}
	return time.Time{}
}

// Deadline returns when [Tick] is due, zero when it is not. It may lie in the past, and moves with every Step and with what t reports.
func (s *Session) Deadline(t Tick) time.Time {
	if s.state == StateClosed {
		return time.Time{}
	}
	return s.expiry(t)
}

func (s *Session) tick(t Tick) {
	end := s.expiry(t)
	if end.IsZero() || s.now.Before(end) {
		return
	}
	if s.pending.step != stepNone {
		s.refuse(s.pending.req, base.StatusServiceUnavailable, "the server did not answer itself in time")
		s.close(CauseRefused, "the server did not answer itself in time")
		return
	}
	switch s.state {
	case StateRecording:
		s.close(CauseTimeout, "no media from the publisher")
	case StatePlaying, StatePaused:
		s.close(CauseTimeout, "no request and no receiver report")
	default:
		cause := CauseTimeout
		if s.blame != "" && s.state == StateInit {
			cause = s.blame
		}
		s.close(cause, "nothing was played or recorded in time")
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
