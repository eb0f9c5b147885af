package udp

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBindBesideAnOwnSocket(t *testing.T) {
	any4, loopback := netip.IPv4Unspecified(), netip.MustParseAddr("127.0.0.1")
	for name, c := range map[string]struct{ from, to netip.Addr }{
		"narrower": {any4, loopback}, "wider": {loopback, any4}, "dual stack": {loopback, netip.IPv6Unspecified()},
	} {
		t.Run(name, func(t *testing.T) {
			old, err := Bind(c.from, 0, Options{})
			require.NoError(t, err)
			defer old.Close()
			port := old.LocalAddr().(*net.UDPAddr).AddrPort().Port()
			_, err = Bind(c.to, port, Options{})
			require.ErrorIs(t, err, ErrInUse)
			next, err := BindBeside(c.to, port, old)
			require.NoError(t, err)
			defer next.Close()
			_, err = Bind(c.to, port, Options{})
			require.ErrorIs(t, err, ErrInUse, "nobody else")

			require.NoError(t, old.Close())
			peer, err := net.Dial("udp", netip.AddrPortFrom(loopback, port).String())
			require.NoError(t, err)
			defer peer.Close()
			_, err = peer.Write([]byte("x"))
			require.NoError(t, err)
			require.NoError(t, next.SetReadDeadline(time.Now().Add(10*time.Second)))
			n, _, err := next.ReadFromUDPAddrPort(make([]byte, 10))
			require.NoError(t, err)
			require.Equal(t, 1, n)

			_, err = BindBeside(c.to, port, old)
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}
