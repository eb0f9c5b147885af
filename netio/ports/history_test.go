package ports

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestForecastFollowsTheLeasesOfTheWindow(t *testing.T) {
	// Each entry is a minute: how many leases begin and end in it.
	for name, c := range map[string]struct {
		minutes [][2]int
		left    int
		want    Forecast
	}{
		"nothing yet":          {left: 10},
		"too short":            {minutes: [][2]int{{5, 0}}, left: 10},
		"two minutes":          {minutes: [][2]int{{5, 0}, {5, 0}}, left: 30, want: Forecast{Window: 2 * time.Minute, PerHour: 300, Growing: true, In: 6 * time.Minute}},
		"comes and goes":       {minutes: [][2]int{{50, 50}, {20, 20}, {7, 7}}, left: 10, want: Forecast{Window: 3 * time.Minute}},
		"shrinks":              {minutes: [][2]int{{9, 0}, {0, 3}, {0, 3}, {0, 3}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 1}, {0, 1}}, left: 10, want: Forecast{Window: 9 * time.Minute, PerHour: -60.0 * 5 / 9}},
		"exhausted":            {minutes: [][2]int{{10, 0}, {10, 0}}, left: 0, want: Forecast{Window: 2 * time.Minute, PerHour: 600, Growing: true}},
		"old growth is gone":   {minutes: append([][2]int{{500, 0}}, make([][2]int, 20)...), left: 1, want: Forecast{Window: 9 * time.Minute}},
		"books that were over": {minutes: [][2]int{{1, 0}, {1, 0}}, left: -3, want: Forecast{Window: 2 * time.Minute, PerHour: 60, Growing: true}},
	} {
		t.Run(name, func(t *testing.T) {
			now, leased := start, 0
			h := NewHistory(now)
			for _, m := range c.minutes {
				for range m[0] {
					leased++
					h.Granted(now, leased)
				}
				for range m[1] {
					leased--
					h.Ended(now, leased)
				}
				now = now.Add(time.Minute)
			}
			require.Equal(t, c.want, h.Forecast(now, c.left))
		})
	}
}

func TestHistoryKeepsAnHourOfMinutes(t *testing.T) {
	h := NewHistory(start)
	h.Granted(start, 1)
	h.Granted(start.Add(10*time.Second), 2)
	h.Ended(start.Add(20*time.Second), 1)
	h.Refused(start.Add(70 * time.Second))
	h.Refused(start.Add(-time.Hour)) // the clock went back: it counts for the present minute
	require.Equal(t, []Bucket{
		{Start: start, Peak: 2, Leased: 1, Granted: 2, Ended: 1},
		{Start: start.Add(time.Minute), Peak: 1, Leased: 1, Refused: 2},
		{Start: start.Add(2 * time.Minute), Peak: 1, Leased: 1},
	}, h.Buckets(start.Add(2*time.Minute+time.Second)))

	late := start.Add(3 * time.Hour).Add(30 * time.Second)
	h.Granted(late, 2)
	all := h.Buckets(late)
	require.Len(t, all, 60)
	require.Equal(t, Bucket{Start: start.Add(3 * time.Hour), Peak: 2, Leased: 2, Granted: 1}, all[59])
	require.Equal(t, Bucket{Start: start.Add(2*time.Hour + time.Minute), Peak: 1, Leased: 1}, all[0])

	year := start.AddDate(1, 0, 0)
	all = h.Buckets(year)
	require.WithinDuration(t, year, all[59].Start, time.Minute)
	require.Equal(t, 2, all[0].Leased)
}

func TestHistoryAllocatesNothing(t *testing.T) {
	h, now, n := NewHistory(start), start, 0
	require.Zero(t, testing.AllocsPerRun(200, func() {
		now = now.Add(17 * time.Second)
		n++
		h.Granted(now, n)
		h.Ended(now, n)
		_ = h.Forecast(now, 3)
	}))
}
