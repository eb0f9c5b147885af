package udp

import (
	"fmt"
	"net"
)

// Renew returns a new handle of conn's socket and closes conn: the port stays bound without a gap, what the socket has received stays, and whoever still has the
// old handle gets net.ErrClosed. On error conn is as it was, and errors.Is finds the family of the error as with [BindPair].
func Renew(conn *net.UDPConn) (*net.UDPConn, error) {
	file, err := copyOf(conn)
	if err != nil {
		return nil, fmt.Errorf("new handle of udp %s: %w: %w", conn.LocalAddr(), family(err), cause(err))
	}
	fresh, err := net.FilePacketConn(file)
	_ = file.Close()
	if err != nil {
		return nil, fmt.Errorf("new handle of udp %s: %w: %w", conn.LocalAddr(), family(err), cause(err))
	}
	_ = conn.Close()
	return fresh.(*net.UDPConn), nil
}

// RenewListener returns another handle of l's socket, which takes connections in without a break when l is closed: whoever waits on l gets net.ErrClosed. l is left as it was.
func RenewListener(l *net.TCPListener) (*net.TCPListener, error) {
	file, err := copyOf(l)
	if err != nil {
		return nil, err
	}
	fresh, err := net.FileListener(file)
	// The descriptor is a copy that nothing was written to.
	_ = file.Close()
	if err != nil {
		return nil, err
	}
	return fresh.(*net.TCPListener), nil
}
