package ports

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// usual is a machine as Linux comes: ephemeral ports, NodePorts, two listeners.
func usual() Placing {
	return Placing{
		From: 20000, Shun: NewSet(Range{Low: 30000, High: 32767}, Range{Low: 32768, High: 60999}),
		Forbid: NewSet(Range{Low: 8080, High: 8080}, Range{Low: 8554, High: 8554}),
	}
}

func TestPlanSizesARange(t *testing.T) {
	for _, c := range []struct {
		name                    string
		load                    Load
		leased, headroom, pairs int
		at                      string
	}{
		{"nothing is the least range", Load{Tracks: 2}, 0, 0, 18, "20000-20035"},
		{"a pull has a pair for each track", Load{Tracks: 2, PullUDP: 200}, 400, 0, 400, "20000-20799"},
		{"publishers too", Load{Tracks: 3, PublishUDP: 10}, 30, 0, 30, "20000-20059"},
		{"TCP costs nothing", Load{Tracks: 2, OverTCP: 10_000}, 0, 0, 18, "20000-20035"},
		{"a receiver has one pair whatever its tracks", Load{Tracks: 2, Receivers: 500}, 500, 0, 500, "20000-20999"},
		{"viewers share: one stream, any number of viewers", Load{Tracks: 2, OverTCP: 1, Viewers: 100_000}, 2, 0, 18, "20000-20035"},
		{"viewers of many streams", Load{Tracks: 2, PullUDP: 100, Viewers: 30}, 260, 0, 260, "20000-20519"},
		{"more viewers than streams", Load{Tracks: 2, PullUDP: 100, Viewers: 3000}, 400, 0, 400, "20000-20799"},
		{"streams watched at once are known", Load{Tracks: 2, PullUDP: 100, Viewers: 3000, Watched: 20}, 240, 0, 240, "20000-20479"},
		{"headroom is rounded up", Load{Tracks: 1, PullUDP: 101, HeadroomPercent: 20}, 101, 21, 122, "20000-20243"},
		{
			"the issue's example",
			Load{Tracks: 2, PullUDP: 200, PublishUDP: 50, Receivers: 500, Viewers: 1000, HeadroomPercent: 20},
			400 + 100 + 500 + 1500, 500, 3000, "20000-25999",
		},
		{"all that lies clear above", Load{Tracks: 1, Receivers: 5000}, 5000, 0, 5000, "20000-29999"},
		{"one more goes lower", Load{Tracks: 1, Receivers: 5001}, 5001, 0, 5001, "19998-29999"},
		{"as low as the listeners allow", Load{Tracks: 1, Receivers: 10_722}, 10_722, 0, 10_722, "8556-29999"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := NewPlan(c.load, usual())
			require.NoError(t, err)
			require.Equal(t, []int{c.leased, c.headroom, c.pairs}, []int{p.Leased, p.Headroom, p.Pairs})
			require.Equal(t, c.at, p.Range.String())
			require.Equal(t, c.pairs, p.Range.Pairs())
			require.Empty(t, p.Overlap)
			sum := 0
			for _, n := range p.Needs {
				require.Positive(t, n.Sessions)
				require.Equal(t, n.Sessions*n.PairsEach, n.Pairs)
				sum += n.Pairs
			}
			require.Equal(t, p.Leased, sum)
		})
	}
}

func TestPlanCountsPairsThatAreKeptBack(t *testing.T) {
	p, err := NewPlan(Load{Tracks: 2, PullUDP: 100, EndsPerMinute: 60, KeptBack: 8 * time.Second}, usual())
	require.NoError(t, err)
	require.Equal(t, 16, p.KeptBack, "one session a second, two pairs each, eight seconds")
	require.Equal(t, 216, p.Pairs)

	p, err = NewPlan(Load{Tracks: 2, Receivers: 100, EndsPerMinute: 60, KeptBack: 8 * time.Second}, usual())
	require.NoError(t, err)
	require.Equal(t, 8, p.KeptBack, "a receiver has one pair")
}

func TestPlanSaysWhenNoClearPlaceIsLeft(t *testing.T) {
	p, err := NewPlan(Load{Tracks: 1, Receivers: 20_000}, usual())
	require.NoError(t, err)
	require.Equal(t, "20000-59999", p.Range.String())
	require.Equal(t, "30000-59999", p.Overlap.String())

	p, err = NewPlan(Load{Tracks: 1, Receivers: 28_000}, usual())
	require.NoError(t, err)
	require.Equal(t, "8556-64555", p.Range.String(), "it begins lower, and still keeps clear of the listeners")

	_, err = NewPlan(Load{Tracks: 1, Receivers: 32_000}, usual())
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = NewPlan(Load{Tracks: maxTracks, PullUDP: maxSessions, PublishUDP: maxSessions, HeadroomPercent: maxHeadroom}, usual())
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestPlanBeginsWhereItIsTold(t *testing.T) {
	at := usual()
	at.From = 10001
	p, err := NewPlan(Load{Tracks: 2, PullUDP: 10}, at)
	require.NoError(t, err)
	require.Equal(t, "10002-10041", p.Range.String())
	at.From = 30000
	p, err = NewPlan(Load{Tracks: 2, PullUDP: 10}, at)
	require.NoError(t, err)
	require.Equal(t, "61000-61039", p.Range.String())
}

func TestPlanRefusesNumbersOutOfBounds(t *testing.T) {
	for _, l := range []Load{
		{},
		{Tracks: 17},
		{Tracks: 1, PullUDP: -1},
		{Tracks: 1, PublishUDP: -1},
		{Tracks: 1, OverTCP: -1},
		{Tracks: 1, Receivers: maxSessions + 1},
		{Tracks: 1, Viewers: -1},
		{Tracks: 1, Watched: -1},
		{Tracks: 1, HeadroomPercent: 1001},
		{Tracks: 1, EndsPerMinute: -1},
		{Tracks: 1, KeptBack: -time.Second},
		{Tracks: 1, KeptBack: 25 * time.Hour},
	} {
		_, err := NewPlan(l, usual())
		require.Error(t, err, "%+v", l)
		require.Contains(t, err.Error(), "a plan takes")
	}
}

func TestCarries(t *testing.T) {
	var got []int
	for _, c := range Carries(5000, 2) {
		got = append(got, c.Sessions)
	}
	require.Equal(t, []int{2500, 1250, 2500, 5000}, got)
	for _, c := range Carries(0, 0) {
		require.Zero(t, c.Sessions)
	}
}
