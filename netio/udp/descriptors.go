package udp

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Descriptors returns how many descriptors this process has open, and how many it may have (RLIMIT_NOFILE, the soft limit). It costs about 2 µs, however many there are. proc is the
// process's own folder, which is /proc/self but in tests.
//
// Linux counts them from 6.2 on (the size of proc/fd). Elsewhere the lowest free descriptor stands for their number: the kernel hands out the lowest first, so that it is right
// when the process has opened all that it could, and too low while there are gaps below the highest.
func Descriptors(proc string) (open, limit uint64, err error) {
	var bounds unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &bounds); err != nil {
		return 0, 0, fmt.Errorf("ask for the limit of open files: %w", err)
	}
	var folder unix.Stat_t
	if err := unix.Stat(proc+"/fd", &folder); err == nil && folder.Size > 0 {
		return uint64(folder.Size), bounds.Cur, nil
	}
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EMFILE):
		return bounds.Cur, bounds.Cur, nil
	case err != nil:
		return 0, 0, fmt.Errorf("look for the lowest free descriptor: %w", err)
	}
	_ = unix.Close(fd)                 // nothing was written
	return uint64(fd), bounds.Cur, nil //nolint:gosec // not negative
}
