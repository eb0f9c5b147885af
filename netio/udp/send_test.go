package udp

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMessagesLeaveAsDatagrams(t *testing.T) {
	for name, c := range map[string]struct{ from, to string }{
		"IPv4": {"127.0.0.1", "127.0.0.1"}, "IPv4 over a socket of both": {"::", "127.0.0.1"}, "IPv6": {"::1", "::1"},
	} {
		t.Run(name, func(t *testing.T) {
			from, err := Bind(netip.MustParseAddr(c.from), 0, Options{})
			if err != nil {
				t.Skipf("no %s here: %v", name, err)
			}
			defer from.Close()
			to, err := Bind(netip.MustParseAddr(c.to), 0, Options{})
			require.NoError(t, err)
			defer to.Close()
			out, err := NewOutlet(from)
			require.NoError(t, err)
			there, err := out.Destination(to.LocalAddr().(*net.UDPAddr).AddrPort())
			require.NoError(t, err)

			m := NewMessages(5)
			want := [][]byte{[]byte("one"), []byte("two parts")}
			m.Add(0, []byte("one"))
			m.Add(0, []byte("two "), []byte("parts"))
			messages := 2
			if out.Segments() {
				m.Add(4, []byte("aaaa"), []byte("bb"))
				want = append(want, []byte("aaaa"), []byte("bb"))
				messages++
			}
			for range 2 { // what was sent stays until Reset
				sent, err := m.Send(out, &there)
				require.NoError(t, err)
				require.Equal(t, messages, sent)
				require.NoError(t, to.SetReadDeadline(time.Now().Add(10*time.Second)))
				for _, one := range want {
					buf := make([]byte, 100)
					n, err := to.Read(buf)
					require.NoError(t, err)
					require.Equal(t, string(one), string(buf[:n]))
				}
			}
			m.Reset()
			sent, err := m.Send(out, &there)
			require.NoError(t, err)
			require.Zero(t, sent)

			m.Add(0, []byte("small"))
			m.Add(0, bytes.Repeat([]byte("x"), 70_000))
			sent, err = m.Send(out, &there)
			require.Error(t, err)
			require.Equal(t, 1, sent, "the error is about the one after those that left")
			require.NoError(t, from.Close())
			m.Reset()
			m.Add(0, []byte("small"))
			_, err = m.Send(out, &there)
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

func TestDestinationsThatCannotBeReached(t *testing.T) {
	from, err := Bind(netip.MustParseAddr("127.0.0.1"), 0, Options{})
	require.NoError(t, err)
	defer from.Close()
	out, err := NewOutlet(from)
	require.NoError(t, err)
	_, err = out.Destination(netip.MustParseAddrPort("127.0.0.1:0"))
	require.ErrorContains(t, err, "no port")
	_, err = out.Destination(netip.MustParseAddrPort("[2001:db8::1]:5"))
	require.ErrorContains(t, err, "IPv4 socket")
}
