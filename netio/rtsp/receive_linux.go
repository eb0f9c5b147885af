//go:build !race

package rtsp

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// receiveNow reads what a non-blocking socket has; p is not empty. The error is a syscall.Errno.
func receiveNow(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
