package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serviceManager is the socket that systemd gives a service of type notify-reload.
type serviceManager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newServiceManager(t *testing.T) *serviceManager {
	t.Helper()
	dir, err := os.MkdirTemp("", "berth") // a socket's path is short, the test's own folder may be long
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &serviceManager{t: t, conn: conn, path: path}
}

// next returns the next message, its lines by name, without the signs of life.
func (s *serviceManager) next() map[string]string {
	s.t.Helper()
	for {
		if m := s.any(); m["WATCHDOG"] == "" {
			return m
		}
	}
}

// any returns the next message of any kind.
func (s *serviceManager) any() map[string]string {
	s.t.Helper()
	require.NoError(s.t, s.conn.SetReadDeadline(time.Now().Add(patience)))
	buffer := make([]byte, 4096)
	n, err := s.conn.Read(buffer)
	require.NoError(s.t, err, "the server tells the service manager nothing")
	out := map[string]string{}
	for line := range strings.SplitSeq(string(buffer[:n]), "\n") {
		name, value, ok := strings.Cut(line, "=")
		require.True(s.t, ok, "%q", line)
		out[name] = value
	}
	return out
}

// reloaded requires the two messages of a reload, and returns the status.
func (s *serviceManager) reloaded() string {
	s.t.Helper()
	begin := s.next()
	require.Equal(s.t, "1", begin["RELOADING"], "%v", begin)
	at, err := strconv.ParseUint(begin["MONOTONIC_USEC"], 10, 64)
	require.NoError(s.t, err)
	require.Positive(s.t, at)
	end := s.next()
	require.Equal(s.t, "1", end["READY"], "%v", end)
	return end["STATUS"]
}

func TestServiceManagerIsTold(t *testing.T) {
	manager := newServiceManager(t)
	d := newDaemon(t, 36)
	d.child = spawn(t, []string{"NOTIFY_SOCKET=" + manager.path}, "serve", "-c", d.file)
	first := manager.next()
	require.Equal(t, "1", first["READY"])
	require.Equal(t, "generation 1 runs; 0 definitions restored", first["STATUS"])

	d.set("rtsp.keepAliveSecond", "21", "rtsp.max_connections", "5000", "general.enableVhost", "true")
	d.signal(syscall.SIGHUP)
	require.Equal(t, "running; 2 changed keys applied; waiting for a full restart: general.enableVhost", manager.reloaded())

	d.signal(syscall.SIGUSR2)
	require.Equal(t, "generation 2 runs; 0 definitions restored", manager.reloaded())

	d.set("rtsp.keepAliveSecond", `"soon"`)
	d.signal(syscall.SIGHUP)
	require.Contains(t, manager.reloaded(), "reload rejected, nothing changed: ", "also a reload that is rejected ends, or systemctl reload would wait for ever")
	d.signal(syscall.SIGUSR2)
	require.Contains(t, manager.reloaded(), "generation 2 runs; full restart refused or failed: ")

	d.signal(syscall.SIGTERM)
	require.Equal(t, "1", manager.next()["STOPPING"])
	require.Equal(t, exitDone, d.wait())
	require.NoError(t, manager.conn.SetReadDeadline(time.Now()))
	_, err := manager.conn.Read(make([]byte, 100))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "nothing is said after STOPPING")
}

func TestWatchdogOfTheServiceManagerIsFed(t *testing.T) {
	manager := newServiceManager(t)
	d := newDaemon(t, 36)
	d.child = spawn(t, []string{"NOTIFY_SOCKET=" + manager.path, "WATCHDOG_USEC=2000000"}, "serve", "-c", d.file)
	ready, signs := false, 0
	for !ready || signs < 3 {
		m := manager.any()
		ready = ready || m["READY"] == "1"
		if ready && m["WATCHDOG"] == "1" {
			signs++
		}
	}
	d.signal(syscall.SIGTERM)
	require.Equal(t, exitDone, d.wait())
}
