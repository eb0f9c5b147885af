package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// restartReport is the reply to restartServer with wait=1.
type restartReport struct {
	Data struct {
		Generation uint64  `json:"generation"`
		DurationMS float64 `json:"duration_ms"`
		Restored   int     `json:"restored"`
		Failed     int     `json:"failed"`
		Applied    []struct {
			Key string `json:"key"`
			Old string `json:"old"`
			New string `json:"new"`
		} `json:"applied"`
	} `json:"data"`
}

func (p *program) restartCommand() *cobra.Command {
	var f clientFlags
	c := &cobra.Command{
		Use:   "restart",
		Short: "Do a full restart of the running server and print its report",
		Long: `Do a full restart of the running server's engine, inside the same process: the configuration is read and validated first, and with any error
nothing is touched. Then everything is torn down and built anew, the port pool included, and the proxies come back by themselves. Listening sockets
stay open meanwhile.`,
		RunE: func(c *cobra.Command, _ []string) error { return p.restart(c.Context(), &f) },
	}
	f.add(c, 2*time.Minute)
	return c
}

func (p *program) restart(ctx context.Context, f *clientFlags) error {
	server, err := p.client(f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var report restartReport
	err = server.call(ctx, "restartServer", url.Values{"wait": {"1"}}, &report)
	var refused *apiError
	if errors.As(err, &refused) {
		return fmt.Errorf("the full restart was refused or failed:\n%s", refused.Msg)
	}
	if err != nil {
		return err
	}
	r := report.Data
	if len(r.Applied) > 0 {
		table := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
		for _, k := range r.Applied {
			_, _ = fmt.Fprintf(table, "%s\t%s -> %s\tin force\n", k.Key, orDash(k.Old), orDash(k.New))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(p.out, "generation %d runs after %s: %s restored, %d failed\n", r.Generation,
		time.Duration(r.DurationMS*float64(time.Millisecond)).Round(time.Millisecond), counted(r.Restored, "definition"), r.Failed)
	return err
}
