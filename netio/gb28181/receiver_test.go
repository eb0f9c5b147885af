package gb28181

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStrangersAreNotHeard(t *testing.T) {
	locks := make(chan netip.AddrPort, 10)
	r, pair := udpReceiver(t, SourceOptions{Relearn: time.Hour, Locked: func(peer netip.AddrPort, tcp bool) {
		require.False(t, tcp)
		locks <- peer
	}})
	peer, tcp := r.Source().Peer()
	require.False(t, peer.IsValid() || tcp)
	camera, stranger := dialUDP(t, localOf(pair.RTP), 1), dialUDP(t, localOf(pair.RTP), 2)
	camera.send(2)
	require.Equal(t, camera.addr, <-locks)
	eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 2 })
	stranger.send(3)
	stranger.ssrc, stranger.seq = 1, camera.seq
	stranger.send(3)
	camera.send(1)
	s := eventually(t, r.Source(), "camera again", func(s SourceStats) bool { return s.Packets == 3 })
	require.EqualValues(t, 6, s.Strangers)
	require.EqualValues(t, 1, s.SSRC)
	require.Empty(t, locks)
	peer, _ = r.Source().Peer()
	require.Equal(t, camera.addr, peer)
	require.WithinDuration(t, time.Now(), s.LastPacket, time.Minute)
}

func TestTheDeviceIsRelearnedAfterSilence(t *testing.T) {
	r, pair := udpReceiver(t, SourceOptions{Relearn: 20 * time.Millisecond})
	camera := dialUDP(t, localOf(pair.RTP), 1)
	camera.send(2)
	eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 2 })
	moved := dialUDP(t, localOf(pair.RTP), 1)
	moved.seq = camera.seq
	require.Eventually(t, func() bool {
		moved.send(1)
		peer, _ := r.Source().Peer()
		return peer == moved.addr
	}, patience, 5*time.Millisecond)
	require.EqualValues(t, 1, r.Source().Stats().Relocks)
	require.Zero(t, r.Source().Stats().Restarts)
}

func TestReceiversKnowWhetherAnythingHasComeIn(t *testing.T) {
	r, pair := udpReceiver(t, SourceOptions{})
	require.True(t, r.Mute())
	_, err := dialUDP(t, localOf(pair.RTP), 1).conn.Write([]byte("noise"))
	require.NoError(t, err)
	eventually(t, r.Source(), "noise", func(s SourceStats) bool { return s.Invalid == 1 })
	require.False(t, r.Mute())

	r, addr := tcpReceiver(t, ReceiverOptions{}, SourceOptions{})
	require.True(t, r.Mute())
	dialTCP(t, addr, 1)
	require.Eventually(t, func() bool { return !r.Mute() }, patience, time.Millisecond, "a connection is a sign")
}

func TestAnotherSSRCOfTheDeviceTakesOver(t *testing.T) {
	r, pair := udpReceiver(t, SourceOptions{})
	camera := dialUDP(t, localOf(pair.RTP), 1)
	camera.send(5)
	camera.ssrc, camera.seq = 2, 40000
	require.Eventually(t, func() bool {
		camera.send(1)
		return r.Source().Stats().SSRC == 2
	}, patience, 10*time.Millisecond)
	s := eventually(t, r.Source(), "all packets are accounted for", func(s SourceStats) bool { return uint64(camera.seq-40000)+5 == s.Packets+s.OtherSSRC })
	require.EqualValues(t, 1, s.Restarts)
	require.Zero(t, s.Relocks)
	require.Zero(t, s.Lost)
	require.EqualValues(t, 2, s.SSRC)
}

func TestTheWantedSSRCCanBeChanged(t *testing.T) {
	r, pair := udpReceiver(t, SourceOptions{SSRC: 7})
	one, seven := dialUDP(t, localOf(pair.RTP), 1), dialUDP(t, localOf(pair.RTP), 7)
	one.send(3)
	seven.send(2)
	s := eventually(t, r.Source(), "seven", func(s SourceStats) bool { return s.Packets == 2 })
	require.EqualValues(t, 3, s.OtherSSRC)
	r.Source().SetSSRC(1)
	one.send(2)
	s = eventually(t, r.Source(), "one", func(s SourceStats) bool { return s.Packets == 4 })
	require.EqualValues(t, 1, s.SSRC)
	seven.send(1)
	eventually(t, r.Source(), "seven is refused", func(s SourceStats) bool { return s.Strangers == 1 })
}

func TestGarbageAndEmptyDatagramsAreCounted(t *testing.T) {
	r, pair := udpReceiver(t, SourceOptions{})
	camera := dialUDP(t, localOf(pair.RTP), 1)
	for _, b := range [][]byte{{}, {0x80}, []byte("GET / HTTP/1.1\r\n\r\n"), make([]byte, 12), {0x8f, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1}} {
		_, err := camera.conn.Write(b)
		require.NoError(t, err)
	}
	camera.send(1)
	s := eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 1 })
	require.EqualValues(t, 4, s.Invalid)
}

func TestReceiverReportsGoToTheDevice(t *testing.T) {
	r, pair := udpReceiver(t, SourceOptions{ReportInterval: 5 * time.Millisecond, Rand: func() uint32 { return 99 }})
	there := peerPair(t)
	to := net.UDPAddrFromAddrPort(localOf(pair.RTP))
	send := func() {
		_, err := there.RTP.WriteToUDP(rtpPacket(3, 77, []byte("x")), to)
		require.NoError(t, err)
	}
	send()
	buf := make([]byte, 2048)
	require.NoError(t, there.RTCP.SetReadDeadline(time.Now().Add(patience)))
	n, from, err := there.RTCP.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.Equal(t, localOf(pair.RTCP), from)
	kinds := []uint8{}
	walkRTCP(buf[:n], func(kind uint8, pkt []byte) {
		kinds = append(kinds, kind)
		if kind == rtcpReceiverReport {
			require.Equal(t, []byte{0, 0, 0, 99, 0, 0, 0, 3}, pkt[4:12])
		}
	})
	require.Equal(t, []uint8{rtcpReceiverReport, rtcpDescription}, kinds)

	// From where the device's own reports come they are answered, whatever its ports.
	elsewhere := dialUDP(t, localOf(pair.RTCP), 3)
	_, err = elsewhere.conn.Write(appendSenderReport(nil, 3, 0, time.Now(), 1, 1, "camera"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		r.source.mu.Lock()
		defer r.source.mu.Unlock()
		return r.source.reports.from == elsewhere.addr
	}, patience, time.Millisecond)
	_, err = there.RTP.WriteToUDP(rtpPacket(3, 78, []byte("x")), to)
	require.NoError(t, err)
	report := elsewhere.hears()
	require.NotZero(t, report[24:28], "the sender report is answered")
}

func TestTCPDevicesAreHeardInBothFramings(t *testing.T) {
	bothFramings(t, func(t *testing.T, k Framing) {
		r, at := tcpReceiver(t, ReceiverOptions{}, SourceOptions{})
		camera := dialTCP(t, at, 1)
		wire := framed(k, camera.packet([]byte("one")), camera.packet([]byte("two")))
		wire = append(wire, "garbage"...)
		wire = append(wire, framed(k, camera.packet([]byte("three")), camera.packet(make([]byte, 3000)))...)
		for len(wire) > 0 {
			n := min(50, len(wire))
			_, err := camera.conn.Write(wire[:n])
			require.NoError(t, err)
			wire = wire[n:]
		}
		s := eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 4 })
		require.EqualValues(t, 7, s.Skipped)
		require.Zero(t, s.Lost)
		peer, tcp := r.Source().Peer()
		require.True(t, tcp)
		require.Equal(t, camera.addr, peer)
	})
}

func TestADeadConnectionIsReplaced(t *testing.T) {
	ended := make(chan error, 10)
	r, at := tcpReceiver(t, ReceiverOptions{Ended: func(_ netip.AddrPort, err error) { ended <- err }}, SourceOptions{Relearn: 20 * time.Millisecond})
	dead := dialTCP(t, at, 1)
	dead.send(2)
	eventually(t, r.Source(), "the first", func(s SourceStats) bool { return s.Packets == 2 })
	next := dialTCP(t, at, 1)
	next.seq = dead.seq
	require.Eventually(t, func() bool {
		next.send(1)
		peer, _ := r.Source().Peer()
		return peer == next.addr
	}, patience, 5*time.Millisecond)
	dead.hungUp()
	require.Eventually(t, func() bool { return r.Status().Connections == 1 }, patience, time.Millisecond)
	require.Empty(t, ended, "the device has not gone")
	require.NoError(t, next.conn.Close())
	require.ErrorIs(t, <-ended, io.EOF)
	// After the end nobody has to wait for silence.
	last := dialTCP(t, at, 5)
	before := r.Source().Stats().Packets
	last.send(1)
	eventually(t, r.Source(), "the last", func(s SourceStats) bool { return s.Packets == before+1 })
}

func TestALivingConnectionIsNotReplaced(t *testing.T) {
	r, at := tcpReceiver(t, ReceiverOptions{}, SourceOptions{Relearn: time.Hour})
	camera := dialTCP(t, at, 1)
	camera.send(2)
	eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 2 })
	var strangers []*device
	for range 2 * maxConnections {
		s := dialTCP(t, at, 1)
		s.try()
		strangers = append(strangers, s)
	}
	strangers[0].hungUp()
	require.Eventually(t, func() bool { return r.Status().Connections <= maxConnections }, patience, time.Millisecond)
	camera.send(2)
	s := eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 4 })
	require.Positive(t, s.Strangers)
	require.Positive(t, r.Status().Refused)
}

func TestAStrangersConnectionEnds(t *testing.T) {
	begin := time.Now()
	ahead := make(chan time.Duration, 1) // how far the receiver's clock is ahead
	ahead <- 0
	now := func() time.Time {
		d := <-ahead
		ahead <- d
		return begin.Add(d)
	}
	r, at := tcpReceiver(t, ReceiverOptions{Now: now}, SourceOptions{})
	camera, mute := dialTCP(t, at, 1), dialTCP(t, at, 2)
	camera.send(2)
	eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 2 })
	require.Eventually(t, func() bool { return r.Status().Connections == 2 }, patience, time.Millisecond)
	<-ahead
	ahead <- strangerTime
	mute.try()
	mute.hungUp()
	camera.send(1)
	eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 3 })
	require.EqualValues(t, 1, r.Status().Refused)
}

func TestUDPStaysOpenBesideTCP(t *testing.T) {
	pair := peerPair(t)
	r, at := tcpReceiver(t, ReceiverOptions{RTP: pair.RTP, RTCP: pair.RTCP}, SourceOptions{Relearn: 20 * time.Millisecond})
	camera := dialUDP(t, localOf(pair.RTP), 1)
	camera.send(2)
	eventually(t, r.Source(), "by UDP", func(s SourceStats) bool { return s.Packets == 2 })
	again := dialTCP(t, at, 1)
	require.Eventually(t, func() bool {
		again.send(1)
		_, tcp := r.Source().Peer()
		return tcp
	}, patience, 5*time.Millisecond)
}

func TestConnectingToADevice(t *testing.T) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // a listener of a test
	pair := peerPair(t)
	local := localOf(pair.RTP)
	r := receiverOf(t, ReceiverOptions{}, SourceOptions{})
	var before *net.TCPConn
	for i := range 3 { // from the same port to the same device, again and again
		require.NoError(t, r.Connect(t.Context(), local, "127.0.0.1", unmapped(l.Addr()).Port()))
		conn, err := l.AcceptTCP()
		require.NoError(t, err)
		require.Equal(t, local, unmapped(conn.RemoteAddr()))
		camera := &device{t: t, conn: conn, ssrc: 1, seq: uint16(1000 * i)}
		camera.send(2)
		eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == uint64(2*i+2) })
		if before != nil {
			(&device{t: t, conn: before}).hungUp()
			require.NoError(t, before.Close())
		}
		before = conn
		if i == 1 { // the device hangs up this time
			require.NoError(t, conn.Close())
			require.Eventually(t, func() bool { return r.Status().Connections == 0 }, patience, time.Millisecond)
			before = nil
		}
	}
	require.NoError(t, before.Close())
	port := unmapped(l.Addr()).Port()
	require.NoError(t, l.Close())
	err = r.Connect(t.Context(), netip.AddrPort{}, "127.0.0.1", port)
	require.ErrorContains(t, err, "refused")
	ended, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, r.Connect(ended, netip.AddrPort{}, "127.0.0.1", port), context.Canceled)
	r.Close()
	require.ErrorIs(t, r.Connect(t.Context(), netip.AddrPort{}, "127.0.0.1", port), net.ErrClosed)
}

func TestCloseLeavesTheSocketsToTheirOwner(t *testing.T) {
	pair := peerPair(t)
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // a listener of a test
	for range 3 {
		r, err := NewReceiver(ReceiverOptions{Source: NewSource(SourceOptions{}), RTP: pair.RTP, RTCP: pair.RTCP, Listener: l})
		require.NoError(t, err)
		camera, caller := dialUDP(t, localOf(pair.RTP), 1), dialTCP(t, unmapped(l.Addr()), 1)
		camera.send(3)
		caller.try()
		eventually(t, r.Source(), "the sockets can be used again", func(s SourceStats) bool { return s.Packets >= 3 })
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Close()
		}()
		r.Close()
		<-done
		camera.send(1) // is heard by nobody
		caller.hungUp()
		require.GreaterOrEqual(t, r.Source().Stats().Packets, uint64(3))
		require.NoError(t, pair.RTP.SetReadDeadline(time.Now().Add(patience)))
		n, from, err := pair.RTP.ReadFromUDPAddrPort(make([]byte, 100))
		require.NoError(t, err)
		require.Positive(t, n)
		require.Equal(t, camera.addr, from)
	}
}

func TestAClosedSocketIsAnError(t *testing.T) {
	pair := peerPair(t)
	require.NoError(t, pair.RTP.Close())
	_, err := NewReceiver(ReceiverOptions{Source: NewSource(SourceOptions{}), RTP: pair.RTP})
	require.ErrorIs(t, err, net.ErrClosed)
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = NewReceiver(ReceiverOptions{Source: NewSource(SourceOptions{}), Listener: l})
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestTheKernelsBufferIsAskedFor(t *testing.T) {
	pair := peerPair(t)
	r := receiverOf(t, ReceiverOptions{RTP: pair.RTP, ReadBuffer: 100 << 10}, SourceOptions{})
	require.GreaterOrEqual(t, r.Status().ReadBuffer, 100<<10)
	require.Equal(t, localOf(pair.RTP), r.Status().Local)
}
