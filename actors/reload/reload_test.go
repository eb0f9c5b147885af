package reload_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/actors/reload"
	"berth/actors/store"
	"berth/config"
	"berth/netio/ports"
)

func TestMain(m *testing.M) { actortest.Main(m) }

// site is a reload actor with a configuration file, a store that a test can break, and a probe that asks.
type site struct {
	t       *testing.T
	file    string
	pid     *actor.PID
	asker   *actortest.Probe
	stored  map[string]*string // what the fake store was asked to keep
	store   *actor.PID
	full    atomic.Bool  // the store's disk
	silent  atomic.Bool  // the store does not answer
	asked   atomic.Int32 // how often the store was asked
	loads   atomic.Int32
	gate    chan struct{} // when not nil, a load takes one from it before it begins
	commits atomic.Int32
	probe   func(running, next *config.Config) []reload.Probe // nil finds out nothing
}

func newSite(t *testing.T, text string) *site {
	t.Helper()
	s := &site{t: t, file: filepath.Join(t.TempDir(), "berth.toml"), stored: map[string]*string{}}
	s.write(text)
	rt := actortest.Runtime()
	disk := actortest.SpawnFunc(t, rt, "store", func(ctx actor.Context) {
		m, ok := ctx.Message().(*store.PutOverrides)
		if ok {
			s.asked.Add(1)
		}
		switch {
		case s.silent.Load():
		case ok && s.full.Load():
			ctx.Respond(&store.Done{Err: errors.New("no space left on device")})
		case ok:
			maps.Copy(s.stored, m.Values)
			ctx.Respond(&store.Done{})
		}
	})
	s.store = disk
	running, _, err := s.load(nil)
	require.NoError(t, err)
	s.asker = actortest.NewProbe(t, rt, "asker")
	s.pid = actortest.Spawn(t, rt, reload.Props(reload.Options{
		Runtime: rt, Running: running, Store: disk,
		Probe: func(running, next *config.Config) []reload.Probe {
			if s.probe == nil {
				return nil
			}
			return s.probe(running, next)
		},
		Load: func(overrides map[string]string) (reload.Loaded, error) {
			s.loads.Add(1)
			if s.gate != nil {
				<-s.gate
			}
			cfg, report, err := s.load(overrides)
			if err != nil {
				return reload.Loaded{}, err
			}
			return reload.Loaded{Config: cfg, Warnings: report.Lines(), Commit: func() { s.commits.Add(1) }}, nil
		},
	}), "reload")
	return s
}

func (s *site) load(overrides map[string]string) (*config.Config, *config.Report, error) {
	return config.Load(config.Options{File: s.file, Overrides: overrides, Set: []string{"state.dir=/nowhere"}})
}

func (s *site) write(text string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.file, []byte(text), 0o600))
}

func (s *site) reload() *reload.Verdict {
	s.t.Helper()
	s.asker.Request(s.pid, &reload.Reload{By: "test"})
	return actortest.Expect[*reload.Verdict](s.t, s.asker)
}

func (s *site) override(values map[string]*string) *reload.Verdict {
	s.t.Helper()
	s.asker.Request(s.pid, &reload.Override{By: "test", Values: values})
	return actortest.Expect[*reload.Verdict](s.t, s.asker)
}

func (s *site) state() *reload.State {
	s.t.Helper()
	s.asker.Request(s.pid, &reload.GetConfig{})
	return actortest.Expect[*reload.State](s.t, s.asker)
}

// owner registers an actor that answers ConfigChanged with what refuse returns and keeps the last snapshot.
func (s *site) owner(name string, refuse func(*config.Config) error) *atomic.Pointer[config.Config] {
	s.t.Helper()
	var last atomic.Pointer[config.Config]
	pid := actortest.SpawnFunc(s.t, actortest.Runtime(), name, func(ctx actor.Context) {
		if m, ok := ctx.Message().(*actors.ConfigChanged); ok {
			last.Store(m.Config)
			ctx.Respond(&actors.ConfigTaken{Owner: name, Err: refuse(m.Config)})
		}
	})
	s.asker.Request(s.pid, &reload.Register{Name: name, PID: pid})
	actortest.Eventually(s.t, func() bool { return last.Load() != nil }, "a new owner hears what is in force")
	return &last
}

func accept(*config.Config) error { return nil }

func text(v string) *string { return &v }

func outcomes(v *reload.Verdict) map[string]reload.Outcome {
	out := map[string]reload.Outcome{}
	for _, key := range v.Keys {
		out[key.Key] = key.Outcome
	}
	return out
}

func TestReloadAppliesHotKeysAndKeepsRestartKeysPending(t *testing.T) {
	s := newSite(t, "[general]\nstreamNoneReaderDelayMS = 1000\n")
	seen := s.owner("streams", accept)
	pool := actortest.NewProbe(t, actortest.Runtime(), "pool")
	s.asker.Request(s.pid, &reload.Register{Name: reload.PoolOwner, PID: pool.PID})
	first := pool.Next(t)
	require.IsType(t, &actors.ConfigChanged{}, first.Message, "a new owner hears what is in force")
	actortest.Runtime().System.Root.Send(first.Sender, &actors.ConfigTaken{Owner: "portpool"})
	require.Equal(t, ports.Range{}, actortest.Expect[*portpool.SetPendingRange](t, pool).Range)

	s.write("[general]\nstreamNoneReaderDelayMS = 2000\n[rtp_proxy]\nport_range = \"30000-30999\"\n[protocol]\ncontinue_push_ms = 77\n")
	s.asker.Request(s.pid, &reload.Reload{By: "test"})
	change := pool.Next(t)
	require.IsType(t, &actors.ConfigChanged{}, change.Message)
	require.Zero(t, s.asker.Drain(t), "no verdict before every owner has answered")
	actortest.Runtime().System.Root.Send(change.Sender, &actors.ConfigTaken{Owner: "portpool"})
	verdict := actortest.Expect[*reload.Verdict](t, s.asker)

	require.NoError(t, verdict.Err)
	require.Equal(t, map[string]reload.Outcome{
		"general.streamNoneReaderDelayMS": reload.Applied,
		"protocol.continue_push_ms":       reload.AppliedNew,
		"rtp_proxy.port_range":            reload.Pending,
	}, outcomes(verdict))
	require.Equal(t, "2000", seen.Load().Get("general.streamNoneReaderDelayMS"))
	require.Equal(t, "20000-29999", seen.Load().Get("rtp_proxy.port_range"), "no owner may see a pending value")
	require.Equal(t, ports.Range{Low: 30000, High: 30999}, actortest.Expect[*portpool.SetPendingRange](t, pool).Range)

	state := s.state()
	require.Equal(t, "20000-29999", state.Running.Get("rtp_proxy.port_range"))
	require.Len(t, state.Pending, 1)
	require.EqualValues(t, 1, s.commits.Load())

	s.write("[general]\nstreamNoneReaderDelayMS = 2000\n[protocol]\ncontinue_push_ms = 77\n")
	s.asker.Request(s.pid, &reload.Reload{By: "test"})
	verdict = actortest.Expect[*reload.Verdict](t, s.asker)
	require.NoError(t, verdict.Err)
	require.Empty(t, verdict.Keys)
	require.Equal(t, ports.Range{}, actortest.Expect[*portpool.SetPendingRange](t, pool).Range, "taking the change back ends its waiting")
}

func TestABadFileChangesNothing(t *testing.T) {
	s := newSite(t, "[general]\nstreamNoneReaderDelayMS = 1000\n")
	seen := s.owner("streams", accept)
	for _, bad := range []string{
		"[general]\nstreamNoneReaderDelayMS = -5\nlisten_ip = \"10.0.0.300\"\n",
		"[general\n",
		"[general]\nmaxStreamWaitMs = 5\n",
	} {
		s.write(bad)
		verdict := s.reload()
		require.ErrorContains(t, verdict.Err, s.file)
		require.Equal(t, "1000", s.state().Running.Get("general.streamNoneReaderDelayMS"))
		require.Equal(t, "1000", seen.Load().Get("general.streamNoneReaderDelayMS"))
	}
	require.NoError(t, os.Remove(s.file))
	require.Error(t, s.reload().Err, "a file that is gone is no empty file")
	state := s.state()
	require.Equal(t, map[reload.Result]uint64{reload.ResultRejected: 4}, state.Results)
	require.EqualValues(t, 1, state.Generation)
	require.Zero(t, s.commits.Load())
}

func TestAnOwnerThatRefusesUndoesTheReload(t *testing.T) {
	s := newSite(t, "[general]\nstreamNoneReaderDelayMS = 1000\n")
	willing := s.owner("streams", accept)
	s.owner("rtspd", func(cfg *config.Config) error {
		if cfg.Get("general.streamNoneReaderDelayMS") == "2000" {
			return errors.New("two seconds are unlucky")
		}
		return nil
	})
	s.write("[general]\nstreamNoneReaderDelayMS = 2000\n")
	verdict := s.reload()
	require.ErrorContains(t, verdict.Err, "rtspd: two seconds are unlucky")
	require.Equal(t, reload.Rejected, outcomes(verdict)["general.streamNoneReaderDelayMS"])
	require.Equal(t, "1000", s.state().Running.Get("general.streamNoneReaderDelayMS"))
	require.Eventually(t, func() bool { return willing.Load().Get("general.streamNoneReaderDelayMS") == "1000" }, actortest.Wait, 1e6)

	s.write("[general]\nstreamNoneReaderDelayMS = 3000\n")
	require.NoError(t, s.reload().Err, "the next reload does not suffer from the one before")
}

func TestOverridesAreDurableBeforeTheyApply(t *testing.T) {
	s := newSite(t, "")
	seen := s.owner("streams", accept)
	verdict := s.override(map[string]*string{"general.streamNoneReaderDelayMS": text("4000"), "hook.no_such_key": text("x"), "state.dir": text("/")})
	require.NoError(t, verdict.Err)
	require.ElementsMatch(t, []string{"hook.no_such_key", "state.dir"}, verdict.Unknown)
	require.Equal(t, "4000", seen.Load().Get("general.streamNoneReaderDelayMS"))
	require.Equal(t, "4000", *s.stored["general.streamNoneReaderDelayMS"])
	require.NotContains(t, s.stored, "state.dir")

	s.full.Store(true)
	verdict = s.override(map[string]*string{"general.streamNoneReaderDelayMS": text("5000")})
	require.ErrorContains(t, verdict.Err, "no space left")
	require.Equal(t, "4000", s.state().Running.Get("general.streamNoneReaderDelayMS"), "what could not be kept must not apply")
	s.full.Store(false)

	require.Error(t, s.override(map[string]*string{"general.streamNoneReaderDelayMS": text("soon")}).Err)
	require.NoError(t, s.override(map[string]*string{"general.streamNoneReaderDelayMS": nil}).Err)
	require.Equal(t, "20000", s.state().Running.Get("general.streamNoneReaderDelayMS"), "a dropped override gives way to the layer below")
}

func TestARefusedOverrideIsTakenBackFromTheStore(t *testing.T) {
	s := newSite(t, "")
	require.NoError(t, s.override(map[string]*string{"general.streamNoneReaderDelayMS": text("4000")}).Err)
	s.owner("rtspd", func(cfg *config.Config) error {
		if cfg.Get("general.streamNoneReaderDelayMS") == "5000" {
			return errors.New("no")
		}
		return nil
	})
	require.Error(t, s.override(map[string]*string{"general.streamNoneReaderDelayMS": text("5000")}).Err)
	require.Equal(t, "4000", s.state().Running.Get("general.streamNoneReaderDelayMS"))
	require.NoError(t, s.override(map[string]*string{"protocol.auto_close": text("1")}).Err)
	require.Equal(t, "4000", *s.stored["general.streamNoneReaderDelayMS"])
}

func TestADryRunTouchesNothing(t *testing.T) {
	s := newSite(t, "")
	seen := s.owner("streams", accept)
	s.write("[general]\nstreamNoneReaderDelayMS = 2000\n")
	s.asker.Request(s.pid, &reload.Reload{By: "test", DryRun: true})
	verdict := actortest.Expect[*reload.Verdict](t, s.asker)
	require.Equal(t, reload.Applied, outcomes(verdict)["general.streamNoneReaderDelayMS"])
	state := s.state()
	require.Equal(t, "20000", state.Running.Get("general.streamNoneReaderDelayMS"))
	require.Nil(t, state.Last)
	require.Equal(t, "20000", seen.Load().Get("general.streamNoneReaderDelayMS"))
	require.Zero(t, s.commits.Load())
}

func TestManyReloadsAtOnceAreOneOrTwo(t *testing.T) {
	s := newSite(t, "")
	s.gate = make(chan struct{})
	for range 100 {
		s.asker.Request(s.pid, &reload.Reload{By: "storm"})
	}
	s.state() // ordered behind all of them
	close(s.gate)
	for range 100 {
		require.NoError(t, actortest.Expect[*reload.Verdict](t, s.asker).Err, "everyone who asked is answered")
	}
	require.LessOrEqual(t, s.loads.Load(), int32(2))
}

func TestAnAdoptionHoldsReloadsBackUntilItsCommit(t *testing.T) {
	s := newSite(t, "")
	s.write("[rtp_proxy]\nport_range = \"30000-30999\"\n")
	require.Len(t, s.reload().Keys, 1)
	s.asker.Request(s.pid, &reload.Adopt{})
	adopted := actortest.Expect[*reload.Adopted](t, s.asker)
	require.NoError(t, adopted.Err)
	require.Equal(t, "30000-30999", adopted.Config.Get("rtp_proxy.port_range"))
	require.Equal(t, "20000-29999", s.state().Running.Get("rtp_proxy.port_range"))

	s.asker.Request(s.pid, &reload.Reload{By: "meanwhile"})
	s.state() // ordered behind the reload
	s.asker.Request(s.pid, &reload.Commit{Config: adopted.Config})
	verdict := actortest.Expect[*reload.Verdict](t, s.asker)
	require.Empty(t, verdict.Keys, "nothing is pending after the restart")
	require.Equal(t, "30000-30999", s.state().Running.Get("rtp_proxy.port_range"))
}

func TestAnOwnerThatDiesDoesNotHoldTheVerdict(t *testing.T) {
	s := newSite(t, "")
	mute := actortest.NewProbe(t, actortest.Runtime(), "mute")
	s.asker.Request(s.pid, &reload.Register{Name: "mute", PID: mute.PID})
	s.write("[general]\nstreamNoneReaderDelayMS = 2000\n")
	s.asker.Request(s.pid, &reload.Reload{By: "test"})
	actortest.Await[*actors.ConfigChanged](t, mute)
	mute.Stop(t)
	require.NoError(t, actortest.Expect[*reload.Verdict](t, s.asker).Err)
}

// What is queued in an actor that panics is dropped without an answer.
func TestAStoreThatFailsRejectsTheOverrideInsteadOfHolding(t *testing.T) {
	s := newSite(t, "")
	s.full.Store(true)
	s.silent.Store(true)
	s.asker.Request(s.pid, &reload.Override{By: "test", Values: map[string]*string{"general.streamNoneReaderDelayMS": text("4000")}})
	s.state() // ordered behind the load's begin
	actortest.Eventually(t, func() bool { return s.asked.Load() > 0 }, "the store has been asked")
	actortest.Stop(t, actortest.Runtime(), s.store)
	require.ErrorIs(t, actortest.Expect[*reload.Verdict](t, s.asker).Err, actors.ErrGone)
	require.NoError(t, s.reload().Err, "the next job must not suffer")
}
