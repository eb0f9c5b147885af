package udp

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// sendSegments sends text in datagrams of size bytes by one system call, as UDP_SEGMENT (udp(7)) does it; loopback hands them over in one piece.
func sendSegments(t testing.TB, to netip.AddrPort, text string, size uint16) {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	control := make([]byte, unix.CmsgSpace(2))
	c := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Pointer(&control[unix.CmsgLen(0)])) = size
	_, _, err = conn.WriteMsgUDP([]byte(text), control, nil)
	if err != nil {
		t.Skip("this kernel does not know UDP_SEGMENT:", err)
	}
}

func TestReaderTakesCoalescedDatagramsApart(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	to := netip.AddrPortFrom(loopback, port)
	text := strings.Repeat("a", 1000) + strings.Repeat("b", 1000) + strings.Repeat("c", 1000) + "d"
	for _, plain := range []bool{false, true} {
		r := newReader(t, rtp, ReaderOptions{NoCoalescing: plain})
		send(t, to, "first")
		require.Equal(t, "first", collect(t, r, 1)[0].data)
		if !plain && !r.sys.coalesced {
			t.Log("this kernel does not know UDP_GRO")
		}
		for range 20 { // 80 datagrams: more than a batch of either kind
			sendSegments(t, to, text, 1000)
		}
		send(t, to, "last")
		got := collect(t, r, 81)
		for i := range 20 {
			for j, want := range []string{text[:1000], text[1000:2000], text[2000:3000], "d"} {
				require.Equal(t, want, got[4*i+j].data)
			}
		}
		require.Equal(t, "last", got[80].data)
		r.Close()
	}
}

func TestAClosedReaderLeavesAnOrdinarySocket(t *testing.T) {
	rtp, _, port := bindPair(t, loopback)
	to := netip.AddrPortFrom(loopback, port)
	r := newReader(t, rtp, ReaderOptions{})
	send(t, to, "first")
	require.Len(t, collect(t, r, 1), 1)
	sendSegments(t, to, "aaaabbbb", 4)
	r.Close()
	sendSegments(t, to, "ccccdddd", 4)
	require.Equal(t, "cccc", receive(t, rtp))
	require.Equal(t, "dddd", receive(t, rtp))
}
