package gb28181

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/media"
	"berth/media/hub"
)

// patience bounds every wait of these tests. It only says when a broken test gives up.
const patience = 30 * time.Second

var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0xa0, 0x5b, 0xb2, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00, 0x00, 0x03, 0x00, 0x64, 0x1e, 0x30, 0x65, 0xc0}
	testPPS = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

// testStream is a stream of H.264 and, if wanted, sound, whose frames a test writes one by one.
type testStream struct {
	t      testing.TB
	hub    *hub.Hub
	writer *hub.Writer
	video  *rtph264.Encoder
	audio  int // hub track, -1 without
	now    time.Time
	seq    uint16
	rand   *rand.Rand

	pictures [][][]byte // NAL units of each access unit written
	sound    [][]byte   // payload of each packet of sound
}

// newTestStream makes a stream; sound may be nil. sets says whether the description tells the parameter sets.
func newTestStream(t testing.TB, sets bool, sound format.Format, opts hub.Options) *testStream {
	t.Helper()
	f := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	if sets {
		f.SPS, f.PPS = testSPS, testPPS
	}
	formats := []format.Format{f}
	s := &testStream{t: t, audio: -1, now: time.Now(), rand: rand.New(rand.NewPCG(1, 2))} //nolint:gosec // not a secret
	if sound != nil {
		formats = append(formats, sound)
		s.audio = 1
	}
	var tracks []*media.Track
	for _, f := range formats {
		track, err := media.NewTrack(f)
		require.NoError(t, err)
		tracks = append(tracks, track)
	}
	var err error
	s.video, err = f.CreateEncoder()
	require.NoError(t, err)
	s.hub = hub.New(tracks, opts)
	t.Cleanup(s.hub.Close)
	s.writer, _, err = s.hub.Attach(tracks)
	require.NoError(t, err)
	return s
}

// unit returns a NAL unit with random content.
func (s *testStream) unit(kind byte, size int) []byte {
	b := make([]byte, size+8)
	for i := 0; i < size; i += 8 {
		binary.BigEndian.PutUint64(b[i:], s.rand.Uint64()|0x0101010101010101) // no emulation of start codes
	}
	b[0], b[1] = kind, 0x80|b[1]
	return b[:size:size]
}

// picture writes an access unit of so many bytes.
func (s *testStream) picture(key bool, size int) {
	s.t.Helper()
	units := [][]byte{s.unit(0x41, size)}
	if key {
		units = [][]byte{testSPS, testPPS, s.unit(0x65, size)}
	}
	s.accessUnit(units)
}

func (s *testStream) accessUnit(units [][]byte) {
	s.t.Helper()
	pkts, err := s.video.Encode(units)
	require.NoError(s.t, err)
	ts := uint32(3600 * len(s.pictures)) //nolint:gosec // small
	for _, p := range pkts {
		p.Timestamp = ts
		s.write(0, p)
	}
	s.pictures = append(s.pictures, units)
	s.now = s.now.Add(40 * time.Millisecond)
}

// samples writes a packet of sound, 20 ms of G.711.
func (s *testStream) samples(n int) {
	s.t.Helper()
	payload := s.unit(1, n)
	p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 8, SequenceNumber: s.seq, SSRC: 99, Timestamp: uint32(s.soundBytes())}, Payload: payload} //nolint:gosec // small
	s.seq++
	s.sound = append(s.sound, payload)
	s.write(s.audio, p)
}

func (s *testStream) soundBytes() int {
	n := 0
	for _, p := range s.sound {
		n += len(p)
	}
	return n
}

func (s *testStream) write(track int, p *rtp.Packet) {
	s.t.Helper()
	b, err := p.Marshal()
	require.NoError(s.t, err)
	require.NoError(s.t, s.writer.WriteRTP(track, s.now, b))
}

// use makes a form that the test lets go at its end.
func (s *testStream) use(opts FormOptions) *Form {
	s.t.Helper()
	forms := &Forms{}
	f, err := forms.Use(s.hub, opts)
	require.NoError(s.t, err)
	s.t.Cleanup(func() {
		f.Release()
		require.Zero(s.t, forms.Len())
	})
	return f
}

// udpPair binds two sockets for a sender or receiver; which ports they have does not matter here.
func udpPair(t testing.TB) UDPSockets {
	t.Helper()
	var conns [2]*net.UDPConn
	for i := range conns {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		_ = conn.SetReadBuffer(4 << 20) // as much as the system allows
		t.Cleanup(func() { _ = conn.Close() })
		conns[i] = conn
	}
	return UDPSockets{conns[0], conns[1]}
}

// peerPair binds a port and the one after it, as the peer of a sender has them.
func peerPair(t testing.TB) UDPSockets {
	t.Helper()
	for range 200 {
		first, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		port := first.LocalAddr().(*net.UDPAddr).Port
		second, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1})
		if err != nil {
			_ = first.Close()
			continue
		}
		stream, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil { // somebody's connection has the port, and the test may want to connect from it
			_, _ = first.Close(), second.Close()
			continue
		}
		_ = stream.Close()
		_ = first.SetReadBuffer(4 << 20) // as much as the system allows
		t.Cleanup(func() { _, _ = first.Close(), second.Close() })
		return UDPSockets{first, second}
	}
	t.Fatal("no two free ports in a row")
	return UDPSockets{}
}

func localOf(conn *net.UDPConn) netip.AddrPort { return conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// nextDatagram reads one RTP packet.
func nextDatagram(t testing.TB, conn *net.UDPConn) *rtp.Packet {
	t.Helper()
	buf := make([]byte, 2048)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	n, _, err := conn.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	return parsed(t, buf[:n])
}

func parsed(t testing.TB, b []byte) *rtp.Packet {
	t.Helper()
	p := &rtp.Packet{}
	require.NoError(t, p.Unmarshal(bytes.Clone(b)))
	return p
}

// nextFramed reads one RTP packet behind its length.
func nextFramed(t testing.TB, conn net.Conn) *rtp.Packet {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	var head [2]byte
	readFull(t, conn, head[:])
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	readFull(t, conn, b)
	return parsed(t, b)
}

func readFull(t testing.TB, conn net.Conn, b []byte) {
	t.Helper()
	for n := 0; n < len(b); {
		m, err := conn.Read(b[n:])
		require.NoError(t, err)
		n += m
	}
}

// outcome hears how a sender ends.
type outcome struct {
	done chan error
	met  chan netip.AddrPort
}

func newOutcome() *outcome {
	return &outcome{done: make(chan error, 4), met: make(chan netip.AddrPort, 4)}
}

// watch fills the callbacks of options.
func (o *outcome) watch(opts SenderOptions) SenderOptions {
	opts.OnEnd = func(err error) { o.done <- err }
	opts.OnPeer = func(_, peer netip.AddrPort) { o.met <- peer }
	return opts
}

func (o *outcome) ended(t testing.TB) error {
	t.Helper()
	select {
	case err := <-o.done:
		return err
	case <-time.After(patience):
		t.Fatal("the sender has not ended")
		return nil
	}
}

func (o *outcome) peer(t testing.TB) netip.AddrPort {
	t.Helper()
	select {
	case peer := <-o.met:
		return peer
	case <-time.After(patience):
		t.Fatal("the sender has no peer")
		return netip.AddrPort{}
	}
}

// tcpPair returns both ends of a connection.
func tcpPair(t testing.TB) (ours, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // nothing is written
	conn, err := net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	theirs, err = l.AcceptTCP()
	require.NoError(t, err)
	t.Cleanup(func() { _ = theirs.Close() })
	return conn, theirs
}
