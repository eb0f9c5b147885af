package portpool_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/config"
	"berth/netio/ports"
	"berth/netio/udp"
)

func TestALeaseIsTwoBoundSockets(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 4, nil)
	l := f.lease(7, "a")
	require.Zero(t, l.Port%2)
	require.True(t, f.rng.Contains(l.Port) && f.rng.Contains(l.Port+1))
	require.Equal(t, netip.AddrPortFrom(testAddr(), l.Port), l.RTP.LocalAddr().(*net.UDPAddr).AddrPort())
	require.Equal(t, netip.AddrPortFrom(testAddr(), l.Port+1), l.RTCP.LocalAddr().(*net.UDPAddr).AddrPort())
	require.Nil(t, l.TCP)
	require.False(t, bindable(t, l.Port))

	p := f.state()
	require.Equal(t, ports.Counts{ports.Free: 3, ports.Leased: 1}, p.Counts)
	require.EqualValues(t, 1, p.Granted)
	require.Equal(t, 1, p.HighWater)
	require.Equal(t, testAddr(), p.Bind)
	require.Len(t, p.Slots, 1)
	s := p.Slots[0]
	require.Equal(t, portpool.Slot{
		Port: l.Port, State: ports.Leased, Owner: f.probe.PID.Id, Stream: key("a"), Purpose: portpool.PurposeRTSPPull, Sockets: ports.UDPPair,
		Peer: "camera", Since: s.Since,
	}, s)
	require.False(t, s.Since.IsZero())
}

func TestALeaseMayHaveATCPSide(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 4, nil)
	both := f.ask(1, "a")
	both.Sockets = ports.UDPPair | ports.TCPListener
	l := f.granted(both)
	require.NotNil(t, l.RTP)
	require.NotNil(t, l.RTCP)
	require.EqualValues(t, l.Port, l.TCP.Addr().(*net.TCPAddr).Port)

	client, err := net.Dial("tcp", l.TCP.Addr().String())
	require.NoError(t, err)
	server, err := l.TCP.Accept()
	require.NoError(t, err)
	waiting := make(chan error, 1)
	go func() {
		_, err := l.TCP.Accept()
		waiting <- err
	}()
	f.release(l)
	require.ErrorIs(t, <-waiting, net.ErrClosed, "the listener is closed at once, also for who waits on it")
	_, err = server.Write([]byte("x"))
	require.NoError(t, err, "what it accepted is the owner's")
	require.NoError(t, errors.Join(server.Close(), client.Close()))
	require.Equal(t, ports.Counts{ports.Free: 3, ports.Draining: 1}, f.counts())

	// The same stream takes pair and listener back, though the old connection has just been closed on that port.
	both.ID = 2
	again := f.granted(both)
	require.Equal(t, l.Port, again.Port)
	require.NotNil(t, again.TCP)

	alone := f.ask(3, "b")
	alone.Sockets = ports.TCPListener
	l = f.granted(alone)
	require.Nil(t, l.RTP)
	require.Nil(t, l.RTCP)
	require.NotNil(t, l.TCP)
	f.release(l)
	require.Equal(t, ports.Counts{ports.Free: 2, ports.Leased: 1, ports.Cooling: 1}, f.counts(), "nothing of it is left to drain")
}

func TestTheSameRequestGetsTheSameLease(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 4, nil)
	first := f.lease(1, "a")
	require.Equal(t, first, f.lease(1, "a"))
	other := f.lease(2, "a")
	require.NotEqual(t, first.Port, other.Port)
	stranger := actortest.NewProbe(t, f.rt, "stranger")
	same := f.ask(1, "a")
	same.Owner = stranger.PID
	f.send(same)
	require.NotEqual(t, first.Port, actortest.Expect[*portpool.PairLeased](t, stranger).Port, "IDs are each owner's own")
	require.Equal(t, 3, f.counts()[ports.Leased])

	f.release(first)
	renewed := f.lease(1, "a")
	require.NotEqual(t, first.Epoch, renewed.Epoch, "an ID may be used again")
}

func TestReleaseIgnoresWhatIsStale(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 4, nil)
	l := f.lease(1, "a")
	f.release(l)
	again := f.lease(1, "a")
	f.release(l) // the release of the first lease, once more
	require.Equal(t, 1, f.counts()[ports.Leased])
	thief := actortest.NewProbe(t, f.rt, "thief")
	f.send(&portpool.ReleaseLease{Owner: thief.PID, ID: again.ID, Epoch: again.Epoch})
	f.send(&portpool.ReleaseLease{ID: again.ID, Epoch: again.Epoch})
	require.Equal(t, 1, f.counts()[ports.Leased])
	f.release(again)
	f.release(again)
	require.Zero(t, f.counts()[ports.Leased])
	require.EqualValues(t, 2, f.state().Granted)
	require.Zero(t, f.state().Reclaimed)
}

func TestALeaseEndsWithItsOwner(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 8, nil)
	mine := f.lease(1, "mine")
	owner := actortest.NewProbe(t, f.rt, "dying")
	for id := range uint64(3) {
		m := f.ask(id, "a")
		m.Owner = owner.PID
		f.send(m)
		actortest.Expect[*portpool.PairLeased](t, owner)
	}
	owner.Stop(t)
	f.eventually(ports.Counts{ports.Free: 4, ports.Leased: 1, ports.Draining: 3})
	p := f.state()
	require.EqualValues(t, 3, p.Reclaimed)
	for _, s := range p.Slots {
		if s.Port == mine.Port {
			require.Equal(t, f.probe.PID.Id, s.Owner)
		} else {
			require.Equal(t, ports.Draining, s.State)
			require.Empty(t, s.Owner)
		}
	}
}

func TestAnOwnerThatIsDeadAlreadyHoldsNothing(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 2, nil)
	dead := actortest.NewProbe(t, f.rt, "dead")
	dead.Stop(t)
	for id := range uint64(10) { // more than there are pairs: each comes back
		m := f.ask(id, fmt.Sprint(id%2))
		m.Owner = dead.PID
		f.send(m)
		actortest.Eventually(t, func() bool { return f.state().Reclaimed == id+1 }, "lease %d has come back", id)
		require.Zero(t, f.counts()[ports.Leased])
	}
}

// crasher asks for a lease and panics before the answer, or on it.
type crasher struct {
	ask   func(self *actor.PID) any
	pool  *actor.PID
	early bool
}

func (c *crasher) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		ctx.Request(c.pool, c.ask(ctx.Self()))
		if c.early {
			panic("before the answer")
		}
	case *portpool.PairLeased:
		panic("at the answer")
	}
}

func TestAnOwnerThatCrashesHoldsNothing(t *testing.T) {
	for _, early := range []bool{true, false} {
		t.Run(fmt.Sprintf("early %v", early), func(t *testing.T) {
			f := newFixture(t, actortest.Runtime(), 4, nil)
			actortest.SpawnFunc(t, f.rt, "parent", func(ctx actor.Context) {
				if _, ok := ctx.Message().(*actor.Started); ok {
					ctx.Spawn(f.rt.Props(func() actor.Actor {
						return &crasher{pool: f.pool, early: early, ask: func(self *actor.PID) any {
							m := f.ask(1, "a")
							m.Owner = self
							return m
						}}
					}))
				}
			})
			actortest.Eventually(t, func() bool { return f.state().Reclaimed == 1 }, "the lease has come back")
			require.Equal(t, ports.Counts{ports.Free: 3, ports.Draining: 1}, f.counts())
		})
	}
}

func TestRequestsWithoutSenseAreRefused(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 4, nil)
	m := f.ask(1, "a")
	m.Sockets = 0
	require.Equal(t, portpool.ReasonInvalid, f.refused(m).Reason)
	m.Sockets = 64
	require.Equal(t, portpool.ReasonInvalid, f.refused(m).Reason)
	m.Sockets, m.Port = ports.UDPPair, f.rng.Low+1
	err := f.refused(m)
	require.Equal(t, portpool.ReasonInvalid, err.Reason)
	require.ErrorContains(t, err, "odd")
	m.Owner = nil
	f.sendCopy(m)
	require.Equal(t, ports.Counts{ports.Free: 4}, f.counts())
	require.Equal(t, 1, f.logged("without an owner"))
	require.EqualValues(t, 3, f.state().Refused["invalid"])
}

func TestAWantedPort(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 4, func(o *portpool.Options) {
		o.Exclude = []uint16{o.Range.High}
	})
	wanted := func(id uint64, stream string, port uint16) *portpool.LeasePair {
		m := f.ask(id, stream)
		m.Port = port
		return m
	}
	port := f.rng.Low + 2
	l := f.granted(wanted(1, "a", port))
	require.Equal(t, port, l.Port)

	err := f.refused(wanted(2, "b", port))
	require.Equal(t, portpool.ReasonLeased, err.Reason)
	require.ErrorContains(t, err, "leased to live/a")
	require.Equal(t, port, err.Port)

	f.release(l)
	err = f.refused(wanted(2, "b", port))
	require.Equal(t, portpool.ReasonDraining, err.Reason)
	require.Greater(t, err.Retry, 7*time.Second, "drain_idle and cool_down")
	require.ErrorContains(t, err, "released by live/a")
	l = f.granted(wanted(3, "a", port))
	require.Equal(t, port, l.Port, "its own it may have at once")

	err = f.refused(wanted(4, "a", f.rng.High+1))
	require.Equal(t, portpool.ReasonOutOfRange, err.Reason)
	f.send(&portpool.SetPendingRange{Range: ports.Range{Low: f.rng.Low, High: f.rng.High + 100}})
	err = f.refused(wanted(4, "a", f.rng.High+1))
	require.ErrorContains(t, err, fmt.Sprintf("rtp_proxy.port_range = %d-%d in the configuration waits for a full restart (berth restart)", f.rng.Low, f.rng.High+100))

	err = f.refused(wanted(4, "a", f.rng.High-1))
	require.Equal(t, portpool.ReasonExcluded, err.Reason)
	require.ErrorContains(t, err, "excluded")

	held, other, bindErr := udp.BindPair(testAddr(), f.rng.Low, udp.Options{})
	require.NoError(t, bindErr)
	err = f.refused(wanted(4, "a", f.rng.Low))
	require.Equal(t, portpool.ReasonForeign, err.Reason)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, "another program")
	require.Equal(t, 1, f.counts()[ports.Foreign])
	require.NoError(t, errors.Join(held.Close(), other.Close()))
	l = f.granted(wanted(5, "a", f.rng.Low))
	require.Equal(t, f.rng.Low, l.Port, "who asks for it is told how it is now")
	require.Zero(t, f.counts()[ports.Foreign])
}

func TestAWantedPortThatCools(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 2, func(o *portpool.Options) { o.Config.Pool.DrainIdle = 0 })
	l := f.lease(1, "a")
	f.release(l)
	require.Equal(t, ports.Counts{ports.Free: 1, ports.Cooling: 1}, f.counts())
	require.True(t, bindable(t, l.Port))
	m := f.ask(2, "b")
	m.Port = l.Port
	err := f.refused(m)
	require.Equal(t, portpool.ReasonCooling, err.Reason)
	require.Positive(t, err.Retry)
	m.Stream = key("a")
	require.Equal(t, l.Port, f.granted(m).Port)
}

func TestExhaustionExplainsItself(t *testing.T) {
	const pairs = 20
	f := newFixture(t, actortest.Runtime(), pairs, nil)
	held, other, err := udp.BindPair(testAddr(), f.rng.Low, udp.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, errors.Join(held.Close(), other.Close())) }()
	id := uint64(0)
	for _, kind := range []struct {
		app     string
		purpose portpool.Purpose
		n       int
	}{
		{"live", portpool.PurposeRTSPPull, 10},
		{"cam", portpool.PurposeRTPReceive, 5},
		{"live", portpool.PurposeRTSPPlay, 3},
		{"x", portpool.PurposeRTPSend, 1},
	} {
		for range kind.n {
			id++
			m := f.ask(id, fmt.Sprint(id))
			m.Stream.App, m.Purpose = kind.app, kind.purpose
			f.granted(m)
		}
	}
	m := f.ask(99, "one too many")
	refused := f.refused(m)
	require.Equal(t, portpool.ReasonExhausted, refused.Reason)
	require.Equal(t, ports.Counts{ports.Leased: 19, ports.Foreign: 1}, refused.Counts)
	text := refused.Error()
	require.Regexp(t, `^none reserved port in pool: rtp_proxy.port_range `+f.rng.String()+` has 20 pairs: 19 leased, 1 foreign; `+
		`largest owners: rtsp_pull live 10, rtp_receive cam 5, rtsp_play live 3; the next pair may come free in .*s; `+
		`end streams, or raise rtp_proxy.port_range and do a full restart \(berth restart\)$`, text)
	require.Positive(t, refused.Retry)

	f.send(&portpool.SetPendingRange{Range: ports.Range{Low: 40000, High: 49999}})
	text = f.refused(m).Error()
	require.Contains(t, text, "rtp_proxy.port_range = 40000-49999 in the configuration waits for a full restart (berth restart)")
	require.Equal(t, ports.Range{Low: 40000, High: 49999}, f.state().Pending)
	f.send(&portpool.SetPendingRange{})
	require.NotContains(t, f.refused(m).Error(), "waits")
	require.EqualValues(t, 3, f.state().Refused["exhausted"])
	require.Equal(t, 1, f.logged("none reserved port in pool"), "the log says it once a second")
	require.EqualValues(t, 1, f.state().Conflicts)
	require.Equal(t, pairs-1, f.state().HighWater)
}

func TestErrorsOfTheSystemEndTheSearch(t *testing.T) {
	for _, tc := range []struct {
		cause  syscall.Errno
		family error
		reason portpool.Reason
		cure   string
	}{
		{syscall.EADDRNOTAVAIL, udp.ErrAddress, portpool.ReasonAddress, "pool.bind"},
		{syscall.EMFILE, udp.ErrProcess, portpool.ReasonProcess, "LimitNOFILE"},
	} {
		t.Run(string(tc.reason), func(t *testing.T) {
			tries := 0
			f := newFixture(t, actortest.Runtime(), 10, func(o *portpool.Options) {
				o.Listen = func(addr netip.Addr, port uint16, _ ports.Sockets) (portpool.Bound, error) {
					tries++ // read after an answer of the pool
					return portpool.Bound{}, &udp.BindError{Network: "udp", Local: netip.AddrPortFrom(addr, port), Family: tc.family, Err: tc.cause}
				}
			})
			err := f.refused(f.ask(1, "a"))
			require.Equal(t, tc.reason, err.Reason)
			require.ErrorIs(t, err, tc.cause)
			require.ErrorContains(t, err, tc.cure)
			require.NotContains(t, err.Error(), "none reserved port")
			require.Equal(t, 1, tries)
			require.Equal(t, ports.Counts{ports.Free: 10}, f.counts(), "no port is to blame")
		})
	}
	t.Run("a real address", func(t *testing.T) {
		f := newFixture(t, actortest.Runtime(), 3, nil)
		m := f.ask(1, "a")
		m.Bind = netip.MustParseAddr("203.0.113.9")
		require.Equal(t, portpool.ReasonAddress, f.refused(m).Reason)
	})
}

func TestTheSearchIsBoundedByTimeAndBySlots(t *testing.T) {
	now := time.Now()
	tries := 0
	f := newFixture(t, actortest.Runtime(), 10, func(o *portpool.Options) {
		o.Config.Pool.LeaseTimeout = 50 * time.Millisecond
		o.Now = func() time.Time { return now }
		o.Listen = func(addr netip.Addr, port uint16, _ ports.Sockets) (portpool.Bound, error) {
			tries++
			now = now.Add(20 * time.Millisecond) // read and written by the pool alone
			return portpool.Bound{}, &udp.BindError{Network: "udp", Local: netip.AddrPortFrom(addr, port), Family: udp.ErrInUse, Err: syscall.EADDRINUSE}
		}
	})
	err := f.refused(f.ask(1, "a"))
	require.Equal(t, portpool.ReasonTimeout, err.Reason)
	require.Equal(t, 3, err.Tried)
	require.ErrorContains(t, err, "pool.lease_timeout")
	require.Equal(t, ports.Counts{ports.Free: 7, ports.Foreign: 3}, f.counts())
	for f.counts()[ports.Free] > 0 {
		f.refused(f.ask(2, "a"))
	}
	require.Equal(t, 10, tries, "each slot once, while its second is not over")
	err = f.refused(f.ask(3, "a"))
	require.Equal(t, portpool.ReasonExhausted, err.Reason)
	require.ErrorContains(t, err, "other programs hold most of the range")
	require.Equal(t, 1, f.logged("another program holds a port"))
}

func TestARestartGrantsNothing(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 4, nil)
	l := f.lease(1, "a")
	f.send(&portpool.StopGranting{})
	err := f.refused(f.ask(2, "a"))
	require.Equal(t, portpool.ReasonRestarting, err.Reason)
	require.ErrorContains(t, err, "restart")
	require.Equal(t, l.Port, f.lease(1, "a").Port, "what is held stays held")
	f.release(l)
	require.True(t, bindable(t, l.Port), "nothing drains while the pool is about to end")
}

func TestStoppingAndCrashingCloseEverySocket(t *testing.T) {
	for _, how := range []string{"stop", "crash"} {
		t.Run(how, func(t *testing.T) {
			f := newFixture(t, actortest.Runtime(), 8, nil)
			spawned := make(chan *actor.PID, 1)
			props := portpool.Props(f.rt, portpool.Options{Config: f.cfg, Range: f.rng})
			actortest.SpawnFunc(t, f.rt, "engine", func(ctx actor.Context) {
				if _, ok := ctx.Message().(*actor.Started); ok {
					spawned <- ctx.Spawn(props)
				}
			})
			f.pool = <-spawned // its parent stops it when it panics
			leased := []*portpool.PairLeased{}
			for id := range uint64(4) {
				m := f.ask(id, "a")
				m.Sockets = ports.UDPPair | ports.TCPListener
				leased = append(leased, f.granted(m))
			}
			f.release(leased[0])
			f.probe.Watch(f.pool)
			if how == "crash" {
				f.send(&actors.Crash{})
			} else {
				f.rt.System.Root.Stop(f.pool)
			}
			actortest.Expect[*actor.Terminated](t, f.probe)
			for _, l := range leased {
				require.True(t, bindable(t, l.Port))
				listener, err := udp.ListenTCP(testAddr(), l.Port)
				require.NoError(t, err)
				require.NoError(t, listener.Close())
				_, err = l.RTP.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(testAddr(), l.Port))
				require.ErrorIs(t, err, net.ErrClosed)
			}
		})
	}
}

func TestHotKeysAreTaken(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 10, nil)
	l := f.lease(1, "a")
	f.release(l)
	require.Equal(t, 1, f.counts()[ports.Draining])
	next := *f.cfg
	next.Pool.DrainIdle, next.Pool.DrainMax, next.Pool.CoolDown = 0, 0, 0
	next.Pool.WarnPercent = 20
	f.probe.Request(f.pool, &actors.ConfigChanged{Config: &next, Changes: []config.Change{}})
	taken := actortest.Expect[*actors.ConfigTaken](t, f.probe)
	require.Equal(t, "portpool", taken.Owner)
	require.NoError(t, taken.Err)
	f.eventually(ports.Counts{ports.Free: 10})
	require.True(t, bindable(t, l.Port), "the pair that drained under the old times was closed")
	f.lease(2, "a")
	require.False(t, f.state().Short)
	f.lease(3, "a")
	require.True(t, f.state().Short)
	require.Equal(t, 1, f.logged("running short"))
}

func TestTheWarningHasHysteresis(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 20, func(o *portpool.Options) {
		o.Config.Pool.DrainIdle, o.Config.Pool.CoolDown, o.Config.Pool.WarnPercent = 0, 0, 80
	})
	held := []*portpool.PairLeased{}
	for id := range uint64(16) {
		require.Zero(t, f.logged("running short"), id)
		held = append(held, f.lease(id, "a"))
	}
	require.Equal(t, 1, f.logged("running short"))
	f.release(held[15])
	require.True(t, f.state().Short)
	f.lease(15, "a")
	require.Equal(t, 1, f.logged("running short"), "around the mark it says nothing")
	for _, l := range held[:3] {
		f.release(l)
	}
	require.False(t, f.state().Short)
	require.Equal(t, 1, f.logged("recovered"))
	for id := range uint64(3) {
		f.lease(100+id, "a")
	}
	require.Equal(t, 2, f.logged("running short"))
}
