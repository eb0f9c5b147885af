package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/stretchr/testify/require"
)

func TestDemoShowsItselfAndLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		end  func(*child)
	}{
		{"by itself", []string{"--for", "1s"}, func(*child) {}},
		{"by Ctrl-C", nil, func(c *child) { c.signal(syscall.SIGINT) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			temp := t.TempDir()
			demo := spawn(t, []string{"TMPDIR=" + temp}, append([]string{"demo"}, c.args...)...)
			demo.eventually("the demo has shown where it is", func() bool { return strings.Contains(demo.out.String(), "Ctrl-C") })
			c.end(demo)
			require.Equal(t, exitDone, demo.wait(), demo.errOut.String())
			for _, want := range []string{"/#secret=", "rtsp://127.0.0.1:", "demo/cam1", "demo/cam3", "UDP, leased ports", "ffplay -rtsp_transport tcp rtsp://"} {
				require.Contains(t, demo.out.String(), want)
			}
			left, err := os.ReadDir(temp)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestDemoCanBeWatched(t *testing.T) {
	demo := spawn(t, []string{"TMPDIR=" + t.TempDir()}, "demo")
	demo.eventually("the demo has shown where it is", func() bool { return strings.Contains(demo.out.String(), "Ctrl-C") })
	page := regexp.MustCompile(`http://[^/\s]+/`).FindString(demo.out.String())
	response, err := http.Get(page)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, string(body), "<html")
	streams := regexp.MustCompile(`rtsp://\S+/demo/cam\d`).FindAllString(demo.out.String(), -1)
	require.GreaterOrEqual(t, len(streams), 3)
	for i, over := range []gortsplib.Protocol{gortsplib.ProtocolTCP, gortsplib.ProtocolUDP, gortsplib.ProtocolTCP} {
		require.NoError(t, watch(t.Context(), streams[i], over))
	}
}

func TestReloadExitCodes(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	got := d.cli("reload")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Contains(t, got.out, "0 keys changed")

	d.set("rtsp.keepAliveSecond", "21")
	got = d.cli("reload", "--dry-run")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Contains(t, got.out, "would be applied")
	require.Equal(t, "15", d.inForce("rtsp.keepAliveSecond"), "a dry run applies nothing")
	got = d.cli("reload")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Regexp(t, `rtsp\.keepAliveSecond +15 -> 21 +applied`, got.out)
	require.Equal(t, "21", d.inForce("rtsp.keepAliveSecond"))

	next := newDaemon(t, 40).keys["rtp_proxy.port_range"]
	d.set("rtp_proxy.port_range", next)
	for _, args := range [][]string{{"reload", "--dry-run"}, {"reload"}, {"reload"}} {
		got = d.cli(args...)
		require.Equal(t, exitPending, got.code, got.errOut)
		require.Contains(t, got.out, "rtp_proxy.port_range")
		require.Contains(t, got.out, "berth restart")
	}

	d.set("rtsp.keepAliveSecond", "22", "rtsp.port", `"door"`)
	for _, args := range [][]string{{"reload", "--dry-run"}, {"reload"}} {
		got = d.cli(args...)
		require.Equal(t, exitFailed, got.code)
		require.Contains(t, got.errOut, "rejected, nothing was changed")
		require.Contains(t, got.errOut, `rtsp.port = "door"`)
	}
	require.Equal(t, "21", d.inForce("rtsp.keepAliveSecond"))
	got = d.cli("restart")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, `rtsp.port = "door"`)
}

func TestPortsShowsWhoHoldsThem(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	r, err := d.pull(startCamera(t), "cam", "1")
	require.NoError(t, err)
	require.Equal(t, 0, r.code(), r.text())

	got := d.cli("ports", "--all")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Contains(t, got.out, d.inForce("rtp_proxy.port_range"))
	require.Contains(t, got.out, "36 pairs")
	require.Regexp(t, `free +34`, got.out)
	require.Regexp(t, `leased +2`, got.out)
	require.Regexp(t, `live/cam +rtsp_pull +2`, got.out)

	got = d.cli("ports", "--json")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.True(t, json.Valid([]byte(got.out)))
	require.Contains(t, got.out, "live/cam")
}

func TestServeRefusesABadConfiguration(t *testing.T) {
	d := newDaemon(t, 36)
	d.set("rtp_proxy.port_range", `"5-4"`, "rtsp.prot", "1")
	c := spawn(t, nil, "-c", d.file)
	require.Equal(t, exitFailed, c.wait())
	require.Contains(t, c.errOut.String(), d.file+":")
	require.Contains(t, c.errOut.String(), "rtp_proxy.port_range")
	require.Contains(t, c.errOut.String(), "rtsp.prot")
}
