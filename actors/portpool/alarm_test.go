package portpool_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/config"
	"berth/netio/ports"
)

// alarmed is a pool whose alarms the test hears; released pairs are free at once.
func alarmed(t *testing.T, rt *actors.Runtime, pairs int, change func(*config.Config)) (*fixture, *actortest.Probe) {
	t.Helper()
	hears := actortest.NewProbe(t, rt, "alarms")
	f := newFixture(t, rt, pairs, func(o *portpool.Options) {
		cfg := *o.Config
		cfg.Pool.DrainIdle, cfg.Pool.CoolDown = 0, 0
		if change != nil {
			change(&cfg)
		}
		o.Config, o.Notify = &cfg, hears.PID
	})
	return f, hears
}

func TestAlarmsFollowTheUseUpAndDownWithHysteresis(t *testing.T) {
	f, hears := alarmed(t, actortest.Runtime(), 20, nil)
	var held []*portpool.PairLeased
	lease := func(n int) {
		for range n {
			held = append(held, f.lease(uint64(len(held)+1), "a"))
		}
	}
	give := func(n int) {
		for range n {
			f.release(held[len(held)-1])
			held = held[:len(held)-1]
		}
	}
	lease(15)
	require.Equal(t, portpool.LevelNormal, f.state().Level)
	lease(1) // 80 %
	high := actortest.Expect[*portpool.Alarm](t, hears)
	require.Equal(t, portpool.LevelHigh, high.Level)
	require.Equal(t, portpool.LevelNormal, high.Former)
	require.Equal(t, []any{80, 80, f.rng, 16}, []any{high.Percent, high.WarnAt, high.Range, high.Counts[ports.Leased]})
	require.Equal(t, []portpool.Usage{{Purpose: portpool.PurposeRTSPPull, App: "live", Pairs: 16}}, high.Largest)
	require.Contains(t, high.Text, "running short")
	give(1) // 75 %: not clearly below
	lease(1)
	give(1)
	lease(5)
	require.EqualValues(t, 1, f.state().Alarms)
	refused := f.refused(f.ask(99, "b"))
	require.Equal(t, portpool.ReasonExhausted, refused.Reason)
	gone := actortest.Expect[*portpool.Alarm](t, hears)
	require.Equal(t, []portpool.AlarmLevel{portpool.LevelExhausted, portpool.LevelHigh}, []portpool.AlarmLevel{gone.Level, gone.Former})
	f.refused(f.ask(99, "b")) // nothing new
	give(1)                   // 95 %
	back := actortest.Expect[*portpool.Alarm](t, hears)
	require.Equal(t, portpool.LevelHigh, back.Level)
	require.Contains(t, back.Text, "has pairs again")
	give(5) // 70 %
	calm := actortest.Expect[*portpool.Alarm](t, hears)
	require.Equal(t, []portpool.AlarmLevel{portpool.LevelNormal, portpool.LevelHigh}, []portpool.AlarmLevel{calm.Level, calm.Former})
	p := f.state()
	require.EqualValues(t, 4, p.Alarms)
	require.False(t, p.Short)
	require.Equal(t, ports.Bucket{Start: p.History[0].Start, Peak: 20, Leased: 14, Granted: 22, Ended: 8, Refused: 2}, sum(p.History))
}

// sum adds up the minutes: the test may run across the end of one.
func sum(minutes []ports.Bucket) ports.Bucket {
	out := ports.Bucket{Start: minutes[0].Start}
	for _, b := range minutes {
		out.Peak, out.Leased = max(out.Peak, b.Peak), b.Leased
		out.Granted, out.Ended, out.Refused = out.Granted+b.Granted, out.Ended+b.Ended, out.Refused+b.Refused
	}
	return out
}

func TestAnExhaustedPoolRecoversByTimeAlone(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f, hears := alarmed(t, rt, 2, func(c *config.Config) { c.Pool.CoolDown = 5 * time.Second })
		first, second := f.lease(1, "a"), f.lease(2, "b")
		require.Equal(t, portpool.LevelHigh, actortest.Expect[*portpool.Alarm](t, hears).Level)
		f.release(first)
		f.release(second)
		require.Equal(t, portpool.LevelNormal, actortest.Expect[*portpool.Alarm](t, hears).Level)
		require.Equal(t, portpool.ReasonExhausted, f.refused(f.ask(3, "c")).Reason, "both cool since a moment ago")
		require.Equal(t, portpool.LevelExhausted, actortest.Expect[*portpool.Alarm](t, hears).Level)
		require.Equal(t, portpool.LevelNormal, actortest.Expect[*portpool.Alarm](t, hears).Level)
	})
}

func TestANewWarnAtCountsAtOnce(t *testing.T) {
	f, hears := alarmed(t, actortest.Runtime(), 4, nil)
	f.lease(1, "a")
	next := *f.cfg
	next.Pool.WarnPercent = 25
	_, err := actors.Ask[*actors.ConfigTaken](t.Context(), f.rt.System, f.pool, &actors.ConfigChanged{Config: &next})
	require.NoError(t, err)
	require.Equal(t, 25, actortest.Expect[*portpool.Alarm](t, hears).WarnAt)
}

func TestTheForecastIsDrawnFromTheLeases(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f := newFixture(t, rt, 20, nil)
		for i := range 5 {
			f.lease(uint64(i+1), "a")
			pass(time.Minute)
		}
		got := f.state().Forecast
		require.True(t, got.Growing)
		require.InDelta(t, (15 * time.Minute).Seconds(), got.In.Seconds(), 30)
		require.InDelta(t, 5*time.Minute.Seconds(), got.Window.Seconds(), 1)
	})
}
