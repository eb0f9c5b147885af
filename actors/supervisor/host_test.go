package supervisor

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"berth/config"
	"berth/netio/hostcheck"
	"berth/netio/ports"
)

func TestHostDemandIsWhatTheConfigurationSays(t *testing.T) {
	cfg := config.Default()
	d := HostDemand(cfg)
	require.Equal(t, ports.Range{Low: 20000, High: 29999}, d.Range)
	require.Equal(t, cfg.General.ListenIP, d.Bind, "pool.bind is empty")
	require.Equal(t, []hostcheck.Listener{{Key: "http.port", Port: 8080}, {Key: "rtsp.port", Port: 8554}, {Key: "rtp_proxy.port", Port: 10000}}, d.Listeners)
	require.Equal(t, 14_096, d.Connections)
	require.Equal(t, 4<<20, d.UDPBuffer)

	cfg.Pool.Bind = netip.MustParseAddr("192.0.2.1")
	cfg.Pool.Exclude = config.PortSet{{Low: 20004, High: 20005}, {Low: 20000, High: 20000}}
	d = HostDemand(cfg)
	require.Equal(t, cfg.Pool.Bind, d.Bind)
	require.Equal(t, "20000,20004-20005", d.Excluded.String())
}

func TestTheHostsFaultsAreLoggedAsWarnings(t *testing.T) {
	var log bytes.Buffer
	p := &process{log: zerolog.New(&log)}
	host := hostcheck.Host{OpenFiles: func() (uint64, error) { return 100, nil }}
	warnAboutHost(p, config.Default(), host)
	require.Contains(t, log.String(), `"level":"warn","check":"open-files","severity":"fail","cure":[`)
	require.Contains(t, log.String(), `"message":"100 files may be open, and the pool alone needs 10092`)
	require.NotContains(t, log.String(), `"check":"range"`, "what is well is not logged")
}
