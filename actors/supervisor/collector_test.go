package supervisor

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGrowth(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{{0, 400}, {1 << 20, 400}, {2 << 20, 400}, {4 << 20, 200}, {5 << 20, 160}, {8 << 20, 100}, {26 << 20, 30}, {27 << 20, 30}, {10 << 30, 30}} {
		require.Equal(t, tt.want, growth(tt.live), "%d", tt.live)
	}
}

// percent returns what the collector goes by.
func percent() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}

func TestTheCollectorFollowsTheHeap(t *testing.T) {
	if gogc, ok := os.LookupEnv("GOGC"); ok { // the test is about servers where it is not set
		require.NoError(t, os.Unsetenv("GOGC"))
		t.Cleanup(func() { require.NoError(t, os.Setenv("GOGC", gogc)) })
	}
	before := percent()
	end := tuneCollector()
	live := make([]byte, 100<<20)
	followed := func(want int) func() bool {
		return func() bool { runtime.GC(); return percent() == want }
	}
	require.Eventually(t, followed(growPercent), 10*time.Second, time.Millisecond)
	runtime.KeepAlive(live)
	live = nil
	require.Eventually(t, func() bool { runtime.GC(); return percent() > growPercent }, 10*time.Second, time.Millisecond)
	end()
	require.Equal(t, before, percent())
	for range 3 {
		runtime.GC()
		require.Equal(t, before, percent(), "it is over")
	}
	end()
	_ = live
}

func TestTheOperatorsGOGCStays(t *testing.T) {
	t.Setenv("GOGC", "77")
	was := debug.SetGCPercent(77)
	end := tuneCollector()
	runtime.GC()
	require.Equal(t, 77, percent())
	end()
	debug.SetGCPercent(was)
}
