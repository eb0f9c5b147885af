package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/stretchr/testify/require"
)

// metric reads one value of /metrics.
func (d *daemon) metric(name string) float64 {
	d.t.Helper()
	response, err := http.Get(d.base + "/metrics?secret=" + d.secret)
	require.NoError(d.t, err)
	defer func() { require.NoError(d.t, response.Body.Close()) }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			number, err := strconv.ParseFloat(value, 64)
			require.NoError(d.t, err)
			return number
		}
	}
	d.t.Fatalf("there is no metric %s", name)
	return 0
}

// descriptors counts what the daemon has open.
func (d *daemon) descriptors() int {
	d.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid))
	if os.IsNotExist(err) {
		d.t.Skip("open descriptors are counted in /proc, which is not here")
	}
	require.NoError(d.t, err)
	return len(entries)
}

// calm notes what the daemon uses, and returns a wait for it to use no more again. Goroutines and descriptors of idle HTTP connections of the test itself come and go.
func (d *daemon) calm() (back func()) {
	http.DefaultClient.CloseIdleConnections()
	const some = 12
	goroutines, descriptors := d.metric("go_goroutines"), d.descriptors()
	return func() {
		d.t.Helper()
		http.DefaultClient.CloseIdleConnections()
		d.eventually("goroutines and descriptors are as before", func() bool {
			return d.metric("go_goroutines") <= goroutines+some && d.descriptors() <= descriptors+some
		})
		require.Zero(d.t, d.metric("berth_actor_panics_total"))
		require.Zero(d.t, d.metric("berth_http_panics_total"))
	}
}

// sound requires that a stream still plays over both transports.
func (d *daemon) sound(stream string) {
	d.t.Helper()
	d.watchOver(gortsplib.ProtocolTCP, "live", stream)
	d.watchOver(gortsplib.ProtocolUDP, "live", stream)
}

func (d *daemon) httpAddr() string { return strings.TrimPrefix(d.base, "http://") }

// attack is what a hostile client sends, and how the answer begins ("" when there need not be one).
type attack struct {
	name   string
	send   []byte
	pieces int // the bytes are sent so many at a time; 0 means all at once
	answer string
}

func hostileRTSP(target string) []attack {
	request := func(method, headers string) []byte {
		return []byte(method + " " + target + " RTSP/1.0\r\n" + headers + "\r\n")
	}
	var frames bytes.Buffer
	for i := range 500 {
		frames.Write([]byte{'$', byte(i), 1, 0})
		frames.Write(bytes.Repeat([]byte{byte(i)}, 256))
	}
	noise := make([]byte, 100_000)
	fill := rand.NewChaCha8([32]byte{1})
	_, _ = fill.Read(noise)
	return []attack{
		{name: "noise", send: append([]byte{0x01}, noise...), answer: "RTSP/1.0 400"},
		{name: "TLS", send: append([]byte{0x16, 3, 1, 2, 0}, noise[:512]...), answer: "RTSP/1.0 400"},
		{name: "HTTP", send: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), answer: "RTSP/1.0 400"},
		{name: "half a request", send: []byte("OPTIONS " + target)},
		{name: "byte by byte", send: request("OPTIONS", "CSeq: 1\r\n"), pieces: 1, answer: "RTSP/1.0 200"},
		{name: "endless line", send: request("OPTIONS", "X: "+strings.Repeat("a", 1<<20)), answer: "RTSP/1.0 413"},
		{name: "endless header", send: request("OPTIONS", strings.Repeat("X: a\r\n", 1<<17)), answer: "RTSP/1.0 413"},
		{name: "body too large", send: request("ANNOUNCE", "CSeq: 1\r\nContent-Length: 2000000000\r\n"), answer: "RTSP/1.0 413"},
		{name: "body without end", send: request("ANNOUNCE", "CSeq: 1\r\nContent-Length: 99999999999999999999\r\n"), answer: "RTSP/1.0 400"},
		{name: "negative body", send: request("ANNOUNCE", "CSeq: 1\r\nContent-Length: -1\r\n"), answer: "RTSP/1.0 400"},
		{name: "two lengths", send: request("ANNOUNCE", "CSeq: 1\r\nContent-Length: 1\r\nContent-Length: 2\r\n"), answer: "RTSP/1.0 400"},
		{name: "frames of no track", send: frames.Bytes()},
		{name: "empty frame, request", send: append([]byte{'$', 9, 0, 0}, request("OPTIONS", "CSeq: 1\r\n")...), answer: "RTSP/1.0 200"},
		{name: "transport of many words", send: request("SETUP", "CSeq: 1\r\nTransport: "+strings.Repeat("RTP/AVP;", 1000)+"\r\n"), answer: "RTSP/1.0 4"},
		{name: "long name", send: []byte("DESCRIBE rtsp://h/live/" + strings.Repeat("a", 9000) + " RTSP/1.0\r\nCSeq: 1\r\n\r\n"), answer: "RTSP/1.0 404"},
	}
}

func hostileHTTP() []attack {
	request := func(line, headers string) []byte {
		return []byte(line + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n")
	}
	const post = "POST /index/api/addStreamProxy"
	return []attack{
		{name: "noise", send: bytes.Repeat([]byte{1, 2, 0xff, '\n'}, 5000), answer: "HTTP/1.1 400"},
		{name: "half a request", send: []byte("GET /index/api/version HTTP/1.1\r\nHo")},
		{name: "byte by byte", send: request("GET /healthz", ""), pieces: 1, answer: "HTTP/1.1 200"},
		{name: "endless line", send: request("GET /", "X: "+strings.Repeat("a", 1<<20)), answer: "HTTP/1.1 431"},
		{name: "endless header", send: request("GET /", strings.Repeat("X: a\r\n", 1<<17)), answer: "HTTP/1.1 431"},
		{name: "body too large", send: request(post, "Content-Length: 9000000000\r\n"), answer: "HTTP/1.1 413"},
		{name: "body without end", send: append(request(post, "Transfer-Encoding: chunked\r\n"), bytes.Repeat([]byte("1000\r\n"+strings.Repeat("a", 0x1000)+"\r\n"), 64)...), answer: "HTTP/1.1 413"},
		{name: "bad length", send: request(post, "Content-Length: 1e9\r\n"), answer: "HTTP/1.1 400"},
		{name: "deep JSON", send: append(request(post, "Content-Type: application/json\r\nContent-Length: 20000\r\n"), bytes.Repeat([]byte{'['}, 20000)...), answer: "HTTP/1.1 200"},
	}
}

// Hostile clients get an answer or a closed connection, and what they cost comes back, while a stream plays on.
func TestHostileClientsAreBorne(t *testing.T) {
	d := newDaemon(t, 18)
	d.start(t)
	r, err := d.pull(startCamera(t), "a", "1")
	require.NoError(t, err)
	require.Equal(t, 0, r.code(), r.text())
	d.sound("a")
	back := d.calm()
	for _, front := range []struct {
		name, addr string
		attacks    []attack
	}{
		{"rtsp", d.rtsp, hostileRTSP("rtsp://" + d.rtsp + "/live/a")}, {"http", d.httpAddr(), hostileHTTP()},
	} {
		for _, a := range front.attacks {
			t.Run(front.name+"/"+a.name, func(t *testing.T) {
				conn, err := net.Dial("tcp", front.addr)
				require.NoError(t, err)
				defer conn.Close() //nolint:errcheck // the server may have closed it first
				require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
				go func() { // an error means that the server has had enough
					step := a.pieces
					if step == 0 {
						step = len(a.send)
					}
					for rest := a.send; len(rest) > 0; rest = rest[min(step, len(rest)):] {
						if _, err := conn.Write(rest[:min(step, len(rest))]); err != nil {
							return
						}
					}
				}()
				if a.answer == "" {
					return
				}
				got := make([]byte, len(a.answer))
				_, err = io.ReadFull(conn, got)
				require.NoError(t, err)
				require.Equal(t, a.answer, string(got))
			})
		}
	}
	d.sound("a")
	back()
}

// A client that asks thousands of things at once is answered in order; one that never reads is cut off, at a bounded cost.
func TestPipelinesAreAnsweredOrCutOff(t *testing.T) {
	d := newDaemon(t, 18)
	d.start(t)
	back := d.calm()
	const requests = 5000
	for name, c := range map[string]struct{ addr, request, answer string }{
		"rtsp": {d.rtsp, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", "RTSP/1.0 200 OK\r\n"},
		"http": {d.httpAddr(), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
	} {
		conn, err := net.Dial("tcp", c.addr)
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		go func() { _, _ = conn.Write(bytes.Repeat([]byte(c.request), requests)) }()
		answers := 0
		for in := bufio.NewReader(conn); answers < requests; {
			line, err := in.ReadString('\n')
			require.NoError(t, err, "%s: after %d answers", name, answers)
			if line == c.answer {
				answers++
			}
		}
		require.NoError(t, conn.Close())
	}

	deaf, err := net.Dial("tcp", d.rtsp)
	require.NoError(t, err)
	require.NoError(t, deaf.SetDeadline(time.Now().Add(patience)))
	many := bytes.Repeat([]byte("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"), 1000)
	for err = nil; err == nil; {
		_, err = deaf.Write(many)
	}
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server must not wait for ever for a client that reads nothing")
	require.NoError(t, deaf.Close())
	back()
}

// A thousand connections at once are all answered, over RTSP and over HTTP.
func TestAThousandConnectionsAtOnce(t *testing.T) {
	d := newDaemon(t, 18)
	d.start(t)
	r, err := d.pull(startCamera(t), "a", "1")
	require.NoError(t, err)
	require.Equal(t, 0, r.code(), r.text())
	d.sound("a")
	back := d.calm()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	crowd := min(1000, int(limit.Cur)-200)
	for _, c := range []struct{ addr, request, answer string }{
		{d.rtsp, "DESCRIBE rtsp://" + d.rtsp + "/live/a RTSP/1.0\r\nCSeq: 1\r\n\r\n", "RTSP/1.0 200 OK"},
		{d.httpAddr(), "GET /index/api/getMediaList?secret=" + d.secret + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"},
	} {
		conns := make([]net.Conn, crowd)
		var dialing sync.WaitGroup
		for i := range conns {
			dialing.Go(func() {
				conn, err := net.Dial("tcp", c.addr)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = conn
			})
		}
		dialing.Wait()
		if t.Failed() {
			t.FailNow()
		}
		for _, conn := range conns {
			require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
			_, err := io.WriteString(conn, c.request)
			require.NoError(t, err)
		}
		for i, conn := range conns {
			got := make([]byte, len(c.answer))
			_, err := io.ReadFull(conn, got)
			require.NoError(t, err, "connection %d", i)
			require.Equal(t, c.answer, string(got))
		}
		d.sound("a") // among the thousand
		for _, conn := range conns {
			require.NoError(t, conn.Close())
		}
	}
	back()
}

// Signals without number: every one is a reload, a full restart or nothing, and the pulls are there at the end.
func TestSignalStorms(t *testing.T) {
	d := newDaemon(t, 18)
	d.start(t)
	source := startCamera(t)
	for _, name := range []string{"a", "b"} {
		r, err := d.pull(source, name, "1")
		require.NoError(t, err)
		require.Equal(t, 0, r.code(), r.text())
	}
	var setting sync.WaitGroup
	setting.Go(func() {
		for i := range 30 {
			if r, err := d.api("setServerConfig", "rtsp.keepAliveSecond", strconv.Itoa(30+i)); err != nil || r.code() != 0 {
				t.Errorf("setServerConfig: %v %s", err, r.text())
			}
		}
	})
	for i := range 300 {
		d.signal([]syscall.Signal{syscall.SIGHUP, syscall.SIGUSR1}[i%2])
	}
	setting.Wait()
	require.Equal(t, "59", d.inForce("rtsp.keepAliveSecond"), "the last one that was acknowledged is in force")
	require.Len(t, d.playing(), 2, "a reload disturbs nobody")

	for range 50 {
		d.signal(syscall.SIGUSR2)
		d.ready() // gives each signal time to be a restart of its own, or not
	}
	// Between two questions another restart may begin, until the last signal has been dealt with: a full restart that is waited for comes after all of them.
	d.eventually("a full restart is not refused because of another", func() bool {
		r, err := d.api("restartServer", "wait", "1")
		return err == nil && r.code() == 0
	})
	d.waitPlaying(2)
	require.Len(t, d.ports(t), 8)
	require.Equal(t, "59", d.inForce("rtsp.keepAliveSecond"))
	d.signal(syscall.SIGUSR2)
	d.signal(syscall.SIGTERM)
	require.Equal(t, exitDone, d.wait())
}

// A server that is ended in the middle of a first attempt ends at once, answers, and promises nothing that it does not keep.
func TestEndDuringAFirstAttempt(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer mute.Close() //nolint:errcheck // the end of the test
	d := newDaemon(t, 18)
	d.start(t)
	answered := make(chan reply, 1)
	go func() {
		r, err := d.api("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", "a", "url", "rtsp://"+mute.Addr().String()+"/x", "timeout_sec", "60")
		if err != nil {
			t.Error(err)
		}
		answered <- r
	}()
	conn, err := mute.Accept() // the attempt is under way
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // the end of the test
	d.signal(syscall.SIGTERM)
	require.Equal(t, exitDone, d.wait())
	r := <-answered
	require.NotEqual(t, 0, r.code(), r.text())
	require.Contains(t, r.text(), "before the first attempt had a result")
}
