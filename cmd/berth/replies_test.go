package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func verdictOf(dryRun bool, outcomes ...string) map[string]any {
	keys := []any{}
	for i, outcome := range outcomes {
		keys = append(keys, map[string]any{
			"key": fmt.Sprintf("some.key%d", i), "old": "", "new": "2", "outcome": outcome, "source": "berth.toml:7", "why": "",
		})
	}
	return map[string]any{"code": 0, "data": map[string]any{
		"number": 3, "dry_run": dryRun, "digest": "0123", "keys": keys, "warnings": []string{"berth.toml:1: odd"},
	}}
}

// noted gives the first key of a verdict what a probe has found.
func noted(reply map[string]any, note string, trouble bool) map[string]any {
	key := reply["data"].(map[string]any)["keys"].([]any)[0].(map[string]any)
	key["note"], key["trouble"] = note, trouble
	return reply
}

func TestReloadPrintsALineAKey(t *testing.T) {
	env, _ := home(t)
	for _, c := range []struct {
		name  string
		reply map[string]any
		code  int
		want  []string
	}{
		{"nothing changed", verdictOf(false), exitDone, []string{"0 keys changed: 0 applied"}},
		{"applied", verdictOf(false, "applied", "applied_to_new_sessions"), exitDone, []string{
			`some\.key0 +- -> 2 +applied +berth\.toml:7`, `some\.key1 +- -> 2 +applied to new sessions +berth`, `2 keys changed: 2 applied, 0 pending full restart, 0 rejected \(digest 0123\)`,
		}},
		{"pending", verdictOf(false, "applied", "pending_full_restart"), exitPending, []string{
			`some\.key1 +- -> 2 +pending full restart`, `2 keys changed: 1 applied, 1 pending full restart, 0 rejected`, `berth restart`,
		}},
		{"one rejected", verdictOf(false, "rejected", "pending_full_restart"), exitFailed, []string{`2 keys changed: 0 applied, 1 pending full restart, 1 rejected`}},
		{"dry run", verdictOf(true, "applied"), exitDone, []string{`1 key changed: 1 would be applied`}},
		{"a probe", noted(verdictOf(false, "pending_full_restart"), "can be opened", false), exitPending, []string{`pending full restart +berth\.toml:7 +can be opened`}},
		{"a probe in trouble", noted(verdictOf(false, "pending_full_restart"), "address in use", true), exitFailed, []string{`address in use`, `1 key would not work`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, asked := fakeServer(t, http.StatusOK, map[string]any{"reloadConfig": c.reply})
			args := []string{"reload", "--url", url}
			if c.name == "dry run" {
				args = append(args, "--dry-run")
			}
			got := command(t, env, args...)
			require.Equal(t, c.code, got.code, got.errOut)
			for _, want := range c.want {
				require.Regexp(t, want, got.out)
			}
			require.Equal(t, "warning: berth.toml:1: odd\n", got.errOut)
			require.Equal(t, c.name == "dry run", (*asked)[0].PostForm.Get("dry_run") == "1")
		})
	}
}

func TestRestartPrintsItsReport(t *testing.T) {
	env, _ := home(t)
	url, asked := fakeServer(t, http.StatusOK, map[string]any{"restartServer": map[string]any{"code": 0, "data": map[string]any{
		"generation": 4, "duration_ms": 812.4, "restored": 199, "failed": 1,
		"applied": []any{map[string]any{"key": "rtp_proxy.port_range", "old": "20000-20099", "new": "20000-29999"}},
	}}})
	got := command(t, env, "restart", "--url", url)
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Regexp(t, `rtp_proxy\.port_range +20000-20099 -> 20000-29999 +in force`, got.out)
	require.Contains(t, got.out, "generation 4 runs after 812ms: 199 definitions restored, 1 failed")
	require.Equal(t, "1", (*asked)[0].PostForm.Get("wait"))

	url, _ = fakeServer(t, http.StatusOK, map[string]any{"restartServer": map[string]any{"code": -1, "msg": "berth.toml:3: rtsp.port: is wrong", "data": map[string]any{}}})
	got = command(t, env, "restart", "--url", url)
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, "refused or failed")
	require.Contains(t, got.errOut, "berth.toml:3")
}

func TestPortsPrintsTotalsAndHolders(t *testing.T) {
	env, _ := home(t)
	slots := []any{map[string]any{"port": 20100, "state": "draining", "stream": "__defaultVhost__/live/gone", "purpose": "rtsp_pull", "peer": "192.0.2.9:5000", "since": 1, "late": 12}}
	for i := range 13 {
		for j := range i + 1 {
			slots = append(slots, map[string]any{
				"port": 20200 + 100*i + 2*j, "state": "leased", "stream": fmt.Sprintf("__defaultVhost__/live/cam%02d", i), "purpose": "rtsp_pull", "since": 1,
			})
		}
	}
	url, asked := fakeServer(t, http.StatusOK, map[string]any{"getPortPool": map[string]any{"code": 0, "data": map[string]any{
		"range": "20000-29999", "pending_range": "20000-39999", "bind": "127.0.0.1", "pairs": 5000, "high_water": 91, "granted": 200,
		"states": map[string]int{"leased": 91, "free": 4908, "draining": 1, "puzzling": 0}, "refused": map[string]int{"exhausted": 3, "address": 1}, "slots": slots,
	}}})
	got := command(t, env, "ports", "--url", url)
	require.Equal(t, exitDone, got.code, got.errOut)
	for _, want := range []string{
		`^20000-29999 on 127\.0\.0\.1: 5000 pairs\nrtp_proxy\.port_range = 20000-39999 waits for a full restart`,
		`free +4908\nleased +91\ndraining +1\npuzzling +0\n`, `most leased at once +91`, `leases refused +4\n +address +1\n +exhausted +3`,
		`\nlive/cam12 +rtsp_pull +13\nlive/cam11 +rtsp_pull +12\n`, `and 3 more`,
	} {
		require.Regexp(t, want, got.out)
	}
	require.NotContains(t, got.out, "live/gone")
	require.Equal(t, "1", (*asked)[0].PostForm.Get("detail"))

	got = command(t, env, "ports", "--url", url, "--all")
	require.Regexp(t, `20100-20101 +draining +live/gone +rtsp_pull +192\.0\.2\.9:5000 +\S+ \S+ +12`, got.out)
	require.Regexp(t, `21400-21401 +leased +live/cam12`, got.out)

	got = command(t, env, "ports", "--url", url, "--json")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Contains(t, got.out, `"range":"20000-29999"`)
}
