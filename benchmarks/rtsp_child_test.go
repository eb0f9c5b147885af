//go:build linux

package benchmarks

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"berth/actors/supervisor"
)

const (
	// childEnv makes the test binary a process that is measured alone: "server", or "relay tcp|udp SOURCES VIEWERS".
	childEnv = "BERTH_BENCH_CHILD"
	// profileEnv names a file that gets the CPU profile of the measured process.
	profileEnv = "BERTH_BENCH_PROFILE"
	// setEnv holds more configuration for the server, key=value items separated by spaces.
	setEnv = "BERTH_BENCH_SET"
)

// TestRTSPChild is no test: it is the measured process of the RTSP benchmarks. It works until its input is closed.
func TestRTSPChild(t *testing.T) {
	args := strings.Fields(os.Getenv(childEnv))
	if len(args) == 0 {
		t.Skip("serves the RTSP benchmarks")
	}
	if name := os.Getenv(profileEnv); name != "" {
		f, err := os.Create(name)
		require.NoError(t, err)
		require.NoError(t, pprof.StartCPUProfile(f))
		defer func() { pprof.StopCPUProfile(); require.NoError(t, f.Close()) }()
	}
	if args[0] == "server" {
		serveChild(t)
		return
	}
	relayChild(t, args[1:])
}

// serveChild is a whole server with every limit out of the way.
func serveChild(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); end() }()
	set := []string{
		"general.listen_ip=127.0.0.1", "http.port=" + freePort(t), "rtsp.port=" + freePort(t), "rtp_proxy.port=0", "state.dir=" + t.TempDir(), "log.level=error",
		"rtsp.max_connections=100000", "rtsp.max_sessions_per_ip=100000", "rtsp.keepAliveSecond=3600",
	}
	require.NoError(t, supervisor.Run(ctx, supervisor.Options{
		LogOutput: os.Stderr, Version: "bench", Set: append(set, strings.Fields(os.Getenv(setEnv))...),
		Ready: func(r supervisor.Ready) { fmt.Println("at", r.RTSP) },
	}))
}

// child is a running process of its own.
type child struct {
	pid   int
	addrs []string // where it listens
	in    io.WriteCloser
}

// startChild runs the measured process and waits until it has told count addresses.
func startChild(b *testing.B, args string, count int) *child {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRTSPChild$")
	cmd.Env = append(os.Environ(), childEnv+"="+args)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	c := &child{pid: cmd.Process.Pid, in: in}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for len(c.addrs) < count && lines.Scan() {
		if at, ok := strings.CutPrefix(lines.Text(), "at "); ok {
			c.addrs = append(c.addrs, at)
		} else {
			b.Log(lines.Text())
		}
	}
	require.Len(b, c.addrs, count, "the measured process has ended")
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return c
}

// cpu returns the user and system time that the process has spent, threads that have ended included.
func (c *child) cpu(b *testing.B) time.Duration {
	b.Helper()
	var ts unix.Timespec
	// The CPU clock of another process: see MAKE_PROCESS_CPUCLOCK in the kernel's posix-timers.h.
	require.NoError(b, unix.ClockGettime(int32(^c.pid<<3|2), &ts)) //nolint:gosec // a process number
	return time.Duration(ts.Nano())
}

// resident returns the process's resident memory in bytes.
func (c *child) resident(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.pid))
	require.NoError(b, err)
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	require.NoError(b, err)
	return pages * float64(os.Getpagesize())
}
