package gb28181

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readNow reads what a non-blocking socket has. The runtime is not told of the call, which never waits: telling it wakes its monitor thread, which costs more than the reading.
func readNow(fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
