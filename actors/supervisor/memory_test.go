package supervisor

import (
	"net"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/portpool"
	"berth/actors/store"
	"berth/media"
	"berth/netio/ports"
)

func (s *server) portsOf(state ports.State, stream string) []uint16 {
	s.t.Helper()
	var out []uint16
	if pool := s.pool(); pool != nil {
		for _, slot := range pool.Slots {
			if slot.State == state && (stream == "" || slot.Stream.Stream == stream) {
				out = append(out, slot.Port)
			}
		}
	}
	slices.Sort(out)
	return out
}

// After a full restart and after a restart of the process, a pull has its ports of before, and a device that keeps sending to a port of a pull that is gone is heard
// by nobody: its pair is listened to, and not given out.
func TestPortsInUseAreRememberedAcrossRestarts(t *testing.T) {
	s := newServer(t, 20)
	source := startCamera(t)
	s.start(faults{})
	s.pull(source, "stays", "1")
	s.pull(source, "goes", "1")
	stays, goes := s.portsOf(ports.Leased, "stays"), s.portsOf(ports.Leased, "goes")
	require.Len(t, stays, 2)
	require.Len(t, goes, 2)
	device, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(goes[0]))))
	require.NoError(t, err)
	defer device.Close() //nolint:errcheck // a socket of the test
	speak := func() { _, _ = device.Write([]byte("rtp")) }
	speak()
	s.call("delStreamProxy", "key", "__defaultVhost__/live/goes")

	kept := func(when string) {
		t.Helper()
		s.eventually(when+": the pull is back on its ports", func() bool {
			speak()
			return s.playing() == 1 && slices.Equal(s.portsOf(ports.Leased, "stays"), stays)
		})
		s.eventually(when+": the port of the one that is gone is kept back", func() bool {
			speak()
			back := append(s.portsOf(ports.Draining, "goes"), s.portsOf(ports.Cooling, "goes")...)
			return slices.Contains(back, goes[0])
		})
	}
	s.signals <- syscall.SIGUSR2
	s.eventually("the next generation runs", func() bool { return s.generation() == 2 })
	kept("after a full restart")
	s.stop()
	s.start(faults{})
	kept("after a restart of the process")
}

func TestReservationsAreTheDefinitionsPorts(t *testing.T) {
	key := media.StreamKey{VHost: "v", App: "a", Stream: "s"}
	got := reservations(&definitions{proxies: []store.Proxy{{Key: key, Ports: []uint16{20000, 0, 20004}}, {Key: key}}})
	require.Equal(t, []portpool.Reservation{
		{Stream: key, Purpose: portpool.PurposeRTSPPull, Port: 20000}, {Stream: key, Purpose: portpool.PurposeRTSPPull, Port: 20004},
	}, got)
}
