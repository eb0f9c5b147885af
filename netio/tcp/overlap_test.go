package tcp

import (
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// reaches reports whether a connection to addr can be made.
func reaches(addr netip.AddrPort) bool {
	conn, err := net.Dial("tcp", addr.String())
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

func needIPv6(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("this system has no IPv6")
	}
	require.NoError(t, l.Close())
}

func TestAnOverlappingAddressOpensBesideTheOldOne(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it depends on the kernel's rules for SO_REUSEPORT")
	}
	for _, c := range []struct{ from, to string }{
		{"127.0.0.1", "0.0.0.0"},
		{"0.0.0.0", "127.0.0.1"},
		{"127.0.0.1", "::"},
		{"::", "127.0.0.1"},
		{"0.0.0.0", "::"},
		{"::", "0.0.0.0"},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			if c.from == "::" || c.to == "::" {
				needIPv6(t)
			}
			old, err := Listen(netip.AddrPortFrom(netip.MustParseAddr(c.from), 0))
			require.NoError(t, err)
			defer func() { require.NoError(t, old.Close()) }()
			port := old.Addr().Port()
			at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
			addr := netip.AddrPortFrom(netip.MustParseAddr(c.to), port)
			_, err = Listen(addr)
			require.ErrorIs(t, err, syscall.EADDRINUSE, "nobody else may have it")

			next, err := Listen(addr, old)
			require.NoError(t, err)
			defer func() { require.NoError(t, next.Close()) }()
			require.Equal(t, port, next.Addr().Port())
			require.True(t, reaches(at))

			for _, l := range []*Listener{old, next} {
				raw, err := l.socket.SyscallConn()
				require.NoError(t, err)
				value := -1
				require.NoError(t, raw.Control(func(fd uintptr) { value, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT) }))
				require.Zero(t, value)
			}

			require.NoError(t, old.Close())
			view := next.Borrow()
			accepted := make(chan error, 1)
			go func() {
				conn, err := view.Accept()
				if err == nil {
					err = conn.Close()
				}
				accepted <- err
			}()
			require.True(t, reaches(at))
			require.NoError(t, <-accepted)
		})
	}
}

func TestSomebodyElsesListenerIsInTheWay(t *testing.T) {
	foreign, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, foreign.Close()) }()
	ours := listen(t)
	port := foreign.Addr().(*net.TCPAddr).AddrPort().Port()
	_, err = Listen(netip.AddrPortFrom(netip.IPv4Unspecified(), port), ours)
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	_, err = Listen(ours.Addr(), ours)
	require.ErrorIs(t, err, syscall.EADDRINUSE, "the same address twice would split its connections")
}

func TestAWildcardServesItsFamily(t *testing.T) {
	needIPv6(t)
	for _, c := range []struct {
		addr string
		v6   bool
	}{{"0.0.0.0", false}, {"::", true}} {
		l, err := Listen(netip.AddrPortFrom(netip.MustParseAddr(c.addr), 0))
		require.NoError(t, err)
		port := l.Addr().Port()
		require.True(t, reaches(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)))
		require.Equal(t, c.v6, reaches(netip.AddrPortFrom(netip.IPv6Loopback(), port)), c.addr)
		require.NoError(t, l.Close())
	}
}
