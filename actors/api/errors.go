package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"berth/actors"
)

// Codes of replies, with ZLMediaKit's numbers (API::ApiErr).
const (
	codeSuccess     = 0
	codeFailed      = -1   // it was tried and did not work
	codeAuthFailed  = -100 // secret missing or wrong, or the address is not allowed
	codeInvalidArgs = -300 // the call itself makes no sense
	codeException   = -400 // the server failed
	codeNotFound    = -500 // what the call is about does not exist
)

// callError is a reply that is no success. Its text goes to the client as `msg`.
type callError struct {
	code   int
	msg    string
	status int    // HTTP status; 0 means 200, as ZLMediaKit answers
	after  int    // seconds for Retry-After; 0 means none
	extra  object // further fields of the reply
}

func (e *callError) Error() string { return e.msg }

// engineDown answers calls that need the engine while there is none.
func engineDown() *callError {
	return &callError{
		code: codeFailed, status: http.StatusServiceUnavailable, after: 1,
		msg: "the engine is being rebuilt by a full restart; try again in a second",
	}
}

func failed(format string, args ...any) *callError {
	return &callError{code: codeFailed, msg: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) *callError {
	return &callError{code: codeInvalidArgs, msg: fmt.Sprintf(format, args...)}
}

func notFound(msg string) *callError { return &callError{code: codeNotFound, msg: msg} }

// missing names the whole list of required arguments, as ZLMediaKit does, not only those that are missing.
func missing(required []string) *callError {
	return &callError{code: codeInvalidArgs, msg: `Required parameter missed: "` + strings.Join(required, `","`) + `"`}
}

// asCallError turns what a handler returned into a reply.
func asCallError(err error) *callError {
	var call *callError
	switch {
	case errors.As(err, &call):
		return call
	case errors.Is(err, actors.ErrGone):
		return engineDown()
	case errors.Is(err, context.DeadlineExceeded):
		return failed("the server is too busy to answer in time, or a part of it hangs: %v", err)
	case errors.Is(err, context.Canceled):
		return &callError{code: codeFailed, msg: "the call was given up: the client left or the server is closing", status: http.StatusServiceUnavailable, after: 1}
	}
	return &callError{code: codeException, msg: err.Error()}
}
