package receiver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/actors/store"
	"berth/config"
	"berth/netio/ports"
)

func TestOpeningAnswersWithABoundPortAndClosingWithNothingLeft(t *testing.T) {
	for mode, name := range []string{"udp", "passive", "active"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 18, nil)
			port := r.mustOpen("a", func(d *store.Receiver) { d.TCPMode = mode })
			require.Zero(t, port%2)
			require.True(t, ports.Range(r.config.RTPProxy.PortRange).Contains(port))
			_, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
			require.Error(t, err, "RTP is bound")
			_, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port+1)))
			require.Error(t, err, "RTCP is bound")
			conn, err := net.Dial("tcp4", netip.AddrPortFrom(loopback, port).String())
			if mode == tcpPassive {
				require.NoError(t, err)
				require.NoError(t, conn.Close())
			} else {
				require.Error(t, err)
			}
			require.Equal(t, 1, r.leased())
			snap, ok := r.one("a")
			require.True(t, ok)
			require.Equal(t, port, snap.Port)
			require.Equal(t, netip.AddrPortFrom(loopback, port), snap.Local)
			require.False(t, snap.Restored)
			require.Equal(t, port, r.stored()["a"].Leased)

			require.ErrorIs(t, r.open("a", nil).Err, ErrExists)
			require.True(t, r.close("a"))
			require.Zero(t, r.leased(), "it is acknowledged after the pair is back")
			require.False(t, r.close("a"))
			r.requireNothing()
			require.Empty(t, r.hook.Drain(t), "closing is no timeout")
		})
	}
}

func TestTheSameStreamGetsItsPairBackAtOnce(t *testing.T) {
	r := newRig(t, 40, func(r *rig) { r.config.Pool.DrainIdle, r.config.Pool.DrainMax = time.Hour, time.Hour })
	first := r.mustOpen("a", nil)
	for range 5 {
		require.True(t, r.close("a"))
		r.mustOpen("other", nil)
		require.True(t, r.close("other"))
		require.Equal(t, first, r.mustOpen("a", nil))
	}
}

func TestAGivenPortIsOpenedOrTheReasonTold(t *testing.T) {
	r := newRig(t, 18, nil)
	low := r.config.RTPProxy.PortRange.FirstPair()
	want := func(port uint16) func(*store.Receiver) { return func(d *store.Receiver) { d.Port = port } }
	require.Equal(t, low+4, r.mustOpen("inside", want(low+4)))
	require.Equal(t, 1, r.leased())
	err := r.open("same", want(low+4)).Err
	var refused *portpool.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, portpool.ReasonLeased, refused.Reason)
	require.ErrorContains(t, err, "leased to rtp/inside")
	require.ErrorContains(t, r.open("odd", want(low+7)).Err, "is odd and lies inside")
	require.ErrorContains(t, r.open("last", want(65535)).Err, "no port above it")

	outside := actortest.FreeRange(t, 1).Low
	for ports.Range(r.config.RTPProxy.PortRange).Contains(outside) {
		outside += 2 * 18
	}
	require.Equal(t, outside, r.mustOpen("outside", func(d *store.Receiver) { d.Port, d.TCPMode = outside, tcpPassive }))
	require.Equal(t, 1, r.leased(), "it is not the pool's")
	require.Zero(t, r.stored()["outside"].Leased)
	err = r.open("again", want(outside)).Err
	require.ErrorContains(t, err, "address already in use")
	require.ErrorContains(t, err, "outside rtp_proxy.port_range")
	_, listed := r.one("again")
	require.False(t, listed)
	require.True(t, r.close("outside"))
	require.Equal(t, outside, r.mustOpen("again", want(outside)), "it was closed before that was acknowledged")
	require.True(t, r.close("again"))
	require.True(t, r.close("inside"))
	r.requireNothing()
}

func TestPlacesThatWouldTakeAPortFromThePoolAreRefused(t *testing.T) {
	r := config.PortRange{Low: 30000, High: 30071}
	for port, want := range map[uint16]string{
		0: "leased", 30000: "leased", 30070: "leased", 29998: "beside", 29999: "30000 for RTCP, which lies inside", 30001: "is odd", 30071: "is odd",
		30072: "beside", 30073: "beside", 65534: "beside", 65535: "no port above",
	} {
		leased, err := placed(port, r)
		switch want {
		case "leased":
			require.True(t, leased && err == nil, port)
		case "beside":
			require.True(t, !leased && err == nil, port)
		default:
			require.ErrorContains(t, err, want, port)
		}
	}
}

func TestAddressesAreBoundOrRefused(t *testing.T) {
	r := newRig(t, 18, nil)
	local := netip.MustParseAddr("127.0.0.2")
	port := r.mustOpen("a", func(d *store.Receiver) { d.LocalIP = local })
	snap, _ := r.one("a")
	require.Equal(t, netip.AddrPortFrom(local, port), snap.Local)
	err := r.open("b", func(d *store.Receiver) { d.LocalIP = netip.MustParseAddr("192.0.2.1") }).Err
	require.ErrorContains(t, err, "cannot bind its local address")
	require.ErrorContains(t, r.open("c", func(d *store.Receiver) { d.LocalIP = netip.MustParseAddr("224.0.0.1") }).Err, "multicast")
	require.True(t, r.close("a"))
	r.requireNothing()
}

func TestNonsenseIsRefused(t *testing.T) {
	r := newRig(t, 18, nil)
	for want, change := range map[string]func(*store.Receiver){
		"names no stream":            func(d *store.Receiver) { d.Key.Stream = "" },
		"app must have no slash":     func(d *store.Receiver) { d.Key.App = "a/b" },
		"tcp_mode 3 does not exist":  func(d *store.Receiver) { d.TCPMode = 3 },
		"only_track 3 does":          func(d *store.Receiver) { d.OnlyTrack = 3 },
		"cannot connect to one":      func(d *store.Receiver) { d.TCPMode, d.Multiplex = 2, true },
		"no port above it for RTCP:": func(d *store.Receiver) { d.Port = 65535 },
	} {
		require.ErrorContains(t, r.open("a", change).Err, want)
	}
	require.ErrorIs(t, ask[*Done](r, r.receivers, &SetSSRC{testKey("a"), 1}).Err, ErrNotFound)
	require.ErrorIs(t, ask[*Done](r, r.receivers, &PauseCheck{testKey("a"), time.Second}).Err, ErrNotFound)
	require.ErrorIs(t, ask[*Connected](r, r.receivers, &Connect{testKey("a"), "127.0.0.1", 1}).Err, ErrNotFound)
	require.ErrorIs(t, ask[*Talk](r, r.receivers, &GetTalk{testKey("a")}).Err, ErrNotFound)
	r.mustOpen("a", nil)
	require.ErrorIs(t, ask[*Connected](r, r.receivers, &Connect{testKey("a"), "127.0.0.1", 1}).Err, ErrNotActive)
	require.Error(t, ask[*Talk](r, r.receivers, &GetTalk{testKey("a")}).Err, "no device yet")
	require.True(t, r.close("a"))
	r.requireNothing()
}

// What 3667 is about, with receivers: the range is full, is told to be, and a place that comes free is given out again.
func TestAFullRangeIsToldAndAFreedPairGivenOut(t *testing.T) {
	r := newRig(t, 18, nil)
	for i := range 18 {
		r.mustOpen(fmt.Sprint(i), nil)
	}
	err := r.open("more", nil).Err
	require.ErrorContains(t, err, "none reserved port in pool")
	require.ErrorContains(t, err, "rtp_receive rtp 18")
	require.NotContains(t, r.stored(), "more")
	require.True(t, r.close("7"))
	require.NoError(t, r.open("more", nil).Err, "nobody ever sent to the freed pair")
	r.audit()
}

func TestManyOpenAndCloseAtOnceWithoutMeeting(t *testing.T) {
	const clients, rounds = 16, 20
	r := newRig(t, 64, func(r *rig) { r.config.Pool.DrainIdle = 0 })
	var mu sync.Mutex
	open := map[uint16]string{}
	var clientsDone sync.WaitGroup
	for c := range clients {
		clientsDone.Go(func() {
			for n := range rounds {
				name := fmt.Sprintf("%d-%d", c, n)
				opened := r.open(name, nil)
				if opened.Err != nil {
					t.Error(opened.Err)
					return
				}
				mu.Lock()
				if other, taken := open[opened.Port]; taken {
					t.Errorf("port %d is open for %s and %s", opened.Port, other, name)
				}
				open[opened.Port] = name
				mu.Unlock()
				mu.Lock()
				delete(open, opened.Port)
				mu.Unlock()
				if !r.close(name) {
					t.Errorf("%s was not there", name)
				}
			}
		})
	}
	clientsDone.Wait()
	r.requireNothing()
}

func TestAReceiverThatIsSilentIsClosedAndTold(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.RTPProxy.Timeout = 50 * time.Millisecond })
	port := r.mustOpen("a", func(d *store.Receiver) { d.SSRC, d.TCPMode, d.ReusePort = 77, 1, true })
	told := r.notified()
	require.Equal(t, "on_rtp_server_timeout", told.Name)
	require.Equal(t, map[string]any{
		"vhost": "__defaultVhost__", "app": "rtp", "stream_id": "a", "local_port": int(port), "tcp_mode": 1, "re_use_port": true, "ssrc": uint32(77),
	}, told.Body)
	require.Zero(t, r.leased(), "it is told after the port is back")
	actortest.Eventually(t, func() bool { return len(r.list()) == 0 }, "it goes")
	r.requireNothing()
	r.mustOpen("a", func(d *store.Receiver) { d.Multiplex = true })
	r.mustOpen("b", nil)
	require.Equal(t, "b", r.notified().Body["stream_id"], "a port of many devices stays")
	require.True(t, r.close("a"))
}

func TestThePauseOfTheCheckEndsByItselfOrByAnOrder(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.RTPProxy.Timeout = 500 * time.Millisecond })
	r.mustOpen("a", nil)
	require.NoError(t, ask[*Done](r, r.receivers, &PauseCheck{testKey("a"), time.Hour}).Err)
	snap := r.await("a", "paused", func(s Snapshot) bool { return !s.Paused.IsZero() })
	require.WithinDuration(t, time.Now().Add(time.Hour), snap.Paused, time.Minute)
	r.mustOpen("b", nil)
	require.Equal(t, "b", r.notified().Body["stream_id"])
	require.NoError(t, ask[*Done](r, r.receivers, &PauseCheck{testKey("a"), 0}).Err)
	require.Equal(t, "a", r.notified().Body["stream_id"])
	r.mustOpen("c", nil)
	require.NoError(t, ask[*Done](r, r.receivers, &PauseCheck{testKey("c"), time.Millisecond}).Err)
	require.Equal(t, "c", r.notified().Body["stream_id"])
}

func TestSilenceAndPauses(t *testing.T) {
	at := time.Unix(1000, 0)
	s := silence{limit: 15 * time.Second, since: at}
	require.Equal(t, 15*time.Second, s.left(at, time.Time{}))
	require.Equal(t, 5*time.Second, s.left(at.Add(10*time.Second), time.Time{}))
	require.Equal(t, 13*time.Second, s.left(at.Add(10*time.Second), at.Add(8*time.Second)))
	require.Zero(t, s.pausedUntil(at))
	s.pause(at, time.Minute)
	require.Equal(t, at.Add(time.Minute), s.pausedUntil(at))
	require.Equal(t, 75*time.Second, s.left(at, at))
	require.Zero(t, s.pausedUntil(at.Add(time.Minute)))
	s.pause(at.Add(time.Second), 0)
	require.Zero(t, s.pausedUntil(at))
	require.Equal(t, 16*time.Second, s.left(at, at))
	s.limit = time.Second
	require.Negative(t, s.left(at.Add(10*time.Second), at.Add(time.Second)))
}

func TestReceiversComeBackWithTheirPortsAndAreTakenOver(t *testing.T) {
	r := newRig(t, 20, nil)
	had := map[string]uint16{}
	for i := range 10 {
		name := fmt.Sprint(i)
		had[name] = r.mustOpen(name, func(d *store.Receiver) { d.TCPMode, d.SSRC = i%3, uint32(i) })
	}
	actortest.Stop(t, r.rt, r.receivers)
	require.Zero(t, r.leased())
	r.restore = ask[*store.Receivers](r, r.store, &store.ListReceivers{}).Receivers
	require.Len(t, r.restore, 10)
	r.start()
	back := ask[*Restored](r, r.receivers, &GetRestored{})
	require.Equal(t, Restored{Restored: 10}, *back)
	for name, port := range had {
		snap, ok := r.one(name)
		require.True(t, ok)
		require.True(t, snap.Restored)
		require.Equal(t, port, snap.Port)
	}
	// Asked for as before, with another SSRC, and with another mode, which needs other sockets.
	require.Equal(t, had["0"], r.mustOpen("0", nil))
	require.ErrorIs(t, r.open("0", nil).Err, ErrExists, "it has been claimed")
	require.Equal(t, had["3"], r.mustOpen("3", func(d *store.Receiver) { d.SSRC = 99 }))
	require.EqualValues(t, 99, r.stored()["3"].SSRC)
	require.Equal(t, had["6"], r.mustOpen("6", func(d *store.Receiver) { d.TCPMode = 1 }), "the same stream keeps its pair")
	conn, err := net.Dial("tcp4", netip.AddrPortFrom(loopback, had["6"]).String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Equal(t, 10, r.leased())
	r.audit()
}

func TestARestoredReceiverThatCannotHaveItsPortTakesAnother(t *testing.T) {
	r := newRig(t, 18, nil)
	low := r.config.RTPProxy.PortRange.FirstPair()
	r.mustOpen("holder", func(d *store.Receiver) { d.Port = low })
	root := r.rt.System.Root
	root.Send(r.receivers, &store.Reopened{Receivers: []store.Receiver{
		{Key: testKey("moved"), Leased: low, Created: time.Now()},
		{Key: testKey("elsewhere"), Leased: 2, Created: time.Now()},
		{Key: testKey("stuck"), Port: low, Leased: low, Created: time.Now()},
		{Key: testKey("holder"), Leased: low + 8, Created: time.Now()},
	}})
	back := ask[*Restored](r, r.receivers, &GetRestored{})
	require.Equal(t, Restored{Restored: 2, Failed: 1}, *back, "one wants the very port that another has")
	moved, _ := r.one("moved")
	require.NotEqual(t, low, moved.Port)
	require.Equal(t, moved.Port, r.stored()["moved"].Leased)
	stuck, _ := r.one("stuck")
	require.Zero(t, stuck.Port)
	require.True(t, r.close("holder"))
	r.await("stuck", "gets its port when that is free", func(s Snapshot) bool { return s.Port == low })
	for _, name := range []string{"moved", "elsewhere", "stuck"} {
		require.True(t, r.close(name))
	}
	r.requireNothing()
}

func TestARestoredReceiverWithoutAPortIsGivenUp(t *testing.T) {
	r := newRig(t, 18, func(r *rig) { r.config.RTPProxy.Timeout = 100 * time.Millisecond })
	low := r.config.RTPProxy.PortRange.FirstPair()
	require.NoError(t, r.open("holder", func(d *store.Receiver) { d.Port, d.Multiplex = low, true }).Err)
	r.rt.System.Root.Send(r.receivers, &store.Reopened{Receivers: []store.Receiver{{Key: testKey("stuck"), Port: low, Created: time.Now()}}})
	require.Equal(t, "stuck", r.notified().Body["stream_id"])
	actortest.Eventually(t, func() bool { return len(r.list()) == 1 }, "it goes")
}

func TestACrashCostsTheReceiverAMoment(t *testing.T) {
	r := newRig(t, 18, nil)
	ports := map[string]uint16{"a": r.mustOpen("a", nil), "b": r.mustOpen("b", func(d *store.Receiver) { d.TCPMode = 1 })}
	for range 3 {
		for name, port := range ports {
			before := r.child(name)
			r.rt.System.Root.Send(before, &actors.Crash{})
			actortest.Eventually(t, func() bool { now := r.child(name); return now != nil && now.Id != before.Id }, "it is spawned again")
			r.await(name, "has its port", func(s Snapshot) bool { return s.Port == port })
		}
	}
	actortest.Eventually(t, func() bool { return r.leased() == 2 }, "two leases")
	r.audit()
	for name := range ports {
		require.True(t, r.close(name))
	}
	r.requireNothing()
}

func TestClosingAReceiverBetweenCrashAndReturn(t *testing.T) {
	r := newRig(t, 18, nil)
	r.mustOpen("a", nil)
	before := r.child("a")
	r.rt.System.Root.Send(before, &actors.Crash{})
	actortest.Eventually(t, func() bool { return !actortest.Alive(r.rt, before) }, "it has crashed")
	require.True(t, r.close("a"))
	r.requireNothing()
}

// A store that fails forgets what it had not written yet; the books are compared with the next one.
func TestANewStoreIsBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, 18, func(r *rig) {
		r.store = actortest.SpawnFunc(r.t, r.rt, "store", func(actor.Context) {}) // keeps nothing
	})
	r.mustOpen("a", nil)
	r.mustOpen("b", nil)
	r.mustOpen("gone", nil)
	require.True(t, r.close("gone"))
	name := r.store.Id
	actortest.Stop(t, r.rt, r.store)
	real, err := r.rt.System.Root.SpawnNamed(store.Props(store.Options{Runtime: r.rt, Dir: dir}), name)
	require.NoError(t, err)
	t.Cleanup(func() { actortest.Stop(t, r.rt, real) })
	r.store = real
	ask[*store.Done](r, r.store, &store.PutReceiver{Receiver: store.Receiver{Key: testKey("gone"), Created: time.Now()}})
	ask[*store.Done](r, r.store, &store.PutReceiver{Receiver: store.Receiver{Key: testKey("found"), Created: time.Now()}})
	actortest.Eventually(t, func() bool {
		stored := r.stored()
		_, gone := stored["gone"]
		return len(stored) == 3 && !gone
	}, "the store knows what runs")
	r.await("found", "what nobody ran is run", func(s Snapshot) bool { return s.Port != 0 && s.Restored })
}

func TestNothingBeginsWhileReceiversEnds(t *testing.T) {
	r := newRig(t, 18, nil)
	r.mustOpen("a", nil)
	asker, watcher := actortest.NewProbe(t, r.rt, "asker"), actortest.NewProbe(t, r.rt, "watcher")
	watcher.Watch(r.receivers)
	watcher.Request(r.store, "anything") // behind the Watch
	root := r.rt.System.Root
	actortest.Eventually(t, func() bool {
		asker.Request(r.receivers, &List{})
		return actortest.Expect[*Receivers](t, asker) != nil
	}, "it answers")
	root.Stop(r.receivers)
	for i := range 20 {
		asker.Request(r.receivers, &Open{store.Receiver{Key: testKey(fmt.Sprint(i))}})
	}
	_ = actortest.Await[*actor.Terminated](t, watcher)
	require.Eventually(t, func() bool { return r.leased() == 0 }, actortest.Wait, time.Millisecond)
	require.Len(t, r.stored(), 1, "definitions stay")
}

func TestTheEndOfThePoolIsNotWaitedFor(t *testing.T) {
	r := newRig(t, 18, nil)
	r.rt.System.Root.Send(r.pool, &portpool.StopGranting{})
	var refused *portpool.RefusedError
	require.True(t, errors.As(r.open("a", nil).Err, &refused))
	require.Equal(t, portpool.ReasonRestarting, refused.Reason)
	require.Empty(t, r.list())
}

func TestConfigurationReachesRunningReceivers(t *testing.T) {
	r := newRig(t, 18, nil)
	r.mustOpen("a", nil)
	next := *r.config
	next.RTPProxy.Timeout = time.Millisecond
	require.Equal(t, "receivers", ask[*actors.ConfigTaken](r, r.receivers, &actors.ConfigChanged{Config: &next}).Owner)
	require.Equal(t, "a", r.notified().Body["stream_id"])
}
