package gb28181

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// device is a peer that pushes RTP.
type device struct {
	t    testing.TB
	conn net.Conn
	addr netip.AddrPort
	ssrc uint32
	seq  uint16
}

// dialUDP makes a device that sends to a socket.
func dialUDP(t testing.TB, to netip.AddrPort, ssrc uint32) *device {
	t.Helper()
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &device{t: t, conn: conn, addr: localOf(conn), ssrc: ssrc, seq: uint16(ssrc) * 1000}
}

// dialTCP makes a device that connects.
func dialTCP(t testing.TB, to netip.AddrPort, ssrc uint32) *device {
	t.Helper()
	conn, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(to))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &device{t: t, conn: conn, addr: unmapped(conn.LocalAddr()), ssrc: ssrc, seq: uint16(ssrc) * 1000}
}

// packet makes the device's next one.
func (d *device) packet(payload []byte) []byte {
	p := rtpPacket(d.ssrc, d.seq, payload)
	d.seq++
	return p
}

// send sends n packets that mean nothing.
func (d *device) send(n int) {
	d.t.Helper()
	for range n {
		p := d.packet([]byte("nothing"))
		if _, tcp := d.conn.(*net.TCPConn); tcp {
			p = framed(FramingLength, p)
		}
		_, err := d.conn.Write(p)
		require.NoError(d.t, err)
	}
}

// try is send for a connection that may be gone.
func (d *device) try() { _, _ = d.conn.Write(framed(FramingLength, d.packet([]byte("nothing")))) }

// hears reads what comes back.
func (d *device) hears() []byte {
	d.t.Helper()
	buf := make([]byte, 2048)
	require.NoError(d.t, d.conn.SetReadDeadline(time.Now().Add(patience)))
	n, err := d.conn.Read(buf)
	require.NoError(d.t, err)
	return buf[:n]
}

// hungUp waits for the end of the connection.
func (d *device) hungUp() {
	d.t.Helper()
	require.NoError(d.t, d.conn.SetReadDeadline(time.Now().Add(patience)))
	for buf := make([]byte, 2048); ; {
		if _, err := d.conn.Read(buf); err != nil {
			require.NotErrorIs(d.t, err, net.ErrClosed)
			var timeout net.Error
			require.False(d.t, asNetError(err, &timeout) && timeout.Timeout(), "the connection was not ended")
			return
		}
	}
}

func asNetError(err error, to *net.Error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // of a connection, not wrapped
	*to = e
	return ok
}

// receiverOf runs a receiver until the end of the test.
func receiverOf(t testing.TB, opts ReceiverOptions, source SourceOptions) *Receiver {
	t.Helper()
	opts.Source = NewSource(source)
	r, err := NewReceiver(opts)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// udpReceiver runs one on a pair of sockets.
func udpReceiver(t testing.TB, source SourceOptions) (*Receiver, UDPSockets) {
	t.Helper()
	pair := peerPair(t)
	return receiverOf(t, ReceiverOptions{RTP: pair.RTP, RTCP: pair.RTCP}, source), pair
}

// tcpReceiver runs one behind a listener.
func tcpReceiver(t testing.TB, opts ReceiverOptions, source SourceOptions) (*Receiver, netip.AddrPort) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	opts.Listener = l
	return receiverOf(t, opts, source), unmapped(l.Addr())
}

// eventually waits until a source's counters are as wanted.
func eventually(t testing.TB, s *Source, what string, ok func(SourceStats) bool) SourceStats {
	t.Helper()
	require.Eventually(t, func() bool { return ok(s.Stats()) }, patience, time.Millisecond, "%s; %+v", what, s.Stats())
	return s.Stats()
}
