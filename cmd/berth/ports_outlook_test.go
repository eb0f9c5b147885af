package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// poolAnswer is a reply to getPortPool with some fields more.
func poolAnswer(more map[string]any) map[string]any {
	data := map[string]any{"range": "20000-20071", "bind": "::", "pairs": 36, "states": map[string]int{"free": 36}}
	for name, v := range more {
		data[name] = v
	}
	return map[string]any{"getPortPool": map[string]any{"code": 0, "data": data}}
}

func TestPortsForetellsExhaustion(t *testing.T) {
	env, _ := home(t)
	for name, c := range map[string]struct {
		more map[string]any
		want string
	}{
		"too early": {map[string]any{"forecast": map[string]any{"window_sec": 0, "pairs_per_hour": 0, "exhausted_in_sec": nil}}, `leases refused +0\n$`},
		"calm":      {map[string]any{"forecast": map[string]any{"window_sec": 600, "pairs_per_hour": -6, "exhausted_in_sec": nil}}, `not grown over the last 10 minutes \(-6 pairs an hour\)`},
		"grows":     {map[string]any{"level": "high", "forecast": map[string]any{"window_sec": 600, "pairs_per_hour": 30, "exhausted_in_sec": 12000}}, `grew by 30 pairs an hour over the last 10 minutes: the range is exhausted in about 3 hours.*\n.*running short`},
		"gone":      {map[string]any{"level": "exhausted", "forecast": map[string]any{"window_sec": 120, "pairs_per_hour": 30, "exhausted_in_sec": 0}}, `last 2 minutes: no pair is left\nleases are being refused`},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := fakeServer(t, http.StatusOK, poolAnswer(c.more))
			got := command(t, env, "ports", "--url", url)
			require.Equal(t, exitDone, got.code, got.errOut)
			require.Regexp(t, c.want, got.out)
		})
	}
}

func TestPortsPrintsTheHourAndTheAudit(t *testing.T) {
	env, _ := home(t)
	audit := map[string]any{"at": 1, "took_ms": 2.5, "slots": 36, "drift": []any{}, "error": ""}
	url, asked := fakeServer(t, http.StatusOK, poolAnswer(map[string]any{
		"audit": audit, "history": []any{map[string]any{"start": 60, "peak": 9, "leased": 8, "granted": 7, "ended": 6, "refused": 5}},
	}))
	got := command(t, env, "ports", "--url", url, "--history")
	require.Regexp(t, `\n\d\d:01 +9 +8 +7 +6 +5\n`, got.out)
	require.NotContains(t, got.out, "audit of")
	require.Empty(t, (*asked)[0].PostForm.Get("audit"))

	got = command(t, env, "ports", "--url", url, "--audit")
	require.Equal(t, exitDone, got.code)
	require.Regexp(t, `36 slots compared in 2\.5ms, no drift`, got.out)
	require.Equal(t, "1", (*asked)[1].PostForm.Get("audit"))

	audit["error"] = "no /proc"
	audit["drift"] = []any{map[string]any{
		"port": 20002, "kind": "dead_owner", "state": "leased", "owner": "x", "stream": "__defaultVhost__/live/a", "detail": "its holder has ended", "repaired": true,
	}}
	got = command(t, env, "ports", "--url", url, "--audit")
	require.Equal(t, exitFailed, got.code)
	require.Regexp(t, `drift on 1 slot\nwithout the kernel's socket table: no /proc\n20002-20003 leased, dead_owner, live/a, owner x: its holder has ended \(repaired\)\n`, got.out)
	got = command(t, env, "ports", "--url", url)
	require.Equal(t, exitDone, got.code, "the audit was not asked for")
	require.Contains(t, got.out, "dead_owner")
}

func TestPortsShowsAddressesWhenThereIsMoreThanOne(t *testing.T) {
	env, _ := home(t)
	slots := []any{
		map[string]any{"port": 20002, "state": "leased", "stream": "__defaultVhost__/live/a", "purpose": "rtsp_pull", "since": 1},
		map[string]any{"port": 20002, "bind": "192.0.2.1", "state": "leased", "stream": "__defaultVhost__/live/b", "purpose": "rtp_receive", "since": 1},
	}
	url, _ := fakeServer(t, http.StatusOK, poolAnswer(map[string]any{
		"bind": "192.0.2.9", "slots": slots,
		"others": []any{map[string]any{"bind": "192.0.2.1", "pairs": 36, "high_water": 4, "states": map[string]int{"free": 33, "leased": 1, "cooling": 2}}},
	}))
	got := command(t, env, "ports", "--url", url, "--all")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Regexp(t, `OTHER ADDRESS +FREE +LEASED +REST +MOST\n192\.0\.2\.1 +33 +1 +2 +4\n`, got.out)
	require.Regexp(t, `\n192\.0\.2\.9 +20002-20003 +leased +live/a`, got.out)
	require.Regexp(t, `\n192\.0\.2\.1 +20002-20003 +leased +live/b`, got.out)
	url, _ = fakeServer(t, http.StatusOK, poolAnswer(map[string]any{"bind": "192.0.2.9", "slots": slots[:1]}))
	got = command(t, env, "ports", "--url", url, "--all")
	require.NotContains(t, got.out, "ADDRESS")
	require.Regexp(t, `\n20002-20003 +leased`, got.out)
}
