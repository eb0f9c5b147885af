package gb28181

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// register makes the sources of a port.
type register struct {
	mu      sync.Mutex
	sources map[uint32]*Source
	asked   int
	refuse  bool
	options SourceOptions
}

func (r *register) make(ssrc uint32, _ netip.AddrPort, _ bool) *Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.refuse {
		return nil
	}
	o := r.options
	o.SSRC = ssrc
	s := NewSource(o)
	r.sources[ssrc] = s
	return s
}

func (r *register) get(ssrc uint32) *Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sources[ssrc]
}

// wait returns the source of an SSRC once it has taken n packets.
func (r *register) wait(t testing.TB, ssrc uint32, n uint64) *Source {
	t.Helper()
	require.Eventually(t, func() bool {
		s := r.get(ssrc)
		return s != nil && s.Stats().Packets >= n
	}, patience, time.Millisecond, "%d packets of %d", n, ssrc)
	return r.get(ssrc)
}

// openPort runs a port for UDP and TCP on loopback.
func openPort(t testing.TB, reg *register, opts PortOptions) (p *Port, udp, tcp netip.AddrPort) {
	t.Helper()
	pair := peerPair(t)
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	reg.sources = map[uint32]*Source{}
	opts.UDP, opts.Listener, opts.NewSource = pair.RTP, l, reg.make
	p, err = NewPort(opts)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p, localOf(pair.RTP), unmapped(l.Addr())
}

func TestAPortTellsDevicesApart(t *testing.T) {
	reg := &register{}
	p, udp, tcp := openPort(t, reg, PortOptions{})
	var devices []*device
	for i := range uint32(20) {
		if i%2 == 0 {
			devices = append(devices, dialUDP(t, udp, 100+i))
		} else {
			devices = append(devices, dialTCP(t, tcp, 100+i))
		}
	}
	for range 10 {
		for _, d := range devices {
			d.send(1)
		}
	}
	for _, d := range devices {
		s := reg.wait(t, d.ssrc, 10)
		peer, isTCP := s.Peer()
		require.Equal(t, d.addr, peer)
		require.Equal(t, d.ssrc%2 == 1, isTCP)
		st := s.Stats()
		require.EqualValues(t, 10, st.Packets, "the first one is not lost")
		require.Zero(t, st.Lost+st.Strangers+st.OtherSSRC)
	}
	require.Equal(t, 20, reg.asked)
	status := p.Status()
	require.Equal(t, 20, status.Sources)
	require.Equal(t, 10, status.Connections)
	require.Zero(t, status.Unknown+status.Refused)
}

func TestTwoDevicesThatShareAnSSRCAreNotMixed(t *testing.T) {
	reg := &register{options: SourceOptions{Relearn: time.Hour}}
	p, udp, _ := openPort(t, reg, PortOptions{})
	one, two := dialUDP(t, udp, 7), dialUDP(t, udp, 7)
	one.send(2)
	s := reg.wait(t, 7, 2)
	two.send(5)
	one.send(3)
	eventually(t, s, "all", func(s SourceStats) bool { return s.Packets == 5 && s.Strangers == 5 })
	peer, _ := s.Peer()
	require.Equal(t, one.addr, peer)
	require.Equal(t, 1, p.Status().Sources)
}

func TestManySSRCsMakeNoSources(t *testing.T) {
	reg := &register{}
	p, udp, _ := openPort(t, reg, PortOptions{})
	flood := dialUDP(t, udp, 1)
	const packets = 5000
	for i := range uint32(packets) {
		flood.ssrc = 1000 + i
		flood.send(1)
		if i%500 == 0 { // a receive buffer is only so large
			require.Eventually(t, func() bool { return p.Status().Unknown == uint64(i+1) }, patience, time.Millisecond)
		}
	}
	require.Eventually(t, func() bool { return p.Status().Unknown == packets }, patience, time.Millisecond)
	require.Zero(t, reg.asked)
	p.mu.Lock()
	require.LessOrEqual(t, len(p.newcomers.byMark), maxNewcomers)
	p.mu.Unlock()
	camera := dialUDP(t, udp, 5)
	camera.send(3)
	reg.wait(t, 5, 3)
}

func TestARefusedSSRCIsNotAskedAboutAgainAtOnce(t *testing.T) {
	reg := &register{refuse: true}
	p, udp, _ := openPort(t, reg, PortOptions{})
	camera := dialUDP(t, udp, 5)
	camera.send(20)
	require.Eventually(t, func() bool { return p.Status().Refused == 19 }, patience, time.Millisecond)
	require.Equal(t, 1, reg.asked)
	require.EqualValues(t, 1, p.Status().Unknown)
}

func TestARemovedSourceIsFoundAnew(t *testing.T) {
	reg := &register{}
	p, udp, tcp := openPort(t, reg, PortOptions{})
	for _, camera := range []*device{dialUDP(t, udp, 5), dialTCP(t, tcp, 6)} {
		camera.send(3)
		first := reg.wait(t, camera.ssrc, 3)
		p.Remove(first)
		p.Remove(first)
		first.Close()
		camera.send(3)
		require.Eventually(t, func() bool { return reg.get(camera.ssrc) != first }, patience, time.Millisecond)
		reg.wait(t, camera.ssrc, 3)
	}
	require.Equal(t, 4, reg.asked)
	require.Equal(t, 2, p.Status().Sources)
}

func TestAConnectionMayCarrySeveralDevices(t *testing.T) {
	reg := &register{}
	p, _, tcp := openPort(t, reg, PortOptions{})
	gateway := dialTCP(t, tcp, 1)
	for i := range uint32(30) {
		gateway.ssrc = 1 + i%3
		gateway.seq = uint16(i / 3)
		gateway.send(1)
	}
	for ssrc := range uint32(3) {
		require.Zero(t, reg.wait(t, 1+ssrc, 10).Stats().Lost)
	}
	path, err := p.ReturnPath(reg.get(1))
	require.NoError(t, err)
	require.NoError(t, gateway.conn.Close())
	<-path.Closed()
	require.Eventually(t, func() bool {
		_, err = p.ReturnPath(reg.get(2))
		return errors.Is(err, ErrNoDevice)
	}, patience, time.Millisecond)
}

func TestReportsOfAPort(t *testing.T) {
	reg := &register{options: SourceOptions{ReportInterval: time.Millisecond}}
	_, udp, tcp := openPort(t, reg, PortOptions{})
	for _, d := range []*device{dialUDP(t, udp, 5), dialTCP(t, tcp, 6)} {
		d.send(2)
		reg.wait(t, d.ssrc, 2)
		_, isTCP := d.conn.(*net.TCPConn)
		report := appendSenderReport(nil, d.ssrc, 1, time.Unix(5000, 0), 1, 1, "camera")
		if isTCP {
			report = framed(FramingLength, report)
		}
		_, err := d.conn.Write(report)
		require.NoError(t, err)
		d.send(1)
		got := d.hears()
		if isTCP {
			got = got[2:]
		}
		require.Equal(t, byte(rtcpReceiverReport), got[1])
	}
}

func TestConnectionsWithoutADeviceEnd(t *testing.T) {
	var mu sync.Mutex
	at := time.Now()
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return at
	}
	reg := &register{}
	p, _, tcp := openPort(t, reg, PortOptions{Now: now, MaxConnections: 3})
	camera, mute, gone := dialTCP(t, tcp, 5), dialTCP(t, tcp, 6), dialTCP(t, tcp, 7)
	camera.send(3)
	gone.send(3)
	reg.wait(t, 5, 3)
	p.Remove(reg.wait(t, 7, 3))
	require.Eventually(t, func() bool { return p.Status().Connections == 3 }, patience, time.Millisecond)
	dialTCP(t, tcp, 8).hungUp() // one too many
	mu.Lock()
	at = at.Add(strangerTime)
	mu.Unlock()
	mute.try()
	mute.hungUp()
	_, err := gone.conn.Write([]byte{0}) // no packet, but something
	require.NoError(t, err)
	gone.hungUp()
	_, err = camera.conn.Write(framed(FramingLength, camera.packet(nil)))
	require.NoError(t, err)
	reg.wait(t, 5, 4)
	require.EqualValues(t, 3, p.Status().Turned)
}

func TestTwoWayTalk(t *testing.T) {
	reg := &register{}
	p, udp, tcp := openPort(t, reg, PortOptions{})
	r, pair := udpReceiver(t, SourceOptions{Relearn: 20 * time.Millisecond})
	rt, at := tcpReceiver(t, ReceiverOptions{}, SourceOptions{})
	voice := [][]byte{rtpPacket(9, 1, []byte("hello")), rtpPacket(9, 2, []byte("camera"))}
	for name, c := range map[string]struct {
		device *device
		path   func(d *device) (*ReturnPath, error)
		tcp    bool
	}{
		"receiver udp": {dialUDP(t, localOf(pair.RTP), 1), func(*device) (*ReturnPath, error) { return r.ReturnPath() }, false},
		"receiver tcp": {dialTCP(t, at, 2), func(*device) (*ReturnPath, error) { return rt.ReturnPath() }, true},
		"port udp":     {dialUDP(t, udp, 3), func(d *device) (*ReturnPath, error) { return p.ReturnPath(reg.wait(t, d.ssrc, 3)) }, false},
		"port tcp":     {dialTCP(t, tcp, 4), func(d *device) (*ReturnPath, error) { return p.ReturnPath(reg.wait(t, d.ssrc, 3)) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "receiver udp" || name == "receiver tcp" {
				_, err := c.path(c.device)
				require.ErrorIs(t, err, ErrNoDevice)
			}
			c.device.t = t
			c.device.send(3)
			var path *ReturnPath
			require.Eventually(t, func() (ok bool) {
				var err error
				path, err = c.path(c.device)
				return err == nil
			}, patience, time.Millisecond)
			require.Equal(t, c.device.addr, path.Peer())
			require.Equal(t, c.device.conn.RemoteAddr().String(), path.Local().String())
			require.Equal(t, c.tcp, path.TCP())
			taken, err := path.Write(voice...)
			require.NoError(t, err)
			require.Equal(t, 2, taken)
			var want []byte
			for _, p := range voice {
				if c.tcp {
					want = append(want, framed(FramingLength, p)...)
				} else {
					want = append(want, p...)
				}
			}
			var got []byte
			for len(got) < len(want) {
				got = append(got, c.device.hears()...)
			}
			require.Equal(t, want, got)
			require.Eventually(t, func() bool { return path.Stats().Packets == 2 }, patience, time.Millisecond)
			if c.tcp {
				require.NoError(t, c.device.conn.Close())
				<-path.Closed()
				_, err = path.Write(voice...)
				require.ErrorIs(t, err, ErrPathClosed)
			}
		})
	}
	path, err := r.ReturnPath()
	require.NoError(t, err)
	moved := dialUDP(t, localOf(pair.RTP), 1)
	require.Eventually(t, func() bool {
		moved.send(1)
		select {
		case <-path.Closed():
			return true
		default:
			return false
		}
	}, patience, 5*time.Millisecond)
	path, err = r.ReturnPath()
	require.NoError(t, err)
	require.Equal(t, moved.addr, path.Peer())
	r.Close()
	<-path.Closed()
	_, err = r.ReturnPath()
	require.ErrorIs(t, err, ErrNoDevice)
}

func TestADeviceThatDoesNotListenHoldsNobodyUp(t *testing.T) {
	r, at := tcpReceiver(t, ReceiverOptions{}, SourceOptions{})
	camera := dialTCP(t, at, 1)
	camera.send(2)
	eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 2 })
	path, err := r.ReturnPath()
	require.NoError(t, err)
	big := rtpPacket(9, 1, make([]byte, 60000))
	require.Eventually(t, func() bool {
		taken, err := path.Write(big, big, big)
		require.NoError(t, err)
		return taken < 3
	}, patience, time.Millisecond)
	require.Positive(t, path.Stats().Dropped)
	camera.send(1) // is heard all the same
	eventually(t, r.Source(), "camera", func(s SourceStats) bool { return s.Packets == 3 })
	r.Close()
	<-path.Closed()
}

func TestNewcomersAreBounded(t *testing.T) {
	n := newNewcomers()
	now := time.Unix(1000, 0)
	for i := range 10 * maxNewcomers {
		v, ok := viewRTP(rtpPacket(uint32(i), 1, nil))
		require.True(t, ok)
		_, proven := n.prove(hostAt(1), &v)
		require.False(t, proven)
		require.LessOrEqual(t, len(n.byMark), maxNewcomers)
		n.refuse(now, uint32(i))
		require.LessOrEqual(t, len(n.refused), maxRefused)
	}
	last, _ := viewRTP(rtpPacket(10*maxNewcomers-1, 2, nil))
	first, proven := n.prove(hostAt(1), &last)
	require.True(t, proven)
	require.Equal(t, rtpPacket(10*maxNewcomers-1, 1, nil), first)
	_, proven = n.prove(hostAt(1), &last)
	require.False(t, proven, "it was forgotten with the proof")
	require.LessOrEqual(t, len(n.byMark), maxNewcomers)
	require.True(t, n.isRefused(now, 10*maxNewcomers-1))
	require.False(t, n.isRefused(now.Add(refusedFor), 10*maxNewcomers-1))
}
