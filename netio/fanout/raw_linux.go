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
// monitor thread, and takes the processor away from a call that lasts 20 µs.
func writeVec(fd uintptr, bufs [][]byte) (int, error) {
	var iov [gatherChunks + 1]unix.Iovec
	count := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if count == len(iov) {
			break
		}
		iov[count].Base = &b[0]
		iov[count].SetLen(len(b))
		count++
	}
	var msg unix.Msghdr
	msg.Iov = &iov[0]
	msg.SetIovlen(count)
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
