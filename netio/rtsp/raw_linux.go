package rtsp

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/netio/tcp"
)

// rawReader reads a TCP socket without telling the runtime of each call, which never waits: telling it wakes the runtime's monitor thread, which costs a sparing process more than the reading.
// Deadlines and Close work as with conn.Read. Used from one goroutine.
type rawReader struct {
	conn *net.TCPConn
	raw  syscall.RawConn
	buf  []byte
	n    int
	err  error
	try  func(fd uintptr) bool
}

// newSocketReader returns how conn is best read.
func newSocketReader(conn net.Conn) io.Reader {
	socket, ok := conn.(*net.TCPConn) // not what embeds one: it may read otherwise
	if !ok {
		return conn
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return conn
	}
	r := &rawReader{conn: socket, raw: raw}
	r.try = r.receive
	return r
}

// Read implements io.Reader.
func (r *rawReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.buf = p
	err := r.raw.Read(r.try)
	r.buf = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, r.err
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}

// receive reads once; false waits until the socket is readable.
func (r *rawReader) receive(fd uintptr) bool {
	for {
		n, err := tcp.ReadNow(fd, r.buf)
		switch err {
		case nil:
			r.n, r.err = n, nil
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			r.n, r.err = 0, &net.OpError{Op: "read", Net: "tcp", Source: r.conn.LocalAddr(), Addr: r.conn.RemoteAddr(), Err: os.NewSyscallError("recvfrom", err)}
			return true
		}
	}
}
