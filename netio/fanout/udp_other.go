//go:build !linux

package fanout

import (
	"fmt"
	"net"
	"net/netip"
)

// udpSocket is a sink's view of a shared socket.
type udpSocket struct {
	conn *net.UDPConn
	gso  bool
}

func newUDPSocket(conn *net.UDPConn, _ bool) (*udpSocket, error) {
	return &udpSocket{conn: conn}, nil
}

type address struct{ to netip.AddrPort }

func (s *udpSocket) address(to netip.AddrPort) (address, error) {
	if to.Port() == 0 {
		return address{}, fmt.Errorf("%s: no port", to)
	}
	return address{to}, nil
}

type batchSys struct{}

func (*batchSys) init(*batch) {}

// send sends the messages in order, one call each. sent is how many left, size their bytes; err is about the one after them.
func (b *batch) send() (sent, size int, err error) {
	for ; sent < b.length; sent++ {
		if _, err := b.socket.conn.WriteToUDPAddrPort(b.packets[b.messages[sent].first], b.to.to); err != nil {
			return sent, size, err
		}
		size += b.messages[sent].size
	}
	return sent, size, nil
}
