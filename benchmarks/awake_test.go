//go:build linux

package benchmarks

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// awakeEnv, set to anything, keeps the processors from halting while the RTSP benchmarks run. Waking a virtual processor that has halted costs more than sending a picture, is charged to whoever sends, and
// differs from host to host; so it hides what a server costs.
const awakeEnv = "BERTH_BENCH_AWAKE"

// awakeMost bounds it.
const awakeMost = 30 * time.Minute

// awakeChild is what awakeEnv is set to in the process that does it.
const awakeChild = "child"

// TestAwakeChild is no test: it occupies each processor that has nothing else to do, until its input is closed. Threads of the policy SCHED_IDLE give way to everybody at once.
func TestAwakeChild(t *testing.T) {
	if os.Getenv(awakeEnv) != awakeChild {
		t.Skip("serves the RTSP benchmarks")
	}
	var end atomic.Bool
	for range runtime.NumCPU() {
		go func() {
			runtime.LockOSThread()
			if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0); err != nil {
				t.Error(err)
				return
			}
			// Looking at the clock is slower than nothing, so that a processor which shares its core with another leaves it most of that.
			for began := time.Now(); !end.Load() && time.Since(began) < awakeMost; {
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	end.Store(true)
}

// keepAwake does so until the end of the benchmark, if the environment asks for it.
func keepAwake(b *testing.B) {
	b.Helper()
	if os.Getenv(awakeEnv) == "" {
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAwakeChild$")
	cmd.Env = append(os.Environ(), awakeEnv+"="+awakeChild)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
}
