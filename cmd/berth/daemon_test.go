package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/config"
)

// patience bounds every wait for the daemon. Nothing takes nearly as long, but for a machine that is busy with other tests.
const patience = 60 * time.Second

// builtProgram is the program built by the first test that needs it; TestMain removes it.
var builtProgram = struct {
	sync.Mutex
	dir string
	err error
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if builtProgram.dir != "" {
		_ = os.RemoveAll(builtProgram.dir)
	}
	os.Exit(code)
}

// builtBerth returns the path of the program, built like the test itself (with the race detector or not).
func builtBerth(t *testing.T) string {
	t.Helper()
	b := &builtProgram
	b.Lock()
	defer b.Unlock()
	if b.dir == "" && b.err == nil {
		b.err = func() error {
			dir, err := os.MkdirTemp("", "berth-test-")
			if err != nil {
				return err
			}
			b.dir = dir
			args := []string{"build", "-o", filepath.Join(dir, "berth")}
			if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
				args = append(args, "-race")
			}
			if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
				return fmt.Errorf("go build: %w\n%s", err, out)
			}
			return nil
		}()
	}
	require.NoError(t, b.err)
	return filepath.Join(b.dir, "berth")
}

// lockedBuffer collects the output of a child while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// child is one run of the program.
type child struct {
	t           *testing.T
	cmd         *exec.Cmd
	out, errOut lockedBuffer
	exited      chan struct{} // closed when it has ended
}

// spawn starts the program with that environment and nothing else of ours. It is killed at the end of the test if it still runs.
func spawn(t *testing.T, env []string, args ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.Command(builtBerth(t), args...), exited: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.errOut
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	require.NoError(t, c.cmd.Start())
	go func() {
		defer close(c.exited)
		_ = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.exited
		if t.Failed() {
			t.Logf("berth %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), c.out.String(), c.errOut.String())
		}
	})
	return c
}

func (c *child) signal(sig syscall.Signal) {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(sig))
}

// wait returns the exit code; a child that died of a signal gives -1.
func (c *child) wait() int {
	c.t.Helper()
	select {
	case <-c.exited:
	case <-time.After(patience):
		c.t.Fatalf("berth does not end")
	}
	return c.cmd.ProcessState.ExitCode()
}

// eventually polls until the condition holds, and says what was waited for when it never does. A child that ended ends the wait.
func (c *child) eventually(what string, condition func() bool) {
	c.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			c.t.Fatalf("waited in vain: %s", what)
		case <-c.exited:
			c.t.Fatalf("berth ended with code %d, while the test waited: %s", c.cmd.ProcessState.ExitCode(), what)
		case <-tick.C:
		}
	}
}

// daemon is a server with its own configuration file and state, on loopback ports of its own.
type daemon struct {
	*child
	base   string // of the HTTP API
	rtsp   string // host:port
	file   string
	state  string
	secret string
	keys   map[string]string // of the configuration file
}

// newDaemon prepares a daemon whose pool has that many pairs; start runs it.
func newDaemon(t *testing.T, pairs int) *daemon {
	t.Helper()
	dir := t.TempDir()
	pool := config.PortRange(actortest.FreeRange(t, pairs))
	web, err := freePort(0, pool)
	require.NoError(t, err)
	rtsp, err := freePort(0, pool)
	require.NoError(t, err)
	d := &daemon{
		base: fmt.Sprintf("http://127.0.0.1:%d", web), rtsp: fmt.Sprintf("127.0.0.1:%d", rtsp),
		file: filepath.Join(dir, "berth.toml"), state: filepath.Join(dir, "state"), secret: "secret-of-this-test-and-no-other",
	}
	d.keys = map[string]string{
		"general.listen_ip": `"127.0.0.1"`, "http.port": fmt.Sprint(web), "rtsp.port": fmt.Sprint(rtsp), "state.dir": fmt.Sprintf("%q", d.state),
		"api.secret": fmt.Sprintf("%q", d.secret), "rtp_proxy.port_range": fmt.Sprintf("%q", pool.String()),
		"rtp_proxy.port": "0",
	}
	d.write()
	return d
}

func rangeIsFree(low, ports int) bool {
	for port := low; port < low+ports; port++ {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			return false
		}
		_ = c.Close()
	}
	return true
}

// set changes keys of the file, key to TOML value; nothing is reloaded by that.
func (d *daemon) set(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		d.keys[pairs[i]] = pairs[i+1]
	}
	d.write()
}

func (d *daemon) write() {
	var b strings.Builder
	for _, name := range sortedKeys(d.keys) {
		fmt.Fprintf(&b, "%s = %s\n", name, d.keys[name])
	}
	if err := os.WriteFile(d.file, []byte(b.String()), 0o600); err != nil {
		panic(err)
	}
}

// start runs the server and waits until its engine runs.
func (d *daemon) start(t *testing.T, args ...string) {
	t.Helper()
	d.child = spawn(t, nil, append([]string{"serve", "-c", d.file}, args...)...)
	d.eventually("the server is ready", d.ready)
}

func (d *daemon) ready() bool {
	response, err := http.Get(d.base + "/readyz")
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// reply is an answer of the API.
type reply map[string]any

func (r reply) code() int {
	code, ok := r["code"].(float64)
	if !ok {
		return -999
	}
	return int(code)
}

func (r reply) text() string {
	raw, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// api calls a method; arguments come in pairs. It may be called from any goroutine.
func (d *daemon) api(method string, arguments ...string) (reply, error) {
	form := url.Values{"secret": {d.secret}}
	for i := 0; i < len(arguments); i += 2 {
		form.Set(arguments[i], arguments[i+1])
	}
	response, err := (&http.Client{Timeout: patience}).PostForm(d.base+"/index/api/"+method, form)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", method, err, body)
	}
	return r, nil
}

// must calls a method that has to succeed.
func (d *daemon) must(method string, arguments ...string) reply {
	d.t.Helper()
	r, err := d.api(method, arguments...)
	require.NoError(d.t, err)
	require.Equal(d.t, 0, r.code(), "%s: %s", method, r.text())
	return r
}

// inForce returns the value of a key as getServerConfig shows it.
func (d *daemon) inForce(key string) string {
	d.t.Helper()
	r, err := d.api("getServerConfig")
	require.NoError(d.t, err)
	list, _ := r["data"].([]any)
	require.Len(d.t, list, 1, "getServerConfig: %s", r.text())
	values, _ := list[0].(map[string]any)
	text, ok := values[key].(string)
	require.True(d.t, ok, "getServerConfig has no text for %s", key)
	return text
}

// list returns the elements of data, which is absent when there are none.
func (d *daemon) list(method string, arguments ...string) []map[string]any {
	d.t.Helper()
	var out []map[string]any
	items, _ := d.must(method, arguments...)["data"].([]any)
	for _, item := range items {
		m, ok := item.(map[string]any)
		require.True(d.t, ok, "%s: %v", method, item)
		out = append(out, m)
	}
	return out
}

// cli runs a command line that talks to this daemon.
func (d *daemon) cli(args ...string) outcome {
	d.t.Helper()
	c := spawn(d.t, []string{"BERTH_URL=" + d.base, "BERTH_SECRET=" + d.secret, "HOME=" + d.t.TempDir()}, args...)
	code := c.wait()
	return outcome{code, c.out.String(), c.errOut.String()}
}
