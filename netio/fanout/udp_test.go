package fanout

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"berth/media/hub"
	"berth/netio/udp"
)

// listenUDP binds a socket to a loopback address.
func listenUDP(t testing.TB, network, host string) *net.UDPConn {
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
	if err != nil {
		t.Skipf("%s on %s cannot be had here: %v", network, host, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort {
	a := c.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// receiver is the RTP or RTCP socket of a viewer.
type receiver struct {
	t    testing.TB
	conn *net.UDPConn
	from netip.AddrPort

	begun bool   // expect has seen a packet
	seq   uint16 // of it
}

func newReceiver(t testing.TB, network, host string) *receiver {
	r := &receiver{t: t, conn: listenUDP(t, network, host)}
	require.NoError(t, r.conn.SetReadDeadline(time.Now().Add(patience)))
	return r
}

func (r *receiver) next() []byte {
	r.t.Helper()
	b := make([]byte, 1<<16)
	n, from, err := r.conn.ReadFromUDPAddrPort(b)
	require.NoError(r.t, err)
	r.from = from
	return b[:n]
}

func pair(t testing.TB, network, host string) *UDPPair {
	return &UDPPair{RTP: listenUDP(t, network, host), RTCP: listenUDP(t, network, host)}
}

func TestUDPViewerGetsTheStream(t *testing.T) {
	for _, c := range []struct {
		name, network, server, client string
		gso                           bool
	}{
		{"IPv4", "udp4", "127.0.0.1", "127.0.0.1", true},
		{"IPv4 one by one", "udp4", "127.0.0.1", "127.0.0.1", false},
		{"IPv6", "udp6", "::1", "::1", true},
		{"IPv4 viewer of a dual socket", "udp", "::", "127.0.0.1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStream(t, hub.Options{})
			p := newPool(t, Options{DisableGSO: !c.gso})
			video, audio := pair(t, c.network, c.server), pair(t, c.network, c.server)
			rtp, sound := newReceiver(t, "udp", c.client), newReceiver(t, "udp", c.client)
			rtcp := newReceiver(t, "udp", c.client)
			sink := p.NewUDPSink([]UDPTrack{
				{Pair: video, RTP: addrOf(rtp.conn), RTCP: addrOf(rtcp.conn)},
				{Pair: audio, RTP: addrOf(sound.conn)},
			}, SinkOptions{})
			require.Zero(t, sink.Stats().Errors)
			s.picture(true, 5, 1300)
			require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})))
			require.ErrorIs(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})), ErrPlaying)
			s.sound()
			s.picture(false, 3, 700)

			var last uint16
			for i := range 8 {
				b := rtp.next()
				if i < 5 {
					require.Len(t, b, 12+1300)
				} else {
					require.Len(t, b, 12+700)
				}
				seq := binary.BigEndian.Uint16(b[2:])
				require.True(t, i == 0 || seq == last+1)
				last = seq
			}
			require.Equal(t, addrOf(video.RTP).Port(), rtp.from.Port(), "from the stream's own port")
			require.Len(t, sound.next(), 172)

			// Reports take the RTCP socket.
			s.time = s.time.Add(time.Minute)
			s.picture(false, 1, 100)
			s.sound()
			s.picture(false, 1, 100)
			b := rtcp.next()
			require.Equal(t, byte(200), b[1])
			require.Equal(t, addrOf(video.RTCP).Port(), rtcp.from.Port())

			eventually(t, func() bool { return sink.Stats().Viewer.Lag == 0 })
			sink.Pause()
			require.False(t, sink.Stats().Playing)
			sink.Close()
			sink.Close()
			require.ErrorIs(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})), ErrClosed)
			require.Zero(t, sink.Stats().Errors)
		})
	}
}

// What has come together for one channel leaves in one call, whatever came between.
func TestUDPSoundLeavesTogether(t *testing.T) {
	s := newStream(t, hub.Options{MergeTime: time.Hour})
	p := newPool(t, Options{Workers: 1})
	video, audio := pair(t, "udp4", "127.0.0.1"), pair(t, "udp4", "127.0.0.1")
	rtp, sound := newReceiver(t, "udp", "127.0.0.1"), newReceiver(t, "udp", "127.0.0.1")
	s.picture(true, 1, 1300)
	for range 3 {
		s.sound()
		s.picture(false, 1, 700)
	}
	sink := p.NewUDPSink([]UDPTrack{{Pair: video, RTP: addrOf(rtp.conn)}, {Pair: audio, RTP: addrOf(sound.conn)}}, SinkOptions{})
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})))
	for _, r := range []struct {
		in    *receiver
		count int
	}{{rtp, 4}, {sound, 3}} {
		var last uint16
		for i := range r.count {
			seq := binary.BigEndian.Uint16(r.in.next()[2:])
			require.True(t, i == 0 || seq == last+1, "in order")
			last = seq
		}
	}
	sink.Close() // waits for the count of the last call
	require.EqualValues(t, 2, sink.Stats().Writes)
}

// Packets of many sizes: the kernel may only be given runs of one size.
func TestUDPSizes(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{})
	rtp := newReceiver(t, "udp4", "127.0.0.1")
	sink := p.NewUDPSink([]UDPTrack{{Pair: pair(t, "udp4", "127.0.0.1"), RTP: addrOf(rtp.conn)}}, SinkOptions{})
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})))
	sizes := []int{1400, 1400, 300, 300, 1400, 20, 1000, 1000, 1001, 4000, 60000, 5, 5, 5, 4}
	ssrc := []byte{}
	for i, size := range sizes {
		payload := make([]byte, size)
		payload[0], payload[1] = 0x7c, 0x05
		if i == 0 {
			payload[1] = 0x85
		}
		s.write(0, 96, i == len(sizes)-1, payload)
	}
	for _, size := range sizes {
		b := rtp.next()
		require.Len(t, b, 12+size)
		ssrc = append(ssrc, b[8:12]...)
	}
	require.Len(t, ssrc, 4*len(sizes))
	eventually(t, func() bool { return sink.Stats().Viewer.Lag == 0 })
	require.Zero(t, sink.Stats().Errors)
}

// A viewer that has gone (ICMP port unreachable), and destinations that cannot be, do not disturb the others on the same sockets.
func TestUDPViewersDoNotDisturbEachOther(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{Workers: 1})
	shared := pair(t, "udp4", "127.0.0.1")
	gone := newReceiver(t, "udp4", "127.0.0.1")
	goneAddr := addrOf(gone.conn)
	gone.conn.Close()
	failed, onError := failure()
	good := newReceiver(t, "udp4", "127.0.0.1")
	for _, to := range []netip.AddrPort{goneAddr, netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("[2001:db8::1]:9"), addrOf(good.conn)} {
		sink := p.NewUDPSink([]UDPTrack{{Pair: shared, RTP: to}}, SinkOptions{OnError: onError})
		require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})))
		if to.Port() == 0 || to.Addr().Is6() {
			require.EqualValues(t, 1, sink.Stats().Errors)
		}
	}
	for i := range 100 {
		s.picture(i == 0, 1, 1000)
		good.next()
	}
	require.Empty(t, failed)
}

// A destination that the kernel refuses ends its viewer after WriteTimeout, with the reason.
func TestUDPViewerThatCannotBeReachedIsEnded(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{})
	failed, onError := failure()
	sink := p.NewUDPSink([]UDPTrack{{Pair: pair(t, "udp4", "127.0.0.1"), RTP: netip.MustParseAddrPort("203.0.113.1:9")}}, // no way there from a loopback address
		SinkOptions{WriteTimeout: time.Millisecond, OnError: onError})
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})))
	s.picture(true, 3, 1000)
	for len(failed) == 0 {
		s.picture(false, 3, 1000)
	}
	require.ErrorIs(t, wait(t, failed), ErrWriteTimeout)
	require.NotZero(t, sink.Stats().Errors)
	require.Zero(t, sink.Stats().Bytes)

	closed := pair(t, "udp4", "127.0.0.1")
	to := newReceiver(t, "udp4", "127.0.0.1")
	sink = p.NewUDPSink([]UDPTrack{{Pair: closed, RTP: addrOf(to.conn)}}, SinkOptions{OnError: onError})
	closed.RTP.Close()
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})))
	require.ErrorIs(t, wait(t, failed), net.ErrClosed)
}

// A new viewer's picture cache does not overrun its socket buffer, although it reads slowly.
func TestUDPStartIsSpread(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{UDPBurst: 16 << 10, UDPRate: 1 << 20})
	for i := range 10 {
		s.picture(i == 0, 20, 1400)
	}
	rtp := newReceiver(t, "udp4", "127.0.0.1")
	ended := make(chan struct{}, 1)
	sink := p.NewUDPSink([]UDPTrack{{Pair: pair(t, "udp4", "127.0.0.1"), RTP: addrOf(rtp.conn)}}, SinkOptions{OnEnd: func() { ended <- struct{}{} }})
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})))
	first := binary.BigEndian.Uint16(rtp.next()[2:])
	for i := 1; i < 200; i++ {
		require.Equal(t, first+uint16(i), binary.BigEndian.Uint16(rtp.next()[2:]))
	}
	require.NotZero(t, sink.Stats().Parks)
	s.hub.Close()
	wait(t, ended)

	// Paused and closed in the middle.
	again := newStream(t, hub.Options{})
	again.picture(true, 200, 1400)
	sink = p.NewUDPSink([]UDPTrack{{Pair: pair(t, "udp4", "127.0.0.1"), RTP: addrOf(rtp.conn)}}, SinkOptions{})
	require.NoError(t, sink.Play(again.hub.NewReader(hub.ReaderOptions{})))
	eventually(t, func() bool { return sink.Stats().Parked })
	sink.Pause()
	eventually(t, func() bool { return !sink.Stats().Parked })
	require.Less(t, sink.Stats().Bytes, uint64(200*1412))
	require.NoError(t, sink.Play(again.hub.NewReader(hub.ReaderOptions{})))
	sink.Close()
}

func TestBatch(t *testing.T) {
	b := newBatch()
	b.gso = true
	packets := 0
	add := func(size int) {
		packets++
		require.True(t, b.add(make([]byte, size), place{packet: packets}))
	}
	add(100)
	add(100)
	add(60)
	add(60) // a run ends with its first smaller packet
	require.Equal(t, 2, b.length)
	require.Equal(t, 320, b.size)
	require.Equal(t, []place{{packet: 3}, {packet: 4}}, []place{b.messages[0].after, b.messages[1].after})
	b.reset()
	require.True(t, b.empty())
	for range udp.MaxSegments {
		add(100)
	}
	add(100)
	require.Equal(t, 2, b.length)
	b.reset()
	for range 47 {
		add(1400)
	}
	require.Equal(t, 2, b.length, "a message fits an IP packet")
	b.reset()
	b.gso = false
	n := 0
	for b.add([]byte{1}, place{}) {
		n++
	}
	require.Equal(t, udp.MaxMessages, n)
}

// The group's timer: armed by what may wait, disarmed by what may not.
func TestGroupTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Workers: 1})
		s := newStream(t, hub.Options{})
		served := make(counter, 100)
		p.join(s.hub, served)
		synctest.Wait()
		require.Equal(t, 1, served.take(), "once at the beginning")
		g := p.groups[s.hub]

		g.Wake(20 * time.Millisecond)
		g.Wake(30 * time.Millisecond)
		g.Wake(10 * time.Millisecond)
		time.Sleep(9 * time.Millisecond)
		synctest.Wait()
		require.Zero(t, served.take())
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, 1, served.take())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, served.take(), "once is enough")

		g.Wake(20 * time.Millisecond)
		g.Wake(0)
		synctest.Wait()
		require.Equal(t, 1, served.take())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, served.take(), "what was waiting has left, too")

		// An unfinished picture is pushed out by the timer.
		s.time = time.Now()
		s.write(0, 96, false, []byte{0x65, 0x88})
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		require.NotZero(t, served.take())
		require.EqualValues(t, 1, s.hub.Stats().Chunks)

		g.Wake(20 * time.Millisecond)
		p.leave(s.hub, g.shards[0], served)
		p.leave(s.hub, g.shards[0], served)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, served.take())
		require.Empty(t, p.groups)
		p.Close()
	})
}

type counter chan struct{}

func (c counter) serve(*plan) { c <- struct{}{} }

func (c counter) take() (n int) {
	for len(c) > 0 {
		<-c
		n++
	}
	return n
}
