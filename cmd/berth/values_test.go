package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValuesAreSetSeenAndDropped(t *testing.T) {
	d := newDaemon(t, 36)
	d.set("rtsp.keepAliveSecond", "20")
	d.start(t)

	got := d.cli("get", "rtsp.keepAliveSecond", "log")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Regexp(t, `rtsp\.keepAliveSecond +new +\S*berth\.toml:\d+ +20`, got.out)
	require.Regexp(t, `log\.level +hot`, got.out)
	require.NotContains(t, got.out, "rtsp.port")

	got = d.cli("set", "rtsp.keepAliveSecond=33", "general.enableVhost=1")
	require.Equal(t, exitPending, got.code, got.errOut)
	require.Regexp(t, `rtsp\.keepAliveSecond +20 -> 33 +applied to new sessions +runtime override`, got.out)
	require.Regexp(t, `general\.enableVhost +0 -> 1 +pending`, got.out)
	got = d.cli("get", "--changed")
	require.Regexp(t, `rtsp\.keepAliveSecond +new +runtime override +33`, got.out)
	require.Regexp(t, `general\.enableVhost +restart +default +0\n +runtime override +1 \(waits`, got.out)

	got = d.cli("set", "rtsp.keepAliveSecond=soon")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, "nothing was changed")
	got = d.cli("set", "state.dir=/tmp", "no.such=1")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, "cannot be set at run time")
	require.Equal(t, "33", d.inForce("rtsp.keepAliveSecond"))

	got = d.cli("unset", "rtsp.keepAliveSecond")
	require.Equal(t, exitPending, got.code, got.errOut)
	require.Regexp(t, `rtsp\.keepAliveSecond +33 -> 20 +applied to new sessions +\S*berth\.toml`, got.out)
	got = d.cli("unset", "--all")
	require.Equal(t, exitDone, got.code, got.errOut+got.out)
	got = d.cli("unset", "--all")
	require.Contains(t, got.out, "nothing is set at run time")
	got = d.cli("get", "nosuch")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.errOut, "nosuch")
}

func TestAStrictReloadIsAllOrNothing(t *testing.T) {
	d := newDaemon(t, 36)
	d.start(t)
	d.set("rtsp.keepAliveSecond", "21", "general.enableVhost", "true")
	got := d.cli("reload", "--strict")
	require.Equal(t, exitFailed, got.code, got.out)
	require.Contains(t, got.errOut, "nothing was changed")
	require.Contains(t, got.errOut, "general.enableVhost")
	require.Equal(t, "15", d.inForce("rtsp.keepAliveSecond"))
	require.Equal(t, exitPending, d.cli("reload").code)
	require.Equal(t, "21", d.inForce("rtsp.keepAliveSecond"))
}

func TestSetAndUnsetRefuseAnIncompleteCommandLine(t *testing.T) {
	env, _ := home(t)
	url, asked := fakeServer(t, http.StatusOK, map[string]any{"setServerConfig": ok})
	for _, args := range [][]string{
		{"set"}, {"unset"}, {"set", "log.level"}, {"set", "level=debug"}, {"unset", "--all", "log.level"},
	} {
		got := command(t, env, append(args, "--url", url)...)
		require.Equal(t, exitUsage, got.code, args)
	}
	require.Empty(t, *asked)
}
