package udp

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/readbuffer"
	"github.com/stretchr/testify/require"
)

func TestBorrowedIsWhatGortsplibNeeds(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	var lent net.PacketConn = Borrow(rtp)
	conn, ok := lent.(readbuffer.PacketConn)
	require.True(t, ok)
	require.NoError(t, readbuffer.SetReadBuffer(conn, 32*1024))
	require.EqualValues(t, port, lent.LocalAddr().(*net.UDPAddr).Port)
}

func TestBorrowedClosesTheLoanAndNotTheSocket(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	local := netip.AddrPortFrom(loopback, port)
	for round := range 3 {
		lent := Borrow(rtp)
		from := send(t, local, "a")
		buf := make([]byte, 100)
		n, addr, err := lent.ReadFrom(buf)
		require.NoError(t, err)
		require.Equal(t, "a", string(buf[:n]))
		require.Equal(t, from, addr.(*net.UDPAddr).AddrPort())
		_, err = lent.WriteTo([]byte("b"), net.UDPAddrFromAddrPort(local))
		require.NoError(t, err)
		n, _, err = lent.ReadFrom(buf)
		require.NoError(t, err)
		require.Equal(t, "b", string(buf[:n]))

		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				buf := make([]byte, 10)
				for {
					if _, _, err := lent.ReadFrom(buf); err != nil {
						if round > 0 {
							return
						}
						// A reader that does not give up gets nothing either.
						_ = lent.SetReadDeadline(time.Time{})
						_, _, err = lent.ReadFrom(buf)
						if err != nil {
							return
						}
					}
				}
			})
		}
		require.NoError(t, lent.Close())
		readers.Wait()
		require.NoError(t, lent.Close())
		_, _, err = lent.ReadFrom(buf)
		require.ErrorIs(t, err, net.ErrClosed)
		_, err = lent.WriteTo([]byte("b"), net.UDPAddrFromAddrPort(local))
		require.ErrorIs(t, err, net.ErrClosed)
		for _, set := range []func(time.Time) error{lent.SetDeadline, lent.SetReadDeadline, lent.SetWriteDeadline} {
			require.ErrorIs(t, set(time.Time{}), net.ErrClosed)
		}
		require.ErrorIs(t, lent.SetReadBuffer(1), net.ErrClosed)
		_, err = lent.SyscallConn()
		require.ErrorIs(t, err, net.ErrClosed)
		require.NotNil(t, lent.LocalAddr())
		_, err = rtp.WriteToUDPAddrPort(nil, local)
		require.Error(t, err, "the loan's deadline stands until the owner lifts it")
	}
	require.NoError(t, rtp.SetDeadline(time.Time{}))
	require.Equal(t, 0, drain(rtp))
	send(t, local, "still bound")
	require.Equal(t, "still bound", receive(t, rtp))
}

func drain(conn *net.UDPConn) int {
	var d Discarder
	n, _ := d.Discard(conn, 1000)
	return n
}

func TestBorrowedNamesIPv4SendersAsIPv4(t *testing.T) {
	needIPv6(t)
	rtp, _, port := bindPair(t, netip.IPv6Unspecified())
	lent := Borrow(rtp)
	buf := make([]byte, 10)
	var last net.Addr
	for i := range 2 {
		client, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
		require.NoError(t, err)
		for range 2 {
			_, err = client.Write([]byte("x"))
			require.NoError(t, err)
			_, addr, err := lent.ReadFrom(buf)
			require.NoError(t, err)
			require.Equal(t, client.LocalAddr().String(), addr.String())
			last = addr
		}
		require.Len(t, last.(*net.UDPAddr).IP, net.IPv4len, i)
		require.NoError(t, client.Close())
	}
}

func TestBorrowedReadsWithoutAllocating(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	lent := Borrow(rtp)
	client, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	packet, buf := []byte("x"), make([]byte, 10)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, errWrite := client.Write(packet)
		_, _, errRead := lent.ReadFrom(buf)
		if errWrite != nil || errRead != nil {
			t.Error(errWrite, errRead)
		}
	}))
}

func TestRenewLeavesOldHandlesUseless(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	local := netip.AddrPortFrom(loopback, port)
	stale := make(chan error)
	go func() {
		_, _, err := rtp.ReadFromUDPAddrPort(make([]byte, 10))
		stale <- err
	}()
	fresh, err := Renew(rtp)
	require.NoError(t, err)
	defer func() { require.NoError(t, fresh.Close()) }()
	require.ErrorIs(t, <-stale, net.ErrClosed)
	require.Equal(t, rtp.LocalAddr(), fresh.LocalAddr())
	_, _, err = BindPair(loopback, port, Options{})
	require.ErrorIs(t, err, ErrInUse, "it was bound all the time")
	send(t, local, "new")
	require.Equal(t, "new", receive(t, fresh))
	// The new handle has deadlines of its own that work.
	Wake(fresh)
	_, _, err = fresh.ReadFromUDPAddrPort(make([]byte, 10))
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())

	_, err = Renew(rtp)
	require.ErrorIs(t, err, ErrAddress, "it is closed")
}

func TestDiscard(t *testing.T) {
	rtp, rtcp, port := bindPair(t, loopback)
	var d Discarder
	n, from := d.Discard(rtp, 100)
	require.Zero(t, n)
	require.Equal(t, netip.AddrPort{}, from)
	Wake(rtp) // a deadline in the past makes no difference
	var last netip.AddrPort
	for range 5 {
		last = send(t, netip.AddrPortFrom(loopback, port), "a packet longer than the scratch space")
	}
	n, _ = d.Discard(rtp, 3)
	require.Equal(t, 3, n)
	n, from = d.Discard(rtp, 100)
	require.Equal(t, 2, n)
	require.Equal(t, last, from)
	n, _ = d.Discard(rtcp, 100)
	require.Zero(t, n)
	require.NoError(t, rtcp.Close())
	n, _ = d.Discard(rtcp, 100)
	require.Zero(t, n)

	raw, err := rtp.SyscallConn()
	require.NoError(t, err)
	// The system call's room for an address, and nothing of ours.
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { d.DiscardRaw(raw, 100) }), 1.0)
}

func TestDiscardNamesIPv6Senders(t *testing.T) {
	needIPv6(t)
	rtp, _, port := bindPair(t, netip.IPv6Unspecified())
	var d Discarder
	want := send(t, netip.AddrPortFrom(netip.IPv6Loopback(), port), "x")
	n, from := d.Discard(rtp, 10)
	require.Equal(t, 1, n)
	require.Equal(t, want, from)
	want = send(t, netip.AddrPortFrom(loopback, port), "x")
	_, from = d.Discard(rtp, 10)
	require.Equal(t, want, from)
}

// BenchmarkDiscardNothing is what one look at a quiet socket costs.
func BenchmarkDiscardNothing(b *testing.B) {
	rtp, _, _ := bindPair(b, loopback)
	raw, err := rtp.SyscallConn()
	require.NoError(b, err)
	var d Discarder
	b.ReportAllocs()
	for b.Loop() {
		d.DiscardRaw(raw, 100)
	}
}
