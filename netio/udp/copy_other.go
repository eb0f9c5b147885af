//go:build !unix

package udp

import (
	"os"
	"syscall"
)

// copyOf returns a copy of a socket's descriptor.
func copyOf(conn syscall.Conn) (*os.File, error) {
	return conn.(interface{ File() (*os.File, error) }).File()
}
