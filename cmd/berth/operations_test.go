package main

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/supervisor"
	"berth/netio/hostcheck"
)

func operationsGuide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	return string(text)
}

// The planner's output in the guide is what the planner prints.
func TestPlanInTheGuideIsReal(t *testing.T) {
	shown := regexp.MustCompile("(?s)```text\n\\$ berth (ports plan [^\n]*)\n(.*?)```").FindStringSubmatch(operationsGuide(t))
	require.NotNil(t, shown)
	env, _ := home(t)
	got := command(t, env, strings.Fields(shown[1])...)
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Equal(t, shown[2], got.out)
}

// Every check of the doctor is explained in the guide, and no other.
func TestChecksInTheGuideExist(t *testing.T) {
	text := operationsGuide(t)
	table := text[strings.Index(text, "| check |"):strings.Index(text, "## How large a range")]
	var explained []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(table, -1) {
		explained = append(explained, row[1])
	}
	env, _ := home(t)
	p := &program{out: io.Discard, errOut: io.Discard, env: env}
	cfg, _, err := p.load()
	require.NoError(t, err)
	var exist []string
	for _, f := range hostcheck.Check(hostcheck.System(), supervisor.HostDemand(cfg)) {
		exist = append(exist, f.Check)
	}
	if len(exist) < len(explained) {
		t.Skip("this is not Linux: some checks are not made here")
	}
	require.Equal(t, exist, explained)
}

// Every metric that the guide names is there on a running server.
func TestMetricsInTheGuideExist(t *testing.T) {
	named := regexp.MustCompile(`\b(?:berth|process)_[a-z_]+`).FindAllString(operationsGuide(t), -1)
	require.Greater(t, len(named), 10)
	d := newDaemon(t, 36)
	d.start(t)
	response, err := http.Get(d.base + "/metrics")
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	for _, name := range named {
		if strings.HasPrefix(name, "process_") && !strings.Contains(string(body), "process_open_fds") {
			continue // the metrics library gives them on Linux only
		}
		require.Regexp(t, `(?m)^`+name+`[{ ]`, string(body))
	}
	d.signal(syscall.SIGTERM)
	require.Equal(t, exitDone, d.wait())
}
