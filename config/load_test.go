package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// write puts text into a new file of that name and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// faults returns the faults of an error that must be an InvalidError.
func faults(t *testing.T, err error) []Fault {
	t.Helper()
	var invalid *InvalidError
	require.ErrorAs(t, err, &invalid)
	require.NotEmpty(t, invalid.Faults)
	return invalid.Faults
}

func TestHigherLayersWin(t *testing.T) {
	file := write(t, "berth.toml", "[rtsp]\nport = 1001\nsslport = 1002\nhandshakeSecond = 11\nkeepAliveSecond = 12\n")
	c, report, err := Load(Options{
		File:      file,
		Env:       []string{"BERTH_RTSP__SSLPORT=2002", "BERTH_RTSP__HANDSHAKESECOND=22", "berth_rtsp__keepalivesecond=23", "PATH=/bin", "HOME=/h"},
		Set:       []string{"rtsp.handshakeSecond=31", "rtsp.keepAliveSecond=32", "rtsp.keepAliveSecond = 33"},
		Overrides: map[string]string{"rtsp.keepAliveSecond": "44"},
	})
	require.NoError(t, err)
	require.Len(t, report.Warnings, 1, "only the missing certificate")
	require.EqualValues(t, 8080, c.HTTP.Port)
	require.EqualValues(t, 1001, c.RTSP.Port)
	require.EqualValues(t, 2002, c.RTSP.SSLPort)
	require.Equal(t, 31*time.Second, c.RTSP.HandshakeTimeout)
	require.Equal(t, 44*time.Second, c.RTSP.KeepAlive)
	for key, want := range map[string]string{
		"http.port":            "default",
		"rtsp.port":            file + ":2",
		"rtsp.sslport":         "environment BERTH_RTSP__SSLPORT",
		"rtsp.handshakeSecond": "--set",
		"rtsp.keepAliveSecond": "runtime override",
		"no.key":               "default",
	} {
		require.Equal(t, want, c.Source(key).String(), key)
	}
	require.Equal(t, "44", c.Get("rtsp.keepAliveSecond"))
	require.Empty(t, c.Get("no.key"))
}

func TestEveryLayerIsCheckedEvenWhereAHigherOneWins(t *testing.T) {
	_, _, err := Load(Options{
		File: write(t, "berth.yaml", "rtsp:\n  port: abc\n"),
		Env:  []string{"HOME=/h", "BERTH_RTSP__PORT=70000", "BERTH_RTSP__PROT=1", "BERTH_RTMP__PORT=1", "BERTH_URLS=x"},
		Set:  []string{"rtsp.port=-1", "rtsp.port", "rtsp.prot=1", "rtmp.port=1", ""},
		Overrides: map[string]string{
			"rtsp.port": "x",
		},
	})
	var got []string
	for _, f := range faults(t, err) {
		got = append(got, f.Layer.String()+" "+f.Key+" "+f.Problem+"; "+f.Cure)
	}
	require.Equal(t, []string{
		"file rtsp.port is not a whole number; write a whole number from 0 to 65535",
		"env  is a key of ZLMediaKit that this version does not serve yet; remove rtmp.port",
		"env rtsp.port is above the largest value, 65535; write a whole number from 0 to 65535",
		"env  stands for no key; did you mean BERTH_RTSP__PORT?",
		"env  stands for no key; did you mean BERTH_URL?",
		"flag rtsp.port is below the smallest value, 0; write a whole number from 0 to 65535",
		"flag rtsp.port has no value; write --set section.key=value",
		"flag rtsp.prot is not a key; did you mean rtsp.port?",
		"flag rtmp.port is a key of ZLMediaKit that this version does not serve yet; remove rtmp.port",
		"flag  has no value; write --set section.key=value",
		"override rtsp.port is not a whole number; write a whole number from 0 to 65535",
	}, got)
}

func TestEnvironment(t *testing.T) {
	load := func(env ...string) (*Config, error) {
		c, _, err := Load(Options{Env: append(env, "HOME=/h")})
		return c, err
	}
	c, err := load("BERTH_URL=http://x", "BERTH_SECRET=s", "BERTH_CONFIG=f", "BERTH_INTEROP=1", "BERTH_LOG=debug", "BERTH_UPDATE=1", "BERTHX=1")
	require.NoError(t, err)
	require.Empty(t, Diff(Default(), withStateDir(c, "")))

	// What Kubernetes and Docker links put there for services named berth and berth-rtsp.
	_, err = load(
		"BERTH_SERVICE_HOST=10.0.0.1", "BERTH_SERVICE_PORT=8080", "BERTH_SERVICE_PORT_HTTP=8080", "BERTH_PORT=tcp://10.0.0.1:8080",
		"BERTH_PORT_8080_TCP=tcp://10.0.0.1:8080", "BERTH_PORT_8080_TCP_PROTO=tcp", "BERTH_PORT_8080_TCP_PORT=8080",
		"BERTH_PORT_8080_TCP_ADDR=10.0.0.1", "BERTH_RTSP_SERVICE_HOST=10.0.0.2", "BERTH_RTSP_PORT_554_UDP_ADDR=10.0.0.2",
	)
	require.NoError(t, err)

	_, err = load("BERTH_HTTP_PORT=9090")
	require.Equal(t, "environment BERTH_HTTP_PORT: stands for no key: did you mean BERTH_HTTP__PORT?", err.Error())

	_, err = load("BERTH_HTTP__PORT=1", "berth_http__port=2")
	require.Contains(t, faults(t, err)[0].String(), "is also set by BERTH_HTTP__PORT")

	_, err = load("BERTH_API__SECRET=a\x01b")
	require.NotContains(t, err.Error(), "a\x01b")
	require.Contains(t, err.Error(), `environment BERTH_API__SECRET: api.secret = "******"`)
}

// withStateDir returns a copy of c with another state directory.
func withStateDir(c *Config, dir string) *Config {
	d := *c
	d.State.Dir = dir
	return &d
}

func TestStateDirectory(t *testing.T) {
	for name, tc := range map[string]struct {
		env  []string
		set  []string
		root bool
		want string // empty for a fault
	}{
		"service manager":        {env: []string{"STATE_DIRECTORY=/run/a/:/run/b", "HOME=/h"}, want: "/run/a"},
		"service manager, root":  {env: []string{"STATE_DIRECTORY=/run/a"}, root: true, want: "/run/a"},
		"root":                   {env: []string{"HOME=/root", "XDG_STATE_HOME=/x"}, root: true, want: "/var/lib/berth"},
		"xdg":                    {env: []string{"HOME=/h", "XDG_STATE_HOME=/x"}, want: "/x/berth"},
		"xdg must be absolute":   {env: []string{"HOME=/h", "XDG_STATE_HOME=x"}, want: "/h/.local/state/berth"},
		"home":                   {env: []string{"HOME=/h"}, want: "/h/.local/state/berth"},
		"nothing":                {},
		"unprintable":            {env: []string{"HOME=/h\x07"}},
		"set":                    {set: []string{"state.dir=rel/dir"}, want: "rel/dir"},
		"set to nothing":         {set: []string{"state.dir="}, env: []string{"HOME=/h"}, want: "/h/.local/state/berth"},
		"home with nothing else": {env: []string{"HOME="}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, err := Load(Options{Env: tc.env, Set: tc.set, Root: tc.root})
			if tc.want == "" {
				require.Equal(t, "state.dir", faults(t, err)[0].Key)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, c.State.Dir)
		})
	}
}

func TestOverridesSkipWhatIsNotServed(t *testing.T) {
	c, report, err := Load(Options{Root: true, Overrides: map[string]string{
		"protocol.continue_push_ms": "3000",
		"hook.on_play":              "http://127.0.0.1/",
		"record.appName":            "record",
		"no.such.key":               "1",
		"state.dir":                 "/elsewhere",
	}})
	require.NoError(t, err)
	require.Empty(t, report.Warnings)
	require.Equal(t, []string{"hook.on_play", "no.such.key", "record.appName", "state.dir"}, report.Skipped)
	require.Equal(t, 3*time.Second, c.Protocol.ContinuePush)
	require.Equal(t, "/var/lib/berth", c.State.Dir)
}

func TestBadOverridesAreDroppedOnRequest(t *testing.T) {
	overrides := map[string]string{
		"http.port":      "20500", // lies in the range of the file
		"rtsp.port":      "abc",
		"rtsp.authBasic": "1",
		"pool.drain_max": "1s", // shorter than drain_idle
		"no.such.key":    "1",
	}
	o := Options{File: write(t, "berth.toml", "rtp_proxy.port_range = \"20000-20999\"\n"), Root: true, Overrides: overrides}
	_, _, err := Load(o)
	require.Len(t, faults(t, err), 3)

	o.DropBadOverrides = true
	c, report, err := Load(o)
	require.NoError(t, err)
	require.Equal(t, []string{"http.port", "pool.drain_max", "rtsp.port"}, report.Dropped)
	require.Equal(t, []string{"no.such.key"}, report.Skipped)
	require.Equal(t, []string{
		`runtime override: http.port = "20500": is left out: it contradicts another key: set it again through setServerConfig`,
		`runtime override: pool.drain_max = "1s": is left out: it contradicts another key: set it again through setServerConfig`,
		`runtime override: rtsp.port = "abc": is left out: is not a whole number: set it again through setServerConfig`,
	}, report.Lines())
	require.EqualValues(t, 8080, c.HTTP.Port)
	require.True(t, c.RTSP.AuthBasic)
	require.Len(t, overrides, 5, "the caller's map is left alone")

	o.Set = []string{"rtsp.port=xyz"}
	_, report, err = Load(o)
	require.Len(t, faults(t, err), 1, "faults of other layers still refuse")
	require.Equal(t, []string{"http.port", "pool.drain_max", "rtsp.port"}, report.Dropped)
}

// TestValuesRoundTrip feeds the flat view back: the same configuration must come out, whatever the key.
func TestValuesRoundTrip(t *testing.T) {
	first, _, err := Load(Options{Root: true, Set: []string{
		"rtsp.auth_users=a:b,c:d", "pool.exclude=20000,20010-20019", "pool.advertise=192.0.2.1", "http.maxReqSize=1MiB",
		"hook.timeoutSec=2.5", "stream.gop_cache_bytes=1MiB", "log.level=debug", "api.secret=xyz", "pool.drain_idle=1500ms",
		"general.listen_ip=127.0.0.1", "http.allow_ip_range=10.0.0.0/8",
	}})
	require.NoError(t, err)
	values := first.Values()
	require.Len(t, values, len(Keys()))
	second, report, err := Load(Options{Root: true, Overrides: values})
	require.NoError(t, err)
	require.Equal(t, []string{"state.dir"}, report.Skipped)
	require.Empty(t, Diff(first, second))
	require.Equal(t, first.Digest(), second.Digest())
	require.Equal(t, "1", values["rtsp.auth_play"])
	require.Equal(t, "1048576", values["http.maxReqSize"])
	require.Equal(t, "xyz", values["api.secret"])
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub.toml")
	require.NoError(t, os.Mkdir(sub, 0o700))
	fifo := filepath.Join(dir, "fifo.toml")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	link := filepath.Join(dir, "link.toml")
	require.NoError(t, os.Symlink(write(t, "target.toml", "http.port = 1\n"), link))
	for file, want := range map[string]string{
		filepath.Join(dir, "none.toml"): "does not exist",
		sub:                             "is not a regular file",
		fifo:                            "is not a regular file",
		write(t, "big.ini", strings.Repeat("# padding\n", maxFileBytes/10+1)): "is larger than 1MiB",
		write(t, "deep.toml", "x = "+strings.Repeat("[", 100_000)):            "holds 100000 brackets",
		write(t, "deep.yml", "x: "+strings.Repeat("{a: ", 100_000)):           "holds 100000 brackets",
		write(t, "many.ini", strings.Repeat("a=1\n", maxEntries+1)):           "has too many keys",
		write(t, "many.toml", manyKeys("=1")):                                 "has too many keys",
		write(t, "many.yaml", manyKeys(": 1")):                                "has too many keys",
		write(t, "quotes.ini", "[api]\nsecret=`\"\"\"\n"):                     "cannot be parsed",
		"berth": "has no known format",
	} {
		_, report, err := Load(Options{File: file, Root: true})
		f := faults(t, err)
		require.Contains(t, f[0].Problem, want, file)
		require.Equal(t, file, f[0].File)
		require.NotEmpty(t, f[0].Cure, file)
		require.NotNil(t, report)
	}
	c, _, err := Load(Options{File: link, Root: true})
	require.NoError(t, err)
	require.EqualValues(t, 1, c.HTTP.Port)
}

// manyKeys returns lines with one key more than a file may have.
func manyKeys(value string) string {
	var b strings.Builder
	for i := range maxEntries + 1 {
		fmt.Fprintf(&b, "a%d%s\n", i, value)
	}
	return b.String()
}

func TestNoPermissionToReadTheFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	file := write(t, "berth.toml", "")
	require.NoError(t, os.Chmod(file, 0))
	_, _, err := Load(Options{File: file, Root: true})
	require.Contains(t, faults(t, err)[0].Problem, "cannot be read: permission denied")
}

func TestFaultText(t *testing.T) {
	long := strings.Repeat("é", 60)
	for _, tc := range []struct {
		f    Fault
		want string
	}{
		{Fault{Origin: Origin{Layer: LayerFile, File: "berth.toml", Line: 12}, Key: "rtp_proxy.port_range", Value: "1-2", Problem: "is small", Cure: "use 1-99"}, `berth.toml:12: rtp_proxy.port_range = "1-2": is small: use 1-99`},
		{Fault{Origin: Origin{Layer: LayerFile, File: "berth.toml"}, Problem: "does not exist"}, "berth.toml: does not exist"},
		{Fault{Key: "http.port", Value: "8080", Problem: "is taken"}, `http.port = "8080": is taken`},
		{Fault{Origin: Origin{Layer: LayerFlag}, Key: "a\nb", Problem: "is\u2028not a key"}, "--set: a b: is not a key"},
		{Fault{Key: "k", Value: long, Problem: "p"}, `k = "` + strings.Repeat("é", 40) + `...": p`},
		{Fault{Key: "k", Value: "x" + long, Problem: "p"}, `k = "x` + strings.Repeat("é", 39) + `...": p`},
	} {
		require.Equal(t, tc.want, tc.f.String())
	}
	require.Equal(t, "a: b\nc: d", (&InvalidError{Faults: []Fault{{Key: "a", Problem: "b"}, {Key: "c", Problem: "d"}}}).Error())
}

func TestCheckOneValue(t *testing.T) {
	k, ok := Lookup("rtsp.port")
	require.True(t, ok)
	canonical, err := k.Check(" 08554 ")
	require.NoError(t, err)
	require.Equal(t, "8554", canonical)
	_, err = k.Check("x")
	require.EqualError(t, err, `rtsp.port = "x": is not a whole number: write a whole number from 0 to 65535`)

	k, ok = Lookup("rtsp.auth_users")
	require.True(t, ok)
	_, err = k.Check("cam:")
	require.NotContains(t, err.Error(), "cam:")
	_, ok = Lookup("RTSP.port")
	require.False(t, ok)
	require.False(t, errors.Is(err, os.ErrNotExist))
}

func TestSecretsNeeded(t *testing.T) {
	require.True(t, API{}.NeedsSecret())
	require.True(t, API{Secret: zlmShippedSecret}.NeedsSecret())
	require.False(t, API{Secret: "mine"}.NeedsSecret())
}

func TestListeners(t *testing.T) {
	c, _, err := Load(Options{Root: true, Set: []string{"http.sslport=8443", "rtsp.sslport=322", "rtsp.port=0", "general.listen_ip=127.0.0.1"}})
	require.NoError(t, err)
	require.Equal(t, []Listener{
		{Key: "http.port", Port: 8080, Addr: netip.MustParseAddrPort("127.0.0.1:8080")},
		{Key: "rtp_proxy.port", Port: 10000, UDP: true, Addr: netip.MustParseAddrPort("127.0.0.1:10000")},
	}, c.Listeners())
	require.Equal(t, "127.0.0.1", c.PoolBind().String())

	c, report, err := Load(Options{Root: true, Set: []string{
		"http.sslport=8443", "tls.cert_file=c.pem", "tls.key_file=k.pem", "pool.bind=::1", "rtp_proxy.port=0",
	}})
	require.NoError(t, err)
	require.Empty(t, report.Warnings)
	var got []string
	for _, l := range c.Listeners() {
		got = append(got, l.Key+" "+l.Addr.String())
	}
	require.Equal(t, []string{"http.port [::]:8080", "http.sslport [::]:8443", "rtsp.port [::]:8554"}, got)
	require.Equal(t, "::1", c.PoolBind().String())
}
