//go:build !race

package tcp

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ReadNow reads what the non-blocking socket fd has received into b, which is not empty, without waiting; 0 bytes are the end of the stream. The error is a [syscall.Errno], EAGAIN when there is
// nothing. It is for use inside [syscall.RawConn.Read]. The runtime is not told of the call, which never waits: telling it wakes its monitor thread, which costs a sparing process more than the
// reading (docs/performance.md).
func ReadNow(fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
