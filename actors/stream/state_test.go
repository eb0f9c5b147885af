package stream

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
)

const idle = 20 * time.Second

func at(seconds int) time.Time {
	return time.Unix(1_700_000_000, 0).Add(time.Duration(seconds) * time.Second)
}

func online(o Options) state {
	s := newState()
	s.attached(at(0), "p1", o, idle)
	return s
}

func TestAdmission(t *testing.T) {
	s := newState()
	require.Equal(t, admitted, s.admit("p1"))
	s.attached(at(0), "p1", Options{ContinuePush: time.Second}, idle)
	require.Equal(t, refusedExists, s.admit("p2"))
	require.Equal(t, admitted, s.admit("p1"), "the same publisher comes with new tracks")
	require.Equal(t, partingWaits, s.left(at(1), "p1", false))
	require.Equal(t, admitted, s.admit("p2"))
	s.end(at(2))
	require.Equal(t, overAlready, s.admit("p2"))
}

func TestParting(t *testing.T) {
	cases := []struct {
		name    string
		options Options
		steps   func(s *state) parting
		want    parting
	}{
		{"waits", Options{ContinuePush: time.Second}, func(s *state) parting { return s.left(at(1), "p1", false) }, partingWaits},
		{"final", Options{ContinuePush: time.Second}, func(s *state) parting { return s.left(at(1), "p1", true) }, partingEnds},
		{"no wait configured", Options{}, func(s *state) parting { return s.left(at(1), "p1", false) }, partingEnds},
		{"a stranger", Options{}, func(s *state) parting { return s.left(at(1), "p2", true) }, partingIgnored},
		{"heard twice", Options{ContinuePush: time.Second}, func(s *state) parting {
			s.left(at(1), "p1", false)
			return s.left(at(1), "p1", false)
		}, partingIgnored},
		{"the order to end comes after the actor's end", Options{ContinuePush: time.Second}, func(s *state) parting {
			s.left(at(1), "p1", false)
			return s.left(at(1), "p1", true)
		}, partingEnds},
		{"a former publisher while another is live", Options{ContinuePush: time.Second}, func(s *state) parting {
			s.left(at(1), "p1", false)
			s.attached(at(2), "p2", Options{}, idle)
			return s.left(at(3), "p1", true)
		}, partingIgnored},
		{"over already", Options{}, func(s *state) parting {
			s.end(at(1))
			return s.left(at(1), "p1", true)
		}, partingIgnored},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := online(c.options)
			require.Equal(t, c.want, c.steps(&s))
		})
	}
}

func TestFirstOptionsStay(t *testing.T) {
	s := online(Options{ContinuePush: 3 * time.Second, AutoClose: true})
	s.left(at(1), "p1", false)
	s.attached(at(2), "p2", Options{ContinuePush: time.Hour}, idle)
	require.Equal(t, Options{ContinuePush: 3 * time.Second, AutoClose: true}, s.options)
	require.Equal(t, at(20), s.deadline(), "a publisher that comes back does not begin the count of absent viewers again")
}

func TestWaitForPublisherEnds(t *testing.T) {
	s := online(Options{ContinuePush: 15 * time.Second})
	s.addReader("r1")
	require.Zero(t, s.deadline())
	s.left(at(10), "p1", false)
	require.Equal(t, at(25), s.deadline())
	require.Equal(t, nothingDue, s.due(at(24)))
	require.Equal(t, sourceLost, s.due(at(25)))
	s.attached(at(25), "p2", Options{}, idle)
	require.Equal(t, nothingDue, s.due(at(99)))
}

func TestAbsentViewers(t *testing.T) {
	s := online(Options{})
	require.Equal(t, at(20), s.deadline())
	s.addReader("r1")
	s.addReader("r2")
	require.Zero(t, s.deadline())
	require.Equal(t, nothingDue, s.due(at(1000)))
	s.removeReader(at(1000), "r1", idle)
	s.removeReader(at(1001), "nobody", idle)
	require.Zero(t, s.deadline())
	s.removeReader(at(1002), "r2", idle)
	require.Equal(t, at(1022), s.deadline())
	require.Equal(t, wentIdle, s.due(at(1022)))
	require.Equal(t, nothingDue, s.due(at(1023)), "said once")
	require.True(t, s.noneReaderAnswer(true))
	require.False(t, s.noneReaderAnswer(false))
	s.addReader("r3")
	require.False(t, s.noneReaderAnswer(true), "somebody came meanwhile")
}

func TestClosable(t *testing.T) {
	s := online(Options{})
	require.True(t, s.closable(false))
	s.addReader("r1")
	require.False(t, s.closable(false))
	require.True(t, s.closable(true))
	s.end(at(1))
	require.False(t, s.closable(true))
}

func TestEndWaitsForUDPViewersOnly(t *testing.T) {
	s := online(Options{})
	s.addReader("tcp")
	s.addReader("udp")
	s.usesUDP("udp")
	s.addReader("udp") // registering again changes nothing
	require.False(t, s.finished(at(0)))
	s.end(at(5))
	require.False(t, s.finished(at(5)))
	require.Equal(t, at(6), s.deadline())
	require.True(t, s.finished(at(6)), "grace is over")
	s.removeReader(at(5), "udp", idle)
	require.True(t, s.finished(at(5)))
	require.Equal(t, nothingDue, s.due(at(99)))
}

func TestPartingReason(t *testing.T) {
	require.Equal(t, actors.ReasonSourceLost, partingReason(""))
	require.Equal(t, actors.ReasonDeleted, partingReason(actors.ReasonDeleted))
}

func TestNoReaderDelayHoldsForAnAbsenceThatHasBegun(t *testing.T) {
	s := newState()
	s.attached(at(0), "p", Options{}, time.Hour)
	s.noReaderDelayChanged(time.Hour, time.Minute)
	require.Equal(t, at(0).Add(time.Minute), s.idleAt)
	s.noReaderDelayChanged(time.Minute, 2*time.Hour)
	require.Equal(t, at(0).Add(2*time.Hour), s.idleAt)
	s.addReader("r")
	s.noReaderDelayChanged(2*time.Hour, time.Minute)
	require.Zero(t, s.idleAt, "there are viewers")
}
