//go:build !linux

package gb28181

import "golang.org/x/sys/unix"

// readNow reads what a non-blocking socket has.
func readNow(fd uintptr, b []byte) (int, error) { return unix.Read(int(fd), b) }
