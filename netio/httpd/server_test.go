package httpd_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"berth/netio/httpd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server on a loopback port and returns it with its address.
func serve(t *testing.T, opts httpd.Options) (*httpd.Server, string) {
	t.Helper()
	s := httpd.New(opts)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	l := listen(t)
	s.SetListeners([]httpd.Listener{{Listener: l}})
	return s, l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return do(t, c, req)
}

func do(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, string(body)
}

var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(w, r.Body)
})

func TestBodyIsBounded(t *testing.T) {
	_, addr := serve(t, httpd.Options{Handler: echo, Limits: httpd.Limits{BodyBytes: 10}})
	for _, tc := range []struct {
		name    string
		body    io.Reader // not a *strings.Reader: sent chunked
		status  int
		content string
	}{
		{"fits", strings.NewReader("0123456789"), 200, "0123456789"},
		{"fits, chunked", io.MultiReader(strings.NewReader("01234"), strings.NewReader("56789")), 200, "0123456789"},
		{"announced too large", strings.NewReader("0123456789a"), 413, "larger than the 10 bytes"},
		{"chunked too large", io.MultiReader(strings.NewReader("0123456789"), strings.NewReader("a")), 413, "larger than the 10 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr, tc.body)
			require.NoError(t, err)
			resp, body := do(t, client(t), req)
			require.Equal(t, tc.status, resp.StatusCode)
			require.Contains(t, body, tc.content)
		})
	}
}

func TestHeaderIsBounded(t *testing.T) {
	_, addr := serve(t, httpd.Options{Handler: echo, Limits: httpd.Limits{HeaderBytes: 1024}})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
	require.NoError(t, err)
	req.Header.Set("X-Long", strings.Repeat("a", 8192))
	resp, _ := do(t, client(t), req)
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, resp.StatusCode)
}

func TestLimitsChangeWhileServing(t *testing.T) {
	s, addr := serve(t, httpd.Options{Handler: echo, Limits: httpd.Limits{BodyBytes: 4}})
	c := client(t)
	post := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr, strings.NewReader("0123456"))
		require.NoError(t, err)
		resp, _ := do(t, c, req)
		return resp.StatusCode
	}
	require.Equal(t, 413, post())
	s.SetLimits(httpd.Limits{BodyBytes: 100, KeepAlive: time.Hour})
	require.Equal(t, 200, post(), "on a connection of the new limits")
	s.SetLimits(httpd.Limits{BodyBytes: 5})
	require.Equal(t, 413, post(), "on the connection that was kept")
}

func TestPanicCostsOneConnection(t *testing.T) {
	var panics atomic.Int64
	var seen atomic.Value
	s, addr := serve(t, httpd.Options{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/before":
				panic("boom")
			case "/within":
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				panic(errors.New("boom"))
			}
		}),
		OnPanic: func(_ *http.Request, cause any, stack []byte) {
			panics.Add(1)
			seen.Store(string(stack))
		},
	})
	resp, body := get(t, client(t), "http://"+addr+"/before")
	require.Equal(t, 500, resp.StatusCode)
	require.Contains(t, body, "log says why")
	require.Contains(t, seen.Load(), "server_test.go")

	resp, err := client(t).Get("http://" + addr + "/within")
	require.NoError(t, err)
	_, err = io.ReadAll(resp.Body)
	require.Error(t, err, "a reply that broke off must not look complete")
	require.NoError(t, resp.Body.Close())

	resp, _ = get(t, client(t), "http://"+addr+"/fine")
	require.Equal(t, 200, resp.StatusCode)
	require.EqualValues(t, 2, panics.Load())
	require.EqualValues(t, 2, s.Stats().Panics)
}

func TestCrossDomains(t *testing.T) {
	s, addr := serve(t, httpd.Options{Handler: echo, Limits: httpd.Limits{CrossDomains: true}})
	ask := func(method string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr, nil)
		require.NoError(t, err)
		req.Header.Set("Origin", "https://console.example")
		req.Header.Set("Access-Control-Request-Headers", "content-type, secret")
		resp, _ := do(t, client(t), req)
		return resp
	}
	resp := ask(http.MethodOptions)
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "https://console.example", resp.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "content-type, secret", resp.Header.Get("Access-Control-Allow-Headers"))
	require.Contains(t, resp.Header.Get("Access-Control-Allow-Methods"), "DELETE")
	require.Equal(t, "https://console.example", ask(http.MethodGet).Header.Get("Access-Control-Allow-Origin"))

	s.SetLimits(httpd.Limits{})
	resp = ask(http.MethodOptions)
	require.Equal(t, 200, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
	require.NotEmpty(t, resp.Header.Get("Allow"))
}

func TestAccessIsReportedWithoutTheQuery(t *testing.T) {
	seen := make(chan httpd.Access, 1)
	_, addr := serve(t, httpd.Options{Handler: echo, OnAccess: func(a httpd.Access) { seen <- a }})
	get(t, client(t), "http://"+addr+"/path?secret=hidden")
	a := <-seen
	require.Equal(t, "/path", a.Path)
	require.Equal(t, 200, a.Status)
	require.Equal(t, "127.0.0.1", a.Peer.Addr().String())
	require.EqualValues(t, 1, a.Conn)
}

func TestFullServerRefusesAndIdleConnectionsMakeRoom(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 2)
	s, addr := serve(t, httpd.Options{
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hold" {
				entered <- struct{}{}
				<-release
			}
		}),
		Limits: httpd.Limits{Connections: 2, KeepAlive: time.Hour},
	})
	var once sync.Once
	let := func() { once.Do(func() { close(release) }) }
	t.Cleanup(let) // before the server's: a handler that is held would keep it from closing
	var holding sync.WaitGroup
	hold := func(c *http.Client) {
		holding.Go(func() {
			resp, err := c.Get("http://" + addr + "/hold")
			if err == nil {
				_ = resp.Body.Close()
			}
		})
		<-entered
	}
	idler := client(t)
	get(t, idler, "http://"+addr+"/") // stays open, idle
	require.Eventually(t, func() bool {
		list := s.Conns()
		return len(list) == 1 && list[0].State == httpd.ConnIdle
	}, 10*time.Second, time.Millisecond)
	hold(client(t))
	hold(client(t)) // the idle one makes room
	require.EqualValues(t, 1, s.Stats().Evicted)

	resp, body := get(t, client(t), "http://"+addr+"/")
	require.Equal(t, 503, resp.StatusCode)
	require.Equal(t, "1", resp.Header.Get("Retry-After"))
	require.Contains(t, body, "limits.http_connections")
	require.EqualValues(t, 1, s.Stats().Refused)
	let()
	holding.Wait()
}

func TestAThousandConnectionsAtOnceAreAllAnswered(t *testing.T) {
	const clients, limit = 1000, 100
	var inside, most atomic.Int64
	s, addr := serve(t, httpd.Options{
		Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			n := inside.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			inside.Add(-1)
		}),
		Limits: httpd.Limits{Connections: limit},
	})
	var wg sync.WaitGroup
	var served, refused, cut atomic.Int64
	begin := make(chan struct{})
	for range clients {
		wg.Go(func() {
			<-begin
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				cut.Add(1)
				return
			}
			defer nc.Close()
			_, _ = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
			switch {
			case err != nil:
				cut.Add(1)
			case resp.StatusCode == 200:
				served.Add(1)
			case resp.StatusCode == 503:
				refused.Add(1)
			}
		})
	}
	close(begin)
	wg.Wait()
	require.EqualValues(t, clients, served.Load()+refused.Load()+cut.Load())
	require.Positive(t, served.Load())
	require.LessOrEqual(t, most.Load(), int64(limit))
	require.Eventually(t, func() bool { return s.Stats().Open == 0 }, 10*time.Second, time.Millisecond)
	resp, _ := get(t, client(t), "http://"+addr)
	require.Equal(t, 200, resp.StatusCode, "it serves on after the flood")
}

func TestConnsCanBeListedAndCut(t *testing.T) {
	seen := make(chan httpd.ConnInfo, 1)
	s, addr := serve(t, httpd.Options{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		info, ok := httpd.Conn(r.Context())
		if ok {
			seen <- info
		}
	})})
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	info := <-seen
	require.Equal(t, nc.LocalAddr().String(), info.Peer.String())
	require.Equal(t, addr, info.Local.String())
	require.Equal(t, httpd.ConnActive, info.State)
	require.EqualValues(t, 1, info.Requests)

	require.False(t, s.CloseConn(info.ID+1))
	require.True(t, s.CloseConn(info.ID))
	require.False(t, s.CloseConn(info.ID))
	_, err = io.ReadAll(nc)
	_ = err // the reset or the end: either is the cut
	require.Eventually(t, func() bool { return len(s.Conns()) == 0 }, 10*time.Second, time.Millisecond)
	_, ok := httpd.Conn(t.Context())
	require.False(t, ok)
}

func TestListenersComeAndGo(t *testing.T) {
	s, first := serve(t, httpd.Options{Handler: echo})
	kept := client(t)
	get(t, kept, "http://"+first)
	l := listen(t)
	s.SetListeners([]httpd.Listener{{Listener: l}})
	resp, _ := get(t, client(t), "http://"+l.Addr().String())
	require.Equal(t, 200, resp.StatusCode)
	_, err := net.Dial("tcp", first)
	require.Error(t, err, "the listener that is not named any more is closed")
	resp, _ = get(t, kept, "http://"+first)
	require.Equal(t, 200, resp.StatusCode, "its connections go on")
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	var faults atomic.Int64
	s, plain := serve(t, httpd.Options{
		Handler: echo,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
		},
		OnFault: func(string) { faults.Add(1) },
	})
	_ = plain
	l := listen(t)
	s.SetListeners([]httpd.Listener{{Listener: l, TLS: true}})
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	resp, _ := get(t, &http.Client{Transport: transport}, "https://"+l.Addr().String())
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "HTTP/1.1", resp.Proto)
	require.True(t, s.Conns()[0].TLS)

	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(nc, "GET / HTTP/1.1\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return faults.Load() > 0 }, 10*time.Second, time.Millisecond, "a failed handshake is reported")
	require.NoError(t, nc.Close())
}

func TestCloseEndsWaitingHandlersAndIdleConnections(t *testing.T) {
	entered := make(chan struct{})
	s := httpd.New(httpd.Options{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		_, _ = io.WriteString(w, "bye")
	}), CloseGrace: time.Minute})
	l := listen(t)
	s.SetListeners([]httpd.Listener{{Listener: l}})
	reply := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			reply <- err.Error()
			return
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		reply <- string(body)
	}()
	<-entered
	silent, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer silent.Close()
	var closers sync.WaitGroup
	for range 3 {
		closers.Go(func() { _ = s.Close() })
	}
	closers.Wait()
	require.Equal(t, "bye", <-reply)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s.SetListeners([]httpd.Listener{{Listener: listen(t)}}) // closed at once, not leaked
	s.SetLimits(httpd.Limits{})
	require.Empty(t, s.Conns())
}

func TestCloseCutsAClientThatDoesNotRead(t *testing.T) {
	entered := make(chan struct{})
	s := httpd.New(httpd.Options{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(entered)
			block := make([]byte, 1<<20)
			for {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}),
		Limits: httpd.Limits{WriteTimeout: time.Hour}, CloseGrace: time.Millisecond,
	})
	l := listen(t)
	s.SetListeners([]httpd.Listener{{Listener: l}})
	nc, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-entered
	require.NoError(t, s.Close())
}

func TestAcceptErrorsAreRetried(t *testing.T) {
	var faults atomic.Int64
	s := httpd.New(httpd.Options{
		Handler: echo,
		OnFault: func(text string) { t.Errorf("taken for a fault of a connection: %s", text) },
		OnAcceptFault: func(listener net.Addr, err error) {
			if listener.String() == "" || err == nil {
				t.Errorf("%s: %v", listener, err)
			}
			faults.Add(1)
		},
	})
	defer s.Close()
	l := &flaky{Listener: listen(t), failures: 3}
	s.SetListeners([]httpd.Listener{{Listener: l}})
	resp, _ := get(t, client(t), "http://"+l.Addr().String())
	require.Equal(t, 200, resp.StatusCode)
	require.EqualValues(t, 3, faults.Load())
}

type flaky struct {
	net.Listener
	failures int // owned by the accept loop
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

func TestClientThatLeavesEndsTheContext(t *testing.T) {
	gone := make(chan error, 1)
	entered := make(chan struct{})
	_, addr := serve(t, httpd.Options{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		gone <- context.Cause(r.Context())
	})})
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	_, err = io.WriteString(nc, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
	require.NoError(t, err)
	<-entered
	require.NoError(t, nc.Close())
	require.ErrorIs(t, <-gone, context.Canceled)
}
