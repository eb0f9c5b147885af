package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// freePair returns an even port of which both ports of the pair were free on every address a moment ago.
func freePair(t testing.TB) uint16 {
	t.Helper()
	for port := uint16(23456); port < 32000; port += 2 {
		rtp, rtcp, err := BindPair(netip.IPv6Unspecified(), port, Options{})
		if err != nil {
			continue
		}
		listener, err := ListenTCP(netip.IPv6Unspecified(), port)
		require.NoError(t, errors.Join(rtp.Close(), rtcp.Close()))
		if err == nil {
			require.NoError(t, listener.Close())
			return port
		}
	}
	t.Fatal("no free pair below the ephemeral range")
	return 0
}

// bindPair binds a free pair, and closes it with the test.
func bindPair(t testing.TB, addr netip.Addr) (rtp, rtcp *net.UDPConn, port uint16) {
	t.Helper()
	for range 20 { // somebody else may be faster
		port = freePair(t)
		var err error
		rtp, rtcp, err = BindPair(addr, port, Options{})
		if errors.Is(err, ErrInUse) {
			continue
		}
		require.NoError(t, err)
		t.Cleanup(func() {
			_ = rtp.Close()
			_ = rtcp.Close()
		})
		return rtp, rtcp, port
	}
	t.Fatal("no pair could be bound")
	return nil, nil, 0
}

func needIPv6(t testing.TB) {
	t.Helper()
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skip("this system has no IPv6")
	}
	require.NoError(t, conn.Close())
}

func send(t testing.TB, to netip.AddrPort, text string) netip.AddrPort {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = conn.Write([]byte(text))
	require.NoError(t, err)
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func receive(t testing.TB, conn *net.UDPConn) string {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	buf := make([]byte, 100)
	n, _, err := conn.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	require.NoError(t, conn.SetReadDeadline(time.Time{}))
	return string(buf[:n])
}

func TestBindPairServesTheFamiliesOfItsAddress(t *testing.T) {
	v4, v6 := loopback, netip.IPv6Loopback()
	for _, tc := range []struct {
		bind   netip.Addr
		serves []netip.Addr
		not    []netip.Addr // somebody else may bind these
	}{
		{v4, []netip.Addr{v4}, []netip.Addr{v6}},
		{netip.MustParseAddr("::ffff:127.0.0.1"), []netip.Addr{v4}, []netip.Addr{v6}},
		{netip.IPv4Unspecified(), []netip.Addr{v4}, []netip.Addr{v6}},
		{v6, []netip.Addr{v6}, []netip.Addr{v4}},
		{netip.IPv6Unspecified(), []netip.Addr{v4, v6}, nil},
		{netip.Addr{}, []netip.Addr{v4, v6}, nil},
	} {
		t.Run(tc.bind.String(), func(t *testing.T) {
			if tc.bind == v6 || tc.bind == netip.IPv6Unspecified() || !tc.bind.IsValid() {
				needIPv6(t)
			}
			rtp, rtcp, port := bindPair(t, tc.bind)
			for _, addr := range tc.serves {
				send(t, netip.AddrPortFrom(addr, port), "rtp")
				require.Equal(t, "rtp", receive(t, rtp))
				send(t, netip.AddrPortFrom(addr, port+1), "rtcp")
				require.Equal(t, "rtcp", receive(t, rtcp))
			}
			for _, addr := range tc.not {
				if addr.Is6() {
					needIPv6(t)
				}
				a, b, err := BindPair(addr, port, Options{})
				require.NoError(t, err, addr)
				require.NoError(t, errors.Join(a.Close(), b.Close()))
			}
		})
	}
}

func TestBindPairIsAllOrNothing(t *testing.T) {
	for _, held := range []uint16{0, 1} {
		first, second, port := bindPair(t, loopback)
		keep, give := first, second
		if held == 1 {
			keep, give = second, first
		}
		require.NoError(t, give.Close())
		_, _, err := BindPair(loopback, port, Options{})
		require.ErrorIs(t, err, ErrInUse)
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		require.NotErrorIs(t, err, ErrAddress)
		require.NotErrorIs(t, err, ErrProcess)
		var bindErr *BindError
		require.ErrorAs(t, err, &bindErr)
		require.Equal(t, netip.AddrPortFrom(loopback, port+held), bindErr.Local)
		require.Contains(t, err.Error(), bindErr.Local.String())
		// The other half of the pair was given back.
		again, err := bind(loopback, port+1-held, Options{})
		require.NoError(t, err)
		require.NoError(t, errors.Join(again.Close(), keep.Close()))
	}
}

func TestPoolSocketsShareTheirPortWithNobody(t *testing.T) {
	rtp, rtcp, port := bindPair(t, loopback)
	for _, conn := range []*net.UDPConn{rtp, rtcp} {
		raw, err := conn.SyscallConn()
		require.NoError(t, err)
		for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT} {
			var value int
			var optErr error
			require.NoError(t, raw.Control(func(fd uintptr) { value, optErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, option) }))
			require.NoError(t, optErr)
			require.Zero(t, value)
		}
	}
	// Another program that does set them cannot take the port over.
	greedy := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var optErr error
		err := raw.Control(func(fd uintptr) {
			optErr = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
		})
		return errors.Join(err, optErr)
	}}
	conn, err := greedy.ListenPacket(t.Context(), "udp4", netip.AddrPortFrom(loopback, port).String())
	if err == nil {
		_ = conn.Close()
	}
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}

func TestAddressErrorsAreToldFromPortErrors(t *testing.T) {
	port := freePair(t)
	for _, addr := range []string{"203.0.113.7", "2001:db8::7", "224.1.2.3", "ff02::1"} {
		_, _, err := BindPair(netip.MustParseAddr(addr), port, Options{})
		require.ErrorIs(t, err, ErrAddress, addr)
		require.NotErrorIs(t, err, ErrInUse, addr)
	}
	_, err := ListenTCP(netip.MustParseAddr("203.0.113.7"), port)
	require.ErrorIs(t, err, ErrAddress)
	for _, port := range []uint16{0, 20001} {
		_, _, err := BindPair(loopback, port, Options{})
		require.ErrorIs(t, err, ErrAddress)
	}
	if os.Geteuid() != 0 {
		_, _, err := BindPair(loopback, 2, Options{})
		require.ErrorIs(t, err, ErrAddress)
	}
}

func TestFamilies(t *testing.T) {
	for number, want := range map[syscall.Errno]error{
		syscall.EADDRINUSE:    ErrInUse,
		syscall.EADDRNOTAVAIL: ErrAddress,
		syscall.EACCES:        ErrAddress,
		syscall.EPERM:         ErrAddress,
		syscall.EAFNOSUPPORT:  ErrAddress,
		syscall.EMFILE:        ErrProcess,
		syscall.ENFILE:        ErrProcess,
		syscall.ENOBUFS:       ErrProcess,
		syscall.ENOMEM:        ErrProcess,
	} {
		wrapped := &net.OpError{Op: "listen", Net: "udp", Err: os.NewSyscallError("bind", number)}
		require.Equal(t, want, family(wrapped), number)
		require.Equal(t, number, cause(wrapped))
	}
	plain := errors.New("plain")
	require.Equal(t, plain, cause(plain))
}

func TestOutOfDescriptorsIsTheProcessesFault(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the limit is set as Linux counts it")
	}
	port := freePair(t)
	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was)) }()
	probe, err := os.Open(os.DevNull)
	require.NoError(t, err)
	next := uint64(probe.Fd())
	require.NoError(t, probe.Close())
	// One descriptor more: the first socket is bound, the second is not, and the first is given back.
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: next + 1, Max: was.Max}))
	_, _, err = BindPair(loopback, port, Options{})
	require.ErrorIs(t, err, ErrProcess)
	require.ErrorIs(t, err, syscall.EMFILE)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &was))
	rtp, rtcp, err := BindPair(loopback, port, Options{})
	require.NoError(t, err)
	require.NoError(t, errors.Join(rtp.Close(), rtcp.Close()))
}

func TestWithoutIPv6TheWildcardMeansIPv4(t *testing.T) {
	var asked []string
	open := func(network string, local netip.AddrPort) (bool, error) {
		asked = append(asked, network+" "+local.String())
		if local.Addr().Is6() {
			return false, os.NewSyscallError("socket", syscall.EAFNOSUPPORT)
		}
		return true, nil
	}
	ok, err := withFallback("udp", netip.IPv6Unspecified(), 4000, open)
	require.True(t, ok)
	require.NoError(t, err)
	require.Equal(t, []string{"udp [::]:4000", "udp4 0.0.0.0:4000"}, asked)
	_, err = withFallback("udp", netip.IPv6Loopback(), 4000, open)
	require.ErrorIs(t, err, ErrAddress)
}

func TestListenTCPReopensWhileAConnectionLives(t *testing.T) {
	port := freePair(t)
	listener, err := ListenTCP(loopback, port)
	require.NoError(t, err)
	_, err = ListenTCP(loopback, port)
	require.ErrorIs(t, err, ErrInUse)
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	server, err := listener.Accept()
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	listener, err = ListenTCP(loopback, port)
	require.NoError(t, err)
	require.NoError(t, errors.Join(listener.Close(), server.Close(), client.Close()))
}

func TestReadBuffer(t *testing.T) {
	port := freePair(t)
	const size = 64 * 1024
	rtp, rtcp, err := BindPair(loopback, port, Options{ReadBuffer: size})
	require.NoError(t, err)
	for _, conn := range []*net.UDPConn{rtp, rtcp} {
		raw, err := conn.SyscallConn()
		require.NoError(t, err)
		var got int
		require.NoError(t, raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF) }))
		require.NoError(t, err)
		require.GreaterOrEqual(t, got, size)
		require.NoError(t, conn.Close())
	}
}

func BenchmarkBindPair(b *testing.B) {
	port := freePair(b)
	for b.Loop() {
		rtp, rtcp, err := BindPair(loopback, port, Options{})
		if err != nil {
			b.Fatal(err)
		}
		_, _ = rtp.Close(), rtcp.Close()
	}
}
