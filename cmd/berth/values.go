package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// valuesTimeout is how long a server may take to put values in force.
const valuesTimeout = 30 * time.Second

// sources is the reply to getConfigSources.
type sources struct {
	Data []struct {
		Key           string `json:"key"`
		Value         string `json:"value"`
		Class         string `json:"class"`
		Layer         string `json:"layer"`
		Source        string `json:"source"`
		Overridden    bool   `json:"overridden"`
		Pending       string `json:"pending"`
		PendingSource string `json:"pending_source"` // empty when nothing is pending
	} `json:"data"`
}

func (p *program) getCommand() *cobra.Command {
	var f clientFlags
	changed := false
	c := &cobra.Command{
		Use:   "get [KEY | SECTION] ...",
		Short: "Print the configuration in force in the running server, and where each value comes from",
		Long: `Print keys with the value that is in force in the running server, when a change would take effect, and where the value comes from: default, file and
line, environment, --set, or an override made at run time. A value that waits for a full restart stands beneath the one in force. Without arguments
all keys are printed. 'berth check' shows the same of the configuration on disk, without a server.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error { return p.get(c.Context(), &f, args, changed) },
	}
	c.Flags().BoolVar(&changed, "changed", false, "print only keys that do not stand at their default, or wait")
	f.add(c, valuesTimeout)
	return c
}

func (p *program) get(ctx context.Context, f *clientFlags, names []string, changed bool) error {
	server, err := p.client(f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var reply sources
	if err := server.call(ctx, "getConfigSources", nil, &reply); err != nil {
		return err
	}
	unseen := map[string]bool{}
	for _, name := range names {
		unseen[name] = true
	}
	table := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "KEY\tCLASS\tFROM\tVALUE")
	for _, k := range reply.Data {
		section, _, _ := strings.Cut(k.Key, ".")
		_, byKey := unseen[k.Key]
		_, bySection := unseen[section]
		if len(names) > 0 && !byKey && !bySection {
			continue
		}
		unseen[k.Key], unseen[section] = false, false
		if changed && k.Layer == "default" && k.PendingSource == "" {
			continue
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", k.Key, k.Class, k.Source, orDash(k.Value))
		if k.PendingSource != "" {
			_, _ = fmt.Fprintf(table, "\t\t%s\t%s (waits for a full restart)\n", k.PendingSource, orDash(k.Pending))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, name := range names {
		if unseen[name] {
			return fmt.Errorf("%q is neither a key nor a section of this server; 'berth get' without arguments lists them", name)
		}
	}
	return nil
}

func (p *program) setCommand() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:   "set KEY=VALUE ...",
		Short: "Set keys of the running server, above file, environment and flags",
		Long: `Set keys of the running server. The values are kept by the server, over restarts too, and win over file, environment and --set until
'berth unset' drops them; the configuration file is not written. They are validated together with everything else, and put in force as a reload would:
the output and the exit codes are those of 'berth reload'.`,
		Args: needArguments("KEY=VALUE"),
		RunE: func(c *cobra.Command, args []string) error { return p.setValues(c.Context(), &f, args) },
	}
	f.add(c, valuesTimeout)
	return c
}

func (p *program) setValues(ctx context.Context, f *clientFlags, items []string) error {
	arguments := url.Values{}
	for _, item := range items {
		key, value, ok := strings.Cut(item, "=")
		if !ok || !strings.Contains(key, ".") {
			return usageError(fmt.Errorf("%q is not of the form section.key=value", item))
		}
		arguments.Set(key, value)
	}
	return p.override(ctx, f, arguments)
}

func (p *program) unsetCommand() *cobra.Command {
	var f clientFlags
	all := false
	c := &cobra.Command{
		Use:   "unset KEY ...",
		Short: "Drop values that were set at run time, so that file, environment and flags count again",
		Long: `Drop values that were set at run time ('berth set', setServerConfig). The value of the next lower layer is put in force as a reload would: the output
and the exit codes are those of 'berth reload'.`,
		RunE: func(c *cobra.Command, args []string) error { return p.unset(c.Context(), &f, args, all) },
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if all {
			return noArguments(c, args)
		}
		return needArguments("KEY")(c, args)
	}
	c.Flags().BoolVar(&all, "all", false, "drop all of them")
	f.add(c, valuesTimeout)
	return c
}

func (p *program) unset(ctx context.Context, f *clientFlags, keys []string, all bool) error {
	if all {
		server, err := p.client(f)
		if err != nil {
			return err
		}
		limit, cancel := context.WithTimeout(ctx, f.timeout)
		defer cancel()
		var reply sources
		if err := server.call(limit, "getConfigSources", nil, &reply); err != nil {
			return err
		}
		for _, k := range reply.Data {
			if k.Overridden {
				keys = append(keys, k.Key)
			}
		}
		if len(keys) == 0 {
			_, err := fmt.Fprintln(p.out, "nothing is set at run time")
			return err
		}
	}
	return p.override(ctx, f, url.Values{"unset": {strings.Join(keys, ",")}})
}

func (p *program) override(ctx context.Context, f *clientFlags, arguments url.Values) error {
	server, err := p.client(f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return p.judged(ctx, server, "setServerConfig", arguments)
}

// needArguments refuses a command line without what a command is about.
func needArguments(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError(errors.New("give at least one " + what))
		}
		return nil
	}
}
