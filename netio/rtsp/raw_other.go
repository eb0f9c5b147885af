//go:build !linux

package rtsp

import (
	"io"
	"net"
)

// newSocketReader returns how conn is best read.
func newSocketReader(conn net.Conn) io.Reader { return conn }
