package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/netio/camera"
)

func TestMain(m *testing.M) { actortest.Main(m) }

// server is a whole berth inside the test.
type server struct {
	t       *testing.T
	file    string
	keys    map[string]string
	pairs   int
	signals chan os.Signal
	ready   Ready
	process *process
	end     context.CancelFunc
	ended   chan error
	http    *http.Client
}

// newServer prepares a server on loopback with a range of so many free pairs.
func newServer(t *testing.T, pairs int) *server {
	t.Helper()
	actortest.CheckLeaks(t)
	dir := t.TempDir()
	low := int(actortest.FreeRange(t, pairs).Low)
	s := &server{
		t: t, file: filepath.Join(dir, "berth.toml"), pairs: pairs,
		signals: make(chan os.Signal, 16), ended: make(chan error, 1),
		keys: map[string]string{
			"general.listen_ip":     `"127.0.0.1"`,
			"http.port":             strconv.Itoa(freePort(t)),
			"rtsp.port":             strconv.Itoa(freePort(t)),
			"rtp_proxy.port":        "0",
			"rtp_proxy.port_range":  fmt.Sprintf(`"%d-%d"`, low, low+2*pairs-1),
			"state.dir":             strconv.Quote(filepath.Join(dir, "state")),
			"log.level":             `"warn"`,
			"proxy.retry_delay_min": `"100ms"`,
		},
	}
	return s
}

// set changes a key in the file.
func (s *server) set(key, value string) {
	s.t.Helper()
	s.keys[key] = value
	s.write()
}

func (s *server) write() {
	s.t.Helper()
	var text strings.Builder
	sections := map[string][]string{}
	for key, value := range s.keys {
		section, name, _ := strings.Cut(key, ".")
		sections[section] = append(sections[section], name+" = "+value)
	}
	for section, lines := range sections {
		slices.Sort(lines)
		fmt.Fprintf(&text, "[%s]\n%s\n", section, strings.Join(lines, "\n"))
	}
	require.NoError(s.t, os.WriteFile(s.file, []byte(text.String()), 0o600))
}

// start runs the server until the end of the test.
func (s *server) start(faults faults) {
	s.t.Helper()
	s.write()
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	s.http = &http.Client{Transport: &http.Transport{}}
	started, ready := faults.started, make(chan Ready, 1)
	faults.started = func(p *process) {
		s.process = p
		if started != nil {
			started(p)
		}
	}
	output := testOutput{s.t}
	go func() {
		s.ended <- Run(ctx, Options{
			ConfigFile: s.file, Signals: s.signals, LogOutput: output, Version: "test",
			Ready: func(r Ready) { ready <- r }, faults: faults,
		})
	}()
	s.t.Cleanup(s.stop)
	select {
	case s.ready = <-ready:
	case err := <-s.ended:
		s.ended <- err
		s.t.Fatalf("the server did not start: %v", err)
	case <-time.After(actortest.Wait):
		s.t.Fatal("the server did not start in time")
	}
}

// stop ends the server and requires an orderly end.
func (s *server) stop() {
	if s.end == nil {
		return
	}
	s.end()
	s.end = nil
	select {
	case err := <-s.ended:
		require.NoError(s.t, err)
	case <-time.After(actortest.Wait):
		s.t.Error("the server did not end in time")
	}
	s.http.CloseIdleConnections()
	require.Empty(s.t, s.held(), "a server that ended holds ports")
}

// testOutput writes the server's log into the test's.
type testOutput struct{ t *testing.T }

func (o testOutput) Write(line []byte) (int, error) {
	if testing.Verbose() {
		fmt.Fprintf(os.Stderr, "%s: %s", o.t.Name(), line)
	}
	return len(line), nil
}

// call makes an API call.
func (s *server) call(name string, args ...string) map[string]any {
	s.t.Helper()
	reply, err := s.try(name, args...)
	require.NoError(s.t, err)
	return reply
}

func (s *server) try(name string, args ...string) (map[string]any, error) {
	values := url.Values{"secret": {s.ready.Secret}}
	for i := 0; i < len(args); i += 2 {
		values.Set(args[i], args[i+1])
	}
	resp, err := s.http.PostForm(fmt.Sprintf("http://%s/index/api/%s", s.ready.HTTP, name), values)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var reply map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", name, resp.Status, err)
	}
	return reply, nil
}

// pull adds a proxy and requires that it plays.
func (s *server) pull(source *camera.Camera, name, rtpType string) {
	s.t.Helper()
	reply := s.call("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", name, "url", source.URL(name), "rtp_type", rtpType)
	require.EqualValues(s.t, 0, reply["code"], "%v", reply)
}

// playing counts the proxies that play.
func (s *server) playing() int {
	reply, err := s.try("listStreamProxy")
	if err != nil {
		return -1
	}
	n := 0
	list, _ := reply["data"].([]any)
	for _, item := range list {
		if status, ok := item.(map[string]any)["status"].(float64); ok && status == 0 {
			n++
		}
	}
	return n
}

func (s *server) eventually(what string, condition func() bool) {
	s.t.Helper()
	require.Eventually(s.t, condition, actortest.Wait, 20*time.Millisecond, what)
}

func (s *server) generation() uint64 {
	if e := s.process.engine.Load(); e != nil {
		return e.Generation
	}
	return 0
}

// crash makes an actor panic.
func (s *server) crash(pid *actor.PID) { s.process.runtime.System.Root.Send(pid, &actors.Crash{}) }

// named returns the PID of a running actor by its id.
func (s *server) named(id string) *actor.PID {
	return actor.NewPID(s.process.runtime.System.Address(), id)
}

// pool asks the pool of the present generation, nil while there is none.
func (s *server) pool() *portpool.Pool {
	e := s.process.engine.Load()
	if e == nil {
		return nil
	}
	pool, err := actors.Ask[*portpool.Pool](s.t.Context(), s.process.runtime.System, e.Pool, &portpool.GetPool{Detail: true})
	if err != nil {
		return nil
	}
	return pool
}

// held returns the UDP ports of the range that this process holds, as the kernel sees it.
func (s *server) held() map[int]bool {
	s.t.Helper()
	low, high := s.bounds()
	mine := map[string]bool{}
	links, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(s.t, err)
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "socket:[") {
			mine[strings.Trim(to, "socket:[]")] = true
		}
	}
	out := map[int]bool{}
	for _, table := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		file, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) < 10 || !mine[fields[9]] {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			if port, err := strconv.ParseInt(hex, 16, 32); err == nil && int(port) >= low && int(port) <= high {
				require.False(s.t, out[int(port)], "port %d is held twice", port)
				out[int(port)] = true
			}
		}
		require.NoError(s.t, file.Close())
	}
	return out
}

func (s *server) bounds() (low, high int) {
	s.t.Helper()
	_, err := fmt.Sscanf(s.keys["rtp_proxy.port_range"], `"%d-%d"`, &low, &high)
	require.NoError(s.t, err)
	return low, high
}

// audit requires that ledger and kernel agree, and that so many pairs are leased.
func (s *server) audit(leased int) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("the pool: %+v\nthe kernel: %v", s.pool(), s.held())
		}
	}()
	s.eventually(fmt.Sprintf("%d pairs leased and nothing else bound but what drains", leased), func() bool {
		pool := s.pool()
		if pool == nil || pool.Counts.Total() != s.pairs {
			return false
		}
		bound := 0
		for _, slot := range pool.Slots {
			switch slot.State.String() {
			case "leased", "draining":
				bound++
			}
		}
		leases := 0
		for _, slot := range pool.Slots {
			if slot.State.String() == "leased" {
				leases++
			}
		}
		return leases == leased && len(s.held()) == 2*bound
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 3000 + (os.Getpid()*53+int(portsGiven.Add(1)))%7000
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// portsGiven keeps freePort from giving a port twice. It stays below the ephemeral ports, which anybody's connection may have when the server opens it.
var portsGiven atomic.Int32

func startCamera(t *testing.T) *camera.Camera {
	t.Helper()
	source, err := camera.Start(camera.Options{})
	require.NoError(t, err)
	t.Cleanup(source.Close)
	return source
}
