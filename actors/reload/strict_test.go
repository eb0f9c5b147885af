package reload_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/actors/reload"
	"berth/config"
)

func (s *site) request(m *reload.Reload) *reload.Verdict {
	s.t.Helper()
	s.asker.Request(s.pid, m)
	return actortest.Expect[*reload.Verdict](s.t, s.asker)
}

const twoKeys = "[general]\nmaxStreamWaitMS = 2000\n[rtp_proxy]\nport_range = \"30000-30999\"\n"

func TestAStrictReloadThatWouldLeaveAKeyPendingAppliesNothing(t *testing.T) {
	s := newSite(t, "[general]\nmaxStreamWaitMS = 1000\n")
	seen := s.owner("streams", accept)
	s.write(twoKeys)
	for _, dryRun := range []bool{true, false} {
		verdict := s.request(&reload.Reload{By: "test", Strict: true, DryRun: dryRun})
		require.ErrorIs(t, verdict.Err, reload.ErrStrict)
		require.ErrorContains(t, verdict.Err, "rtp_proxy.port_range")
		require.True(t, verdict.Strict)
		require.Equal(t, map[string]reload.Outcome{
			"general.maxStreamWaitMS": reload.Rejected, "rtp_proxy.port_range": reload.Rejected,
		}, outcomes(verdict))
		for _, key := range verdict.Keys {
			require.Contains(t, key.Why, "full restart", key.Key)
		}
	}
	state := s.state()
	require.Equal(t, "1000", state.Running.Get("general.maxStreamWaitMS"))
	require.Equal(t, "1000", seen.Load().Get("general.maxStreamWaitMS"))
	require.Empty(t, state.Pending, "what was refused does not wait either")
	require.Equal(t, map[reload.Result]uint64{reload.ResultRejected: 1}, state.Results, "a dry run does not count")
	require.Zero(t, s.commits.Load())

	s.write("[general]\nmaxStreamWaitMS = 2000\n")
	verdict := s.request(&reload.Reload{By: "test", Strict: true})
	require.NoError(t, verdict.Err)
	require.Equal(t, "2000", seen.Load().Get("general.maxStreamWaitMS"), "without such a key it is like any other")
}

func TestStrictAndPlainReloadsDoNotShareARun(t *testing.T) {
	s := newSite(t, "")
	s.gate = make(chan struct{})
	s.asker.Request(s.pid, &reload.Reload{By: "first"}) // holds the others back
	s.write(twoKeys)
	s.asker.Request(s.pid, &reload.Reload{By: "strict", Strict: true})
	s.asker.Request(s.pid, &reload.Reload{By: "plain"})
	s.state() // ordered behind all of them
	close(s.gate)
	actortest.Expect[*reload.Verdict](t, s.asker)
	require.ErrorIs(t, actortest.Expect[*reload.Verdict](t, s.asker).Err, reload.ErrStrict)
	require.NoError(t, actortest.Expect[*reload.Verdict](t, s.asker).Err)
}

func TestADryRunTellsWhatTheProbesFound(t *testing.T) {
	s := newSite(t, "")
	s.probe = func(running, next *config.Config) []reload.Probe {
		require.Equal(t, "20000-29999", running.Get("rtp_proxy.port_range"))
		require.Equal(t, "30000-30999", next.Get("rtp_proxy.port_range"))
		return []reload.Probe{
			{Key: "rtp_proxy.port_range", Note: "32 of 32 pairs can be bound"},
			{Key: "rtp_proxy.port_range", Note: "but not for long", Trouble: true},
			{Key: "http.port", Note: "of a key that did not change"},
		}
	}
	s.write(twoKeys)
	verdict := s.request(&reload.Reload{By: "test", DryRun: true})
	require.NoError(t, verdict.Err)
	for _, key := range verdict.Keys {
		if key.Key == "rtp_proxy.port_range" {
			require.Equal(t, "32 of 32 pairs can be bound; but not for long", key.Note)
			require.True(t, key.Trouble)
		} else {
			require.Empty(t, key.Note)
			require.False(t, key.Trouble)
		}
	}
	s.probe = func(_, _ *config.Config) []reload.Probe {
		t.Error("a reload that is no dry run must not probe")
		return nil
	}
	require.NoError(t, s.reload().Err)
}

func TestTheStateCountsWhatWasAccepted(t *testing.T) {
	s := newSite(t, "")
	require.EqualValues(t, 1, s.state().Generation)
	s.write(twoKeys)
	require.Equal(t, reload.ResultPending, s.reload().Result())
	require.EqualValues(t, 2, s.state().Generation)
	s.reload()
	require.EqualValues(t, 2, s.state().Generation, "what still waits has changed nothing")
	s.write("[general]\nmaxStreamWaitMS = 2000\n")
	require.Equal(t, reload.ResultApplied, s.reload().Result())
	require.EqualValues(t, 2, s.state().Generation)
	s.write("[general\n")
	before := s.state().Accepted
	require.Equal(t, reload.ResultRejected, s.reload().Result())
	state := s.state()
	require.Equal(t, before, state.Accepted)
	require.Equal(t, map[reload.Result]uint64{reload.ResultApplied: 1, reload.ResultPending: 2, reload.ResultRejected: 1}, state.Results)

	s.write(twoKeys)
	s.asker.Request(s.pid, &reload.Adopt{})
	adopted := actortest.Expect[*reload.Adopted](t, s.asker)
	require.NoError(t, adopted.Err)
	s.asker.Request(s.pid, &reload.Commit{Config: adopted.Config})
	state = s.state()
	require.EqualValues(t, 3, state.Generation)
	require.Empty(t, state.Pending)

	require.NoError(t, s.override(map[string]*string{"log.level": text("debug")}).Err)
	require.Equal(t, map[string]string{"log.level": "debug"}, s.state().Overrides)
}
