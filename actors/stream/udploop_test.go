package stream

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

func TestMain(m *testing.M) { actortest.Main(m) }

// receiverReport is a compound of an empty RR and an SDES with a CNAME, as players send it.
func receiverReport() []byte {
	rr := []byte{0x80, 201, 0, 1, 1, 2, 3, 4}
	sdes := []byte{0x81, 202, 0, 3, 1, 2, 3, 4, 1, 4, 'b', 'e', 'r', 't', 0, 0}
	return append(rr, sdes...)
}

var rtcpCases = []struct {
	name string
	b    []byte
	ok   bool
}{
	{"report and description", receiverReport(), true},
	{"report alone", receiverReport()[:8], true},
	{"feedback alone (RFC 5506)", []byte{0x81, 206, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8}, true},
	{"padded last packet", []byte{0xA0, 201, 0, 2, 1, 2, 3, 4, 0, 0, 0, 4}, true},
	{"padding before the last packet", append([]byte{0xA0, 201, 0, 1, 1, 2, 3, 4}, receiverReport()...), false},
	{"empty", nil, false},
	{"RTP", append([]byte{0x80, 96}, make([]byte, 30)...), false},
	{"version 1", []byte{0x40, 201, 0, 1, 1, 2, 3, 4}, false},
	{"cut", receiverReport()[:20], false},
	{"tail", append(receiverReport(), 1, 2), false},
	{"length past the end", []byte{0x80, 201, 0xFF, 0xFF, 1, 2, 3, 4}, false},
}

func TestValidRTCP(t *testing.T) {
	for _, c := range rtcpCases {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.ok, validRTCP(c.b)) })
	}
}

func FuzzValidRTCP(f *testing.F) {
	for _, c := range rtcpCases {
		f.Add(c.b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if validRTCP(b) && (len(b)%4 != 0 || 4*(int(binary.BigEndian.Uint16(b[2:]))+1) > len(b)) {
			t.Fatal("accepted a packet whose lengths do not add up")
		}
	})
}

func TestAddressBook(t *testing.T) {
	var one, two, three Heard
	ap := netip.MustParseAddrPort
	b := newAddressBook()
	b.add(&one, ap("192.0.2.1:5000"), ap("192.0.2.1:5001"))
	b.add(&two, ap("192.0.2.2:5001"))
	b.add(&three, netip.AddrPort{}, ap("[2001:db8::1]:7001"))
	require.Same(t, &one, b.find(ap("192.0.2.1:5001")))
	require.Same(t, &one, b.find(ap("[::ffff:192.0.2.1]:5001")), "a dual-stack socket names the same host otherwise")
	require.Same(t, &one, b.find(ap("192.0.2.1:61234")), "a NAT changed the port, and one viewer only is known there")
	require.Same(t, &three, b.find(ap("[2001:db8::1%eth0]:7001")))
	require.Nil(t, b.find(ap("192.0.2.9:5001")))

	b.add(&two, ap("192.0.2.1:6001"))
	require.Nil(t, b.find(ap("192.0.2.1:61234")), "two viewers behind one NAT")
	require.Same(t, &two, b.find(ap("192.0.2.1:6001")))
	b.remove(&one)
	require.Same(t, &two, b.find(ap("192.0.2.1:5001")))
	b.remove(&two)
	b.remove(&three)
	require.Nil(t, b.find(ap("192.0.2.2:5001")))
	require.Empty(t, b.exact)
	require.Empty(t, b.byHost)
}

func listenUDP(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func TestUDPLoopHearsViewers(t *testing.T) {
	actortest.CheckLeaks(t)
	rtp, rtcp, viewer := listenUDP(t), listenUDP(t), listenUDP(t)
	book := newAddressBook()
	h := &Heard{}
	require.True(t, h.Last().IsZero())
	book.add(h, addrOf(viewer))
	now := time.Unix(1_700_000_000, 5)
	loop := startUDPLoop(rtp, rtcp, book, func() time.Time { return now })

	for _, b := range [][]byte{[]byte("no rtcp"), receiverReport()} {
		_, err := viewer.WriteToUDPAddrPort(b, addrOf(rtcp))
		require.NoError(t, err)
	}
	_, err := viewer.WriteToUDPAddrPort(make([]byte, 12), addrOf(rtp)) // a punch
	require.NoError(t, err)
	actortest.Eventually(t, func() bool { return h.Reports() == 1 && loop.strange.Load() == 2 }, "heard")
	require.Equal(t, now, h.Last())

	book.remove(h)
	_, err = viewer.WriteToUDPAddrPort(receiverReport(), addrOf(rtcp))
	require.NoError(t, err)
	actortest.Eventually(t, func() bool { return loop.strange.Load() == 3 }, "stranger counted")

	loop.close()
	loop.close()
	// The sockets are still open: they belong to the pool.
	require.NoError(t, rtp.SetReadDeadline(time.Time{}))
	require.NoError(t, rtcp.SetReadDeadline(time.Time{}))
}

func TestUDPLoopEndsWithItsSockets(t *testing.T) {
	actortest.CheckLeaks(t)
	rtp, rtcp := listenUDP(t), listenUDP(t)
	loop := startUDPLoop(rtp, rtcp, newAddressBook(), time.Now)
	require.NoError(t, rtp.Close())
	require.NoError(t, rtcp.Close())
	loop.close()
}

type countedWriter struct{ n atomic.Int64 }

func (w *countedWriter) Flush(time.Time) { w.n.Add(1) }

func TestFlusherRunsOnlyWhileNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Flusher{}
		var a, b countedWriter
		f.add(&a)
		f.add(&b)
		<-time.After(10*flushInterval + flushInterval/2)
		synctest.Wait()
		require.EqualValues(t, 10, a.n.Load())
		f.remove(&a)
		<-time.After(10 * flushInterval)
		synctest.Wait()
		require.EqualValues(t, 10, a.n.Load())
		require.EqualValues(t, 20, b.n.Load())
		f.remove(&b)
		f.remove(&b)
		<-time.After(time.Hour) // would be a million rounds
		f.add(&b)
		<-time.After(flushInterval + flushInterval/2)
		synctest.Wait()
		require.EqualValues(t, 21, b.n.Load())
		f.Close()
		f.Close()
		f.add(&a)
		<-time.After(time.Second)
		require.EqualValues(t, 10, a.n.Load(), "closed")
	})
}
