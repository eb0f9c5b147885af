//go:build race || !linux

package tcp

import "syscall"

// ReadNow reads what the non-blocking socket fd has received into b, which is not empty, without waiting; 0 bytes are the end of the stream. The error is a [syscall.Errno], EAGAIN when there is
// nothing. It is for use inside [syscall.RawConn.Read]. This one is in sight of the race detector: to it, what was done before a write to a socket comes before what is done after the read.
func ReadNow(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }
