package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/store"
	"berth/config"
)

// outcome is what a command left behind.
type outcome struct {
	code        int
	out, errOut string
}

// command runs one command line inside the test, with that environment and nothing else.
func command(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	p := &program{in: strings.NewReader(""), out: &out, errOut: &errOut, env: env}
	code := run(p, args)
	return outcome{code, out.String(), errOut.String()}
}

// home is an environment whose state.dir lies in a fresh folder.
func home(t *testing.T) (env []string, stateDir string) {
	dir := t.TempDir()
	return []string{"HOME=" + dir}, filepath.Join(dir, ".local", "state", "berth")
}

// fakeServer answers every API method with the reply of that name, and remembers what it was asked.
func fakeServer(t *testing.T, status int, replies map[string]any) (url string, asked *[]*http.Request) {
	asked = &[]*http.Request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		*asked = append(*asked, r)
		if status != http.StatusOK {
			w.Header().Set("Retry-After", "2")
		}
		w.WriteHeader(status)
		reply := replies[strings.TrimPrefix(r.URL.Path, "/index/api/")]
		if text, ok := reply.(string); ok {
			_, _ = w.Write([]byte(text))
			return
		}
		if err := json.NewEncoder(w).Encode(reply); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestUsageErrorsSayWhatToDo(t *testing.T) {
	env, _ := home(t)
	for _, c := range []struct{ args, want string }{
		{"chek", `unknown command "chek"; did you mean check?`},
		{"frobnicate", `unknown command "frobnicate"`},
		{"check x", `unknown command "x" for "berth check"`},
		{"--frob", "unknown flag: --frob"},
		{"reload --timeout x", "invalid argument"},
		{"ports --url nonsense", `server URL "nonsense"`},
		{"ports --url ftp://host", "want http://HOST:PORT"},
		{"config --format ini", "there are toml and markdown"},
	} {
		t.Run(c.args, func(t *testing.T) {
			got := command(t, env, strings.Fields(c.args)...)
			require.Equal(t, exitUsage, got.code)
			require.Contains(t, got.errOut, c.want)
			require.Contains(t, got.errOut, "berth --help")
			require.Empty(t, got.out)
		})
	}
}

func TestReportTurnsErrorsIntoCodes(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"none", nil, exitDone, ""},
		{"plain", errors.New("it broke"), exitFailed, "berth: it broke\n"},
		{"said already", &exitError{code: exitPending}, exitPending, ""},
		{"wrapped code", fmt.Errorf("serve: %w", &exitError{code: 143, err: errors.New("ended")}), 143, "berth: ended\n"},
		{
			"configuration", fmt.Errorf("serve: %w", &config.InvalidError{Faults: []config.Fault{{Key: "a.b", Problem: "is wrong"}, {Key: "c.d", Problem: "too"}}}),
			exitFailed, "a.b: is wrong\nc.d: too\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w bytes.Buffer
			require.Equal(t, c.code, report(&w, c.err))
			require.Equal(t, c.want, w.String())
		})
	}
}

func TestForcedCodeIsThatOfTheLastSignal(t *testing.T) {
	signals := make(chan os.Signal, 4)
	require.Equal(t, 130, forcedCode(signals))
	signals <- syscall.SIGINT
	signals <- syscall.SIGTERM
	require.Equal(t, 143, forcedCode(signals))
}

func TestCheckShowsEveryKeyAndItsOrigin(t *testing.T) {
	env, _ := home(t)
	file := filepath.Join(t.TempDir(), "berth.toml")
	require.NoError(t, os.WriteFile(file, []byte("[rtsp]\nport = 8555\n\n[api]\nsecret = \"hush-hush-hush-hush\"\n"), 0o600))
	env = append(env, "BERTH_HTTP__PORT=8081")

	got := command(t, env, "check", "-c", file, "--set", "log.level=debug")
	require.Equal(t, exitDone, got.code, got.errOut)
	for _, key := range config.Keys() {
		require.Contains(t, got.out, key.Name)
	}
	require.Regexp(t, `rtsp\.port +\S+berth\.toml:2 +8555`, got.out)
	require.Regexp(t, `http\.port +environment BERTH_HTTP__PORT +8081`, got.out)
	require.Regexp(t, `log\.level +--set +debug`, got.out)
	require.NotContains(t, got.out, "hush")

	got = command(t, append(env, "BERTH_CONFIG="+file), "check", "--changed")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Contains(t, got.out, "rtsp.port")
	require.NotContains(t, got.out, "rtsp.keepAliveSecond")
	require.Contains(t, got.out, "3 of them set")
}

func TestCheckNamesEveryFault(t *testing.T) {
	env, _ := home(t)
	file := filepath.Join(t.TempDir(), "berth.toml")
	require.NoError(t, os.WriteFile(file, []byte("[rtsp]\nprot = 8555\n\n[rtp_proxy]\nport_range = \"30000-20000\"\n"), 0o600))
	got := command(t, env, "check", "-c", file)
	require.Equal(t, exitFailed, got.code)
	require.Empty(t, got.out)
	require.Contains(t, got.errOut, file+":2: rtsp.prot")
	require.Contains(t, got.errOut, "rtsp.port")
	require.Contains(t, got.errOut, file+`:5: rtp_proxy.port_range = "30000-20000"`)
	require.Contains(t, got.errOut, "2 errors")

	got = command(t, env, "check", "-c", file+".missing")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, ".missing")
}

func TestConfigPrintsWhatTheRepositoryHolds(t *testing.T) {
	for format, file := range map[string]string{"toml": "../../berth.sample.toml", "markdown": "../../docs/configuration.md"} {
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		got := command(t, nil, "config", "--format", format)
		require.Equal(t, exitDone, got.code, got.errOut)
		require.Equal(t, string(want), got.out)
	}
}

func TestSecretComesFromConfigurationOrState(t *testing.T) {
	env, dir := home(t)
	got := command(t, env, "secret")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, dir)

	made, err := store.Secret(dir)
	require.NoError(t, err)
	got = command(t, env, "secret")
	require.Equal(t, outcome{out: made + "\n"}, got)

	elsewhere := t.TempDir()
	other, err := store.Secret(elsewhere)
	require.NoError(t, err)
	require.Equal(t, outcome{out: other + "\n"}, command(t, env, "secret", "--set", "state.dir="+elsewhere))
	require.Equal(t, outcome{out: "of-the-configuration\n"}, command(t, env, "secret", "--set", "api.secret=of-the-configuration"))
}

func TestVersionSaysWhatItWasBuiltFrom(t *testing.T) {
	got := command(t, nil, "version")
	require.Equal(t, exitDone, got.code)
	require.True(t, strings.HasPrefix(got.out, "berth "), got.out)

	info := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123abc"}, {Key: "vcs.time", Value: "2026-11-22T10:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	info.Main.Version = "v1.2.3"
	require.Contains(t, buildOf(info, true).String(), "berth v1.2.3 commit 0123abc with uncommitted changes of 2026-11-22T10:00:00Z (go")
	require.Contains(t, buildOf(nil, false).String(), "berth (devel) (go")
}

func TestListenCureFitsTheFault(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{syscall.EADDRINUSE, "another program listens there"},
		{syscall.EACCES, "below 1024"},
		{syscall.EADDRNOTAVAIL, "general.listen_ip"},
		{errors.New("else"), ""},
	} {
		got := listenCure(&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", c.err)})
		require.Contains(t, got, c.want)
		require.Equal(t, c.want == "", got == "")
	}
}
