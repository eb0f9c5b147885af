package supervisor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

func apiRows() map[string]keyRow {
	const versionPath = "/index/api/version"
	return map[string]keyRow{
		"api.secret": {
			base: map[string]string{"api.secret": `"the-first-secret"`}, to: `"the-second-secret"`,
			before: func(r *keyRig) { require.Zero(r.t, r.code("version")) },
			after: func(r *keyRig) {
				require.EqualValues(r.t, -100, r.code("version"))
				r.ready.Secret = "the-second-secret"
				require.Zero(r.t, r.code("version"))
			},
		},
		"api.apiDebug": {
			base: map[string]string{"api.apiDebug": "false", "log.level": `"debug"`}, to: "true",
			before: func(r *keyRig) {
				r.call("version")
				require.False(r.t, r.log.has("API call"))
			},
			after: func(r *keyRig) {
				r.call("version")
				r.eventually("the call is logged", func() bool { return r.log.has("API call") })
			},
		},
		"api.allow_loopback": {
			to: "true",
			before: func(r *keyRig) {
				_, _, body := r.get(versionPath)
				require.Contains(r.t, body, "-100")
			},
			after: func(r *keyRig) {
				_, _, body := r.get(versionPath)
				require.NotContains(r.t, body, "-100")
			},
		},
		"log.level": {
			base:   map[string]string{"log.level": `"warn"`},
			to:     `"debug"`,
			before: func(r *keyRig) { r.call("version"); require.False(r.t, r.log.has(`"level":"debug"`)) },
			after: func(r *keyRig) {
				r.call("version")
				r.eventually("debug lines are written", func() bool { return r.log.has(`"level":"debug"`) })
			},
		},
		"metrics.enable": {
			to:     "false",
			before: func(r *keyRig) { status, _, _ := r.get("/metrics"); require.Equal(r.t, http.StatusOK, status) },
			after:  func(r *keyRig) { status, _, _ := r.get("/metrics"); require.Equal(r.t, http.StatusNotFound, status) },
		},
		"debug.pprof": {
			to: "true",
			before: func(r *keyRig) {
				status, _, _ := r.get("/debug/pprof/cmdline?secret=" + r.ready.Secret)
				require.Equal(r.t, http.StatusNotFound, status)
			},
			after: func(r *keyRig) {
				status, _, _ := r.get("/debug/pprof/cmdline?secret=" + r.ready.Secret)
				require.Equal(r.t, http.StatusOK, status)
			},
		},
		"limits.api_failures_per_minute": {
			to: "2",
			before: func(r *keyRig) {
				for i := range 4 {
					require.NotContains(r.t, wrongSecret(r, i), "too many")
				}
			},
			after: func(r *keyRig) { require.Contains(r.t, wrongSecret(r, 5), "too many") },
		},
	}
}

// wrongSecret makes a call with a wrong secret, another one for each n, and returns what it is told.
func wrongSecret(r *keyRig, n int) string {
	r.t.Helper()
	_, _, body := r.get(fmt.Sprintf("/index/api/version?secret=wrong-%d", n))
	return body
}

func httpRows() map[string]keyRow {
	return map[string]keyRow{
		"http.maxReqSize": {
			to:     "1024",
			before: func(r *keyRig) { require.Equal(r.t, http.StatusOK, post(r, 2000)) },
			after:  func(r *keyRig) { require.Equal(r.t, http.StatusRequestEntityTooLarge, post(r, 2000)) },
		},
		"http.allow_ip_range": {
			to:     `"10.9.8.7"`,
			before: func(r *keyRig) { require.Zero(r.t, r.code("version")) },
			after:  func(r *keyRig) { require.EqualValues(r.t, -100, r.code("version")) },
		},
		"http.allow_cross_domains": {
			to:     "false",
			before: func(r *keyRig) { require.NotEmpty(r.t, allowedOrigin(r)) },
			after:  func(r *keyRig) { require.Empty(r.t, allowedOrigin(r)) },
		},
		"limits.http_connections": {
			to: "2",
			before: func(r *keyRig) {
				r.http.CloseIdleConnections()
				for range 2 { // in the middle of a request, so that they are not closed to make room
					_, err := io.WriteString(r.dial(r.ready.HTTP.String()), "GET /healthz HTTP/1.1\r\nHost: x\r\n")
					require.NoError(r.t, err)
				}
				require.Equal(r.t, http.StatusOK, freshRequest(r))
			},
			after: func(r *keyRig) {
				r.eventually("a third connection is refused", func() bool { return freshRequest(r) == http.StatusServiceUnavailable })
			},
		},
		"tls.cert_file": tlsRow(),
		"tls.key_file":  tlsRow(),
	}
}

func post(r *keyRig, bytes int) int {
	r.t.Helper()
	response, err := r.http.Post("http://"+r.ready.HTTP.String()+"/index/api/version", "application/x-www-form-urlencoded", strings.NewReader(form(r.ready.Secret, bytes)))
	require.NoError(r.t, err)
	require.NoError(r.t, response.Body.Close())
	return response.StatusCode
}

func allowedOrigin(r *keyRig) string {
	r.t.Helper()
	_, header, _ := r.get("/index/api/version?secret="+url.QueryEscape(r.ready.Secret), "Origin", "http://elsewhere.example")
	return header.Get("Access-Control-Allow-Origin")
}

// dial opens a connection that the test closes before the server ends.
func (r *keyRig) dial(address string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { conn.Close() })
	require.NoError(r.t, conn.SetDeadline(time.Now().Add(actortest.Wait)))
	return conn
}

// freshRequest asks for /healthz on a connection of its own.
func freshRequest(r *keyRig) int {
	conn := r.dial(r.ready.HTTP.String())
	defer conn.Close()
	_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	require.NoError(r.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(r.t, err)
	require.NoError(r.t, response.Body.Close())
	return response.StatusCode
}

// tlsRow changes certificate and key together, as they must be.
func tlsRow() keyRow {
	row := keyRow{}
	row.prepare = func(t *testing.T, row *keyRow) {
		cert, key := certificate(t, "first.example", farAway)
		row.base = map[string]string{
			"tls.cert_file": strconv.Quote(cert), "tls.key_file": strconv.Quote(key),
			"http.sslport": strconv.Itoa(freePort(t)), "rtsp.sslport": strconv.Itoa(freePort(t)),
		}
		cert, key = certificate(t, "second.example", farAway)
		row.next = map[string]string{"tls.cert_file": strconv.Quote(cert), "tls.key_file": strconv.Quote(key)}
	}
	row.before = func(r *keyRig) {
		require.Equal(r.t, "first.example", served(portOf(r, "http.sslport")))
		require.Equal(r.t, "first.example", served(portOf(r, "rtsp.sslport")))
	}
	row.after = func(r *keyRig) {
		require.Equal(r.t, "second.example", served(portOf(r, "http.sslport")))
		require.Equal(r.t, "second.example", served(portOf(r, "rtsp.sslport")))
	}
	return row
}

func portOf(r *keyRig, key string) int {
	r.t.Helper()
	var port int
	_, err := fmt.Sscan(r.keys[key], &port)
	require.NoError(r.t, err)
	return port
}
