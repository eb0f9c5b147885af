package main

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/stretchr/testify/require"
)

func TestProxiesSurviveAKill(t *testing.T) {
	source := startCamera(t)
	d := newDaemon(t, 36)
	d.start(t)
	for stream, rtpType := range map[string]string{"udp": "1", "tcp": "0", "gone": "0"} {
		r, err := d.pull(source, stream, rtpType)
		require.NoError(t, err)
		require.Equal(t, 0, r.code(), r.text())
	}
	r := d.must("delStreamProxy", "key", "__defaultVhost__/live/gone")
	require.Contains(t, r.text(), `"flag":true`)
	held := d.ports(t)
	require.Len(t, held, 4, "two tracks over UDP are two pairs")

	d.signal(syscall.SIGKILL)
	require.Equal(t, -1, d.wait())

	d.start(t)
	d.waitPlaying(2)
	require.Equal(t, map[string]bool{"udp": true, "tcp": true}, d.playing())
	d.watchOver(gortsplib.ProtocolTCP, "live", "udp")
	d.watchOver(gortsplib.ProtocolUDP, "live", "tcp")
}

func TestOverridesSurviveAKill(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	r := d.must("setServerConfig", "rtsp.keepAliveSecond", "33", "no.such_key", "1")
	require.EqualValues(t, 1, r["changed"])
	d.signal(syscall.SIGKILL)
	require.Equal(t, -1, d.wait())
	d.start(t)
	require.Equal(t, "33", d.inForce("rtsp.keepAliveSecond"))

	file, err := os.ReadFile(d.file)
	require.NoError(t, err)
	require.NotContains(t, string(file), "keepAliveSecond", "the user's file is never written")
}

func TestRandomSecretIsKeptAndShown(t *testing.T) {
	d := newDaemon(t, 36)
	delete(d.keys, "api.secret")
	d.write()
	d.start(t)
	got := command(t, nil, "secret", "-c", d.file)
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Regexp(t, `^\w{32}\n$`, got.out)

	refused, err := d.api("getServerConfig")
	require.NoError(t, err)
	require.Equal(t, codeAuthFailed, refused.code(), "the secret of the test is not that of the server")
	d.secret = got.out[:32]
	d.must("getServerConfig")

	info, err := os.Stat(d.state + "/secret")
	require.NoError(t, err)
	require.Equal(t, "-rw-------", info.Mode().String())
	// A command on the same machine finds server and secret by the configuration alone.
	found := command(t, nil, "reload", "-c", d.file)
	require.Equal(t, exitDone, found.code, found.errOut)

	d.signal(syscall.SIGTERM)
	require.Equal(t, exitDone, d.wait())
	d.start(t)
	d.must("getServerConfig")
}

func TestSecondServerOnOneStateSaysSo(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	other := newDaemon(t, 36)
	other.keys["state.dir"] = d.keys["state.dir"]
	other.write()
	other.start(t)
	r, err := other.pull(startCamera(t), "a", "0")
	require.NoError(t, err)
	require.NotEqual(t, 0, r.code(), "what cannot be kept must not be acknowledged")
	require.Contains(t, r.text(), "another process holds it")
}

func TestAddressInUseIsOneClearError(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	other := newDaemon(t, 36)
	other.keys["http.port"] = d.keys["http.port"]
	other.write()
	c := spawn(t, nil, "serve", "-c", other.file)
	require.Equal(t, exitFailed, c.wait())
	require.Contains(t, c.errOut.String(), fmt.Sprintf("127.0.0.1:%s", d.keys["http.port"]))
	require.Contains(t, c.errOut.String(), "another program listens there")
}
