package proxy

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackoff(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		n           int
		least, most time.Duration
		random      float64
		want        time.Duration
	}{
		{1, 2 * s, 60 * s, 0, 2 * s},
		{1, 2 * s, 60 * s, 0.5, 2500 * time.Millisecond},
		{2, 2 * s, 60 * s, 0, 4 * s},
		{5, 2 * s, 60 * s, 0, 32 * s},
		{6, 2 * s, 60 * s, 0, 60 * s},
		{1000, 2 * s, 60 * s, 0, 60 * s},
		{1000, 2 * s, 62 * s, 0.999999, 47 * s},
		{1, 5 * s, s, 0.9, 5 * s}, // least wins over a most that is smaller
		{0, 2 * s, 60 * s, 0, 2 * s},
	} {
		require.InDelta(t, tc.want, backoff(tc.n, tc.least, tc.most, tc.random), float64(time.Millisecond), "%+v", tc)
	}
	for n := range 20 {
		for _, random := range []float64{0, 0.3, 0.7, 0.999} {
			pause := backoff(n, 2*s, 60*s, random)
			require.GreaterOrEqual(t, pause, 2*s)
			require.LessOrEqual(t, pause, 60*s)
		}
	}
}
