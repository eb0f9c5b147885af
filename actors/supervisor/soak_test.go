package supervisor

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/portpool"
)

// TestSoak does to one server whatever comes for as long as BERTH_SOAK says, such as 10m: pulls that come and go, actors that panic, programs that take ports of the range,
// reloads and full restarts. At the end no slot may have drifted, and goroutines and memory must be where they were; their figures are logged. Without BERTH_SOAK it is skipped.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("BERTH_SOAK"))
	if err != nil || length <= 0 {
		t.Skip("BERTH_SOAK=10m runs it")
	}
	s := newServer(t, 60)
	s.keys["pool.drain_idle"], s.keys["pool.drain_max"], s.keys["pool.cool_down"] = `"300ms"`, `"2s"`, `"300ms"`
	source := startCamera(t)
	s.start(faults{})
	for i := range 4 {
		s.pull(source, fmt.Sprintf("always%d", i), "1")
	}
	low, high := s.bounds()
	goroutines, heap := weigh()
	var drift uint64
	done := map[string]int{}
	deeds := []struct {
		name string
		do   func()
	}{
		{"pull", func() {
			name := fmt.Sprintf("s%d", rand.IntN(12))
			_, _ = s.try("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", name, "url", source.URL(name), "rtp_type", strconv.Itoa(rand.IntN(3)-1))
		}},
		{"end", func() {
			_, _ = s.try("delStreamProxy", "key", fmt.Sprintf("__defaultVhost__/live/s%d", rand.IntN(12)))
		}},
		{"reload", func() {
			s.set("pool.warn_at", strconv.Itoa(50+rand.IntN(50)))
			s.signals <- syscall.SIGHUP
		}},
		{"foreign program", func() {
			conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: low + rand.IntN(high-low+1)})
			if err == nil {
				time.AfterFunc(time.Duration(rand.IntN(3000))*time.Millisecond, func() { _ = conn.Close() })
			}
		}},
		{"crash", func() {
			if pool := s.pool(); pool != nil && len(pool.Slots) > 0 {
				if owner := pool.Slots[rand.IntN(len(pool.Slots))].Owner; owner != "" {
					s.crash(s.named(owner))
				}
			}
		}},
		{"audit", func() {
			if e := s.process.engine.Load(); e != nil {
				// A port that the test itself took as a foreign program is this process's, and drift to the auditor; that kind is not counted.
				if a, err := actors.Ask[*portpool.Audited](t.Context(), s.process.runtime.System, e.Pool, &portpool.Audit{}); err == nil {
					for _, d := range a.Drift {
						if d.Kind != portpool.DriftStillBound {
							t.Errorf("drift: %+v", d)
							drift++
						}
					}
				}
			}
		}},
	}
	for began := time.Now(); time.Since(began) < length; {
		deed := deeds[rand.IntN(len(deeds))]
		if rand.IntN(60) == 0 {
			s.signals <- syscall.SIGUSR2
			done["full restart"]++
		}
		deed.do()
		done[deed.name]++
		<-time.After(time.Duration(rand.IntN(100)) * time.Millisecond)
	}
	s.eventually("the last full restart is over, so that all can be deleted", func() bool {
		for i := range 12 {
			if reply, err := s.try("delStreamProxy", "key", fmt.Sprintf("__defaultVhost__/live/s%d", i)); err != nil || reply["code"] != 0.0 {
				return false
			}
		}
		return true
	})
	s.eventually("only what was there at the beginning plays", func() bool { return s.playing() == 4 })
	s.audit(8)
	s.eventually("nothing drifts", func() bool {
		e := s.process.engine.Load()
		if e == nil {
			return false
		}
		a, err := actors.Ask[*portpool.Audited](t.Context(), s.process.runtime.System, e.Pool, &portpool.Audit{})
		return err == nil && a.Err == nil && len(a.Drift) == 0
	})
	s.eventually("the goroutines are where they were", func() bool { n, _ := weigh(); return n <= goroutines+goroutines/5+16 })
	after, heapAfter := weigh()
	t.Logf("%s, %d generations, deeds %v: drift %d, goroutines %d -> %d, heap %d -> %d KiB", length, s.generation(), done, drift, goroutines, after, heap>>10, heapAfter>>10)
	require.Zero(t, drift)
	require.Less(t, heapAfter, 2*heap+(16<<20), "memory grows")
}

// weigh counts goroutines and live heap bytes, of a server that runs.
func weigh() (int, uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}
