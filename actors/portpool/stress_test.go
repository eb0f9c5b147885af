package portpool_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/netio/ports"
)

// table is the test's own account of who holds what, by what owners are told.
type table struct {
	mu      sync.Mutex
	holders map[uint16]string
	faults  []string
	most    int
	done    int // owners that have ended
	granted int
}

func (b *table) fault(format string, args ...any) {
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

func (b *table) take(port uint16, who string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if other, held := b.holders[port]; held {
		b.fault("%s was given port %d, which %s holds", who, port, other)
	}
	b.holders[port] = who
	b.granted++
	b.most = max(b.most, len(b.holders))
}

func (b *table) give(port uint16, who string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holders[port] != who {
		b.fault("%s gives port %d, which %q holds", who, port, b.holders[port])
	}
	delete(b.holders, port)
}

func (b *table) snapshot() (done, held int, faults []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.done, len(b.holders), append([]string(nil), b.faults...)
}

// wild is an owner that leases, uses, releases, asks twice, releases twice, and at last stops or panics with whatever it holds. Each step is the
// answer to the one before.
type wild struct {
	f      *fixture
	b      *table
	rng    *rand.Rand
	steps  int
	held   map[uint64]*portpool.PairLeased
	nextID uint64
	past   []*portpool.ReleaseLease
	name   string
}

type step struct{}

func (w *wild) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		w.name = ctx.Self().Id
		ctx.Send(ctx.Self(), &step{})
	case *portpool.PairLeased:
		w.onLeased(ctx, m)
	case *portpool.LeaseRefused, *portpool.LeaseReleased:
		ctx.Send(ctx.Self(), &step{})
	case *step:
		w.step(ctx)
	case *actor.Stopping: // also after a panic; the pool hears of the end only after this
		for _, l := range w.held {
			w.b.give(l.Port, w.name)
		}
		w.b.mu.Lock()
		w.b.done++
		w.b.mu.Unlock()
	}
}

func (w *wild) onLeased(ctx actor.Context, m *portpool.PairLeased) {
	if known := w.held[m.ID]; known != nil {
		if *known != *m {
			w.b.mu.Lock()
			w.b.fault("asked twice, %s got ports %d and %d", w.name, known.Port, m.Port)
			w.b.mu.Unlock()
		}
		return
	}
	for _, ended := range w.past {
		if ended.Epoch == m.Epoch {
			return // the answer to the second question, which the release has overtaken
		}
	}
	w.b.take(m.Port, w.name)
	w.held[m.ID] = m
	w.use(m)
	ctx.Send(ctx.Self(), &step{})
}

// use sends a packet to the leased port, which must be the first and only one that comes out of it.
func (w *wild) use(m *portpool.PairLeased) {
	if m.RTP == nil {
		return
	}
	want := []byte(w.name + fmt.Sprint(m.ID))
	for _, conn := range []*net.UDPConn{m.RTP, m.RTCP} {
		local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		_, errWrite := m.RTP.WriteToUDPAddrPort(want, local)
		errDeadline := conn.SetReadDeadline(time.Now().Add(actortest.Wait))
		got := make([]byte, 200)
		n, _, errRead := conn.ReadFromUDPAddrPort(got)
		if errWrite != nil || errDeadline != nil || errRead != nil || !bytes.Equal(got[:n], want) {
			w.b.mu.Lock()
			w.b.fault("%s at port %d: %q %v %v %v", w.name, local.Port(), got[:n], errWrite, errDeadline, errRead)
			w.b.mu.Unlock()
		}
	}
}

func (w *wild) step(ctx actor.Context) {
	w.steps--
	switch {
	case w.steps <= 0 && w.rng.IntN(2) == 0:
		panic("an owner that ends badly")
	case w.steps <= 0:
		ctx.Stop(ctx.Self())
		return
	}
	switch dice := w.rng.IntN(10); {
	case dice < 5 || len(w.held) == 0:
		w.lease(ctx)
	case dice < 9:
		for _, l := range w.held {
			w.release(ctx, l)
			return
		}
	case len(w.past) > 0: // once more
		ctx.Request(w.f.pool, w.past[w.rng.IntN(len(w.past))])
	default:
		ctx.Send(ctx.Self(), &step{})
	}
}

func (w *wild) lease(ctx actor.Context) {
	w.nextID++
	m := w.f.ask(w.nextID, fmt.Sprint(w.rng.IntN(4)))
	m.Owner = ctx.Self()
	m.Sockets = []ports.Sockets{ports.UDPPair, ports.UDPPair, ports.UDPPair | ports.TCPListener, ports.TCPListener}[w.rng.IntN(4)]
	if w.rng.IntN(4) == 0 {
		m.Port = w.f.rng.Low + 2*uint16(w.rng.IntN(w.f.rng.Pairs())) //nolint:gosec // small
	}
	ctx.Request(w.f.pool, m)
	if w.rng.IntN(4) == 0 && m.Port == 0 {
		again := *m
		ctx.Request(w.f.pool, &again)
	}
}

func (w *wild) release(ctx actor.Context, l *portpool.PairLeased) {
	delete(w.held, l.ID)
	w.b.give(l.Port, w.name)
	m := &portpool.ReleaseLease{Owner: ctx.Self(), ID: l.ID, Epoch: l.Epoch}
	w.past = append(w.past, m)
	ctx.Request(w.f.pool, m)
}

// TestNoPortIsEverHeldTwice lets owners come and go at random on a range that is too small for them, while another program takes and leaves ports.
func TestNoPortIsEverHeldTwice(t *testing.T) {
	const pairs, parallel, generations, steps = 8, 8, 12, 40
	actortest.CheckLeaks(t)
	f := newFixture(t, actortest.Runtime(), pairs, func(o *portpool.Options) {
		o.Config.Pool.DrainIdle, o.Config.Pool.DrainMax, o.Config.Pool.CoolDown = 20*time.Millisecond, 100*time.Millisecond, 10*time.Millisecond
	})
	b := &table{holders: map[uint16]string{}}
	seed := rand.Uint64() //nolint:gosec // told when the test fails
	t.Logf("seed %d", seed)
	spawn := func(ctx actor.Context, n int) {
		w := &wild{
			f: f, b: b, rng: rand.New(rand.NewPCG(seed, uint64(n))), steps: steps, held: map[uint64]*portpool.PairLeased{}, //nolint:gosec // a test
		}
		ctx.Spawn(f.rt.Props(func() actor.Actor { return w }))
	}
	born := 0
	actortest.SpawnFunc(t, f.rt, "parent", func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *actor.Started:
			for range parallel {
				born++
				spawn(ctx, born)
			}
		case *actor.Terminated:
			if born < parallel*generations {
				born++
				spawn(ctx, born)
			}
		}
	})
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // another program; it only ever holds one port of the range
		defer close(stopped)
		for rng := rand.New(rand.NewPCG(seed, 0)); ; { //nolint:gosec // a test
			port := f.rng.Low + uint16(rng.IntN(2*pairs)) //nolint:gosec // small
			conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(testAddr(), port)))
			select {
			case <-stop:
			case <-time.After(3 * time.Millisecond):
			}
			if err == nil {
				_ = conn.Close()
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	actortest.Eventually(t, func() bool { done, _, _ := b.snapshot(); return done == parallel*generations }, "all owners have ended")
	close(stop)
	<-stopped
	_, held, faults := b.snapshot()
	require.Empty(t, faults)
	require.Zero(t, held)
	require.LessOrEqual(t, b.most, pairs)
	require.Greater(t, b.granted, pairs, "too little happened")
	// A port that was found foreign is tried again after at most a minute; free it by asking for it.
	actortest.Eventually(t, func() bool {
		p := f.state()
		for _, s := range p.Slots {
			if s.State == ports.Foreign {
				m := f.ask(uint64(s.Port), "last")
				m.Port = s.Port
				f.release(f.granted(m))
			}
		}
		return p.Counts == ports.Counts{ports.Free: pairs}
	}, "all pairs are free again")
	for port := f.rng.Low; port < f.rng.High; port += 2 {
		require.True(t, bindable(t, port), port)
	}
	t.Logf("granted %d, refused %v, late %d, conflicts %d", b.granted, f.state().Refused, f.state().Late, f.state().Conflicts)
}
