package tcp

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadNow(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	conn, err := l.Accept()
	require.NoError(t, err)
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	var n int
	var failed error
	buf := make([]byte, 3)
	once := func(fd uintptr) { n, failed = ReadNow(fd, buf) }
	require.NoError(t, raw.Control(once))
	require.ErrorIs(t, failed, syscall.EAGAIN)
	wait := func(fd uintptr) bool { once(fd); return !errors.Is(failed, syscall.EAGAIN) }
	_, err = peer.Write([]byte("four"))
	require.NoError(t, err)
	require.NoError(t, raw.Read(wait))
	require.NoError(t, failed)
	require.Equal(t, "fou", string(buf[:n]))
	require.NoError(t, raw.Read(wait))
	require.Equal(t, "r", string(buf[:n]))
	require.NoError(t, peer.Close())
	require.NoError(t, raw.Read(wait))
	require.NoError(t, failed)
	require.Zero(t, n, "the end")
}
