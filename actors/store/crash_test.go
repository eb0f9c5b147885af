package store

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"berth/actors"
	"berth/actors/actortest"
)

// childRole is set for the copy of the test binary that plays the process which is killed or whose disk is full.
const (
	childRole = "BERTH_STORE_TEST_ROLE"
	childDir  = "BERTH_STORE_TEST_DIR"
	childFrom = "BERTH_STORE_TEST_FROM"
)

// childMain writes definitions from the number that it is given on, and prints the number of each one that was acknowledged.
// In the role "full" its files cannot grow, as on a full disk.
func childMain(role string) int {
	from, err := strconv.Atoi(os.Getenv(childFrom))
	if err != nil {
		return 2
	}
	rt := actors.NewRuntime(zerolog.Nop())
	pid := rt.System.Root.Spawn(Props(Options{Runtime: rt, Dir: os.Getenv(childDir)}))
	out := make(chan string, 1<<16)
	answers := 0
	asker := rt.System.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		m, ok := ctx.Message().(*Done)
		if !ok {
			if n, ok := ctx.Message().(int); ok {
				ctx.Request(pid, &PutProxy{testProxy(n)})
			}
			return
		}
		if m.Err == nil {
			out <- fmt.Sprintf("ok %d\n", from+answers)
		} else {
			out <- fmt.Sprintf("failed %d %v\n", from+answers, m.Err)
		}
		answers++
		// A few are under way at any time, so that a kill hits one inside a transaction.
		ctx.Send(ctx.Self(), from+answers+7)
	}))
	if role == "full" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 96 << 10, Max: 96 << 10}); err != nil {
			return 2
		}
	}
	for n := range 8 {
		rt.System.Root.Send(asker, from+n)
	}
	for line := range out {
		if _, err := os.Stdout.WriteString(line); err != nil {
			return 0
		}
	}
	return 0
}

// child starts the role and returns its output. The process is killed at the end of the test at the latest.
func child(t *testing.T, role, dir string, from int) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir, childFrom+"="+strconv.Itoa(from))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, out
}

func TestKillAtAnyMomentLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(3, 4))
	acknowledged := map[string]bool{}
	from := 0
	for round := range 6 {
		cmd, out := child(t, "killed", dir, from)
		lines := bufio.NewScanner(out)
		left := 5 + rng.IntN(60)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			require.Equal(t, "ok", fields[0], lines.Text())
			n, err := strconv.Atoi(fields[1])
			require.NoError(t, err)
			acknowledged[testKey(n).Stream] = true
			from = n + 1
			if left--; left == 0 {
				require.NoError(t, cmd.Process.Kill()) // SIGKILL; what is in the pipe was acknowledged and is read on
			}
		}
		_ = cmd.Wait()
		from += 100

		f := start(t, dir)
		h := f.health()
		require.True(t, h.Durable, "round %d: %v", round, h.Err)
		require.Empty(t, h.Moved, "round %d: %s", round, h.Report)
		have := map[string]bool{}
		for _, s := range f.numbers() {
			have[s] = true
		}
		for s := range acknowledged {
			require.True(t, have[s], "round %d: %s was acknowledged and is gone", round, s)
		}
		f.stop()
	}
	require.NotEmpty(t, acknowledged)
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	cmd, out := child(t, "full", dir, 0)
	good := map[int]bool{}
	failures := 0
	for lines := bufio.NewScanner(out); failures < 40 && lines.Scan(); {
		fields := strings.Fields(lines.Text())
		n, err := strconv.Atoi(fields[1])
		require.NoError(t, err)
		if fields[0] == "ok" {
			good[n] = true
			continue
		}
		failures++
		require.Contains(t, lines.Text(), "cannot be written")
	}
	require.Equal(t, 40, failures, "the disk was never full")
	require.NotEmpty(t, good)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()

	f := start(t, dir)
	require.Empty(t, f.health().Moved, f.health().Report)
	have := map[string]bool{}
	for _, s := range f.numbers() {
		have[s] = true
	}
	for n := range good {
		require.True(t, have[testKey(n).Stream], "%d was acknowledged before the disk was full", n)
	}
	require.NoError(t, f.put(99999), "with room again it goes on")
	require.True(t, actortest.Alive(actortest.Runtime(), f.pid))
}
