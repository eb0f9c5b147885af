package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
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
	drain := time.Duration(0)
	c := &cobra.Command{
		Use:   "restart",
		Short: "Do a full restart of the running server and print its report",
		Long: `Do a full restart of the running server's engine, inside the same process: the configuration is read and validated first, and with any error
nothing is touched. Then everything is torn down and built anew, the port pool included, and the proxies come back by themselves. Listening sockets
stay open meanwhile.

With --drain the server first lets nobody new in and waits until the viewers have left, at most so long; how many are left is printed as it changes.`,
		RunE: func(c *cobra.Command, _ []string) error { return p.restart(c.Context(), &f, drain) },
	}
	c.Flags().DurationVar(&drain, "drain", 0, "wait so long for viewers to leave before the restart, such as 60s; at most 1h")
	f.add(c, 2*time.Minute)
	return c
}

func (p *program) restart(ctx context.Context, f *clientFlags, drain time.Duration) error {
	if drain < 0 || drain > time.Hour {
		return usageError(fmt.Errorf("--drain %s: want 0 to 1h", drain))
	}
	server, err := p.client(f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, drain+f.timeout)
	defer cancel()
	var report restartReport
	arguments := url.Values{"wait": {"1"}}
	if drain > 0 {
		arguments.Set("drain_sec", strconv.Itoa(int((drain+time.Second-1)/time.Second)))
		stop := p.watchDrain(ctx, server)
		defer stop()
	}
	err = server.call(ctx, "restartServer", arguments, &report)
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
