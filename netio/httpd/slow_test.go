package httpd_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"berth/netio/httpd"
)

// pipes is a listener whose connections are in-memory pipes, so that the clock of a synctest bubble governs them.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (*pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	return near
}

// slow runs script against a server in a bubble of virtual time.
func slow(t *testing.T, opts httpd.Options, script func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := httpd.New(opts)
		p := newPipes()
		s.SetListeners([]httpd.Listener{{Listener: p}})
		script(t, p.dial)
		require.NoError(t, s.Close())
	})
}

func TestSlowHeaderIsCut(t *testing.T) {
	slow(t, httpd.Options{Handler: echo, Limits: httpd.Limits{HeaderTimeout: 10 * time.Second}}, func(t *testing.T, dial func() net.Conn) {
		for _, sent := range []string{"", "GET / HTT", "GET / HTTP/1.1\r\nHost: x\r\n"} {
			nc := dial()
			begin := time.Now()
			if sent != "" {
				_, err := io.WriteString(nc, sent)
				require.NoError(t, err)
			}
			_, _ = io.ReadAll(nc)
			require.Equal(t, 10*time.Second, time.Since(begin), "%q", sent)
			require.NoError(t, nc.Close())
		}
	})
}

func TestSlowBodyIsAnswered408(t *testing.T) {
	called := false
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true })
	slow(t, httpd.Options{Handler: handler, Limits: httpd.Limits{BodyTimeout: 7 * time.Second}}, func(t *testing.T, dial func() net.Conn) {
		nc := dial()
		defer nc.Close()
		begin := time.Now()
		_, err := io.WriteString(nc, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
		require.Equal(t, 7*time.Second, time.Since(begin))
		require.False(t, called, "the handler must not run for half a request")
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	slow(t, httpd.Options{Handler: echo, Limits: httpd.Limits{KeepAlive: 30 * time.Second}}, func(t *testing.T, dial func() net.Conn) {
		nc := dial()
		defer nc.Close()
		_, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		r := bufio.NewReader(nc)
		resp, err := http.ReadResponse(r, nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		begin := time.Now()
		_, err = r.ReadByte()
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, 30*time.Second, time.Since(begin))
	})
}

func TestHandlerMayThinkLongerThanEveryTimeout(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Hour):
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
		}
	})
	slow(t, httpd.Options{Handler: handler}, func(t *testing.T, dial func() net.Conn) {
		nc := dial()
		defer nc.Close()
		_, err := io.WriteString(nc, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, "done", string(body))
	})
}

func TestClientThatDoesNotReadIsCut(t *testing.T) {
	var ended chan time.Duration // made inside the bubble
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		begin := time.Now()
		block := make([]byte, 64<<10)
		for {
			if _, err := w.Write(block); err != nil {
				ended <- time.Since(begin)
				return
			}
		}
	})
	slow(t, httpd.Options{Handler: handler, Limits: httpd.Limits{WriteTimeout: 9 * time.Second}}, func(t *testing.T, dial func() net.Conn) {
		ended = make(chan time.Duration, 1)
		nc := dial()
		defer nc.Close()
		_, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		require.Equal(t, 9*time.Second, <-ended)
	})
}
