package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/config"
)

// poolOf is a server's reply with a pool of that range and size.
func poolOf(rng string, pairs, foreign int) map[string]any {
	return map[string]any{"getPortPool": map[string]any{"code": 0, "data": map[string]any{
		"range": rng, "pairs": pairs, "states": map[string]int{"free": pairs - foreign, "foreign": foreign},
	}}}
}

func planOf(t *testing.T, env []string, args ...string) planned {
	t.Helper()
	got := command(t, env, append([]string{"ports", "plan", "--json"}, args...)...)
	require.Equal(t, exitDone, got.code, got.errOut)
	var plan planned
	require.NoError(t, json.Unmarshal([]byte(got.out), &plan))
	return plan
}

func TestPlanComparesWithTheRangeInForce(t *testing.T) {
	env, _ := home(t)
	url, _ := fakeServer(t, http.StatusOK, poolOf("30000-30071", 36, 1))
	plan := planOf(t, append(env, "BERTH_URL="+url, "BERTH_SECRET=x"), "--rtsp-udp", "200", "--tracks", "2", "--headroom", "20%")
	require.Equal(t, 400, plan.Leased)
	require.Equal(t, 80, plan.Headroom)
	require.Equal(t, 480, plan.Pairs)
	require.Equal(t, "in force on "+url, plan.Present.Source)
	require.Equal(t, 35, plan.Present.Pairs, "what another program holds cannot be leased")
	require.False(t, plan.Present.Enough)
	require.Equal(t, 1143, plan.Present.Usage)
	require.Equal(t, 17, plan.Present.Capacity[0].Sessions)
}

func TestPlanFallsBackToTheConfiguration(t *testing.T) {
	env, _ := home(t)
	// Nobody listens on a port that was free a moment ago.
	port, err := freePort(0, config.PortRange{})
	require.NoError(t, err)
	env = append(env, fmt.Sprintf("BERTH_HTTP__PORT=%d", port))
	plan := planOf(t, env, "--gb28181", "500", "--headroom", "0")
	require.Contains(t, plan.Present.Source, "of the configuration")
	require.Equal(t, "20000-29999", plan.Present.Range)
	require.Equal(t, 5000, plan.Present.Pairs)
	require.True(t, plan.Present.Enough)
	require.Equal(t, 10, plan.Present.Usage)
	require.Equal(t, 500, plan.Pairs)
}

func TestPlanForPeople(t *testing.T) {
	env, _ := home(t)
	got := command(t, env, "ports", "plan", "--range", "20000-20071", "--rtsp-udp", "20", "--viewers", "5", "--ends-per-minute", "60")
	require.Equal(t, exitDone, got.code, got.errOut)
	for _, want := range []string{
		`RTSP pulls over UDP +20 +2 +40\n`, `streams watched over UDP +5 +2 +10\n`, `viewers over UDP, on the streams' pairs +5 +0 +0\n`,
		`leased at the peak +50\n`, `kept back after sessions' ends \(8s\) +16\n`, `headroom of 20% +10\n`, `needed +76\n`, `rtp_proxy.port_range = "\d+-\d+"\n`,
		`20000-20071 --range: 36 pairs that can be leased, 40 too few`, `GB28181 receivers, a port each +36\n`,
	} {
		require.Regexp(t, want, got.out)
	}
	got = command(t, env, "ports", "plan", "--range", "20000-29999")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Contains(t, got.out, "enough")
	require.False(t, strings.HasPrefix(got.out, "LOAD"), "without a load there is no table of it")
}

func TestPlanRefusesWhatMakesNoSense(t *testing.T) {
	env, _ := home(t)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"--tracks 0", exitUsage, "a plan takes 1 to 16"},
		{"--rtsp-udp -1", exitUsage, "a plan takes 0 to 1000000"},
		{"--headroom much", exitUsage, "such as 20%"},
		{"--from 70000", exitUsage, "want a port"},
		{"--range 5", exitUsage, "LOW-HIGH"},
		{"--url nonsense", exitUsage, "server URL"},
		{"--url http://127.0.0.1:1", exitFailed, "no server at"},
		{"--gb28181 100000", exitFailed, "spread the load over several servers"},
		{"extra", exitUsage, "unknown command"},
	} {
		t.Run(c.args, func(t *testing.T) {
			got := command(t, env, append([]string{"ports", "plan"}, strings.Fields(c.args)...)...)
			require.Equal(t, c.code, got.code, got.errOut)
			require.Contains(t, got.errOut, c.want)
			require.Empty(t, got.out)
		})
	}
}
