//go:build unix

package udp

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyOf returns a copy of a socket's descriptor. The File methods of package net are no way to it: what they return makes the socket block as soon as it is turned into a connection again, for all who have a handle of
// it and until that is done. A read, or an accept, that begins in that moment does not come back, and who closes its handle waits for it.
func copyOf(conn syscall.Conn) (*os.File, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if errControl := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); errControl != nil {
		return nil, errControl
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "socket"), nil
}
