package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/stretchr/testify/require"
)

func TestReloadSignals(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	require.Equal(t, "15", d.inForce("rtsp.keepAliveSecond"))

	for sig, want := range map[syscall.Signal]string{syscall.SIGHUP: "21", syscall.SIGUSR1: "22"} {
		d.set("rtsp.keepAliveSecond", want)
		d.signal(sig)
		d.eventually("the changed key is in force", func() bool { return d.inForce("rtsp.keepAliveSecond") == want })
	}

	// A bad file changes nothing, also not the key in it that is good.
	d.set("rtsp.keepAliveSecond", "23", "rtsp.handshakeSecond", `"soon"`)
	d.signal(syscall.SIGHUP)
	d.eventually("the rejection is logged", func() bool { return strings.Contains(d.errOut.String(), "rtsp.handshakeSecond") })
	require.Contains(t, []string{"21", "22"}, d.inForce("rtsp.keepAliveSecond"))

	// A key that is removed returns to its default.
	delete(d.keys, "rtsp.keepAliveSecond")
	delete(d.keys, "rtsp.handshakeSecond")
	d.write()
	d.signal(syscall.SIGHUP)
	d.eventually("the default is in force again", func() bool { return d.inForce("rtsp.keepAliveSecond") == "15" })

	d.signal(syscall.SIGTERM)
	require.Equal(t, exitDone, d.wait())
}

func TestRestartSignalBuildsTheEngineAnew(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	source := startCamera(t)
	r, err := d.pull(source, "a", "1")
	require.NoError(t, err)
	require.Equal(t, 0, r.code(), r.text())
	was := d.inForce("rtp_proxy.port_range")

	next := newDaemon(t, 40).keys["rtp_proxy.port_range"] // a range that is free just now
	d.set("rtp_proxy.port_range", next)
	d.signal(syscall.SIGHUP)
	d.eventually("the key is reported as pending", func() bool { return strings.Contains(d.errOut.String(), "rtp_proxy.port_range") })
	require.Equal(t, was, d.inForce("rtp_proxy.port_range"))

	d.signal(syscall.SIGUSR2)
	d.eventually("the new range is in force", func() bool {
		return d.ready() && `"`+d.inForce("rtp_proxy.port_range")+`"` == next
	})
	d.waitPlaying(1)
	d.watchOver(gortsplib.ProtocolTCP, "live", "a")

	d.signal(os.Interrupt.(syscall.Signal))
	require.Equal(t, exitDone, d.wait())
}

func TestRestartSignalIsRefusedOnABadFile(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	source := startCamera(t)
	r, err := d.pull(source, "a", "1")
	require.NoError(t, err)
	require.Equal(t, 0, r.code(), r.text())
	before := d.list("listStreamProxy")[0]["rePullCount"]

	d.set("rtp_proxy.port_range", `"1-2"`)
	d.signal(syscall.SIGUSR2)
	d.eventually("the refusal is logged", func() bool { return strings.Contains(d.errOut.String(), "port_range") })
	require.True(t, d.ready(), "a refused restart touches nothing")
	require.Equal(t, map[string]bool{"a": true}, d.playing())
	require.Equal(t, before, d.list("listStreamProxy")[0]["rePullCount"])
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	source := startCamera(t)
	for _, name := range []string{"a", "b", "c"} {
		_, err := d.pull(source, name, "1")
		require.NoError(t, err)
	}
	// Signals of one kind that arrive together are one; these differ. The first may already have ended the server when the second comes.
	d.signal(syscall.SIGTERM)
	_ = d.cmd.Process.Signal(syscall.SIGINT)
	require.Contains(t, []int{exitDone, 130, 143}, d.wait())
}
