package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// seize binds a UDP port as another program would, with or without the options that let sockets share a port.
func seize(address string, options ...int) (net.PacketConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			for _, option := range options {
				if failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1); failed != nil {
					return
				}
			}
		})
		if err != nil {
			return err
		}
		return failed
	}}
	return lc.ListenPacket(context.Background(), "udp4", address)
}

// Other programs hold ports of the range, by all means that there are, before and while pulls take the others: no port ever has two holders, and the refusal says who is in the way.
func TestForeignProgramsOnPortsOfTheRange(t *testing.T) {
	const pairs = 18
	d := newDaemon(t, pairs)
	var low, high int
	_, err := fmt.Sscanf(d.keys["rtp_proxy.port_range"], `"%d-%d"`, &low, &high)
	require.NoError(t, err)
	foreign := map[int]bool{}
	var thieves []net.PacketConn
	for i, c := range []struct {
		ip      string
		options []int
	}{
		{"127.0.0.1", nil},
		{"0.0.0.0", nil},
		{"127.0.0.1", []int{unix.SO_REUSEADDR}},
		{"127.0.0.1", []int{unix.SO_REUSEPORT}},
		{"0.0.0.0", []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT}},
		{"127.0.0.1", []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT}},
	} {
		port := low + 2*i + i%2 // of some pairs the even port, of some the odd one
		conn, err := seize(fmt.Sprintf("%s:%d", c.ip, port), c.options...)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		foreign[port], thieves = true, append(thieves, conn)
	}
	d.start(t)
	source := startCamera(t)
	const pulls = (pairs - 6) / 2
	d.pullAll(t, pulls, func(i int) (reply, error) { return d.pull(source, fmt.Sprintf("cam%d", i), "1") })
	var held map[int]bool
	d.eventually("every pull has its ports", func() bool { // again, where a source has lost a connection
		held = d.ports(t)
		return len(held) == 4*pulls
	})
	for port := range held {
		require.False(t, foreign[port], "port %d has two holders", port)
		for _, options := range [][]int{nil, {unix.SO_REUSEADDR}, {unix.SO_REUSEPORT}, {unix.SO_REUSEADDR, unix.SO_REUSEPORT}} {
			for _, ip := range []string{"127.0.0.1", "0.0.0.0"} {
				_, err := seize(fmt.Sprintf("%s:%d", ip, port), options...)
				require.ErrorIs(t, err, unix.EADDRINUSE, "a leased port could be taken by another program")
			}
		}
	}
	r, err := d.pull(source, "one-too-many", "1")
	require.NoError(t, err)
	require.NotEqual(t, 0, r.code(), r.text())
	require.Contains(t, r.text(), "none reserved port in pool")
	require.Contains(t, r.text(), fmt.Sprintf("%d leased", 2*pulls))
	require.Contains(t, r.text(), "6 foreign")

	for _, conn := range thieves {
		require.NoError(t, conn.Close())
	}
	d.eventually("ports that have become free are found", func() bool { return d.metric(`berth_pool_pairs{state="foreign"}`) == 0 })
	r, err = d.pull(source, "late", "1")
	require.NoError(t, err)
	require.Equal(t, 0, r.code(), r.text())
}

// When descriptors run out, leases are refused with what to do, connections wait, and everything works again when there are some.
func TestDescriptorsRunOut(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	source := startCamera(t)
	r, err := d.pull(source, "first", "1")
	require.NoError(t, err)
	require.Equal(t, 0, r.code(), r.text())
	plenty := unix.Rlimit{}
	pid := d.cmd.Process.Pid
	require.NoError(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &plenty))
	few := unix.Rlimit{Cur: uint64(d.descriptors() + 16), Max: plenty.Max}
	require.NoError(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil))

	var refusal reply
	for i := 0; refusal == nil; i++ {
		r, err := d.pull(source, fmt.Sprintf("more%d", i), "1")
		require.NoError(t, err)
		if r.code() != 0 {
			refusal = r
		}
	}
	require.Contains(t, refusal.text(), "cannot open more sockets")
	require.Contains(t, refusal.text(), "LimitNOFILE")
	require.NotContains(t, refusal.text(), "none reserved port in pool", "the range is not what is short")

	// More connections than there are descriptors: some wait in the kernel's queue, those that were accepted are served.
	conns := make([]net.Conn, 40)
	for i := range conns {
		conn, err := net.Dial("tcp", d.rtsp)
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		conns[i] = conn
	}
	d.eventually("the log says that connections cannot be accepted", func() bool { return strings.Contains(d.errOut.String(), "cannot accept") })
	require.NoError(t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &plenty, nil))
	for _, conn := range conns {
		_, err := io.WriteString(conn, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
		require.NoError(t, err)
		_, err = io.ReadFull(conn, make([]byte, 15))
		require.NoError(t, err, "a connection that waited is lost")
		require.NoError(t, conn.Close())
	}
	require.LessOrEqual(t, strings.Count(d.errOut.String(), "cannot accept connections"), 10, "the log is not flooded")
	r, err = d.pull(source, "again", "1")
	require.NoError(t, err)
	require.Equal(t, 0, r.code(), r.text())
	d.eventually("only the pulls hold ports, when what drained is closed", func() bool { return 4*len(d.playing()) == len(d.ports(t)) })
}

// ledgerOfAnswers is what the API has acknowledged: which proxies must be there and which must be gone. What was under way at the kill may be either.
type ledgerOfAnswers struct {
	mu    sync.Mutex
	there map[string]bool
	gone  map[string]bool
	open  map[string]bool
	next  int
	acks  int
}

// Killed at any moment of a storm of additions and deletions, the server has everything that was acknowledged when it is back, and nothing whose deletion was.
func TestKillsDuringAStormLoseNothingAcknowledged(t *testing.T) {
	source := startCamera(t)
	d := newDaemon(t, 18)
	books := &ledgerOfAnswers{there: map[string]bool{}, gone: map[string]bool{}, open: map[string]bool{}}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 6 {
		d.start(t)
		books.check(t, d)
		storm, calls := sync.WaitGroup{}, make(chan struct{})
		for worker := range 4 {
			seed := rand.New(rand.NewPCG(uint64(round), uint64(worker)))
			storm.Go(func() {
				for books.call(d, source.URL("x"), seed, calls) {
				}
			})
		}
		for range 10 + random.IntN(30) {
			select {
			case <-calls:
			case <-time.After(patience):
				t.Fatal("the storm has died down")
			}
		}
		d.signal(syscall.SIGKILL)
		require.Equal(t, -1, d.wait())
		go func() { // lets the workers go that have something to report
			for range calls {
			}
		}()
		storm.Wait()
		close(calls)
	}
	d.start(t)
	books.check(t, d)
	require.Greater(t, books.acks, 60)
}

// call adds or deletes one proxy, reports to calls, and returns false once the server has gone.
func (b *ledgerOfAnswers) call(d *daemon, url string, random *rand.Rand, calls chan<- struct{}) bool {
	b.mu.Lock()
	var name string
	remove := len(b.there) > 3 && random.IntN(2) == 0
	if remove {
		name = slices.Sorted(maps.Keys(b.there))[random.IntN(len(b.there))]
		delete(b.there, name)
	} else {
		b.next++
		name = fmt.Sprintf("p%d", b.next)
	}
	b.open[name] = true
	b.mu.Unlock()
	var r reply
	var err error
	if remove {
		r, err = d.api("delStreamProxy", "key", "__defaultVhost__/live/"+name)
	} else {
		r, err = d.api("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", name, "url", url, "rtp_type", "0")
	}
	if err != nil {
		return false
	}
	b.mu.Lock()
	if r.code() == 0 {
		b.acks++
		delete(b.open, name)
		if remove {
			b.gone[name] = true
		} else {
			b.there[name] = true
		}
	}
	b.mu.Unlock()
	calls <- struct{}{}
	return true
}

// check compares the server that is back with what it had acknowledged, and settles what was open.
func (b *ledgerOfAnswers) check(t *testing.T, d *daemon) {
	t.Helper()
	found := map[string]bool{}
	for _, item := range d.list("listStreamProxy") {
		src, _ := item["src"].(map[string]any)
		found[fmt.Sprint(src["stream"])] = true
	}
	for name := range b.there {
		require.True(t, found[name], "%s was acknowledged and is lost", name)
	}
	for name := range found {
		require.False(t, b.gone[name], "%s was deleted and is back", name)
		require.True(t, b.there[name] || b.open[name], "%s was never asked for", name)
	}
	for name := range b.open {
		if found[name] {
			b.there[name] = true
		}
	}
	clear(b.open)
}
