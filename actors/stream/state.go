package stream

import (
	"time"

	"berth/actors"
)

// phase is where a stream stands in its life.
type phase uint8

const (
	phaseFresh   phase = iota // made for a publisher that has not been admitted yet
	phaseOnline               // a publisher is attached
	phaseWaiting              // its publisher has gone and may come back
	phaseEnded                // over; only leave-taking is left
)

// admission is what the state says to a publisher.
type admission uint8

const (
	admitted      admission = iota // try the tracks
	refusedExists                  // another publisher is live
	overAlready                    // the stream has ended: its successor decides
)

// parting is what the end of a publisher means.
type parting uint8

const (
	partingIgnored parting = iota // it was not the publisher
	partingWaits                  // the stream waits for another one
	partingEnds                   // the stream is over
)

// leaveGrace is how long an ended stream keeps its UDP pairs for viewers that have not left yet.
const leaveGrace = time.Second

// state decides. It is pure: actors are named by their PID's id, and time is passed in.
type state struct {
	phase     phase
	publisher string // attached now, or last
	options   Options
	readers   map[string]bool // registered viewers; true: it uses UDP pairs

	sourceUntil time.Time // phaseWaiting: when the wait for a publisher is over
	idleAt      time.Time // when the absence of viewers counts; zero with viewers, or when it has been counted
	leaveUntil  time.Time // phaseEnded: when UDP viewers no longer hold the end up
}

func newState() state { return state{readers: map[string]bool{}} }

// admit judges a publisher that wants to attach.
func (s *state) admit(publisher string) admission {
	switch {
	case s.phase == phaseEnded:
		return overAlready
	case s.phase == phaseOnline && publisher != s.publisher:
		return refusedExists
	}
	return admitted
}

// attached notes a publisher whose tracks the hub has taken. The first one's options stay.
func (s *state) attached(now time.Time, publisher string, options Options, noReaderDelay time.Duration) {
	if s.phase == phaseFresh {
		s.options = options
		s.watchIdle(now, noReaderDelay)
	}
	s.phase, s.publisher, s.sourceUntil = phaseOnline, publisher, time.Time{}
}

// left notes that a publisher has gone. final means that it will not come back, or leaves nothing that could be continued.
func (s *state) left(now time.Time, publisher string, final bool) parting {
	switch {
	case publisher != s.publisher, s.phase == phaseFresh, s.phase == phaseEnded:
		return partingIgnored
	case final, s.phase == phaseOnline && s.options.ContinuePush <= 0:
		return partingEnds
	case s.phase == phaseWaiting:
		return partingIgnored // heard twice: the order to leave and the end of the actor
	}
	s.phase, s.sourceUntil = phaseWaiting, now.Add(s.options.ContinuePush)
	return partingWaits
}

func (s *state) addReader(id string) {
	if _, again := s.readers[id]; !again {
		s.readers[id] = false
	}
	s.idleAt = time.Time{}
}

func (s *state) removeReader(now time.Time, id string, noReaderDelay time.Duration) {
	if _, ok := s.readers[id]; !ok {
		return
	}
	if delete(s.readers, id); len(s.readers) == 0 {
		s.watchIdle(now, noReaderDelay)
	}
}

func (s *state) watchIdle(now time.Time, noReaderDelay time.Duration) {
	if s.phase != phaseEnded && len(s.readers) == 0 {
		s.idleAt = now.Add(noReaderDelay)
	}
}

// noReaderDelayChanged moves the moment at which a present absence of viewers counts.
func (s *state) noReaderDelayChanged(from, to time.Duration) {
	if !s.idleAt.IsZero() {
		s.idleAt = s.idleAt.Add(to - from)
	}
}

// usesUDP notes that a registered viewer uses pairs of the stream.
func (s *state) usesUDP(id string) { s.readers[id] = true }

// closable reports whether an order to close is obeyed.
func (s *state) closable(force bool) bool {
	return s.phase != phaseEnded && (force || len(s.readers) == 0)
}

// end is irrevocable.
func (s *state) end(now time.Time) {
	s.phase, s.sourceUntil, s.idleAt = phaseEnded, time.Time{}, time.Time{}
	s.leaveUntil = now.Add(leaveGrace)
}

// finished reports whether an ended stream waits for nobody any more.
func (s *state) finished(now time.Time) bool {
	if s.phase != phaseEnded {
		return false
	}
	for _, udp := range s.readers {
		if udp && now.Before(s.leaveUntil) {
			return false
		}
	}
	return true
}

// deadline returns when due must be asked next; zero when time changes nothing.
func (s *state) deadline() time.Time {
	if s.phase == phaseEnded {
		return s.leaveUntil
	}
	first := s.sourceUntil
	if !s.idleAt.IsZero() && (first.IsZero() || s.idleAt.Before(first)) {
		first = s.idleAt
	}
	return first
}

// event is what the passing of time brings about.
type event uint8

const (
	nothingDue event = iota
	sourceLost       // no publisher came back
	wentIdle         // nobody has watched for the whole delay; said once
)

// due returns what has become due, one event at a time.
func (s *state) due(now time.Time) event {
	switch {
	case s.phase == phaseEnded:
		return nothingDue
	case !s.sourceUntil.IsZero() && !now.Before(s.sourceUntil):
		return sourceLost
	case !s.idleAt.IsZero() && !now.Before(s.idleAt):
		s.idleAt = time.Time{}
		return wentIdle
	}
	return nothingDue
}

// noneReaderAnswer judges the receiver's answer to on_stream_none_reader: the stream is closed if it says so and there is still nobody.
func (s *state) noneReaderAnswer(wantsClose bool) bool {
	return wantsClose && s.phase != phaseEnded && len(s.readers) == 0
}

// partingReason is what viewers hear when a publisher's end is the stream's.
func partingReason(given actors.CloseReason) actors.CloseReason {
	if given == "" {
		return actors.ReasonSourceLost
	}
	return given
}
