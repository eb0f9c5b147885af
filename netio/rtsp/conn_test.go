package rtsp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/stretchr/testify/require"
)

// patience bounds waits of tests that use real sockets.
const patience = 30 * time.Second

// tcpPair returns the two ends of a loopback connection.
func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	client, err = net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	server, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

type connFixture struct {
	t      *testing.T
	client net.Conn
	conn   *Conn
	events chan Event
}

func newConnFixture(t *testing.T, opts ConnOptions) *connFixture {
	client, server := tcpPair(t)
	f := &connFixture{t: t, client: client, events: make(chan Event, 100)}
	opts.Conn, opts.Notify = server, func(e Event) { f.events <- e }
	f.conn = NewConn(opts)
	f.conn.Start()
	t.Cleanup(f.conn.Close)
	return f
}

func (f *connFixture) write(b string) {
	f.t.Helper()
	_, err := f.client.Write([]byte(b))
	require.NoError(f.t, err)
}

func (f *connFixture) next() Event {
	f.t.Helper()
	select {
	case e := <-f.events:
		return e
	case <-time.After(patience):
		f.t.Fatal("no event")
		return nil
	}
}

func TestConnSplitsRequestsAndFrames(t *testing.T) {
	f := newConnFixture(t, ConnOptions{})
	var mu sync.Mutex
	var frames []string
	f.write("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
	require.Equal(t, "1", f.next().(RequestReceived).Request.Header["CSeq"][0])
	f.conn.Answered()
	f.conn.SetSink(func(channel uint8, payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		frames = append(frames, string(rune('0'+channel))+string(payload))
	})
	f.write(string(frameOf(2, []byte("abc"))) + "RTSP/1.0 200 OK\r\n\r\n" + string(frameOf(3, []byte("de"))) + "OPTIONS * RTSP/1.0\r\nCSeq: 2\r\n\r\n")
	require.Equal(t, "2", f.next().(RequestReceived).Request.Header["CSeq"][0])
	mu.Lock()
	require.Equal(t, []string{"2abc", "3de"}, frames)
	mu.Unlock()
	f.conn.SetSink(nil)
	f.write(string(frameOf(2, []byte("abc"))) + "OPTIONS * RTSP/1.0\r\nCSeq: 3\r\n\r\n")
	require.Equal(t, "3", f.next().(RequestReceived).Request.Header["CSeq"][0])
	require.NoError(t, f.client.Close())
	require.Equal(t, PeerClosed{}, f.next())
	stats := f.conn.Stats()
	require.EqualValues(t, 3, stats.Requests)
	require.EqualValues(t, 2, stats.Frames)
	require.EqualValues(t, 1, stats.Unclaimed)
}

// TestConnReadsAheadOnly proves the back-pressure: a peer that pipelines without end is not read.
func TestConnReadsAheadOnly(t *testing.T) {
	f := newConnFixture(t, ConnOptions{ReadAhead: 2})
	f.write(strings.Repeat("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 5))
	for range 2 {
		require.IsType(t, RequestReceived{}, f.next())
	}
	require.Eventually(t, func() bool { return len(f.conn.ahead) == 2 }, patience, time.Millisecond)
	require.Empty(t, f.events)
	for range 3 {
		f.conn.Answered()
		require.IsType(t, RequestReceived{}, f.next())
	}
	f.conn.Close() // while it waits for answers
}

func TestConnTellsHowItEnded(t *testing.T) {
	t.Run("within a message", func(t *testing.T) {
		f := newConnFixture(t, ConnOptions{})
		f.write("OPTIONS * RT")
		require.NoError(t, f.client.Close())
		require.Equal(t, PeerClosed{}, f.next())
	})
	t.Run("stalled", func(t *testing.T) {
		f := newConnFixture(t, ConnOptions{MessageTimeout: 20 * time.Millisecond})
		f.write("OPTIONS * RT")
		require.ErrorIs(t, f.next().(PeerClosed).Err, ErrStalled)
	})
	t.Run("garbage", func(t *testing.T) {
		f := newConnFixture(t, ConnOptions{})
		f.write(string(frameOf(0, []byte("x"))) + strings.Repeat("\xff", 100<<10))
		require.ErrorIs(t, f.next().(PeerClosed).Err, ErrGarbage)
	})
	t.Run("by its owner", func(t *testing.T) {
		f := newConnFixture(t, ConnOptions{})
		f.conn.Close()
		f.conn.Close()
		require.Empty(t, f.events)
	})
}

// TestConnLingers: after a fatal request the peer can still read the answer; what it sends is thrown away, its end ends the wait.
func TestConnLingers(t *testing.T) {
	for name, fatal := range map[string]bool{"after a broken request": true, "while it rests": false} {
		t.Run(name, func(t *testing.T) {
			f := newConnFixture(t, ConnOptions{})
			if fatal {
				f.write("GET / HTTP/1.1\r\n\r\n")
				e := f.next().(RequestReceived)
				require.Equal(t, base.StatusBadRequest, e.Err.Status)
				require.True(t, e.Err.Fatal)
			} else {
				f.write("OPTIONS * RTSP/1.0\r\n\r\n")
				f.next()
			}
			f.conn.Linger(time.Hour)
			f.write(strings.Repeat("more of it", 10000))
			_, err := f.conn.opts.Conn.Write([]byte("the answer"))
			require.NoError(t, err)
			got := make([]byte, 10)
			_, err = io.ReadFull(f.client, got)
			require.NoError(t, err)
			require.Equal(t, "the answer", string(got))
			require.NoError(t, f.client.Close())
			require.IsType(t, PeerClosed{}, f.next())
		})
	}
}

func TestConnLingerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		ended := make(chan Event, 10)
		c := NewConn(ConnOptions{Conn: server, Notify: func(e Event) { ended <- e }})
		c.Start()
		defer c.Close()
		_, err := client.Write([]byte("OPTIONS "))
		require.NoError(t, err)
		synctest.Wait()
		c.Linger(time.Second)
		begun := time.Now()
		require.ErrorIs(t, (<-ended).(PeerClosed).Err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begun))
	})
}

// wrappedConn looks like a TLS connection whose goodbye would block.
type wrappedConn struct {
	net.Conn
	closed chan struct{}
}

func (w *wrappedConn) NetConn() net.Conn { return w.Conn }

func (w *wrappedConn) Close() error {
	close(w.closed)
	return errors.New("must not be called")
}

func TestConnClosesWithoutGoodbye(t *testing.T) {
	_, server := tcpPair(t)
	w := &wrappedConn{Conn: server, closed: make(chan struct{})}
	c := NewConn(ConnOptions{Conn: w, Notify: func(Event) {}})
	c.Start()
	c.Close()
	select {
	case <-w.closed:
		t.Fatal("the wrapper was closed")
	default:
	}
	_, err := server.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
}

// After Abort the kernel keeps nothing for a peer that did not read.
func TestConnAborts(t *testing.T) {
	f := newConnFixture(t, ConnOptions{})
	f.write("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
	require.IsType(t, RequestReceived{}, f.next()) // nothing is left unread, which would cause a reset by itself
	server := f.conn.opts.Conn
	require.NoError(t, server.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
	var err error
	for err == nil {
		_, err = server.Write(make([]byte, 1<<20))
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	f.conn.Abort()
	f.conn.Abort()
	_, err = io.Copy(io.Discard, f.client)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestConnByteByByte(t *testing.T) {
	f := newConnFixture(t, ConnOptions{})
	got := make(chan []byte, 1)
	f.conn.SetSink(func(_ uint8, payload []byte) { got <- bytes.Clone(payload) })
	for _, b := range []byte("OPTIONS * RTSP/1.0\ncseq: 7\n\n" + string(frameOf(1, []byte("payload")))) {
		f.write(string([]byte{b}))
	}
	require.Equal(t, "7", f.next().(RequestReceived).Request.Header["CSeq"][0])
	select {
	case payload := <-got:
		require.Equal(t, "payload", string(payload))
	case <-time.After(patience):
		t.Fatal("no frame")
	}
}
