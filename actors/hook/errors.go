package hook

import (
	"errors"
	"fmt"
)

var (
	// ErrBusy refuses a question because too many wait for an answer.
	ErrBusy = errors.New("too many hooks wait for their receiver")
	// ErrDeadline ends a question whose deadline has passed.
	ErrDeadline = errors.New("no answer before the deadline")
	// ErrClosed ends a question because the hook actor stops.
	ErrClosed = errors.New("the engine is being rebuilt")
)

// FailedError says that a hook could not be delivered, or was not answered in a form that counts.
type FailedError struct {
	Name  string // of the hook
	URL   string // without credentials and query
	Tries int
	Err   error // of the last try; its text begins as ZLMediaKit's does, for instance "[bad http status code]:500"
}

// Error names the hook, its receiver and the last failure.
func (e *FailedError) Error() string {
	return fmt.Sprintf("hook %s to %s failed after %d tries: %v", e.Name, e.URL, e.Tries, e.Err)
}

// Unwrap returns the last try's failure.
func (e *FailedError) Unwrap() error { return e.Err }
