package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"
)

// poolForecast is where the use of the pool leads.
type poolForecast struct {
	WindowSec      int64   `json:"window_sec"`
	PairsPerHour   float64 `json:"pairs_per_hour"`
	ExhaustedInSec *int64  `json:"exhausted_in_sec"` // null unless the use grows
}

// poolMinute is one minute of the pool's last hour.
type poolMinute struct {
	Start   int64 `json:"start"`
	Peak    int   `json:"peak"`
	Leased  int   `json:"leased"`
	Granted int   `json:"granted"`
	Ended   int   `json:"ended"`
	Refused int   `json:"refused"`
}

// poolAudit is what the pool's last audit found.
type poolAudit struct {
	At     int64   `json:"at"`
	TookMS float64 `json:"took_ms"`
	Slots  int     `json:"slots"`
	Error  string  `json:"error"`
	Drift  []struct {
		Port     int    `json:"port"`
		Kind     string `json:"kind"`
		State    string `json:"state"`
		Owner    string `json:"owner"`
		Stream   string `json:"stream"`
		Detail   string `json:"detail"`
		Repaired bool   `json:"repaired"`
	} `json:"drift"`
}

// clearScreen moves the cursor home and clears what is below (ECMA-48, CUP and ED).
const clearScreen = "\x1b[H\x1b[2J"

// watchPorts prints the pool again and again until ctx ends. An error, as during a full restart, is printed instead and does not end it.
func (p *program) watchPorts(ctx context.Context, server *client, f *clientFlags, o portsOptions) error {
	tick := time.NewTicker(o.watch)
	defer tick.Stop()
	for {
		if !o.json {
			_, _ = fmt.Fprint(p.out, clearScreen)
		}
		if err := p.portsOnce(ctx, server, f, o); err != nil && ctx.Err() == nil && err.Error() != "" {
			_, _ = fmt.Fprintln(p.errOut, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// printOutlook prints the forecast, the last hour if it is wanted, and the last audit. Drift is an error when the audit was asked for.
func (p *program) printOutlook(pool *poolPicture, o portsOptions) error {
	if text := outlook(pool); text != "" {
		_, _ = fmt.Fprintf(p.out, "\n%s\n", text)
	}
	if o.history {
		table := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
		_, _ = fmt.Fprint(table, "\nMINUTE\tPEAK\tLEASED\tGRANTED\tENDED\tREFUSED\n")
		for _, m := range pool.History {
			_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\n", time.Unix(m.Start, 0).Format("15:04"), m.Peak, m.Leased, m.Granted, m.Ended, m.Refused)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	a := pool.Audit
	if a == nil {
		return nil
	}
	if o.audit || len(a.Drift) > 0 {
		_, _ = fmt.Fprintf(p.out, "\naudit of %s: %s compared in %s, %s\n", time.Unix(a.At, 0).Format(time.DateTime), counted(a.Slots, "slot"),
			time.Duration(a.TookMS*float64(time.Millisecond)).Round(100*time.Microsecond), drifted(len(a.Drift)))
		if a.Error != "" {
			_, _ = fmt.Fprintf(p.out, "without the kernel's socket table: %s\n", a.Error)
		}
	}
	for _, d := range a.Drift {
		repaired := "left as it is"
		if d.Repaired {
			repaired = "repaired"
		}
		_, _ = fmt.Fprintf(p.out, "%d-%d %s, %s, %s, owner %s: %s (%s)\n", d.Port, d.Port+1, d.State, d.Kind, orDash(shortStream(d.Stream)), orDash(d.Owner), d.Detail, repaired)
	}
	if o.audit && len(a.Drift) > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

func drifted(n int) string {
	if n == 0 {
		return "no drift"
	}
	return "drift on " + counted(n, "slot")
}

// outlook says in a sentence where the use of the pool leads, and on what that rests; empty when there is nothing to go by.
func outlook(pool *poolPicture) string {
	f := pool.Forecast
	text := ""
	if f.WindowSec > 0 {
		window := (time.Duration(f.WindowSec) * time.Second).Round(time.Minute)
		switch {
		case f.ExhaustedInSec != nil && *f.ExhaustedInSec == 0:
			text = fmt.Sprintf("the use grew by %.0f pairs an hour over the last %s: no pair is left", f.PairsPerHour, minutes(window))
		case f.ExhaustedInSec != nil:
			text = fmt.Sprintf("the use grew by %.0f pairs an hour over the last %s: the range is exhausted in about %s if that goes on", f.PairsPerHour,
				minutes(window), minutes(time.Duration(*f.ExhaustedInSec)*time.Second))
		default:
			text = fmt.Sprintf("the use has not grown over the last %s (%.0f pairs an hour)", minutes(window), f.PairsPerHour)
		}
	}
	switch pool.Level {
	case "high":
		return join(text, "the pool is running short (pool.warn_at)")
	case "exhausted":
		return join(text, "leases are being refused: the pool is exhausted")
	}
	return text
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "\n" + b
}

// minutes writes a duration for people: whole minutes, hours or days.
func minutes(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "a minute"
	case d < 2*time.Hour:
		return counted(int(d.Round(time.Minute)/time.Minute), "minute")
	case d < 48*time.Hour:
		return counted(int(d.Round(time.Hour)/time.Hour), "hour")
	}
	return counted(int(d/(24*time.Hour)), "day")
}
