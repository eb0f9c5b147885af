package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// poolReply is the reply to getPortPool.
type poolReply struct {
	Data poolPicture `json:"data"`
}

// poolPicture is the port pool at one moment.
type poolPicture struct {
	Range     string            `json:"range"`
	Pending   string            `json:"pending_range"`
	Bind      string            `json:"bind"`
	Pairs     int               `json:"pairs"`
	States    map[string]int    `json:"states"`
	HighWater int               `json:"high_water"`
	Granted   uint64            `json:"granted"`
	Refused   map[string]uint64 `json:"refused"`
	Level     string            `json:"level"`
	Forecast  poolForecast      `json:"forecast"`
	History   []poolMinute      `json:"history"`
	Audit     *poolAudit        `json:"audit"`
	Slots     []poolSlot        `json:"slots"`
	Others    []poolAddress     `json:"others"`
}

// poolAddress is how another local address stands that leases have asked for.
type poolAddress struct {
	Bind      string         `json:"bind"`
	States    map[string]int `json:"states"`
	HighWater int            `json:"high_water"`
}

// poolSlot is a pair of ports that is not free.
type poolSlot struct {
	Port    int    `json:"port"`
	Bind    string `json:"bind"` // only when it is not the pool's own address
	State   string `json:"state"`
	Stream  string `json:"stream"`
	Purpose string `json:"purpose"`
	Peer    string `json:"peer"`
	Since   int64  `json:"since"`
	Late    uint64 `json:"late"`
}

// largestOwners is how many holders `berth ports` names.
const largestOwners = 10

func (p *program) portsCommand() *cobra.Command {
	var f clientFlags
	var o portsOptions
	c := &cobra.Command{
		Use:   "ports",
		Short: "Show the running server's port pool: pairs by state, and who holds them",
		RunE: func(c *cobra.Command, _ []string) error {
			return p.ports(c.Context(), &f, o)
		},
	}
	c.Flags().BoolVar(&o.json, "json", false, "print the server's reply as it is, every slot that is not free included")
	c.Flags().BoolVar(&o.all, "all", false, "also print a line for every slot that is not free")
	c.Flags().BoolVar(&o.history, "history", false, "also print the last hour, minute by minute")
	c.Flags().BoolVar(&o.audit, "audit", false, "audit the pool first: its books against the holders and the kernel's socket table; exit code 1 when they differ")
	c.Flags().DurationVar(&o.watch, "watch", 0, "print again after each such time until interrupted; 2s when given without one")
	c.Flags().Lookup("watch").NoOptDefVal = "2s"
	f.add(c, 30*time.Second)
	c.AddCommand(p.planCommand())
	return c
}

// portsOptions are what `berth ports` is to show.
type portsOptions struct {
	json, all, history, audit bool
	watch                     time.Duration // 0 = once
}

func (p *program) ports(ctx context.Context, f *clientFlags, o portsOptions) error {
	server, err := p.client(f)
	if err != nil {
		return err
	}
	if o.watch > 0 {
		return p.watchPorts(ctx, server, f, o)
	}
	return p.portsOnce(ctx, server, f, o)
}

func (p *program) portsOnce(ctx context.Context, server *client, f *clientFlags, o portsOptions) error {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	arguments := url.Values{"detail": {"1"}}
	if o.audit {
		arguments.Set("audit", "1")
	}
	if o.json {
		var raw json.RawMessage
		if err := server.call(ctx, "getPortPool", arguments, &raw); err != nil {
			return err
		}
		_, err := fmt.Fprintln(p.out, strings.TrimSpace(string(raw)))
		return err
	}
	var reply poolReply
	if err := server.call(ctx, "getPortPool", arguments, &reply); err != nil {
		return err
	}
	if err := p.printPool(&reply.Data, o.all); err != nil {
		return err
	}
	return p.printOutlook(&reply.Data, o)
}

// printPool prints totals, the table by state, and who holds most.
func (p *program) printPool(pool *poolPicture, all bool) error {
	_, _ = fmt.Fprintf(p.out, "%s on %s: %s\n", pool.Range, orDash(pool.Bind), counted(pool.Pairs, "pair"))
	if pool.Pending != "" && pool.Pending != pool.Range {
		_, _ = fmt.Fprintf(p.out, "rtp_proxy.port_range = %s waits for a full restart (berth restart)\n", pool.Pending)
	}
	var refused uint64
	for _, n := range pool.Refused {
		refused += n
	}
	table := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprint(table, "\nSTATE\tPAIRS\n")
	for _, state := range poolStates(pool.States) {
		_, _ = fmt.Fprintf(table, "%s\t%d\n", state, pool.States[state])
	}
	_, _ = fmt.Fprintf(table, "\nmost leased at once\t%d\nleases granted\t%d\nleases refused\t%d\n", pool.HighWater, pool.Granted, refused)
	for _, reason := range sortedKeys(pool.Refused) {
		_, _ = fmt.Fprintf(table, "  %s\t%d\n", reason, pool.Refused[reason])
	}
	if len(pool.Others) > 0 {
		_, _ = fmt.Fprint(table, "\nOTHER ADDRESS\tFREE\tLEASED\tREST\tMOST\n")
		for _, o := range pool.Others {
			rest := 0
			for _, n := range o.States {
				rest += n
			}
			_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\n", o.Bind, o.States["free"], o.States["leased"], rest-o.States["free"]-o.States["leased"], o.HighWater)
		}
	}
	if owners := holders(pool.Slots); len(owners) > 0 {
		_, _ = fmt.Fprint(table, "\nHOLDER\tPURPOSE\tPAIRS\n")
		for _, o := range owners[:min(largestOwners, len(owners))] {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%d\n", orDash(o.stream), orDash(o.purpose), o.pairs)
		}
		if more := len(owners) - largestOwners; more > 0 {
			_, _ = fmt.Fprintf(table, "and %d more\t\t\n", more)
		}
	}
	if all && len(pool.Slots) > 0 {
		address, ofSlot := "", func(poolSlot) string { return "" }
		if len(pool.Others) > 0 {
			address, ofSlot = "ADDRESS\t", func(s poolSlot) string { return cmp.Or(s.Bind, pool.Bind) + "\t" }
		}
		_, _ = fmt.Fprint(table, "\n"+address+"PORTS\tSTATE\tSTREAM\tPURPOSE\tPEER\tSINCE\tLATE\n")
		for _, s := range pool.Slots {
			_, _ = fmt.Fprintf(table, "%s%d-%d\t%s\t%s\t%s\t%s\t%s\t%d\n", ofSlot(s), s.Port, s.Port+1, s.State, orDash(shortStream(s.Stream)), orDash(s.Purpose), orDash(s.Peer),
				time.Unix(s.Since, 0).Format(time.DateTime), s.Late)
		}
	}
	return table.Flush()
}

// poolStates returns the states in the order of a pair's life; one that this program does not know comes last.
func poolStates(states map[string]int) []string {
	order := []string{"free", "leased", "draining", "cooling", "foreign", "excluded"}
	place := func(s string) int {
		if i := slices.Index(order, s); i >= 0 {
			return i
		}
		return len(order)
	}
	names := sortedKeys(states)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	return names
}

// holder is one stream's pairs of one purpose.
type holder struct {
	stream, purpose string
	pairs           int
}

// shortStream leaves out the virtual host that stands for none.
func shortStream(key string) string { return strings.TrimPrefix(key, "__defaultVhost__/") }

// holders counts the leased pairs by stream and purpose, the largest first.
func holders(slots []poolSlot) []holder {
	count := map[holder]int{}
	for _, s := range slots {
		if s.State == "leased" {
			count[holder{stream: shortStream(s.Stream), purpose: s.Purpose}]++
		}
	}
	var out []holder
	for h, n := range count {
		h.pairs = n
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b holder) int {
		return cmp.Or(cmp.Compare(b.pairs, a.pairs), cmp.Compare(a.stream, b.stream), cmp.Compare(a.purpose, b.purpose))
	})
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
