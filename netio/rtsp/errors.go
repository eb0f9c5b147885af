package rtsp

import (
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// Errors that end a connection's read loop.
var (
	// ErrStalled means that a message began and did not arrive whole in time.
	ErrStalled = errors.New("rtsp: a message began but did not arrive whole in time")
	// ErrGarbage means that too many bytes between two messages belonged to neither.
	ErrGarbage = errors.New("rtsp: too many bytes that belong to no message; the peer's framing is lost")
	// ErrNoTrack means that an announcement has no media line that the server can receive.
	ErrNoTrack = errors.New("the SDP has no media line that can be received")
	// ErrClosed means that the owner closed the connection.
	ErrClosed = errors.New("rtsp: the connection was closed by its owner")
)

// MalformedError is a request that breaks the protocol or exceeds a limit. It is answered with Status.
type MalformedError struct {
	Status  base.StatusCode // what the peer is told
	Problem string          // lower case, for the peer and the log
	Fatal   bool            // message boundaries are lost: nothing more can be read from the connection
}

// Error returns the problem with its status.
func (e *MalformedError) Error() string { return fmt.Sprintf("rtsp: %s (%d)", e.Problem, e.Status) }

func malformed(status base.StatusCode, format string, args ...any) *MalformedError {
	return &MalformedError{Status: status, Problem: fmt.Sprintf(format, args...)}
}

func fatal(status base.StatusCode, format string, args ...any) *MalformedError {
	return &MalformedError{Status: status, Problem: fmt.Sprintf(format, args...), Fatal: true}
}
