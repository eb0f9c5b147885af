package portpool_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/config"
	"berth/media"
	"berth/netio/ports"
	"berth/netio/udp"
)

func TestMain(m *testing.M) { actortest.Main(m) }

// testAddr is a loopback address that hardly anybody else on this machine uses, so that ports found free stay free.
var testAddr = sync.OnceValue(func() netip.Addr {
	b := [4]byte{127, byte(1 + rand.IntN(250)), byte(rand.IntN(256)), byte(1 + rand.IntN(250))} //nolint:gosec // any will do
	addr := netip.AddrFrom4(b)
	if conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: addr.AsSlice()}); err == nil {
		_ = conn.Close()
		return addr
	}
	return netip.MustParseAddr("127.0.0.1") // a system that has only the one
})

// otherAddr is another such address. Ports that are free on the one are free on the other, unless somebody happens to use it.
func otherAddr(t testing.TB) netip.Addr {
	t.Helper()
	if testAddr().As4() == [4]byte{127, 0, 0, 1} {
		t.Skip("this system has but one loopback address")
	}
	return testAddr().Next()
}

// freeRange returns a range of so many pairs that were all free a moment ago, below the ephemeral ports.
func freeRange(t testing.TB, pairs int) ports.Range {
	t.Helper()
	first := 20000 + 2*rand.IntN(2000) //nolint:gosec // any will do
	for low := first; low < 32000; {
		run := 0
		for ; run < pairs; run++ {
			port := uint16(low + 2*run) //nolint:gosec // below 65536
			rtp, rtcp, err := udp.BindPair(testAddr(), port, udp.Options{})
			if err != nil {
				break
			}
			listener, err := udp.ListenTCP(testAddr(), port)
			require.NoError(t, errors.Join(rtp.Close(), rtcp.Close()))
			if err != nil {
				break
			}
			require.NoError(t, listener.Close())
		}
		if run == pairs {
			return ports.Range{Low: uint16(low), High: uint16(low + 2*pairs - 1)} //nolint:gosec // below 65536
		}
		low += 2*run + 2
	}
	t.Fatalf("no %d free pairs in a row", pairs)
	return ports.Range{}
}

// slowConfig keeps released pairs out of the way of a test that is not about them.
func slowConfig() *config.Config {
	c := config.Default()
	c.Pool.Bind = testAddr()
	c.Pool.LeaseTimeout = 10 * time.Second // a busy machine must not make a search fail
	return c
}

// fixture is a pool under test with an asker.
type fixture struct {
	t     testing.TB
	rt    *actors.Runtime
	pool  *actor.PID
	rng   ports.Range
	probe *actortest.Probe
	log   *logBuffer
	cfg   *config.Config
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) count(text string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Count(b.buf.Bytes(), []byte(text))
}

// newFixture starts a pool of a free range of so many pairs.
func newFixture(t testing.TB, rt *actors.Runtime, pairs int, change func(*portpool.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, log: &logBuffer{}, cfg: slowConfig()}
	own := *rt
	own.Log = zerolog.New(f.log)
	f.rt = &own
	opts := portpool.Options{Config: f.cfg, Range: freeRange(t, pairs)}
	if change != nil {
		change(&opts)
	}
	f.cfg, f.rng = opts.Config, opts.Range
	f.probe = actortest.NewProbe(t, rt, "owner")
	f.pool = actortest.Spawn(t, rt, portpool.Props(f.rt, opts), "portpool")
	return f
}

func key(stream string) media.StreamKey {
	return media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: stream}
}

// ask is a request for any UDP pair.
func (f *fixture) ask(id uint64, stream string) *portpool.LeasePair {
	return &portpool.LeasePair{
		Owner: f.probe.PID, ID: id, Stream: key(stream), Purpose: portpool.PurposeRTSPPull, Sockets: ports.UDPPair, Peer: "camera",
	}
}

func (f *fixture) send(msg any) { f.rt.System.Root.Send(f.pool, msg) }

// sendCopy leaves m to the test.
func (f *fixture) sendCopy(m *portpool.LeasePair) {
	sent := *m
	f.send(&sent)
}

// lease asks for any pair and gets it.
func (f *fixture) lease(id uint64, stream string) *portpool.PairLeased {
	f.t.Helper()
	return f.granted(f.ask(id, stream))
}

func (f *fixture) granted(m *portpool.LeasePair) *portpool.PairLeased {
	f.t.Helper()
	f.sendCopy(m)
	got := f.probe.Next(f.t)
	refused, _ := got.Message.(*portpool.LeaseRefused)
	if refused != nil {
		f.t.Fatalf("refused: %v", refused.Err)
	}
	lease := got.Message.(*portpool.PairLeased)
	require.Equal(f.t, m.ID, lease.ID)
	return lease
}

func (f *fixture) refused(m *portpool.LeasePair) *portpool.RefusedError {
	f.t.Helper()
	f.sendCopy(m)
	refused := actortest.Expect[*portpool.LeaseRefused](f.t, f.probe)
	require.Equal(f.t, m.ID, refused.ID)
	return refused.Err
}

// release ends a lease and waits until the pool says so.
func (f *fixture) release(l *portpool.PairLeased) {
	f.t.Helper()
	f.endLease(&portpool.ReleaseLease{Owner: f.probe.PID, ID: l.ID, Epoch: l.Epoch})
}

// releaseMute is release by an owner that says that nothing has come in.
func (f *fixture) releaseMute(l *portpool.PairLeased) {
	f.t.Helper()
	f.endLease(&portpool.ReleaseLease{Owner: f.probe.PID, ID: l.ID, Epoch: l.Epoch, Mute: true})
}

func (f *fixture) endLease(l *portpool.ReleaseLease) {
	f.t.Helper()
	f.probe.Request(f.pool, l)
	require.Equal(f.t, l.ID, actortest.Expect[*portpool.LeaseReleased](f.t, f.probe).ID)
}

// state asks for the pool's state, behind everything sent before.
func (f *fixture) state() *portpool.Pool {
	f.t.Helper()
	p, err := actors.Ask[*portpool.Pool](f.t.Context(), f.rt.System, f.pool, &portpool.GetPool{Detail: true})
	require.NoError(f.t, err)
	require.Equal(f.t, f.rng.Pairs(), p.Counts.Total())
	return p
}

// logged returns how often a text has been logged by what was sent before.
func (f *fixture) logged(text string) int {
	f.t.Helper()
	f.state()
	return f.log.count(text)
}

func (f *fixture) counts() ports.Counts {
	f.t.Helper()
	return f.state().Counts
}

// eventually waits, in virtual time when in a bubble, until the counts are so.
func (f *fixture) eventually(want ports.Counts) {
	f.t.Helper()
	actortest.Eventually(f.t, func() bool { return f.counts() == want }, "counts %v, want %v", stringer(func() string { return f.counts().String() }), want)
}

type stringer func() string

func (s stringer) String() string { return s() }

// bindable reports whether another program could bind both ports of the pair now.
func bindable(t testing.TB, port uint16) bool {
	t.Helper()
	rtp, rtcp, err := udp.BindPair(testAddr(), port, udp.Options{})
	if err != nil {
		require.ErrorIs(t, err, udp.ErrInUse)
		return false
	}
	require.NoError(t, errors.Join(rtp.Close(), rtcp.Close()))
	return true
}

// sendTo sends n packets to a port from one socket.
func sendTo(t testing.TB, port uint16, n int) {
	t.Helper()
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(testAddr(), port)))
	require.NoError(t, err)
	for i := range n {
		_, err = fmt.Fprintf(conn, "packet %d", i)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Close())
}

// pass lets time pass; only in a bubble.
func pass(d time.Duration) { <-time.After(d) }
