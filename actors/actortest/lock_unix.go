//go:build unix

package actortest

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock reports whether f is this test's until it is closed.
func lock(f *os.File) bool {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil //nolint:gosec // a descriptor
}
