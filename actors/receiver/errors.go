package receiver

import "errors"

// Errors that answers carry and nobody branches on.
var (
	errCrashed  = errors.New("the receiver crashed while it was being opened; open it again")
	errClosed   = errors.New("the receiver was closed meanwhile")
	errNotOpen  = errors.New("the receiver has no socket yet, try again in a moment")
	errDialling = errors.New("the receiver is being connected already")
)
