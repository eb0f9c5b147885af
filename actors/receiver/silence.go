package receiver

import "time"

// silence decides when a receiver that takes nothing in has been silent for too long. It is pure: time is passed in.
type silence struct {
	limit  time.Duration // rtp_proxy.timeoutSec
	since  time.Time     // when it began to wait: at the opening, or at the end of a pause
	paused time.Time     // no silence counts before; zero without a pause
}

// pause suspends the test for a time from now on; 0 resumes it, and the silence counts anew.
func (s *silence) pause(now time.Time, length time.Duration) {
	s.since = now.Add(max(0, length))
	s.paused = time.Time{}
	if length > 0 {
		s.paused = s.since
	}
}

// pausedUntil returns the end of the present pause, zero without one.
func (s *silence) pausedUntil(now time.Time) time.Time {
	if now.Before(s.paused) {
		return s.paused
	}
	return time.Time{}
}

// left returns how long it may stay silent from now on when the last frame came at heard (zero: none came); 0 or less when that is over.
func (s *silence) left(now, heard time.Time) time.Duration {
	from := s.since
	if heard.After(from) {
		from = heard
	}
	return from.Add(s.limit).Sub(now)
}
