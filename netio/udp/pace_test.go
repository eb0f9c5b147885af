package udp

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPace(t *testing.T) {
	now := time.Unix(1000, 0)
	p := Pace{Burst: 8000, Least: 1e6}
	require.Zero(t, p.Wait(now))
	p.Spend(8000)
	w := p.Wait(now)
	require.InDelta(t, time.Millisecond, w, float64(300*time.Microsecond))
	require.Zero(t, p.Wait(now.Add(w)))
	require.Zero(t, p.Wait(now.Add(time.Hour)))
	require.InDelta(t, 8000, p.Left(), 1, "no more than the burst")

	for i := range 31 {
		p.Learn(now.Add(time.Duration(i)*100*time.Millisecond), 1e6)
	}
	require.InDelta(t, 1e7, p.rate, 1.1e6)
	p.Spend(8000)
	require.Less(t, p.Wait(now.Add(time.Hour)), 200*time.Microsecond, "a fast stream is not held up")
}
