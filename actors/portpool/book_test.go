package portpool_test

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/netio/ports"
	"berth/netio/udp"
)

func boundTo(l *portpool.PairLeased) netip.Addr {
	return l.RTP.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
}

// on is a request for any pair on a local address.
func (f *fixture) on(id uint64, stream, addr string) *portpool.LeasePair {
	m := f.ask(id, stream)
	m.Bind = netip.MustParseAddr(addr)
	return m
}

func TestAddressesThatDoNotOverlapHaveTheirOwnPairs(t *testing.T) {
	const pairs = 2
	f := newFixture(t, actortest.Runtime(), pairs, nil)
	other := otherAddr(t).String()
	first := f.lease(1, "a")
	require.Equal(t, testAddr(), boundTo(first))
	m := f.on(2, "b", other)
	m.Port = first.Port
	second := f.granted(m)
	require.Equal(t, first.Port, second.Port, "the same number on another address")
	require.Equal(t, netip.MustParseAddr(other), boundTo(second))
	third := f.granted(f.on(3, "c", "::ffff:"+other))
	require.NotEqual(t, second.Port, third.Port, "it is the same address, mapped")

	state := f.state()
	require.Equal(t, ports.Counts{ports.Free: 1, ports.Leased: 1}, state.Counts)
	require.Len(t, state.Others, 1)
	require.Equal(t, other, state.Others[0].Bind.String())
	require.Equal(t, ports.Counts{ports.Leased: pairs}, state.Others[0].Counts)
	require.Equal(t, pairs, state.Others[0].HighWater)
	require.Equal(t, portpool.LevelHigh, state.Level, "the level is that of the shortest")
	require.Len(t, state.Slots, 3)

	refused := f.refused(f.on(4, "d", other))
	require.Equal(t, portpool.ReasonExhausted, refused.Reason)
	require.ErrorContains(t, refused, "has 2 pairs on "+other+": 2 leased")
	require.Equal(t, portpool.LevelExhausted, f.state().Level)
	f.lease(5, "e")
	require.NotContains(t, f.refused(f.ask(6, "f")).Error(), " on ", "the pool's own address goes without saying")

	// The owner's leases end with it, on whatever address.
	f.release(second)
	require.Equal(t, ports.Counts{ports.Draining: 1, ports.Leased: 1}, f.state().Others[0].Counts)
	again := f.granted(f.on(7, "b", other))
	require.Equal(t, second.Port, again.Port, "a stream has its own pair back on that address too")
	actortest.Stop(t, f.rt, f.probe.PID)
	actortest.Eventually(t, func() bool { p := f.state(); return p.Counts[ports.Leased]+p.Others[0].Counts[ports.Leased] == 0 }, "leases of an owner that ended")
	require.EqualValues(t, 4, f.state().Reclaimed)
}

func TestALeaseIsFoundUnderItsIDOnAnyAddress(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 2, nil)
	m := f.on(1, "a", otherAddr(t).String())
	l := f.granted(m)
	require.Equal(t, l, f.granted(m), "asked again")
	require.Equal(t, l, f.granted(f.ask(1, "a")), "with another address too: one ID is one lease")
	f.release(l)
}

func TestAWildcardIsOneAccountWithItsFamily(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 2, func(o *portpool.Options) { o.Config.Pool.Bind = netip.IPv4Unspecified() })
	first := f.granted(f.on(1, "a", otherAddr(t).String()))
	second := f.granted(f.on(2, "b", testAddr().String()))
	require.NotEqual(t, first.Port, second.Port)
	require.Equal(t, portpool.ReasonExhausted, f.refused(f.ask(3, "c")).Reason)
	require.Empty(t, f.state().Others)
}

func TestAWildcardAsksForNoAddressInParticular(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 2, nil)
	for id, wildcard := range []string{"0.0.0.0", "::"} {
		require.Equal(t, testAddr(), boundTo(f.granted(f.on(uint64(id), "a", wildcard))), "pool.bind is one address")
	}
	require.Empty(t, f.state().Others)
}

func TestAddressesThatAreNotThereCostNothing(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 2, nil)
	for id := range uint64(100) {
		m := f.on(id, "a", netip.AddrFrom4([4]byte{203, 0, 113, byte(id)}).String())
		require.Equal(t, portpool.ReasonAddress, f.refused(m).Reason)
	}
	require.Empty(t, f.state().Others)
}

func TestThePoolKeepsAccountOfSoManyAddresses(t *testing.T) {
	const many = 31 // beside the pool's own
	f := newFixture(t, actortest.Runtime(), 1, func(o *portpool.Options) {
		o.Listen = func(netip.Addr, uint16, ports.Sockets) (portpool.Bound, error) { return portpool.Bound{}, nil }
		o.Config.Pool.CoolDown = 0
	})
	at := func(n byte) string { return netip.AddrFrom4([4]byte{192, 0, 2, n}).String() }
	leases := []*portpool.PairLeased{}
	for n := range byte(many) {
		leases = append(leases, f.granted(f.on(uint64(n), "a", at(n))))
	}
	require.Len(t, f.state().Others, many)
	refused := f.refused(f.on(100, "a", at(100)))
	require.Equal(t, portpool.ReasonAddress, refused.Reason)
	require.ErrorContains(t, refused, "as many local addresses")
	f.release(leases[7])
	f.granted(f.on(101, "a", at(101)))
	require.Len(t, f.state().Others, many, "one that is not used makes room")
	f.lease(102, "a")
}

func TestOtherAddressesAreRememberedAcrossARestart(t *testing.T) {
	memory := &portpool.Memory{}
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		with := func(o *portpool.Options) {
			o.Memory = memory
			o.Range = ports.Range{Low: 20000, High: 20005}
			o.Listen = bindNothing
		}
		f := newFixture(t, rt, 3, with)
		l := f.granted(f.on(1, "a", "192.0.2.1"))
		actortest.Stop(t, rt, f.pool)
		f = newFixture(t, rt, 3, with)
		p := f.state()
		require.Equal(t, ports.Counts{ports.Free: 3}, p.Counts)
		require.Len(t, p.Others, 1)
		require.Equal(t, ports.Counts{ports.Free: 2, ports.Cooling: 1}, p.Others[0].Counts)
		m := f.on(2, "stranger", "192.0.2.1")
		m.Port = l.Port
		require.Equal(t, portpool.ReasonCooling, f.refused(m).Reason)
		m.Bind = netip.Addr{}
		require.Equal(t, l.Port, f.granted(m).Port, "nobody sends to that port of the pool's own address")
		pass(time.Minute)
	})
}

func bindNothing(netip.Addr, uint16, ports.Sockets) (portpool.Bound, error) {
	return portpool.Bound{}, nil
}

func TestTheAuditTellsAddressesApart(t *testing.T) {
	f, table := auditedFixture(t, actortest.Runtime(), 3)
	first := f.lease(1, "a")
	m := f.on(2, "b", otherAddr(t).String())
	m.Port = first.Port
	second := f.granted(m)
	table.pair(first.Port, 2)
	require.Empty(t, f.audit().Drift)
	require.NoError(t, second.RTP.Close())
	table.set(func(k *kernelTable) { k.held.UDP[first.Port] = 1 })
	found := f.audit().Drift
	require.Len(t, found, 1)
	require.Equal(t, portpool.DriftNotBound, found[0].Kind)
	require.Equal(t, otherAddr(t), found[0].Bind)

	// A socket of an address that nobody knows keeps the port from strangers on every address.
	table.pair(f.rng.High-1, 1)
	table.set(func(k *kernelTable) { k.held.UDP[first.Port] = 2 })
	if first.Port != f.rng.High-1 {
		strange := f.audit().Drift
		require.NotEmpty(t, strange)
		require.Equal(t, portpool.DriftStillBound, strange[0].Kind)
		p := f.state()
		require.Equal(t, 1, p.Counts[ports.Foreign])
		require.Equal(t, 1, p.Others[0].Counts[ports.Foreign])
	}
}

// kernelRules stands in for the kernel: it lets nobody bind what overlaps with what is bound.
type kernelRules struct {
	mu    sync.Mutex
	bound map[uint16][]netip.Addr
}

func (k *kernelRules) overlap(a, b netip.Addr) bool {
	a, b = a.Unmap(), b.Unmap()
	return a == b || a == netip.IPv6Unspecified() || b == netip.IPv6Unspecified() ||
		a == netip.IPv4Unspecified() && b.Is4() || b == netip.IPv4Unspecified() && a.Is4()
}

func TestNoTwoLeasesOverlap(t *testing.T) {
	addrs := []string{"192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "0.0.0.0", "::"}
	for _, own := range addrs {
		t.Run(own, func(t *testing.T) {
			kernel := &kernelRules{bound: map[uint16][]netip.Addr{}}
			conflicts := 0
			f := newFixture(t, actortest.Runtime(), 4, func(o *portpool.Options) {
				o.Config.Pool.Bind = netip.MustParseAddr(own)
				o.Config.Pool.CoolDown, o.Config.Pool.DrainIdle = 0, 0
				o.Listen = func(addr netip.Addr, port uint16, _ ports.Sockets) (portpool.Bound, error) {
					kernel.mu.Lock()
					defer kernel.mu.Unlock()
					for _, other := range kernel.bound[port] {
						if kernel.overlap(addr, other) {
							conflicts++
							return portpool.Bound{}, &udp.BindError{Network: "udp", Local: netip.AddrPortFrom(addr, port), Family: udp.ErrInUse}
						}
					}
					kernel.bound[port] = append(kernel.bound[port], addr)
					return portpool.Bound{}, nil
				}
			})
			id, leases := uint64(0), 0
			for round := range 4 {
				for _, addr := range addrs[round:] {
					id++
					f.send(f.on(id, "a", addr))
					if _, ok := f.probe.Next(t).Message.(*portpool.PairLeased); ok {
						leases++
					}
				}
			}
			require.GreaterOrEqual(t, leases, 4)
			kernel.mu.Lock()
			defer kernel.mu.Unlock()
			require.Zero(t, conflicts, "the pool tried to issue a port that somebody has on an overlapping address")
		})
	}
}
