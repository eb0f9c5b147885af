package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/stretchr/testify/require"

	"berth/config"
)

// The story of ZLMediaKit issue 3667, told to berth: a full range, raised in the file, reloaded, and then?
func TestAFullRangeRaisedAndReloaded(t *testing.T) {
	const pairs, raised, pulls = 36, 54, 18 // a pull over UDP with video and audio costs two pairs
	source := startCamera(t)
	d := newDaemon(t, raised)
	wide := strings.Trim(d.keys["rtp_proxy.port_range"], `"`)
	var low, high int
	_, err := fmt.Sscanf(wide, "%d-%d", &low, &high)
	require.NoError(t, err)
	narrow := config.PortRange{Low: uint16(low), High: uint16(low + 2*pairs - 1)}.String()
	d.set("rtp_proxy.port_range", fmt.Sprintf("%q", narrow))
	d.start(t)

	// Two at a time, so that requests overlap, until every pair is leased.
	d.pullAll(t, pulls, func(i int) (reply, error) { return d.pull(source, fmt.Sprintf("cam%d", i), "1") })
	require.Len(t, d.ports(t), 2*pairs)

	refusal := func() string {
		t.Helper()
		r, err := d.pull(source, "one-too-many", "1")
		require.NoError(t, err)
		require.NotEqual(t, 0, r.code(), r.text())
		text := fmt.Sprint(r["msg"])
		require.True(t, strings.HasPrefix(text, "none reserved port in pool"), text)
		require.Contains(t, text, narrow)
		require.Contains(t, text, fmt.Sprintf("%d leased", pairs))
		require.Len(t, d.playing(), pulls)
		return text
	}
	require.NotContains(t, refusal(), wide)

	// Raised in the file and reloaded: every answer says that it waits.
	d.set("rtp_proxy.port_range", fmt.Sprintf("%q", wide))
	d.signal(syscall.SIGHUP)
	d.eventually("the verdict of the signal is logged", func() bool {
		log := d.errOut.String()
		return strings.Contains(log, "rtp_proxy.port_range") && strings.Contains(log, "pending")
	})
	got := d.cli("reload")
	require.Equal(t, exitPending, got.code, got.errOut)
	require.Regexp(t, `rtp_proxy\.port_range +`+narrow+` -> `+wide+` +pending full restart`, got.out)
	require.Equal(t, narrow, d.inForce("rtp_proxy.port_range"))
	require.Contains(t, refusal(), wide)
	require.Contains(t, refusal(), "full restart")
	require.Len(t, d.ports(t), 2*pairs)

	// The full restart: everything is back, and the new range serves.
	got = d.cli("restart")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Contains(t, got.out, "rtp_proxy.port_range")
	require.Contains(t, got.out, fmt.Sprintf("%d definitions restored", pulls))
	require.Equal(t, wide, d.inForce("rtp_proxy.port_range"))
	d.waitPlaying(pulls)
	require.Len(t, d.ports(t), 2*pairs)
	d.watchOver(gortsplib.ProtocolTCP, "live", "cam0")
	d.pullAll(t, (raised-pairs)/2, func(i int) (reply, error) { return d.pull(source, fmt.Sprintf("more%d", i), "1") })
	require.Len(t, d.ports(t), 2*raised)
	got = d.cli("ports")
	require.Equal(t, exitDone, got.code, got.errOut)
	require.Regexp(t, fmt.Sprintf(`leased +%d`, raised), got.out)

	d.signal(os.Interrupt.(syscall.Signal))
	require.Equal(t, exitDone, d.wait())
	require.True(t, rangeIsFree(low, 2*raised), "a server that ended holds a port")
}

// pullAll makes n pulls, two at a time; each must succeed.
func (d *daemon) pullAll(t *testing.T, n int, pull func(i int) (reply, error)) {
	t.Helper()
	var todo sync.WaitGroup
	turn := make(chan struct{}, 2)
	for i := range n {
		turn <- struct{}{}
		todo.Go(func() {
			defer func() { <-turn }()
			r, err := pull(i)
			if err != nil || r.code() != 0 {
				t.Errorf("pull %d: %v %s", i, err, r.text())
			}
		})
	}
	todo.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
