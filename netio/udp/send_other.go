//go:build !linux

package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// Outlet is a socket as [Messages] leave through it. It may be used by several goroutines at once, and stays its owner's to close.
type Outlet struct{ conn *net.UDPConn }

// NewOutlet describes conn. It fails on a closed socket only.
func NewOutlet(conn *net.UDPConn) (*Outlet, error) { return &Outlet{conn}, nil }

// Segments reports whether the kernel can cut messages into datagrams.
func (o *Outlet) Segments() bool { return false }

// Destination is an address, for one outlet.
type Destination struct{ to netip.AddrPort }

// Destination converts an address. It fails for port 0.
func (o *Outlet) Destination(to netip.AddrPort) (Destination, error) {
	if to.Port() == 0 {
		return Destination{}, fmt.Errorf("%s: no port", to)
	}
	return Destination{to}, nil
}

// Messages are what is sent to one destination. Made by [NewMessages], used again, and for one goroutine at a time.
type Messages struct {
	data []byte // of all messages
	ends []int  // of each in data
}

// NewMessages makes room for messages of so many pieces in all.
func NewMessages(int) *Messages { return &Messages{} }

// Reset empties m.
func (m *Messages) Reset() { m.data, m.ends = m.data[:0], m.ends[:0] }

// Add appends a message of pieces, none of them empty. segment is for systems that cut.
func (m *Messages) Add(_ int, pieces ...[]byte) {
	for _, p := range pieces {
		m.data = append(m.data, p...)
	}
	m.ends = append(m.ends, len(m.data))
}

// sendPatience bounds the wait for room in the socket's buffer.
const sendPatience = 10 * time.Millisecond

// Send sends the messages in order. sent is how many left; err, nil when all did, is about the one after them.
func (m *Messages) Send(o *Outlet, to *Destination) (sent int, err error) {
	from := 0
	for _, end := range m.ends {
		if err := o.conn.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
			return sent, err
		}
		if _, err := o.conn.WriteToUDPAddrPort(m.data[from:end], to.to); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = ErrFull
			}
			return sent, err
		}
		from, sent = end, sent+1
	}
	return sent, nil
}
