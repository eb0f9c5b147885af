package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"berth/config"
)

// Exit codes; see the package comment.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPending = 3
)

// exitError ends the program with a code other than exitFailed.
type exitError struct {
	code int
	err  error // nil when everything has been said already
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func main() {
	p := &program{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, env: os.Environ(), superuser: os.Geteuid() == 0}
	os.Exit(run(p, os.Args[1:]))
}

// run executes one command line and returns the exit code.
func run(p *program, args []string) int {
	root := p.command()
	root.SetArgs(args)
	return report(p.errOut, root.Execute())
}

// report writes an error for people and returns its exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	code := exitFailed
	var exit *exitError
	if errors.As(err, &exit) {
		if code, err = exit.code, exit.err; err == nil {
			return code
		}
	}
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		// Each line already begins with the place, so that editors can jump to it.
		_, _ = fmt.Fprintln(w, invalid.Error())
		return code
	}
	_, _ = fmt.Fprintf(w, "berth: %v\n", err)
	if code == exitUsage {
		_, _ = fmt.Fprintln(w, "Run 'berth --help' for usage.")
	}
	return code
}
