//go:build unix

package udp

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// blocks renews handles while it looks at the socket all the time, and reports how often that would have made a caller wait.
func blocks(t *testing.T, socket int, renew func()) (times int) {
	t.Helper()
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			flags, err := unix.FcntlInt(uintptr(socket), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_NONBLOCK == 0 {
				times++
			}
		}
	})
	for range 300 {
		renew()
	}
	close(stop)
	looking.Wait()
	return times
}

// A read that began while the socket blocked would never come back, and who closes its handle would wait for it.
func TestRenewNeverMakesTheSocketBlock(t *testing.T) {
	rtp, _, _ := bindPair(t, loopback)
	file, err := copyOf(rtp)
	require.NoError(t, err)
	require.Zero(t, blocks(t, int(file.Fd()), func() {
		fresh, err := Renew(rtp)
		require.NoError(t, err)
		rtp = fresh
	}))
	require.NoError(t, file.Close())
	require.NoError(t, rtp.Close())

	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: loopback.AsSlice()})
	require.NoError(t, err)
	file, err = copyOf(l)
	require.NoError(t, err)
	require.Zero(t, blocks(t, int(file.Fd()), func() {
		fresh, err := RenewListener(l)
		require.NoError(t, err)
		require.NoError(t, l.Close())
		l = fresh
	}))
	require.NoError(t, file.Close())
	require.NoError(t, l.Close())
}
