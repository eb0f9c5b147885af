package udp

import "errors"

// Bounds of what one [Messages] holds.
const (
	// MaxMessages is how many messages one system call takes.
	MaxMessages = 64
	// MaxSegments is UDP_MAX_SEGMENTS of the oldest kernels that have it.
	MaxSegments = 64
	// MaxMessageBytes keeps a message that the kernel cuts within the length field of the IP packet that it is made from.
	MaxMessageBytes = 65000
)

// Faults of [Messages.Send] that its caller can do something about. Every other error is about the destination or the socket.
var (
	// ErrFull says that the socket's buffer has no room now.
	ErrFull = errors.New("the socket's buffer is full")
	// ErrSegments says that the kernel cannot cut messages on the way to this destination; datagrams, one a message, may do.
	ErrSegments = errors.New("the kernel cannot segment packets on this way")
)
