package portpool_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/netio/ports"
	"berth/netio/udp"
)

// childLimit is how many descriptors the child process of the test may have.
const childLimit = 256

// TestThePoolLeavesDescriptorsToTheRest runs itself again in a process of its own, whose limit it can lower.
func TestThePoolLeavesDescriptorsToTheRest(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("descriptors are counted as Linux shows them")
	}
	const env = "BERTH_TEST_FEW_DESCRIPTORS"
	if os.Getenv(env) == "" {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "90s")
		child.Env = append(os.Environ(), env+"=1")
		out, err := child.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), "--- PASS: "+t.Name(), "it must not have been skipped")
		return
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: childLimit, Max: childLimit}))
	f := newFixture(t, actortest.Runtime(), childLimit, func(o *portpool.Options) { o.Config.Pool.DrainIdle = time.Hour; o.Config.Pool.DrainMax = time.Hour })
	var leases []*portpool.PairLeased
	var short *portpool.RefusedError
	for id := uint64(1); short == nil; id++ {
		require.Less(t, len(leases), childLimit/2, "more pairs than descriptors")
		f.send(f.ask(id, "a"))
		switch m := f.probe.Next(t).Message.(type) {
		case *portpool.PairLeased:
			leases = append(leases, m)
		case *portpool.LeaseRefused:
			short = m.Err
		}
	}
	require.Greater(t, len(leases), childLimit/4)
	require.Equal(t, portpool.ReasonProcess, short.Reason)
	require.ErrorIs(t, short, udp.ErrProcess)
	require.ErrorContains(t, short, "of 256 descriptors (RLIMIT_NOFILE) are open")
	require.ErrorContains(t, short, "the last 32 are kept for connections, the API and the store")
	require.ErrorContains(t, short, "LimitNOFILE")
	require.Equal(t, 1, f.logged("RLIMIT_NOFILE"))
	require.Equal(t, ports.Counts{ports.Free: childLimit - len(leases), ports.Leased: len(leases)}, f.counts(), "no port is to blame")

	// What the rest of a server does still works: somebody connects, and a file is written.
	door, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	for range 8 {
		client, err := net.Dial("tcp", door.Addr().String())
		require.NoError(t, err)
		server, err := door.Accept()
		require.NoError(t, err)
		defer func() { require.NoError(t, errors.Join(client.Close(), server.Close())) }()
	}
	require.NoError(t, os.WriteFile(t.TempDir()+"/store", []byte("state"), 0o600))
	require.NoError(t, door.Close())

	// A stream may have its own pair back, which takes none.
	f.release(leases[0])
	again := f.lease(1000, "a")
	require.Equal(t, leases[0].Port, again.Port)
	require.Equal(t, portpool.ReasonProcess, f.refused(f.ask(1001, "b")).Reason)
}

func TestDescriptorsAreCountedAgainWhenTheyMatter(t *testing.T) {
	var open, counts, later atomic.Uint64 // a tick of the pool may read the clock at any time
	open.Store(900)
	began := time.Now()
	f := newFixture(t, actortest.Runtime(), 100, func(o *portpool.Options) {
		o.Listen = func(netip.Addr, uint16, ports.Sockets) (portpool.Bound, error) { return portpool.Bound{}, nil }
		o.Now = func() time.Time { return began.Add(time.Duration(later.Load()) * time.Second) }
		o.Descriptors = func() (uint64, uint64, error) { counts.Add(1); return open.Load(), 1000, nil }
	})
	// 1000 less 900 and the reserve of 32 are 34 pairs, in one count.
	for id := range uint64(34) {
		f.lease(id, "a")
	}
	require.EqualValues(t, 1, counts.Load())
	open.Store(968) // what the pool believes too
	require.Equal(t, portpool.ReasonProcess, f.refused(f.ask(100, "a")).Reason)
	require.EqualValues(t, 2, counts.Load())
	open.Store(960) // somebody closed some
	f.lease(101, "a")
	f.lease(102, "a")
	require.EqualValues(t, 3, counts.Load())
	later.Store(1)
	open.Store(967) // an old count is not believed
	require.Equal(t, portpool.ReasonProcess, f.refused(f.ask(103, "a")).Reason)
	require.EqualValues(t, 4, counts.Load())
}

func TestQuietDrainsGiveTheirDescriptorsUp(t *testing.T) {
	var open, later atomic.Uint64
	open.Store(900)
	began := time.Now()
	f := newFixture(t, actortest.Runtime(), 10, func(o *portpool.Options) {
		o.Now = func() time.Time { return began.Add(time.Duration(later.Load()) * time.Second) }
		o.Descriptors = func() (uint64, uint64, error) { return open.Load(), 1000, nil }
		o.Config.Pool.DrainIdle = time.Hour
		o.Config.Pool.DrainMax = time.Hour
	})
	a, b := f.lease(1, "a"), f.lease(2, "b")
	f.release(a)
	f.release(b)
	later.Store(1)
	open.Store(968) // none is left
	sendTo(t, a.Port, 1)
	c := f.lease(3, "c") // a has just heard a packet, b is quiet
	require.NotContains(t, []uint16{a.Port, b.Port}, c.Port, "there are free ports")
	require.Equal(t, ports.Counts{ports.Free: 7, ports.Leased: 1, ports.Draining: 1, ports.Cooling: 1}, f.counts())
	require.Equal(t, portpool.ReasonProcess, f.refused(f.ask(4, "d")).Reason, "the peer of the other one still sends")
	later.Store(2)
	f.lease(5, "d")
	require.Equal(t, ports.Counts{ports.Free: 6, ports.Leased: 2, ports.Cooling: 2}, f.counts())
}

func TestADescriptorCountThatFailsRefusesNobody(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 3, func(o *portpool.Options) {
		o.Descriptors = func() (uint64, uint64, error) { return 0, 0, errors.New("no /proc") }
	})
	f.lease(1, "a")
}
