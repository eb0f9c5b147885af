package hostcheck

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/netio/ports"
)

func linuxOnly(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("/proc is not here")
	}
}

func TestSystemFindsASocketAndItsHolder(t *testing.T) {
	linuxOnly(t)
	for _, network := range []string{"udp4", "tcp4", "udp6"} {
		t.Run(network, func(t *testing.T) {
			local, release := hold(t, network)
			defer release()
			d := usualDemand()
			d.Range = ports.Range{Low: local.Port() &^ 1, High: local.Port() | 1}
			d.StateDir = t.TempDir()
			f := findingOf(t, Check(System(), d), "held-ports")
			require.Equal(t, OK, f.Level, "%+v", f)
			require.Contains(t, f.Text, "1 pairs of")
			require.Contains(t, f.Text, "all by a running berth", "this test is the program that holds it")

			release()
			f = findingOf(t, Check(System(), d), "held-ports")
			require.NotContains(t, f.Text, "running berth")
		})
	}
}

// hold opens a socket on loopback.
func hold(t *testing.T, network string) (netip.AddrPort, func()) {
	t.Helper()
	switch network {
	case "tcp4":
		l, err := net.Listen(network, "127.0.0.1:0")
		require.NoError(t, err)
		return l.Addr().(*net.TCPAddr).AddrPort(), func() { _ = l.Close() }
	default:
		host := map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0"}[network]
		c, err := net.ListenPacket(network, host)
		if err != nil && network == "udp6" {
			t.Skipf("no IPv6 here: %v", err)
		}
		require.NoError(t, err)
		return c.LocalAddr().(*net.UDPAddr).AddrPort(), func() { _ = c.Close() }
	}
}

func TestSystemReadsThisMachine(t *testing.T) {
	linuxOnly(t)
	d := usualDemand()
	d.StateDir = filepath.Join(t.TempDir(), "not", "there", "yet")
	findings := Check(System(), d)
	require.Len(t, findings, 9)
	for _, f := range findings {
		require.NotContains(t, f.Text, "cannot be checked", f.Check)
	}
	require.Equal(t, OK, findingOf(t, findings, "addresses").Level)
	require.Equal(t, OK, findingOf(t, findings, "state-dir").Level)
	require.NoDirExists(t, d.StateDir, "looking makes nothing")

	d.Bind = netip.MustParseAddr("192.0.2.1") // reserved for documentation, RFC 5737: nobody has it
	f := findingOf(t, Check(System(), d), "addresses")
	require.Equal(t, Fail, f.Level)
	require.Contains(t, f.Text, "pool.bind = 192.0.2.1 is no address of this machine; present are ")
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, writable(dir))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "the probe is gone")

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, writable(file))
	require.Error(t, writable(filepath.Join(file, "below")))
	if os.Geteuid() != 0 { // root may write everywhere
		closed := filepath.Join(dir, "closed")
		require.NoError(t, os.Mkdir(closed, 0o500))
		require.ErrorContains(t, writable(closed), "permission denied")
		require.ErrorContains(t, writable(filepath.Join(closed, "below")), "cannot be made in "+closed)
	}
}
