package store

import (
	"errors"
	"fmt"
)

var (
	// ErrLocked means that another process holds the database.
	ErrLocked = errors.New("another process holds it, probably a second berth with the same state.dir: stop that one or give this one its own state.dir")
	// ErrNewer means that the database was written by a later version of berth. It is left alone.
	ErrNewer = errors.New("it was written by a newer version of berth: run that version, or give this one its own state.dir")
	// ErrBusy means that too many writes wait for the disk.
	ErrBusy = errors.New("the store has too many writes waiting for the disk: try again later")
	// ErrClosed means that the store ended before the write was on disk; whether it will be found there is open.
	ErrClosed = errors.New("the store ended before the write was on disk")
	// ErrNoSecret means that no API secret has been made yet.
	ErrNoSecret = errors.New("no API secret has been made yet: the server makes it at its first start")
)

// NotDurableError answers a write that could not be made durable. Nothing of the write is kept.
type NotDurableError struct {
	Path  string // of the database
	Cause error
}

// Error says what could not be kept and why.
func (e *NotDurableError) Error() string {
	return fmt.Sprintf("not kept, because %s cannot be written: %v", e.Path, e.Cause)
}

// Unwrap returns the cause.
func (e *NotDurableError) Unwrap() error { return e.Cause }
