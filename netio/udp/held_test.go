package udp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

const tableHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"

// procFolder makes a folder like a process's own.
func procFolder(t *testing.T, tables map[string]string, descriptors ...string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "net"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "fd"), 0o700))
	for name, text := range tables {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "net", name), []byte(text), 0o600))
	}
	for i, to := range descriptors {
		require.NoError(t, os.Symlink(to, filepath.Join(dir, "fd", fmt.Sprint(i))))
	}
	return dir
}

func tableLine(port uint16, state string, inode int) string {
	return fmt.Sprintf("  12: 0100007F:%04X 00000000:0000 %s 00000000:00000000 00:00000000 00000000     0        0 %d 2 0000000000000000 0\n", port, state, inode)
}

func TestHeldPortsReadsTheKernelsTables(t *testing.T) {
	dir := procFolder(t, map[string]string{
		"udp": tableHead + tableLine(20000, "07", 1) + tableLine(20001, "07", 2) + tableLine(20002, "07", 3) + // 3 is another program's
			tableLine(19999, "07", 4) + tableLine(20100, "07", 5) + "garbage\n" + tableLine(20004, "07", 0),
		"udp6": tableHead + tableLine(20000, "07", 6), // a second socket on another address
		"tcp":  tableHead + tableLine(20000, "0A", 7) + tableLine(20002, "01", 8) + tableLine(20006, "0A", 9),
	}, "socket:[1]", "socket:[1]", "socket:[2]", "socket:[4]", "socket:[5]", "socket:[6]", "socket:[7]", "socket:[8]", "pipe:[9]", "/dev/null", "socket:[x]")
	held, err := HeldPorts(t.Context(), dir, 20000, 20099)
	require.NoError(t, err)
	require.Equal(t, Held{UDP: map[uint16]int{20000: 2, 20001: 1}, TCP: map[uint16]int{20000: 1}}, held)
}

func TestHeldPortsSaysWhenThereIsNoTable(t *testing.T) {
	_, err := HeldPorts(t.Context(), filepath.Join(t.TempDir(), "none"), 1, 2)
	require.ErrorIs(t, err, ErrNoTable)
	dir := procFolder(t, map[string]string{"udp": tableHead + tableLine(20000, "07", 1)})
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "fd")))
	_, err = HeldPorts(t.Context(), dir, 1, 65535)
	require.ErrorIs(t, err, ErrNoTable)
	ended, end := context.WithCancel(t.Context())
	end()
	_, err = HeldPorts(ended, dir, 1, 65535)
	require.ErrorIs(t, err, context.Canceled)
}

func TestHeldPortsSeesRealSockets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the tables are Linux's")
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // closed below
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, err)
	defer listener.Close() //nolint:errcheck // a listener of a test
	port, listens := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), listener.Addr().(*net.TCPAddr).AddrPort().Port()
	held, err := HeldPorts(t.Context(), "/proc/self", 1, 65535)
	require.NoError(t, err)
	require.Equal(t, 1, held.UDP[port])
	require.Equal(t, 1, held.TCP[listens])
	require.NoError(t, conn.Close())
	held, err = HeldPorts(t.Context(), "/proc/self", port, port)
	require.NoError(t, err)
	require.Zero(t, held.UDP[port])
}

func FuzzTableRow(f *testing.F) {
	for _, seed := range []string{tableHead, tableLine(20000, "07", 1), tableLine(65535, "0A", 1<<31), "", ":", "1: :: : : : : : : : :"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if row, ok := parseTableRow(line); ok && row.inode == 0 {
			t.Fatal("a socket without an inode belongs to nobody")
		}
	})
}
