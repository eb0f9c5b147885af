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

// verdict is the reply to reloadConfig.
type verdict struct {
	Data struct {
		Number   uint64       `json:"number"`
		DryRun   bool         `json:"dry_run"`
		Warnings []string     `json:"warnings"`
		Unknown  []string     `json:"unknown"`
		Keys     []keyVerdict `json:"keys"`
		Digest   string       `json:"digest"`
	} `json:"data"`
}

// keyVerdict is what happened to one changed key.
type keyVerdict struct {
	Key     string `json:"key"`
	Old     string `json:"old"`
	New     string `json:"new"`
	Outcome string `json:"outcome"`
	Source  string `json:"source"`
	Why     string `json:"why"`
	Note    string `json:"note"`
	Trouble bool   `json:"trouble"`
}

// Outcomes of a key as the API names them.
const (
	outcomePending  = "pending_full_restart"
	outcomeRejected = "rejected"
)

func (p *program) reloadCommand() *cobra.Command {
	var f clientFlags
	dryRun, strict := false, false
	c := &cobra.Command{
		Use:   "reload",
		Short: "Make the running server read its configuration again",
		Long: `Make the running server read its configuration again, and print what happened to each changed key. A configuration with any error changes
nothing.

With --dry-run nothing is put in force. What a full restart would need is probed instead: listeners are bound and let go, a sample of a new port
range is tried, a new certificate and state directory are looked at.

Exit codes: 0 everything is in force, 3 something waits for a full restart (berth restart), 1 rejected, or a probe found trouble.`,
		RunE: func(c *cobra.Command, _ []string) error { return p.reload(c.Context(), &f, dryRun, strict) },
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only print what a reload would do, and probe what a full restart would need")
	c.Flags().BoolVar(&strict, "strict", false, "change nothing at all if a key would wait for a full restart")
	f.add(c, 30*time.Second)
	return c
}

func (p *program) reload(ctx context.Context, f *clientFlags, dryRun, strict bool) error {
	server, err := p.client(f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	arguments := url.Values{}
	if dryRun {
		arguments.Set("dry_run", "1")
	}
	if strict {
		arguments.Set("strict", "1")
	}
	return p.judged(ctx, server, "reloadConfig", arguments)
}

// judged makes a call that is answered with a verdict, and prints that.
func (p *program) judged(ctx context.Context, server *client, method string, arguments url.Values) error {
	var v verdict
	err := server.call(ctx, method, arguments, &v)
	for _, line := range v.Data.Warnings {
		_, _ = fmt.Fprintf(p.errOut, "warning: %s\n", line)
	}
	var refused *apiError
	if errors.As(err, &refused) {
		return fmt.Errorf("rejected, nothing was changed:\n%s", refused.Msg) // keys and reasons stand in the message
	}
	if err != nil {
		return err
	}
	return p.printVerdict(&v)
}

// printVerdict prints a line a key and a summary, and returns the error that stands for the exit code.
func (p *program) printVerdict(v *verdict) error {
	count, trouble := map[string]int{}, 0
	table := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	for _, k := range v.Data.Keys {
		count[k.Outcome]++
		line := fmt.Sprintf("%s\t%s -> %s\t%s\t%s", k.Key, orDash(k.Old), orDash(k.New), strings.ReplaceAll(k.Outcome, "_", " "), k.Source)
		if k.Why != "" {
			line += "\t" + k.Why
		}
		if k.Note != "" {
			line += "\t" + k.Note
		}
		if k.Trouble {
			trouble++
		}
		_, _ = fmt.Fprintln(table, line)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	pending, rejected := count[outcomePending], count[outcomeRejected]
	applied := "applied"
	if v.Data.DryRun {
		applied = "would be applied"
	}
	_, _ = fmt.Fprintf(p.out, "%s changed: %d %s, %d pending full restart, %d rejected (digest %s)\n",
		counted(len(v.Data.Keys), "key"), len(v.Data.Keys)-pending-rejected, applied, pending, rejected, v.Data.Digest)
	switch {
	case rejected > 0:
		return &exitError{code: exitFailed}
	case len(v.Data.Unknown) > 0:
		return fmt.Errorf("cannot be set at run time: %s; a key that this server does not have ('berth get' lists them), or one that only the configuration file sets",
			strings.Join(v.Data.Unknown, ", "))
	case trouble > 0:
		_, _ = fmt.Fprintf(p.out, "%s would not work as things are now.\n", counted(trouble, "key"))
		return &exitError{code: exitFailed}
	case pending > 0:
		_, _ = fmt.Fprintln(p.out, "What is pending comes into force with a full restart: berth restart, or SIGUSR2.")
		return &exitError{code: exitPending}
	}
	return nil
}
