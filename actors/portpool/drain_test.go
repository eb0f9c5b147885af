package portpool_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/netio/ports"
	"berth/netio/udp"
)

func TestAReleasedPairDrainsCoolsAndComesFree(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f := newFixture(t, rt, 2, nil)
		l := f.lease(1, "a")
		sendTo(t, l.Port, 3) // before the release: not late
		f.release(l)
		pass(2900 * time.Millisecond)
		require.Equal(t, ports.Counts{ports.Free: 1, ports.Draining: 1}, f.counts())
		require.False(t, bindable(t, l.Port))
		pass(time.Second)
		require.Equal(t, ports.Counts{ports.Free: 1, ports.Cooling: 1}, f.counts())
		require.True(t, bindable(t, l.Port))
		require.Zero(t, f.state().Late)
		pass(5 * time.Second)
		require.Equal(t, ports.Counts{ports.Free: 2}, f.counts())
	})
}

func TestLatePacketsProlongTheDrainAndAreTold(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f := newFixture(t, rt, 2, nil)
		l := f.lease(1, "door")
		f.release(l)
		camera, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(testAddr(), l.Port)))
		require.NoError(t, err)
		defer func() { require.NoError(t, camera.Close()) }()
		for range 10 { // for ten seconds it goes on
			_, err = camera.Write([]byte("rtp"))
			require.NoError(t, err)
			pass(time.Second)
		}
		require.Equal(t, 1, f.counts()[ports.Draining])
		sendTo(t, l.Port+1, 1) // on the odd port, too
		pass(3 * time.Second)
		p := f.state()
		require.Equal(t, 1, p.Counts[ports.Draining])
		require.EqualValues(t, 11, p.Late)
		require.EqualValues(t, 11, p.Slots[0].Late)
		require.Equal(t, 1, f.logged("a peer keeps sending"), "once")
		require.Equal(t, 1, f.logged(fmt.Sprintf(`"port":%d,"stream":"live/door","purpose":"rtsp_pull","from":"%s"`, l.Port, camera.LocalAddr())))
		pass(time.Second)
		p = f.state()
		require.Equal(t, 1, p.Counts[ports.Cooling])
		require.EqualValues(t, 11, p.Slots[0].Late)
	})
}

func TestAPeerThatNeverStopsIsLeftBehindAtDrainMax(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f := newFixture(t, rt, 1, nil)
		l := f.lease(1, "a")
		f.release(l)
		began := time.Now()
		for f.counts()[ports.Draining] > 0 {
			sendTo(t, l.Port, 1)
			pass(500 * time.Millisecond)
			require.Less(t, time.Since(began), 70*time.Second)
		}
		require.GreaterOrEqual(t, time.Since(began), 60*time.Second)
		require.Equal(t, ports.Counts{ports.Cooling: 1}, f.counts())
	})
}

func TestAPeerThatConnectsAgainIsTurnedAwayAndHeard(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 2, func(o *portpool.Options) {
		c := *o.Config
		c.Pool.DrainIdle = 30 * time.Second // looked at each second
		o.Config = &c
	})
	m := f.ask(1, "door")
	m.Sockets = ports.UDPPair | ports.TCPListener
	l := f.granted(m)
	target := l.TCP.Addr().String()
	f.release(l)
	_, err := l.TCP.Accept()
	require.ErrorIs(t, err, net.ErrClosed, "nobody accepts with the handle of the old lease")
	connect := func() {
		conn, err := net.Dial("tcp4", target)
		if err == nil {
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(actortest.Wait)))
			_, err = conn.Read(make([]byte, 1))
			require.NoError(t, conn.Close())
		}
		require.ErrorIs(t, err, syscall.ECONNRESET, "it drains") // which may come before Dial has returned
	}
	connect()
	connect()
	require.Equal(t, 1, f.counts()[ports.Draining])
	require.EqualValues(t, 2, f.state().Late)

	// Its own stream takes the listener back, with and without a need for it.
	m.ID = 2
	again := f.granted(m)
	require.Equal(t, l.Port, again.Port)
	conn, err := net.Dial("tcp4", target)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, again.TCP.SetDeadline(time.Now().Add(actortest.Wait)))
	accepted, err := again.TCP.Accept()
	require.NoError(t, err)
	require.NoError(t, accepted.Close())
	f.release(again)
	alone := f.lease(3, "door")
	require.Equal(t, l.Port, alone.Port)
	require.Nil(t, alone.TCP)
	_, err = net.Dial("tcp4", target)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestTheSameStreamTakesItsDrainingPairBack(t *testing.T) {
	f := newFixture(t, actortest.Runtime(), 6, nil)
	video, audio := f.lease(1, "a"), f.lease(2, "a")
	stale := make(chan error, 1)
	go func() { // an owner that forgot a read loop
		_, _, err := video.RTP.ReadFromUDPAddrPort(make([]byte, 100))
		stale <- err
	}()
	f.release(video)
	require.Error(t, <-stale, "woken by the release")
	f.release(audio)
	sendTo(t, video.Port, 5)

	again := f.lease(3, "a")
	require.Equal(t, video.Port, again.Port, "in the order of release")
	require.Equal(t, audio.Port, f.lease(4, "a").Port)
	_, _, err := video.RTP.ReadFromUDPAddrPort(make([]byte, 100))
	require.ErrorIs(t, err, net.ErrClosed, "an old handle reads nothing of the new lease")

	// The new holder hears what comes now, and nothing of before; its deadlines are its own.
	sendTo(t, again.Port, 1)
	buf := make([]byte, 100)
	require.NoError(t, again.RTP.SetReadDeadline(time.Now().Add(actortest.Wait)))
	n, from, err := again.RTP.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.Equal(t, "packet 0", string(buf[:n]))
	_, err = again.RTCP.WriteToUDPAddrPort([]byte("x"), from)
	require.NoError(t, err, "no deadline is left over")
	var d udp.Discarder
	n, _ = d.Discard(again.RTP, 10)
	require.Zero(t, n)

	// Another stream, another purpose of the same one, and who wants no pair of old, get another pair.
	f.release(again)
	fresh := f.ask(7, "a")
	fresh.Fresh = true
	require.NotEqual(t, again.Port, f.granted(fresh).Port)
	require.NotEqual(t, again.Port, f.lease(5, "b").Port)
	m := f.ask(6, "a")
	m.Purpose = portpool.PurposeRTSPPlay
	require.NotEqual(t, again.Port, f.granted(m).Port)
}

func TestUnderPressureTheLongestQuietPairIsTaken(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f := newFixture(t, rt, 3, nil)
		a, b, c := f.lease(1, "a"), f.lease(2, "b"), f.lease(3, "c")
		f.release(a)
		f.release(b)
		require.NotNil(t, c)
		err := f.refused(f.ask(4, "d"))
		require.Equal(t, portpool.ReasonExhausted, err.Reason)
		require.Equal(t, time.Second, err.Retry)
		require.ErrorContains(t, err, "the next pair may come free in 1s")
		pass(1100 * time.Millisecond)
		sendTo(t, a.Port, 1) // its camera still sends: not for a stranger
		d := f.lease(4, "d")
		require.Equal(t, b.Port, d.Port)
		require.Equal(t, portpool.ReasonExhausted, f.refused(f.ask(5, "e")).Reason)
		pass(1100 * time.Millisecond)
		e := f.lease(5, "e")
		require.Equal(t, a.Port, e.Port)
		_, _, readErr := a.RTP.ReadFromUDPAddrPort(make([]byte, 10))
		require.ErrorIs(t, readErr, net.ErrClosed)
		require.EqualValues(t, 1, f.state().Late)
	})
}

// Whoever opens and closes thousands of receivers a second, none of which is ever sent to, finds no pair that was released a second ago.
func TestUnderPressureAPairThatHeardNothingIsTakenAtOnce(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f := newFixture(t, rt, 3, nil)
		a, b, c := f.lease(1, "a"), f.lease(2, "b"), f.lease(3, "c")
		sendTo(t, a.Port, 1)
		sendTo(t, b.Port+1, 1)
		f.releaseMute(a) // its owner had not read yet
		f.releaseMute(b)
		require.Equal(t, portpool.ReasonExhausted, f.refused(f.ask(4, "d")).Reason)
		f.releaseMute(c)
		d := f.lease(4, "d")
		require.Equal(t, c.Port, d.Port)
		f.releaseMute(d)
		sendTo(t, d.Port, 1) // a camera that begins too late
		require.Equal(t, portpool.ReasonExhausted, f.refused(f.ask(5, "e")).Reason)
		require.Equal(t, d.Port, f.lease(5, "d").Port, "its stream may have it")
	})
}

func TestForeignPortsAreCondemnedAndComeBack(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f := newFixture(t, rt, 6, nil)
		foreign := []*net.UDPConn{}
		for i := range uint16(3) { // the odd port of three pairs
			conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(testAddr(), f.rng.Low+2*i+1)))
			require.NoError(t, err)
			foreign = append(foreign, conn)
		}
		for id := range uint64(3) {
			l := f.lease(id, "a")
			require.GreaterOrEqual(t, l.Port, f.rng.Low+6)
		}
		require.Equal(t, portpool.ReasonExhausted, f.refused(f.ask(9, "a")).Reason)
		require.Equal(t, ports.Counts{ports.Leased: 3, ports.Foreign: 3}, f.counts())
		require.Equal(t, 1, f.logged("another program holds a port of the range; it is tried again later"))
		pass(1500 * time.Millisecond)
		require.Equal(t, 1, f.logged("more ports of the range are held by other programs"))
		require.Equal(t, 3, f.counts()[ports.Foreign], "tried after a second, and still held")
		for _, conn := range foreign {
			require.NoError(t, conn.Close())
		}
		pass(100 * time.Millisecond)
		require.Equal(t, 3, f.counts()[ports.Foreign])
		pass(3 * time.Second)
		require.Equal(t, ports.Counts{ports.Leased: 3, ports.Free: 3}, f.counts(), "tried after two seconds more, and free")
		require.Positive(t, f.logged("gave a port of the range back"))
	})
}

func TestUnderPressureForeignPortsAreTriedBeforeTheirTime(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		f := newFixture(t, rt, 1, nil)
		rtp, rtcp, err := udp.BindPair(testAddr(), f.rng.Low, udp.Options{})
		require.NoError(t, err)
		f.refused(f.ask(1, "a"))
		pass(20 * time.Second) // the next try is due at 31 s
		require.NoError(t, errors.Join(rtp.Close(), rtcp.Close()))
		require.Equal(t, 1, f.counts()[ports.Foreign])
		f.lease(1, "a")
	})
}

func TestThousandsOfDrainingPairsAreClosedInTime(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		const pairs = 1000
		f := newFixture(t, rt, pairs, nil)
		owner := actortest.NewProbe(t, rt, "many")
		for id := range uint64(pairs) {
			m := f.ask(id, fmt.Sprint(id))
			m.Owner = owner.PID
			f.send(m)
			actortest.Expect[*portpool.PairLeased](t, owner)
		}
		owner.Stop(t)
		f.eventually(ports.Counts{ports.Draining: pairs})
		pass(4 * time.Second)
		require.Equal(t, ports.Counts{ports.Cooling: pairs}, f.counts())
	})
}
