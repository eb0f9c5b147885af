package rtsp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
)

// fakeWriter keeps what it is given.
type fakeWriter struct {
	mu   sync.Mutex
	rtp  []uint16 // sequence numbers
	rtcp int
	fail bool
}

func (w *fakeWriter) WriteRTP(_ int, _ time.Time, pkt []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail {
		return errors.New("detached")
	}
	w.rtp = append(w.rtp, binary.BigEndian.Uint16(pkt[2:]))
	return nil
}

func (w *fakeWriter) WriteRTCP(int, time.Time, []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rtcp++
}

func (w *fakeWriter) got() []uint16 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.rtp)
}

func packet(t *testing.T, seq uint16) []byte {
	t.Helper()
	b, err := (&rtp.Packet{
		Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: seq, Timestamp: uint32(seq) * 3000, SSRC: 77}, Payload: []byte("payload"),
	}).Marshal()
	require.NoError(t, err)
	return b
}

func senderReportOf(t *testing.T, ntp uint64) []byte {
	t.Helper()
	b, err := (&rtcp.SenderReport{SSRC: 77, NTPTime: ntp}).Marshal()
	require.NoError(t, err)
	return b
}

func TestIngestTCP(t *testing.T) {
	w := &fakeWriter{}
	now := scriptStart
	g := NewIngest(IngestOptions{
		Writer: w, SSRC: 5, Now: func() time.Time { return now },
		Tracks: []IngestTrack{{Hub: 0, ClockRate: 90000}, {Hub: -1, ClockRate: 8000}},
	})
	defer g.Close()
	g.Frame(0, packet(t, 1)) // before any SETUP
	g.MapTCP(0, [2]int{4, 5})
	g.MapTCP(1, [2]int{6, 7})
	require.True(t, g.LastMedia().IsZero())
	g.Frame(4, packet(t, 1))
	g.Frame(4, packet(t, 2))
	g.Frame(4, packet(t, 4))
	g.Frame(4, []byte("no rtp at all"))
	g.Frame(6, packet(t, 1)) // a track that is not kept
	g.Frame(5, senderReportOf(t, 0x1234567890abcdef))
	require.Equal(t, []uint16{1, 2, 4}, w.got())
	require.Equal(t, 1, w.rtcp)
	require.Equal(t, now.UnixNano(), g.LastMedia().UnixNano())
	g.Pause()
	g.Frame(4, packet(t, 5))
	require.Equal(t, []uint16{1, 2, 4}, w.got())
	g.Resume()
	w.fail = true
	then := now
	now = now.Add(time.Minute)
	g.Frame(4, packet(t, 6))
	require.Equal(t, then.UnixNano(), g.LastMedia().UnixNano(), "what the writer refuses is silence")
	now = then
	stats := g.Stats()
	require.Equal(t, IngestStats{Packets: 3, Bytes: 3 * 19, Refused: 1, Ignored: 3, Invalid: 1, Lost: 1}, stats)

	now = now.Add(time.Second)
	var frames [][]byte
	g.Report(now, func(frame []byte) { frames = append(frames, slices.Clone(frame)) })
	require.Len(t, frames, 2)
	require.Equal(t, []byte{'$', 5}, frames[0][:2])
	require.Equal(t, len(frames[0])-4, int(binary.BigEndian.Uint16(frames[0][2:])))
	compound, err := rtcp.Unmarshal(frames[0][4:])
	require.NoError(t, err)
	require.Equal(t, rtcp.ReceptionReport{
		SSRC: 77, FractionLost: 42, TotalLost: 1, LastSequenceNumber: 6, LastSenderReport: 0x567890ab, Delay: 65536,
		Jitter: compound[0].(*rtcp.ReceiverReport).Reports[0].Jitter,
	}, compound[0].(*rtcp.ReceiverReport).Reports[0])
	require.Equal(t, "berth", compound[1].(*rtcp.SourceDescription).Chunks[0].Items[0].Text)

	g.MapTCP(0, [2]int{0, 1}) // the publisher changed its mind
	g.Frame(4, packet(t, 7))
	require.EqualValues(t, 4, g.Stats().Ignored)
}

// udpSocket binds a loopback socket.
func udpSocket(t *testing.T, ip string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t *testing.T, from, to *net.UDPConn, b []byte) {
	t.Helper()
	_, err := from.WriteTo(b, to.LocalAddr())
	require.NoError(t, err)
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, patience, time.Millisecond)
}

func TestIngestUDP(t *testing.T) {
	w := &fakeWriter{}
	g := NewIngest(IngestOptions{Writer: w, SSRC: 5, ReorderWait: 20 * time.Millisecond, Tracks: []IngestTrack{{Hub: 0, ClockRate: 90000}}})
	defer g.Close()
	rtpSide, rtcpSide := udpSocket(t, "127.0.0.1"), udpSocket(t, "127.0.0.1")
	camera, cameraRTCP := udpSocket(t, "127.0.0.1"), udpSocket(t, "127.0.0.1")
	stranger, sameHost := udpSocket(t, "127.0.0.2"), udpSocket(t, "127.0.0.1")
	g.OpenUDP(0, rtpSide, rtcpSide, netip.MustParseAddr("::ffff:127.0.0.1"), [2]uint16{1, 0})

	send(t, stranger, rtpSide, packet(t, 500))
	send(t, stranger, rtcpSide, senderReportOf(t, 1))
	send(t, camera, rtpSide, nil) // punching
	send(t, camera, rtpSide, []byte("noise"))
	send(t, camera, rtpSide, packet(t, 1))
	send(t, camera, rtpSide, packet(t, 3)) // overtakes
	send(t, camera, rtpSide, packet(t, 2))
	eventually(t, func() bool { return slices.Equal(w.got(), []uint16{1, 2, 3}) })
	send(t, sameHost, rtpSide, packet(t, 600)) // the right host, another port, while the first one sends
	eventually(t, func() bool { return g.Stats().Strangers == 3 })

	// A hole is given up after the window's time, although nothing more comes.
	send(t, camera, rtpSide, packet(t, 5))
	eventually(t, func() bool { return slices.Equal(w.got(), []uint16{1, 2, 3, 5}) })
	require.False(t, g.LastMedia().IsZero())

	// Reports go to the port beside RTP's until RTCP has shown where it comes from, and that it knows the source.
	bye, err := (&rtcp.Goodbye{Sources: []uint32{88}}).Marshal()
	require.NoError(t, err)
	send(t, sameHost, rtcpSide, bye)
	eventually(t, func() bool { return g.Stats().Strangers == 4 })
	send(t, cameraRTCP, rtcpSide, senderReportOf(t, 0x0001020304050607))
	eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.rtcp == 1 })
	g.Report(time.Now(), func([]byte) { t.Error("a UDP track reported over TCP") })
	require.NoError(t, cameraRTCP.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 1500)
	n, err := cameraRTCP.Read(buf)
	require.NoError(t, err)
	compound, err := rtcp.Unmarshal(buf[:n])
	require.NoError(t, err)
	require.EqualValues(t, 0x02030405, compound[0].(*rtcp.ReceiverReport).Reports[0].LastSenderReport)

	stats := g.Stats()
	require.EqualValues(t, 4, stats.Packets)
	require.EqualValues(t, 4, stats.Strangers)
	require.EqualValues(t, 1, stats.Invalid)
	require.EqualValues(t, 2, stats.Reordered)
	require.EqualValues(t, 1, stats.Lost)
}

// TestIngestLendsSockets: after CloseUDP the sockets are open and unused, and a new leg on them starts clean.
func TestIngestLendsSockets(t *testing.T) {
	w := &fakeWriter{}
	g := NewIngest(IngestOptions{Writer: w, Tracks: []IngestTrack{{Hub: 0, ClockRate: 90000}}})
	rtpSide, rtcpSide, camera := udpSocket(t, "127.0.0.1"), udpSocket(t, "127.0.0.1"), udpSocket(t, "127.0.0.1")
	peer := netip.MustParseAddr("127.0.0.1")
	for i := range 3 {
		g.OpenUDP(0, rtpSide, rtcpSide, peer, [2]uint16{})
		send(t, camera, rtpSide, packet(t, uint16(i)))
		eventually(t, func() bool { return len(w.got()) == i+1 })
		if i < 2 {
			g.CloseUDP(0)
		}
	}
	g.MapTCP(0, [2]int{0, 1})
	g.Frame(0, packet(t, 9))
	require.Len(t, w.got(), 4)
	g.Close()
	send(t, camera, rtpSide, packet(t, 10))
	require.NoError(t, rtpSide.SetReadDeadline(time.Now().Add(patience)))
	n, err := rtpSide.Read(make([]byte, 1500))
	require.NoError(t, err, "the socket is still open and nobody else reads it")
	require.Positive(t, n)
	require.Len(t, w.got(), 4)
}

// TestIngestGuessesTheReportPort: reports go beside RTP's port until the source has said or shown where it takes them.
func TestIngestGuessesTheReportPort(t *testing.T) {
	l := &udpLeg{}
	require.True(t, l.believe(scriptStart, 1000, packet(t, 1)))
	require.EqualValues(t, 1001, l.rtcpPort.Load())
}

func TestIngestFrameDoesNotAllocate(t *testing.T) {
	g := NewIngest(IngestOptions{Writer: discard{}, Tracks: []IngestTrack{{Hub: 0, ClockRate: 90000}}})
	defer g.Close()
	g.MapTCP(0, [2]int{0, 1})
	pkt := packet(t, 0)
	seq := uint16(0)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		seq++
		binary.BigEndian.PutUint16(pkt[2:], seq)
		g.Frame(0, pkt)
	}))
}

type discard struct{}

func (discard) WriteRTP(int, time.Time, []byte) error { return nil }
func (discard) WriteRTCP(int, time.Time, []byte)      {}

func FuzzSenderReport(f *testing.F) {
	f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 200, 0, 6})
	f.Fuzz(func(t *testing.T, b []byte) { senderReport(b) })
}
