package udp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// collected is a packet that a reader has handed over, copied.
type collected struct {
	data string
	from netip.AddrPort
}

// collect reads until there are n packets.
func collect(t testing.TB, r *Reader, n int) []collected {
	t.Helper()
	require.NoError(t, r.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	var got []collected
	require.NoError(t, r.Read(func(_ time.Time, packets []Packet) bool {
		for _, p := range packets {
			got = append(got, collected{string(p.Data), p.From})
		}
		return len(got) < n
	}))
	return got
}

func newReader(t testing.TB, conn *net.UDPConn, opts ReaderOptions) *Reader {
	t.Helper()
	r, err := NewReader(conn, opts)
	require.NoError(t, err)
	return r
}

func TestReaderHandsPacketsOnInOrderWithTheirSender(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	at := time.Unix(1234, 0)
	r := newReader(t, rtp, ReaderOptions{Now: func() time.Time { return at }})
	var want []collected
	for i := range 100 { // more than a batch
		text := fmt.Sprint("packet ", i)
		if i == 50 {
			text = ""
		}
		want = append(want, collected{text, send(t, netip.AddrPortFrom(loopback, port), text)})
	}
	require.Equal(t, want, collect(t, r, 100))
	send(t, netip.AddrPortFrom(loopback, port), "one more")
	require.NoError(t, r.Read(func(now time.Time, packets []Packet) bool {
		require.Equal(t, at, now)
		require.Len(t, packets, 1)
		return false
	}))
}

func TestReaderTakesTheLongestDatagram(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	r := newReader(t, rtp, ReaderOptions{})
	want := bytes.Repeat([]byte("0123456789abcdef"), 4096)[:65507]
	send(t, netip.AddrPortFrom(loopback, port), string(want))
	got := collect(t, r, 1)
	require.Equal(t, string(want), got[0].data)
}

func TestReaderNamesSendersOfBothFamilies(t *testing.T) {
	needIPv6(t)
	rtp, _, port := bindPair(t, netip.IPv6Unspecified())
	r := newReader(t, rtp, ReaderOptions{})
	want := []collected{
		{"four", send(t, netip.AddrPortFrom(loopback, port), "four")},
		{"six", send(t, netip.AddrPortFrom(netip.IPv6Loopback(), port), "six")},
	}
	require.True(t, want[0].from.Addr().Is4())
	require.Equal(t, want, collect(t, r, 2))
}

func TestReaderWakesUp(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	r := newReader(t, rtp, ReaderOptions{})
	var handed int
	run := func() chan error {
		done := make(chan error)
		go func() {
			done <- r.Read(func(_ time.Time, packets []Packet) bool {
				handed += len(packets)
				return true
			})
		}()
		return done
	}
	done := run()
	Wake(rtp)
	require.ErrorIs(t, <-done, os.ErrDeadlineExceeded)
	require.NoError(t, rtp.SetDeadline(time.Time{}))
	done = run()
	send(t, netip.AddrPortFrom(loopback, port), "x")
	require.NoError(t, rtp.SetReadDeadline(time.Now().Add(time.Millisecond)))
	require.ErrorIs(t, <-done, os.ErrDeadlineExceeded)
	require.NoError(t, rtp.SetDeadline(time.Time{}))
	done = run()
	require.NoError(t, rtp.Close())
	require.ErrorIs(t, <-done, net.ErrClosed)
	require.LessOrEqual(t, handed, 1)
	require.ErrorIs(t, r.Read(nil), net.ErrClosed)
	r.Close()
	_, err := NewReader(rtp, ReaderOptions{})
	require.ErrorIs(t, err, net.ErrClosed)
	require.Equal(t, Status{}, StatusOf(rtp))
}

func TestReaderHearsADeadlineSetByItsHandler(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	r := newReader(t, rtp, ReaderOptions{})
	send(t, netip.AddrPortFrom(loopback, port), "x")
	err := r.Read(func(now time.Time, _ []Packet) bool { return rtp.SetReadDeadline(now) == nil })
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestReaderAllocatesNothing(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	r := newReader(t, rtp, ReaderOptions{})
	client, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	packet := []byte("x")
	handle := func(time.Time, []Packet) bool { return false }
	once := func() {
		_, errWrite := client.Write(packet)
		if errRead := r.Read(handle); errWrite != nil || errRead != nil {
			t.Error(errWrite, errRead)
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, once))
}

func TestStatusTellsWhatTheKernelKeepsAndDrops(t *testing.T) {
	port := freePair(t)
	rtp, rtcp, err := BindPair(loopback, port, Options{ReadBuffer: 8 << 10})
	require.NoError(t, err)
	defer func() {
		_ = rtp.Close()
		_ = rtcp.Close()
	}()
	before := StatusOf(rtp)
	require.GreaterOrEqual(t, before.ReadBuffer, 8<<10)
	if runtime.GOOS != "linux" {
		t.Skip("the rest is Linux's")
	}
	for range 100 {
		send(t, netip.AddrPortFrom(loopback, port), string(make([]byte, 1000)))
	}
	after := StatusOf(rtp)
	require.Positive(t, after.Waiting)
	require.Positive(t, after.Drops)
	require.Less(t, after.Drops, uint64(100))
}

func BenchmarkReader(b *testing.B) {
	rtp, _, port := bindPair(b, loopback)
	r := newReader(b, rtp, ReaderOptions{})
	client, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, port)))
	require.NoError(b, err)
	defer func() { require.NoError(b, client.Close()) }()
	packet := make([]byte, 1400)
	const burst = 8
	b.ReportAllocs()
	for b.Loop() {
		for range burst {
			if _, err := client.Write(packet); err != nil {
				b.Fatal(err)
			}
		}
		got := 0
		if err := r.Read(func(_ time.Time, p []Packet) bool {
			got += len(p)
			return got < burst
		}); err != nil {
			b.Fatal(err)
		}
	}
}
