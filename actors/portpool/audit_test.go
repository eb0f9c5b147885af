package portpool_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/netio/ports"
	"berth/netio/udp"
)

// kernelTable is a table that the test writes.
type kernelTable struct {
	mu    sync.Mutex
	held  udp.Held
	err   error
	reads int
}

func newKernelTable() *kernelTable {
	return &kernelTable{held: udp.Held{UDP: map[uint16]int{}, TCP: map[uint16]int{}}}
}

func (k *kernelTable) read(context.Context, ports.Range) (udp.Held, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads++
	return udp.Held{UDP: maps.Clone(k.held.UDP), TCP: maps.Clone(k.held.TCP)}, k.err
}

func (k *kernelTable) set(change func(*kernelTable)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(k)
}

func (k *kernelTable) pair(port uint16, n int) {
	k.set(func(k *kernelTable) { k.held.UDP[port], k.held.UDP[port+1] = n, n })
}

// auditedFixture is a pool whose kernel the test plays.
func auditedFixture(t *testing.T, rt *actors.Runtime, pairs int) (*fixture, *kernelTable) {
	t.Helper()
	table := newKernelTable()
	return newFixture(t, rt, pairs, func(o *portpool.Options) { o.Kernel = table.read }), table
}

func (f *fixture) audit() *portpool.Audited {
	f.t.Helper()
	a, err := actors.Ask[*portpool.Audited](f.t.Context(), f.rt.System, f.pool, &portpool.Audit{})
	require.NoError(f.t, err)
	return a
}

func TestAnAuditOfRealSocketsFindsNothing(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 6, nil)
	f.lease(1, "a")
	both := f.ask(2, "b")
	both.Sockets = ports.UDPPair | ports.TCPListener
	f.granted(both)
	f.release(f.lease(3, "c")) // drains
	a := f.audit()
	require.NoError(t, a.Err)
	require.Empty(t, a.Drift)
	require.Equal(t, 6, a.Slots)
	p := f.state()
	require.EqualValues(t, 1, p.Audits)
	require.Zero(t, p.Drift)
	require.Equal(t, a, p.Audit)
}

func TestAnAuditFindsSocketsThatTheirOwnerClosed(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 4, nil)
	l := f.lease(1, "a")
	require.NoError(t, l.RTCP.Close())
	a := f.audit()
	require.Len(t, a.Drift, 1)
	d := a.Drift[0]
	require.Equal(t, portpool.DriftNotBound, d.Kind)
	require.Equal(t, l.Port, d.Port)
	require.Equal(t, f.probe.PID.Id, d.Owner)
	require.False(t, d.Repaired, "it is its owner's")
	require.Equal(t, 1, f.logged("port pool drift: UDP port"))
	f.release(l)
	require.Len(t, f.audit().Drift, 1, "nobody listens to the draining pair")
	require.Empty(t, f.audit().Drift, "so it was closed")
	require.EqualValues(t, 2, f.state().Drift)
}

func TestAnAuditForgivesTheTableAMissingLine(t *testing.T) {
	f, table := auditedFixture(t, actortest.Runtime(), 4)
	l := f.lease(1, "a")
	table.pair(l.Port, 0)
	require.Empty(t, f.audit().Drift, "the table lacks lines when it changes while it is read; the sockets are open")
	f.release(l)
	require.Empty(t, f.audit().Drift)
}

func TestAnAuditKeepsAPortThatAForgottenSocketHoldsFromEverybody(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 1, nil)
	rtp, rtcp, err := udp.BindPair(testAddr(), f.rng.Low, udp.Options{})
	require.NoError(t, err)
	a := f.audit()
	require.Len(t, a.Drift, 1)
	require.Equal(t, portpool.DriftStillBound, a.Drift[0].Kind)
	require.True(t, a.Drift[0].Repaired)
	require.Equal(t, ports.Counts{ports.Foreign: 1}, f.counts())
	require.NoError(t, errors.Join(rtp.Close(), rtcp.Close()))
	f.eventually(ports.Counts{ports.Free: 1})
	require.Empty(t, f.audit().Drift)
}

// impostor takes the name of an actor that has ended, as a bug in the actor library would make it look to the pool.
type impostor struct{}

func (impostor) SendUserMessage(*actor.PID, any)   {}
func (impostor) SendSystemMessage(*actor.PID, any) {}
func (impostor) Stop(*actor.PID)                   {}

func TestAnAuditEndsTheLeaseOfAnOwnerThatIsGone(t *testing.T) {
	rt := actortest.Runtime()
	f, table := auditedFixture(t, rt, 4)
	// An owner that is no actor tells nobody when it goes.
	gone := impostor{}
	pid, ok := rt.System.ProcessRegistry.Add(&gone, "owner-without-farewell"+rt.System.ProcessRegistry.NextId())
	require.True(t, ok)
	m := f.ask(1, "a")
	m.Owner = pid
	f.send(m)
	port := f.state().Slots[0].Port
	table.pair(port, 1)
	require.Empty(t, f.audit().Drift)
	rt.System.ProcessRegistry.Remove(pid)
	a := f.audit()
	require.Len(t, a.Drift, 1)
	require.Equal(t, portpool.DriftDeadOwner, a.Drift[0].Kind)
	require.Equal(t, pid.Id, a.Drift[0].Owner)
	require.True(t, a.Drift[0].Repaired)
	p := f.state()
	require.Zero(t, p.Counts[ports.Leased])
	require.EqualValues(t, 1, p.Reclaimed)
	require.Empty(t, f.audit().Drift)
}

func TestWhatIsUnderWayIsNoDrift(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f, table := auditedFixture(t, rt, 4)
		table.pair(f.rng.Low, 1) // though the pair is free
		answer := make(chan *portpool.Audited, 2)
		for range 2 { // they share the audit
			go func() {
				a, _ := actors.Ask[*portpool.Audited](context.Background(), rt.System, f.pool, &portpool.Audit{})
				answer <- a
			}()
		}
		pass(100 * time.Millisecond) // between the two looks
		table.pair(f.rng.Low, 0)
		first, second := <-answer, <-answer
		require.Same(t, first, second)
		require.Empty(t, first.Drift)
		require.GreaterOrEqual(t, first.Took, 500*time.Millisecond)
		require.Equal(t, 2, table.reads)
	})
}

func TestTheAuditRunsEachMinuteAndDoesWithoutTheKernel(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f, table := auditedFixture(t, rt, 4)
		table.set(func(k *kernelTable) { k.err = errors.New("no /proc") })
		f.lease(1, "a")
		pass(3*time.Minute + time.Second)
		p := f.state()
		require.EqualValues(t, 3, p.Audits)
		require.Zero(t, p.Drift)
		require.ErrorContains(t, p.Audit.Err, "no /proc")
		require.Equal(t, 1, f.logged("without the kernel's socket table"), "once")
	})
}

func TestTheEndOfThePoolEndsTheAudit(t *testing.T) {
	rt := actortest.Runtime()
	reading := make(chan struct{})
	f := newFixture(t, rt, 2, func(o *portpool.Options) {
		o.Kernel = func(ctx context.Context, _ ports.Range) (udp.Held, error) {
			close(reading)
			<-ctx.Done()
			return udp.Held{}, ctx.Err()
		}
	})
	f.probe.Request(f.pool, &portpool.Audit{})
	<-reading
	actortest.Stop(t, rt, f.pool)
	require.ErrorContains(t, actortest.Expect[*portpool.Audited](t, f.probe).Err, "ended")
}

func TestTheAuditSeesAListenerAndOtherAddresses(t *testing.T) {
	f, table := auditedFixture(t, actortest.Runtime(), 3)
	m := f.ask(1, "a")
	m.Sockets, m.Port, m.Bind = ports.UDPPair|ports.TCPListener, f.rng.Low, otherAddr(t)
	l := f.granted(m)
	table.pair(m.Port, 1)
	table.set(func(k *kernelTable) { k.held.UDP[m.Port+3] = 1 })
	a := f.audit()
	require.Len(t, a.Drift, 1)
	require.Equal(t, m.Port+2, a.Drift[0].Port)
	require.Equal(t, portpool.DriftStillBound, a.Drift[0].Kind)
	table.set(func(k *kernelTable) { delete(k.held.UDP, m.Port+3) })
	require.NoError(t, l.TCP.Close())
	a = f.audit()
	require.Len(t, a.Drift, 1)
	require.Contains(t, a.Drift[0].Detail, "the TCP listener")
}
