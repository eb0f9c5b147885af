//go:build !linux

package gb28181

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// datagrams is a sender's view of its RTP socket.
type datagrams struct {
	conn *net.UDPConn
	to   netip.AddrPort
	gso  bool // never
	buf  []byte
}

func newDatagrams(conn *net.UDPConn, to netip.AddrPort) (*datagrams, error) {
	return &datagrams{conn: conn, to: to}, nil
}

type batchSys struct{}

func (*batchSys) init(*batch) {}

// sendPatience bounds the wait for room in the socket's buffer.
const sendPatience = 10 * time.Millisecond

// send sends the packets from first on. sent is how many left; err is about the one after them.
func (d *datagrams) send(b *batch, first int) (sent int, err error) {
	for i := first; i < b.count; i++ {
		d.buf = append(append(d.buf[:0], b.header(i)...), b.payloads[i]...)
		if err := d.conn.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
			return sent, err
		}
		if _, err := d.conn.WriteToUDPAddrPort(d.buf, d.to); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errFull
			}
			return sent, err
		}
		sent++
	}
	return sent, nil
}
