package config

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDiff(t *testing.T) {
	load := func(set ...string) *Config {
		c, _, err := Load(Options{Root: true, Set: set})
		require.NoError(t, err)
		return c
	}
	a := load("api.secret=one", "rtsp.port=8554")
	b := load("api.secret=two", "rtp_proxy.port_range=30000-30071", "rtsp.authBasic=1", "log.level=debug")
	require.Empty(t, Diff(a, a))
	require.Empty(t, Diff(load(), load("rtsp.port=8554")), "another place is no change")
	flag := Origin{Layer: LayerFlag}
	require.Equal(t, []Change{
		{Key: "api.secret", Old: redacted, New: redacted, Class: Hot, Source: flag},
		{Key: "log.level", Old: "info", New: "debug", Class: Hot, Source: flag},
		{Key: "rtp_proxy.port_range", Old: "20000-29999", New: "30000-30071", Class: Restart, Source: flag},
		{Key: "rtsp.authBasic", Old: "0", New: "1", Class: New, Source: flag},
	}, Diff(a, b))
	back := Diff(b, a)
	require.Equal(t, "20000-29999", back[2].New)
	require.Equal(t, "default", back[2].Source.String(), "a key that was removed returns to its default")
	require.Empty(t, load().Display("api.secret"), "an empty secret is shown as empty")
	require.Empty(t, load().Display("no.key"))
	require.Equal(t, a.Digest(), load("api.secret=three").Digest(), "secrets are not in the digest")
	require.NotEqual(t, a.Digest(), b.Digest())
	require.Len(t, a.Digest(), 16)
}

func TestAdvance(t *testing.T) {
	file := write(t, "berth.toml", "rtp_proxy.port_range = \"30000-30071\"\npool.drain_idle = \"1s\"\nrtsp.authBasic = true\nhttp.port = 8080\n")
	running, _, err := Load(Options{Root: true})
	require.NoError(t, err)
	next, _, err := Load(Options{Root: true, File: file})
	require.NoError(t, err)

	inForce, pending := Advance(running, next)
	require.Equal(t, "20000-29999", inForce.RTPProxy.PortRange.String())
	require.Equal(t, LayerDefault, inForce.Source("rtp_proxy.port_range").Layer)
	require.Equal(t, "1s", inForce.Get("pool.drain_idle"))
	require.Equal(t, file+":2", inForce.Source("pool.drain_idle").String())
	require.True(t, inForce.RTSP.AuthBasic)
	require.Equal(t, file+":4", inForce.Source("http.port").String(), "an equal value takes its new place")
	require.Equal(t, []Change{{
		Key: "rtp_proxy.port_range", Old: "20000-29999", New: "30000-30071", Class: Restart,
		Source: Origin{Layer: LayerFile, File: file, Line: 1},
	}}, pending)

	again, still := Advance(inForce, next)
	require.Empty(t, Diff(inForce, again))
	require.Equal(t, pending, still)

	back, none := Advance(inForce, running)
	require.Empty(t, none)
	require.Empty(t, Diff(running, back))
}

func TestSwitchingTLSWaitsForAFullRestart(t *testing.T) {
	load := func(cert, key string) *Config {
		c, _, err := Load(Options{Root: true, Set: []string{"tls.cert_file=" + cert, "tls.key_file=" + key}})
		require.NoError(t, err)
		return c
	}
	off, one, two := load("", ""), load("a.crt", "a.key"), load("b.crt", "b.key")
	for name, c := range map[string]struct {
		running, next *Config
		waits         bool
	}{"on": {off, one, true}, "off": {one, off, true}, "another certificate": {one, two, false}} {
		t.Run(name, func(t *testing.T) {
			inForce, pending := Advance(c.running, c.next)
			if !c.waits {
				require.Empty(t, pending)
				require.Equal(t, c.next.TLS, inForce.TLS)
				return
			}
			require.Equal(t, c.running.TLS, inForce.TLS)
			require.Len(t, pending, 2)
			for _, change := range pending {
				require.Equal(t, Restart, change.Class)
			}
		})
	}
}

// TestRulesDoNotMixClasses keeps Advance from making a configuration that Load would refuse.
func TestRulesDoNotMixClasses(t *testing.T) {
	for _, r := range rules() {
		for _, name := range r.keys {
			k, ok := Lookup(name)
			require.True(t, ok, name)
			first, _ := Lookup(r.keys[0])
			require.Equal(t, first.Class.Immediate(), k.Class.Immediate(), "%s and %s", r.keys[0], name)
		}
	}
}

// TestAdvanceKeepsEveryRule mixes random valid configurations; the result must be valid as well, and
// must differ from what was asked for by the pending keys alone.
func TestAdvanceKeepsEveryRule(t *testing.T) {
	choices := map[string][]string{
		"http.port":              {"0", "8080", "20500", "30010"},
		"rtsp.port":              {"554", "8554", "20100"},
		"rtp_proxy.port_range":   {"20000-29999", "30000-30071", "40000-40999"},
		"pool.exclude":           {"", "20500", "30000-30020", "20100,20500,30010"},
		"pool.drain_idle":        {"1s", "30s", "2m"},
		"pool.drain_max":         {"10s", "1m", "10m"},
		"proxy.retry_delay_min":  {"1s", "2m"},
		"proxy.retry_delay_max":  {"1s", "5m"},
		"tls.cert_file":          {"", "c.pem"},
		"tls.key_file":           {"", "k.pem"},
		"http.sslport":           {"0", "8443", "8554"},
		"rtsp.auth_users":        {"", "a:b"},
		"protocol.enable_audio":  {"0", "1"},
		"stream.gop_cache_bytes": {"0", "1MiB"},
	}
	names := make([]string, 0, len(choices))
	for name := range choices {
		names = append(names, name)
	}
	slices.Sort(names)
	valid := func(rt *rapid.T, label string) *Config {
		for try := 0; ; try++ {
			var set []string
			for _, name := range names {
				set = append(set, name+"="+rapid.SampledFrom(choices[name]).Draw(rt, label+name))
			}
			if c, _, err := Load(Options{Root: true, Set: set}); err == nil {
				return c
			} else if try == 20 {
				rt.Skip("no valid configuration drawn")
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		running, next := valid(rt, "running "), valid(rt, "next ")
		inForce, pending := Advance(running, next)
		var set []string
		for name, value := range inForce.Values() {
			set = append(set, name+"="+value)
		}
		reloaded, _, err := Load(Options{Root: true, Set: set})
		require.NoError(rt, err)
		require.Empty(rt, Diff(inForce, reloaded))
		for _, c := range Diff(running, inForce) {
			require.True(rt, c.Class.Immediate(), c.Key)
		}
		for _, c := range pending {
			require.Equal(rt, Restart, c.Class, c.Key)
		}
		require.Len(rt, Diff(running, next), len(Diff(running, inForce))+len(pending))
	})
}
