package supervisor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors/actortest"

	"berth/actors"
	"berth/actors/reload"
	"berth/config"
)

// restartRow is a key that waits for a full restart.
type restartRow struct {
	to string // next value, in TOML
	// inForce reports whether the new value is obeyed. Asked before the reload, after it, and after the full restart.
	inForce func(*keyRig) bool
	// late: the new value shows by time alone, so that its absence cannot be seen. Then inForce is asked after the full restart only.
	late bool
}

// elsewhere is the listening address after the full restart.
const elsewhere = "127.0.0.2"

// restartKeys returns the rows; r has the free ports, nil for the names alone.
func restartKeys(r *keyRig) map[string]restartRow {
	var ports [5]int
	var next, state string
	if r != nil {
		ports = r.mark.(restartPorts).tcp
		next, state = r.mark.(restartPorts).media, r.mark.(restartPorts).state
	}
	listens := func(port int) func(*keyRig) bool {
		return func(*keyRig) bool { return accepts(elsewhere, port) || accepts("127.0.0.1", port) }
	}
	return map[string]restartRow{
		"general.listen_ip":    {to: strconv.Quote(elsewhere), inForce: func(*keyRig) bool { return accepts(elsewhere, ports[0]) }},
		"general.enableVhost":  {to: "true", inForce: func(r *keyRig) bool { return strings.Contains(addedAs(r), "v.example/") }},
		"http.port":            {to: strconv.Itoa(ports[0]), inForce: listens(ports[0])},
		"http.sslport":         {to: strconv.Itoa(ports[1]), inForce: listens(ports[1])},
		"rtsp.port":            {to: strconv.Itoa(ports[2]), inForce: listens(ports[2])},
		"rtsp.sslport":         {to: strconv.Itoa(ports[3]), inForce: listens(ports[3])},
		"rtp_proxy.port":       {to: strconv.Itoa(ports[4]), inForce: listens(ports[4])},
		"http.keepAliveSecond": {to: "1", late: true, inForce: idleEnds},
		"limits.http_header_bytes": {to: `"1KiB"`, inForce: func(r *keyRig) bool {
			var status int
			r.eventually("the connections of other rows have gone", func() bool {
				status, _, _ = r.get("/healthz", "X-Long", strings.Repeat("x", 10_000))
				return status != http.StatusServiceUnavailable
			})
			return status == http.StatusRequestHeaderFieldsTooLarge
		}},
		"limits.http_header_timeout": {to: `"100ms"`, late: true, inForce: slowHeaderEnds},
		"rtp_proxy.port_range":       {to: strconv.Quote(next), inForce: func(r *keyRig) bool { return r.pool().Range.String() == next }},
		"pool.exclude": {to: strconv.Quote(strings.SplitN(next, "-", 2)[0]), inForce: func(r *keyRig) bool {
			return r.states()["excluded"] > 0
		}},
		"pool.bind":  {to: `"127.0.0.3"`, inForce: func(r *keyRig) bool { return r.pool().Bind == netip.MustParseAddr("127.0.0.3") }},
		"log.format": {to: `"console"`, inForce: func(r *keyRig) bool { return !strings.HasPrefix(r.log.last(), "{") }},
		"state.dir":  {to: strconv.Quote(state), inForce: func(*keyRig) bool { _, err := os.Stat(state); return err == nil }},
	}
}

// restartPorts are free places for the new values.
type restartPorts struct {
	tcp   [5]int
	media string
	state string
}

func accepts(host string, port int) bool {
	conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// addedAs adds a pull for a virtual host, and returns the key that it is known by.
func addedAs(r *keyRig) string {
	r.t.Helper()
	source := startCamera(r.t)
	reply := r.call("addStreamProxy", "vhost", "v.example", "app", "live", "stream", "vhosts", "url", source.URL("cam"), "rtp_type", "0")
	require.EqualValues(r.t, 0, reply["code"], "%v", reply)
	key := fmt.Sprint(reply["data"].(map[string]any)["key"])
	require.EqualValues(r.t, 0, r.call("delStreamProxy", "key", key)["code"])
	r.eventually("its stream has gone", func() bool { s := r.streams(); return s != nil && !s["vhosts"] })
	return key
}

// idleEnds waits until an idle connection is closed.
func idleEnds(r *keyRig) bool {
	conn := r.dial(r.ready.HTTP.String())
	_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(r.t, err)
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	require.NoError(r.t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(r.t, err)
	require.NoError(r.t, response.Body.Close())
	_, err = in.ReadByte()
	return err == io.EOF //nolint:errorlint // of a connection, unwrapped
}

// slowHeaderEnds waits until a connection whose header does not come is closed, and not for its age.
func slowHeaderEnds(r *keyRig) bool {
	conn := r.dial(r.ready.HTTP.String())
	_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\n")
	require.NoError(r.t, err)
	_, err = io.Copy(io.Discard, conn)
	return err == nil
}

// spy is an owner that keeps the snapshots it is handed.
type spy struct {
	mu   sync.Mutex
	seen []*config.Config
}

func (s *spy) Receive(ctx actor.Context) {
	if m, ok := ctx.Message().(*actors.ConfigChanged); ok {
		s.mu.Lock()
		s.seen = append(s.seen, m.Config)
		s.mu.Unlock()
		ctx.Respond(&actors.ConfigTaken{Owner: "spy"})
	}
}

func (s *spy) last() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		return nil
	}
	return s.seen[len(s.seen)-1]
}

// newSpy registers an owner until the end of the test.
func newSpy(r *keyRig) *spy {
	r.t.Helper()
	s := &spy{}
	root := r.process.runtime.System.Root
	pid := root.Spawn(r.process.runtime.Props(func() actor.Actor { return s }))
	r.t.Cleanup(func() { _ = root.StopFuture(pid).Wait() })
	root.Send(r.named("supervisor/reload"), &reload.Register{Name: "spy", PID: pid})
	r.eventually("the spy is an owner", func() bool { return s.last() != nil })
	return s
}

// Every key that waits for a full restart is reported as pending by a reload and has no effect before the full restart, and has it afterwards.
func TestEveryRestartKeyWaits(t *testing.T) {
	cert, key := certificate(t, "one.example", farAway)
	r := newRig(t, map[string]string{
		"tls.cert_file": strconv.Quote(cert), "tls.key_file": strconv.Quote(key), "log.format": `"json"`, "log.level": `"info"`,
		"http.sslport": strconv.Itoa(freePort(t)), "rtsp.sslport": strconv.Itoa(freePort(t)), "limits.http_header_timeout": `"5m"`,
		"http.keepAliveSecond": "3600",
	}, 20)
	marks := restartPorts{state: filepath.Join(t.TempDir(), "elsewhere")}
	for i := range marks.tcp {
		marks.tcp[i] = freeSharedPort(t) // the last one is opened over UDP too
	}
	low := int(actortest.FreeRange(t, 60).Low) + 40
	marks.media = fmt.Sprintf("%d-%d", low, low+39)
	r.mark = marks
	rows := restartKeys(r)
	shut := func(when string) {
		t.Helper()
		for name, row := range rows {
			if !row.late {
				require.False(t, row.inForce(r), "%s %s", name, when)
			}
		}
	}
	shut("before the reload")
	watch := newSpy(r)

	next := map[string]string{}
	for name, row := range rows {
		next[name] = row.to
	}
	before := r.process.opts
	verdict := r.reload(next)
	outcomes := map[string]reload.Outcome{}
	for _, key := range verdict.Keys {
		outcomes[key.Key] = key.Outcome
	}
	require.Len(t, outcomes, len(rows))
	for name := range rows {
		require.Equal(t, reload.Pending, outcomes[name], name)
	}
	old, _, err := before.load(nil, false)
	require.NoError(t, err)
	shut("before the full restart")

	// A hot key beside them makes every owner take a snapshot, in which nothing of what waits may stand.
	r.reload(map[string]string{"general.streamNoneReaderDelayMS": "12345"})
	r.eventually("the owners hear of the hot key", func() bool { return watch.last().Get("general.streamNoneReaderDelayMS") == "12345" })
	for name := range rows {
		require.NotEqual(t, old.Get(name), watch.last().Get(name), "%s reached an owner before the full restart", name)
	}
	pending := r.call("getPendingConfig")["data"].(map[string]any)["pending"].([]any)
	require.Len(t, pending, len(rows))
	shut("after a reload of other keys")

	done, err := actors.Ask[*Restarted](t.Context(), r.process.runtime.System, r.named("supervisor"), &Restart{By: "test"})
	require.NoError(t, err)
	require.NoError(t, done.Err)
	require.Len(t, done.Applied, len(rows))
	r.http.CloseIdleConnections()
	r.ready.HTTP = netip.AddrPortFrom(netip.MustParseAddr(elsewhere), uint16(marks.tcp[0])) //nolint:gosec // a port
	r.ready.RTSP = netip.AddrPortFrom(netip.MustParseAddr(elsewhere), uint16(marks.tcp[2])) //nolint:gosec // a port
	r.eventually("the HTTP front has moved", func() bool { return accepts(elsewhere, marks.tcp[0]) })
	r.ready.Secret = r.process.identity.Load().secret // of the new directory
	for name, row := range rows {
		require.True(t, row.inForce(r), "%s after the full restart", name)
	}
	require.Empty(t, r.call("getPendingConfig")["data"].(map[string]any)["pending"])
}
