package actortest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/netio/ports"
)

// Ranges come from here: above the default rtp_proxy.port, below the default range and below what systems give out by themselves.
const (
	firstPort  = 10020
	endPort    = 20000
	blockPorts = 20
	blocks     = (endPort - firstPort) / blockPorts
)

// FreeRange returns so many free pairs that no other test has, in this process or in another on this machine, until the test has cleaned up: tests of several packages run at the same time, and a range of which
// somebody takes one port is not the range that the test counts on.
func FreeRange(t testing.TB, pairs int) ports.Range {
	t.Helper()
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("berth-test-ports-%d", os.Getuid()))
	require.NoError(t, os.MkdirAll(dir, 0o700))
	need := (2*pairs + blockPorts - 1) / blockPorts
	held := make([]*os.File, 0, need)
	release := func() {
		for _, f := range held {
			_ = f.Close() // which unlocks it
		}
		held = held[:0]
	}
	start := os.Getpid() * 7 % blocks
	deadline := time.Now().Add(Wait)
	for i := 0; time.Now().Before(deadline); i++ { // a test with a large range ends soon
		block := (start + i) % blocks
		if block == 0 {
			release() // what was held ends at the other end
		}
		f := lockBlock(t, dir, block)
		if f == nil {
			release()
			continue
		}
		if held = append(held, f); len(held) < need {
			continue
		}
		low := firstPort + (block-need+1)*blockPorts
		t.Cleanup(release)
		return ports.Range{Low: uint16(low), High: uint16(low + 2*pairs - 1)} //nolint:gosec // below 20000
	}
	release()
	t.Fatalf("no %d free pairs in a row between %d and %d in %s", pairs, firstPort, endPort, Wait)
	return ports.Range{}
}

// lockBlock takes a block for this test; nil when another test has it, or a program has one of its ports.
func lockBlock(t testing.TB, dir string, block int) *os.File {
	t.Helper()
	low := firstPort + block*blockPorts
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(low)), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	if lock(f) && unused(low) {
		return f
	}
	_ = f.Close()
	return nil
}

// unused reports whether nobody has a port of a block on any address.
func unused(low int) bool {
	for port := low; port < low+blockPorts; port++ {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
		if err != nil {
			return false
		}
		_ = conn.Close()
		listener, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
		if err != nil {
			return false
		}
		_ = listener.Close()
	}
	return true
}
