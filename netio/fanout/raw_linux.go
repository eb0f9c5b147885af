package fanout

import (
	"errors"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canWriteRaw says that sockets can be written without the runtime's lock and wait.
const canWriteRaw = true

func wouldBlock(err error) bool {
	return errors.Is(err, unix.EAGAIN)
}

// writeVec writes as much as the socket takes at once. The descriptor is non-blocking, as all of Go's sockets are. The runtime is not told of the call, which never waits: telling it wakes its
// monitor thread, and takes the processor away from a call that lasts 10 µs.
func writeVec(fd uintptr, bufs [][]byte) (int, error) {
	first, size, rest := adjoining(bufs)
	for {
		var n uintptr
		var errno syscall.Errno
		if len(rest) == 0 {
			n, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(first)), uintptr(size), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		} else {
			n, errno = sendScattered(fd, bufs)
		}
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// adjoining returns the memory of those at the beginning of bufs that lie behind each other, as chunks that were published one after the other nearly always do, and the others. One piece costs the kernel less than
// a list of one, or of several.
func adjoining(bufs [][]byte) (first *byte, size int, rest [][]byte) {
	for i, b := range bufs {
		switch {
		case len(b) == 0:
		case first == nil:
			first, size = &b[0], len(b)
		case uintptr(unsafe.Pointer(first))+uintptr(size) == uintptr(unsafe.Pointer(&b[0])): //nolint:gosec // compared, never turned back
			size += len(b)
		default:
			return first, size, bufs[i:]
		}
	}
	return first, size, nil
}

// sendScattered is one try for several pieces.
func sendScattered(fd uintptr, bufs [][]byte) (uintptr, syscall.Errno) {
	var iov [gatherChunks + 1]unix.Iovec
	count := 0
	for len(bufs) > 0 && count < len(iov) {
		var size int
		iov[count].Base, size, bufs = adjoining(bufs)
		iov[count].SetLen(size)
		count++
	}
	var msg unix.Msghdr
	msg.Iov = &iov[0]
	msg.SetIovlen(count)
	n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	return n, errno
}
