package fanout

import "errors"

// Errors that callers branch on.
var (
	// ErrClosed says that the sink or its pool has been closed, or that the sink has already failed.
	ErrClosed = errors.New("sink is closed")
	// ErrControlFull says that a peer does not read its responses; the caller should end the connection.
	ErrControlFull = errors.New("too many unread responses")
	// ErrWriteTimeout is given to OnError when a viewer took nothing at all for WriteTimeout.
	ErrWriteTimeout = errors.New("viewer takes no data")
	// ErrTooSlow is given to OnError when the reader's policy is to close viewers that fall behind.
	ErrTooSlow = errors.New("viewer is too slow for the stream")
	// ErrPlaying says that the sink is already playing; Pause it first.
	ErrPlaying = errors.New("sink is already playing")
)
