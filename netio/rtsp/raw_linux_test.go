package rtsp

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSocketReader(t *testing.T) {
	client, server := tcpPair(t)
	r := newSocketReader(server)
	require.IsType(t, &rawReader{}, r)
	buf := make([]byte, 8)

	n, err := r.Read(nil)
	require.NoError(t, err)
	require.Zero(t, n)

	_, err = client.Write([]byte("0123456789"))
	require.NoError(t, err)
	require.NoError(t, server.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(r, buf)
	require.NoError(t, err)
	require.Equal(t, "01234567", string(buf))
	n, err = r.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "89", string(buf[:n]), "what is there, not more")

	require.NoError(t, server.SetReadDeadline(time.Unix(1, 0)))
	_, err = r.Read(buf)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, server.SetReadDeadline(time.Time{}))

	got := make(chan string, 1)
	go func() { // it waits, or finds the bytes: both must end in them
		n, _ := r.Read(buf)
		got <- string(buf[:n])
	}()
	_, err = client.Write([]byte("late"))
	require.NoError(t, err)
	require.Equal(t, "late", <-got)

	require.NoError(t, client.Close())
	_, err = r.Read(buf)
	require.Equal(t, io.EOF, err)
	require.NoError(t, server.Close())
	_, err = r.Read(buf)
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestSocketReaderTellsOfResets(t *testing.T) {
	client, server := tcpPair(t)
	require.NoError(t, client.(*net.TCPConn).SetLinger(0))
	require.NoError(t, client.Close())
	_, err := newSocketReader(server).Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.ErrorContains(t, err, client.LocalAddr().String())
}

func TestSocketReaderIsWokenByClose(t *testing.T) {
	_, server := tcpPair(t)
	r, ended := newSocketReader(server), make(chan error, 1)
	go func() {
		_, err := r.Read(make([]byte, 1))
		ended <- err
	}()
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
}

// buffered is a connection that has read ahead.
type buffered struct{ *net.TCPConn }

func TestSocketReaderLeavesOtherConnectionsAlone(t *testing.T) {
	_, server := tcpPair(t)
	for _, conn := range []net.Conn{tls.Server(server, nil), buffered{server.(*net.TCPConn)}} {
		require.Equal(t, io.Reader(conn), newSocketReader(conn))
	}
}

func TestSocketReaderAllocatesNothing(t *testing.T) {
	client, server := tcpPair(t)
	r := newSocketReader(server)
	b := make([]byte, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = client.Write(b)
		_, _ = r.Read(b)
	}))
}
