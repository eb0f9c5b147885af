package udp

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// What a failed bind is about. Every error of [BindPair] and [ListenTCP] is one of the three.
var (
	// ErrInUse means that somebody else holds the port: another port may do.
	ErrInUse = errors.New("port is in use")
	// ErrAddress means that the address cannot be bound, whatever the port: it is not on this machine, of a family that the system lacks, or forbidden.
	ErrAddress = errors.New("address cannot be bound")
	// ErrProcess means that the process or the system has no more descriptors or memory: no bind will do.
	ErrProcess = errors.New("out of sockets")
)

// BindError is a failed bind. errors.Is finds its family and the operating system's error in it.
type BindError struct {
	Network string // udp or tcp
	Local   netip.AddrPort
	Family  error // ErrInUse, ErrAddress or ErrProcess
	Err     error // the operating system's error
}

// Error names the socket and the operating system's error.
func (e *BindError) Error() string { return fmt.Sprintf("bind %s %s: %v", e.Network, e.Local, e.Err) }

// Unwrap returns the family and the cause.
func (e *BindError) Unwrap() []error { return []error{e.Family, e.Err} }

// family sorts an error of socket, bind or listen. What is not known to be the port's or the process's fault is the address's: trying every
// port of a range would not help.
func family(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ErrInUse
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return ErrProcess
	default:
		return ErrAddress
	}
}

// cause strips the wrapping of package net, which names the socket once more.
func cause(err error) error {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number
	}
	return err
}
