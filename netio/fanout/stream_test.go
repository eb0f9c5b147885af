package fanout

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"berth/media"
	"berth/media/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// stream is a hub with one H.264 and one G.711 track and its publisher.
type stream struct {
	t    testing.TB
	hub  *hub.Hub
	w    *hub.Writer
	seq  [2]uint16
	ts   [2]uint32
	time time.Time
}

func newStream(t testing.TB, opts hub.Options) *stream {
	video, err := media.NewTrack(&format.H264{PayloadTyp: 96, PacketizationMode: 1})
	require.NoError(t, err)
	audio, err := media.NewTrack(&format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1})
	require.NoError(t, err)
	s := &stream{t: t, hub: hub.New([]*media.Track{video, audio}, opts), time: time.Now()}
	s.w, _, err = s.hub.Attach(s.hub.Tracks())
	require.NoError(t, err)
	t.Cleanup(s.hub.Close)
	return s
}

func (s *stream) write(track int, pt uint8, marker bool, payload []byte) {
	b := make([]byte, 12, 12+len(payload))
	b[0], b[1] = 0x80, pt
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], s.seq[track])
	binary.BigEndian.PutUint32(b[4:], s.ts[track])
	s.seq[track]++
	require.NoError(s.t, s.w.WriteRTP(track, s.time, append(b, payload...)))
}

// picture publishes a picture of n packets of a size.
func (s *stream) picture(key bool, n, size int) {
	for i := range n {
		payload := make([]byte, size)
		payload[0], payload[1] = 0x5c, 0x01
		if key {
			payload[0], payload[1] = 0x7c, 0x05
		}
		if i == 0 {
			payload[1] |= 0x80
		}
		if size > 2 {
			payload[2] = 0x80
		}
		s.write(0, 96, i == n-1, payload)
	}
	s.ts[0] += 3000
	s.time = s.time.Add(33 * time.Millisecond)
}

func (s *stream) sound() {
	s.write(1, 8, false, make([]byte, 160))
	s.ts[1] += 160
}

// framed is one interleaved packet, or a line of text between them.
type framed struct {
	channel int // -1: text
	body    []byte
}

// peer reads what a viewer gets.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// connect returns both ends of a TCP connection over loopback.
func connect(t testing.TB) (server net.Conn, p *peer) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return server, newPeer(t, client)
}

func newPeer(t testing.TB, conn net.Conn) *peer {
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	return &peer{t: t, conn: conn, r: bufio.NewReader(conn)}
}

func (p *peer) next() framed {
	p.t.Helper()
	f, err := p.read()
	require.NoError(p.t, err)
	return f
}

func (p *peer) read() (framed, error) {
	b, err := p.r.Peek(1)
	if err != nil {
		return framed{}, err
	}
	if b[0] != '$' {
		line, err := p.r.ReadBytes('\n')
		return framed{-1, line}, err
	}
	var head [4]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return framed{}, err
	}
	body := make([]byte, binary.BigEndian.Uint16(head[2:]))
	_, err = io.ReadFull(p.r, body)
	return framed{int(head[1]), body}, err
}

func (f framed) seq() uint16 { return binary.BigEndian.Uint16(f.body[2:]) }

func newPool(t testing.TB, opts Options) *Pool {
	p := New(opts)
	t.Cleanup(p.Close)
	return p
}

// failure collects what OnError is given.
func failure() (chan error, func(error)) {
	c := make(chan error, 4)
	return c, func(err error) { c <- err }
}

func wait[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func eventually(t testing.TB, what func() bool) {
	t.Helper()
	require.Eventually(t, what, patience, time.Millisecond)
}

// requireNoAllocations writes pictures of one packet, which all viewers get, and requires that nothing is allocated for each of them.
func (s *stream) requireNoAllocations(viewers []*player) {
	s.t.Helper()
	packets := uint64(0)
	pkt := make([]byte, 1200)
	pkt[0], pkt[1], pkt[12] = 0x80, 96|0x80, 0x65
	round := func() {
		packets++
		binary.BigEndian.PutUint16(pkt[2:], uint16(packets))
		binary.BigEndian.PutUint32(pkt[4:], uint32(packets*3000))
		if err := s.w.WriteRTP(0, s.time, pkt); err != nil {
			s.t.Fatal(err)
		}
		for _, viewer := range viewers {
			for viewer.last.Stats().Packets < packets {
				runtime.Gosched()
			}
		}
	}
	for range 100 {
		round()
	}
	allocs := testing.AllocsPerRun(200, round)
	require.Less(s.t, allocs, 9.0, "a chunk, now and then a slab, and what the race detector takes out of pools; nothing for each viewer")
}
