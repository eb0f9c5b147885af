package supervisor

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"berth/actors/api"
)

// A generation that has been replaced is forgotten as a whole: with its last streams, it would otherwise cost megabytes for every full restart.
func TestFullRestartsLeaveNoEngineInMemory(t *testing.T) {
	s := newServer(t, 30)
	source := startCamera(t)
	s.start(faults{})
	s.pull(source, "one", "1")
	var former []weak.Pointer[api.Engine]
	for i := range 6 {
		before := s.generation()
		former = append(former, weak.Make(s.process.engine.Load()))
		s.signals <- syscall.SIGUSR2
		// What is asked for meanwhile is refused, or is there afterwards.
		_, err := s.try("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", fmt.Sprintf("t%d", i), "url", source.URL("t"), "rtp_type", "0")
		require.NoError(t, err)
		s.eventually("the next generation runs", func() bool { return s.generation() == before+1 })
	}
	s.eventually("one proxy plays", func() bool { return s.playing() > 0 })
	s.eventually("all former generations are gone", func() bool {
		runtime.GC()
		for _, e := range former {
			if e.Value() != nil {
				return false
			}
		}
		return true
	})
}
