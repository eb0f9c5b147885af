package tcp

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T) *Listener {
	t.Helper()
	l, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func TestNoConnectionIsRefusedBetweenTwoViews(t *testing.T) {
	l := listen(t)
	first := l.Borrow()
	go func() {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
	}()
	conn, err := first.Accept()
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.NoError(t, first.Close())

	between, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err, "the socket must go on listening when nobody borrows it")
	defer between.Close()

	second := l.Borrow()
	conn, err = second.Accept()
	require.NoError(t, err)
	require.Equal(t, between.LocalAddr().String(), conn.RemoteAddr().String())
	require.NoError(t, conn.Close())
}

func TestCloseOfAViewWakesItsAccept(t *testing.T) {
	l := listen(t)
	v := l.Borrow()
	ended := make(chan error, 1)
	go func() {
		_, err := v.Accept()
		ended <- err
	}()
	require.NoError(t, v.Close())
	require.ErrorIs(t, <-ended, net.ErrClosed)
	_, err := v.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestBorrowEndsTheFormerView(t *testing.T) {
	l := listen(t)
	first := l.Borrow()
	ended := make(chan error, 1)
	go func() {
		_, err := first.Accept()
		ended <- err
	}()
	_ = l.Borrow()
	require.ErrorIs(t, <-ended, net.ErrClosed)
}

// Every one of many connections made while views come and go is accepted by one of them.
func TestEveryConnectionIsAcceptedOnceWhileViewsChange(t *testing.T) {
	const connections = 200
	l := listen(t)
	var dialers sync.WaitGroup
	failed := make(chan error, connections)
	for range connections {
		dialers.Go(func() {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				failed <- err
				return
			}
			defer conn.Close()
			var b [1]byte
			if _, err := conn.Read(b[:]); err != nil {
				failed <- fmt.Errorf("accepted by nobody: %w", err)
			}
		})
	}
	accepted := 0
	for accepted < connections {
		v := l.Borrow()
		for range min(7, connections-accepted) {
			conn, err := v.Accept()
			require.NoError(t, err)
			_, err = conn.Write([]byte{1})
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			accepted++
		}
		require.NoError(t, v.Close())
	}
	dialers.Wait()
	close(failed)
	for err := range failed {
		require.NoError(t, err)
	}
}

func TestListenSaysWhichAddress(t *testing.T) {
	l := listen(t)
	_, err := Listen(l.Addr())
	require.ErrorContains(t, err, l.Addr().String())
}
