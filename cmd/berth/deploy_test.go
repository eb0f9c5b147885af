package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/supervisor"
	"berth/config"
	"berth/netio/hostcheck"
)

func deployFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs/deploy", name))
	require.NoError(t, err)
	return string(text)
}

// unitOf reads a unit file: section.key to its values, in order.
func unitOf(t *testing.T, text string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	section := ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		require.True(t, ok, "%q", line)
		require.NotEmpty(t, section, "%q", line)
		out[section+"."+key] = append(out[section+"."+key], value)
	}
	return out
}

func TestUnitFitsTheProgram(t *testing.T) {
	unit := unitOf(t, deployFile(t, "berth.service"))
	for key, values := range unit {
		require.Len(t, values, 1, "%s is set twice", key)
	}
	one := func(key string) string {
		t.Helper()
		require.Contains(t, unit, key)
		return unit[key][0]
	}
	require.Equal(t, "notify-reload", one("Service.Type"))
	require.Equal(t, "main", one("Service.NotifyAccess"))
	require.Equal(t, "berth", one("Service.StateDirectory"))
	for _, key := range []string{"NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "DynamicUser"} {
		require.Equal(t, "yes", one("Service."+key))
	}
	require.Empty(t, one("Service.CapabilityBoundingSet"))
	require.Equal(t, "0", one("Unit.StartLimitIntervalSec"), "a server that cannot start yet is tried again for as long as it takes")
	require.NotContains(t, unit, "Service.RestartPreventExitStatus", "2 is wrong usage, but also what Go exits with when the watchdog ends it")
	require.Equal(t, "EPERM", one("Service.SystemCallErrorNumber"), "a system call outside the filter must not kill the server")
	for _, family := range []string{"AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"} {
		require.Contains(t, strings.Fields(one("Service.RestrictAddressFamilies")), family)
	}

	words := strings.Fields(one("Service.ExecStart"))
	require.True(t, filepath.IsAbs(words[0]) && filepath.Base(words[0]) == "berth", words[0])
	requireCommand(t, words[1:])

	patience, err := strconv.Atoi(one("Service.TimeoutStopSec"))
	require.NoError(t, err)
	require.Greater(t, patience, 30, "an orderly end may take 30 s")
	_, err = strconv.Atoi(one("Service.WatchdogSec"))
	require.NoError(t, err)

	limit, err := strconv.ParseUint(one("Service.LimitNOFILE"), 10, 64)
	require.NoError(t, err)
	host := hostcheck.Host{OpenFiles: func() (uint64, error) { return limit, nil }}
	for _, f := range hostcheck.Check(host, supervisor.HostDemand(config.Default())) {
		if f.Check == "open-files" {
			require.Equal(t, hostcheck.OK, f.Level, f.Text)
		}
	}
}

// requireCommand requires that the program knows a command line.
func requireCommand(t *testing.T, words []string) {
	t.Helper()
	command, rest, err := (&program{}).command().Find(words)
	require.NoError(t, err, "%v", words)
	require.NoError(t, command.ParseFlags(rest), "%v", words)
	require.NoError(t, command.ValidateArgs(command.Flags().Args()), "%v", words)
}

// systemdWithNotifyReload is the first version that knows Type=notify-reload.
const systemdWithNotifyReload = 253

func TestUnitParses(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here; TestUnitFitsTheProgram looks at the keys")
	}
	said, err := exec.Command(analyze, "--version").Output()
	require.NoError(t, err)
	var version int
	_, err = fmt.Sscanf(string(said), "systemd %d", &version)
	require.NoError(t, err, "%s", said)

	// The program is not installed here; the unit needs one that is.
	something, err := os.Executable()
	require.NoError(t, err)
	text := strings.Replace(deployFile(t, "berth.service"), "/usr/local/bin/berth", something, 1)
	if version < systemdWithNotifyReload {
		text = strings.Replace(text, "\nType=notify-reload\n", "\nType=notify\n", 1)
	}
	file := filepath.Join(t.TempDir(), "berth.service")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput()
	require.NotContains(t, string(out), "berth.service", "systemd does not understand the unit")
	if err != nil {
		t.Skipf("systemd-analyze cannot work here: %v\n%s", err, out)
	}
}

func TestContainerFileFitsTheProgram(t *testing.T) {
	text := deployFile(t, "Containerfile")
	cfg := config.Default()
	require.Contains(t, text, fmt.Sprintf("\nEXPOSE %d/tcp %d/tcp %d/tcp %[3]d/udp\n", cfg.HTTP.Port, cfg.RTSP.Port, cfg.RTPProxy.Port))
	require.Contains(t, text, cfg.RTPProxy.PortRange.String()+"/udp")
	require.Contains(t, text, "CGO_ENABLED=0")
	require.Regexp(t, `(?m)^USER [1-9]\d*:[1-9]\d*$`, text, "not root, by number: there is no list of users in the image")
	require.Contains(t, text, "\nENV STATE_DIRECTORY=/var/lib/berth\nVOLUME /var/lib/berth\n")
	require.Regexp(t, `install .*-m 1777 \S+/tmp\b`, text, "berth demo keeps its state in the temporary directory, and scratch has none")

	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(mod))
	require.NotNil(t, wanted)
	require.Contains(t, text, "/golang:"+wanted[1]+" AS build")

	lists := regexp.MustCompile(`(?m)CMD \[(.*)\]$`).FindAllStringSubmatch(text, -1)
	require.Len(t, lists, 2, "HEALTHCHECK and CMD")
	for _, list := range lists {
		var words []string
		for word := range strings.SplitSeq(list[1], ",") {
			unquoted, err := strconv.Unquote(strings.TrimSpace(word))
			require.NoError(t, err)
			words = append(words, unquoted)
		}
		if words[0] == "/usr/bin/berth" {
			words = words[1:]
		}
		requireCommand(t, words)
	}
}

func TestComposeFileHasThePlannedRange(t *testing.T) {
	text := deployFile(t, "compose.yaml")
	env, _ := home(t)
	comment := regexp.MustCompile(`berth (ports plan .*)`).FindStringSubmatch(text)
	require.NotNil(t, comment, "the file says how its range was planned")
	plan := planOf(t, env, append(strings.Fields(comment[1])[2:], "--range", "20000-29999")...)

	set := regexp.MustCompile(`(?m)^ +(BERTH_\w+): (.+)$`).FindAllStringSubmatch(text, -1)
	require.Len(t, set, 2)
	require.Equal(t, plan.Range, set[0][2])
	cfg, _, err := config.Load(config.Options{Env: []string{
		set[0][1] + "=" + set[0][2], set[1][1] + "=192.0.2.10", "STATE_DIRECTORY=/var/lib/berth",
	}})
	require.NoError(t, err)
	require.Equal(t, plan.Range, cfg.RTPProxy.PortRange.String())
	require.Equal(t, "192.0.2.10", cfg.Pool.Advertise.String())
	for _, published := range []string{
		fmt.Sprintf(`"%d:%[1]d/tcp"`, cfg.HTTP.Port), fmt.Sprintf(`"%d:%[1]d/tcp"`, cfg.RTSP.Port), fmt.Sprintf(`"%s:%[1]s/udp"`, plan.Range),
		fmt.Sprintf(`"%d:%[1]d/tcp"`, cfg.RTPProxy.Port), fmt.Sprintf(`"%d:%[1]d/udp"`, cfg.RTPProxy.Port),
	} {
		require.Contains(t, text, published)
	}
	// Variables of all services are filled in, whatever the profile: one that must be set would stop the host variant too. So what stands in
	// for the address is something that the server refuses, naming the variable.
	require.NotContains(t, text, ":?")
	standIn := regexp.MustCompile(`^\$\{ADVERTISE:-(.+)\}$`).FindStringSubmatch(set[1][2])
	require.NotNil(t, standIn, set[1][2])
	_, _, err = config.Load(config.Options{Env: []string{set[1][1] + "=" + standIn[1], "STATE_DIRECTORY=/var/lib/berth"}})
	require.ErrorContains(t, err, "ADVERTISE")
	// The host variant publishes nothing and has the default range.
	host := text[strings.Index(text, "berth-host:"):strings.Index(text, "berth-bridge:")]
	require.Contains(t, host, "network_mode: host")
	require.NotContains(t, host, "ports:")
}
