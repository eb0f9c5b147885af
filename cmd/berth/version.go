package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what this program was built from; unknown parts are empty.
type build struct {
	Version  string // module version, "(devel)" for a build in a checkout without a tag
	Revision string // full commit hash
	Time     string // of the commit, RFC 3339
	Modified bool   // the checkout had uncommitted changes
	Go       string
}

// buildOf reads what the Go toolchain recorded in the program.
func buildOf(info *debug.BuildInfo, ok bool) build {
	b := build{Version: "(devel)", Go: runtime.Version()}
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// String returns the build in one line.
func (b build) String() string {
	s := "berth " + b.Version
	if b.Revision != "" {
		s += " commit " + b.Revision
		if b.Modified {
			s += " with uncommitted changes"
		}
	}
	if b.Time != "" {
		s += " of " + b.Time
	}
	return fmt.Sprintf("%s (%s %s/%s)", s, b.Go, runtime.GOOS, runtime.GOARCH)
}

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print what this program was built from",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.out, buildOf(debug.ReadBuildInfo()))
			return err
		},
	}
}
