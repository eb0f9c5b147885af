package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"berth/config"
)

// program is what the commands see of the process they run in.
type program struct {
	in        io.Reader
	out       io.Writer // results
	errOut    io.Writer // errors, warnings, log
	env       []string  // as os.Environ gives it
	superuser bool      // the process runs as root

	file string   // --config
	set  []string // --set
}

// getenv returns the last value of an environment variable, as the shell would see it.
func (p *program) getenv(name string) string {
	value := ""
	for _, item := range p.env {
		if v, ok := strings.CutPrefix(item, name+"="); ok {
			value = v
		}
	}
	return value
}

// command builds the command tree.
func (p *program) command() *cobra.Command {
	root := p.serveCommand()
	root.Use = "berth"
	root.Short = "Media server: live video in, live video out, around one port pool"
	root.Long = `berth takes live audio and video in, gives it out, and is driven through the HTTP API that ZLMediaKit clients speak.

Without a subcommand it serves. 'berth demo' shows it at work with a built-in camera.`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetOut(p.out)
	root.SetErr(p.errOut)
	root.SetIn(p.in)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError(err) })
	flags := root.PersistentFlags()
	flags.StringVarP(&p.file, "config", "c", p.getenv("BERTH_CONFIG"), "configuration file: .toml, .yaml, .yml or ZLMediaKit's .ini; also BERTH_CONFIG")
	flags.StringArrayVar(&p.set, "set", nil, "set one key, section.key=value; may be repeated and wins over file and environment")
	root.AddCommand(
		p.serveCommand(), p.demoCommand(), p.checkCommand(), p.configCommand(), p.getCommand(), p.setCommand(), p.unsetCommand(), p.reloadCommand(),
		p.restartCommand(), p.portsCommand(), p.doctorCommand(), p.secretCommand(), p.versionCommand(),
	)
	for _, c := range root.Commands() {
		if c.Args == nil {
			c.Args = noArguments
		}
	}
	root.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
		}
		return usageError(fmt.Errorf("unknown command %q%s", args[0], hint))
	}
	return root
}

// usageError marks an error as one of the command line itself.
func usageError(err error) error { return &exitError{code: exitUsage, err: err} }

// noArguments refuses what is left over when all flags are read.
func noArguments(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usageError(err)
	}
	return nil
}

// load reads the configuration as the flags, the file and the environment say.
func (p *program) load() (*config.Config, *config.Report, error) {
	return config.Load(config.Options{File: p.file, Env: p.env, Set: p.set, Root: p.superuser})
}
