package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"berth/config"
)

func (p *program) checkCommand() *cobra.Command {
	changed := false
	c := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and print what would be in force",
		Long: `Validate the configuration file, the BERTH_ environment and --set, and print every key with its value and where the value comes
from. With errors, each is printed with file, line, key, value and cure, and the exit code is 1. Nothing is changed and no server is asked.

Values set at run time (setServerConfig) are kept by the server and lie above these; they are not looked at.`,
		RunE: func(*cobra.Command, []string) error { return p.check(changed) },
	}
	c.Flags().BoolVar(&changed, "changed", false, "print only keys that do not stand at their default")
	return c
}

func (p *program) check(changed bool) error {
	cfg, found, err := p.load()
	for _, line := range found.Lines() {
		_, _ = fmt.Fprintf(p.errOut, "warning: %s\n", line)
	}
	var invalid *config.InvalidError
	if errors.As(err, &invalid) {
		_, _ = fmt.Fprintln(p.errOut, invalid.Error())
		return fmt.Errorf("the configuration has %s and would be refused", counted(len(invalid.Faults), "error"))
	}
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KEY\tFROM\tVALUE")
	own := 0
	for _, key := range config.Keys() {
		origin := cfg.Source(key.Name)
		if origin.Layer != config.LayerDefault {
			own++
		} else if changed {
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", key.Name, origin, orDash(cfg.Display(key.Name)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "\nno errors, %s; %s, %d of them set\n", counted(len(found.Warnings), "warning"), counted(len(config.Keys()), "key"), own)
	return err
}

// orDash makes an empty value visible in a table.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// counted returns a number with its noun: 1 error, 2 errors.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
