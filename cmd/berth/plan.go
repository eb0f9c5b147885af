package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"berth/actors/supervisor"
	"berth/config"
	"berth/netio/hostcheck"
	"berth/netio/ports"
)

// percent is a flag that takes 20 and 20%.
type percent int

func (v *percent) String() string { return strconv.Itoa(int(*v)) + "%" }

func (v *percent) Type() string { return "percent" }

func (v *percent) Set(text string) error {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(text), "%"))
	if err != nil {
		return errors.New("want a number of per cent, such as 20%")
	}
	*v = percent(n)
	return nil
}

// planFlags are the flags of `berth ports plan`.
type planFlags struct {
	client   clientFlags
	load     ports.Load
	headroom percent
	from     int
	present  string
	asJSON   bool
}

func (p *program) planCommand() *cobra.Command {
	f := planFlags{headroom: 20}
	c := &cobra.Command{
		Use:   "plan",
		Short: "Compute what range of ports a load needs, and what the present range can carry",
		Long: `Compute what range of ports a load needs at its peak, where to put it, and whether the range that is in force can carry it. The range in force is
that of the running server, or of the configuration when no server answers, or that of --range. Nothing is changed.

A pull or publisher over UDP costs a pair of ports for each track, over TCP none. Viewers over UDP cost nothing of their own: each stream that is
watched over UDP has one shared pair a track. A GB28181 receiver with a port of its own costs one pair.

The proposal keeps clear of NodePorts, of this machine's ephemeral ports and of the listeners of the configuration.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return p.plan(c.Context(), &f) },
	}
	flags := c.Flags()
	flags.IntVar(&f.load.PullUDP, "rtsp-udp", 0, "RTSP pulls over UDP")
	flags.IntVar(&f.load.PublishUDP, "rtsp-udp-publish", 0, "RTSP publishers over UDP")
	flags.IntVar(&f.load.OverTCP, "rtsp-tcp", 0, "pulls and publishers over TCP, and receivers on a single port; they cost nothing but may be watched over UDP")
	flags.IntVar(&f.load.Receivers, "gb28181", 0, "GB28181 receivers with a port of their own")
	flags.IntVar(&f.load.Viewers, "viewers", 0, "viewers over UDP")
	flags.IntVar(&f.load.Watched, "watched", 0, "streams that are watched over UDP at the same time (default: as many as there can be)")
	flags.IntVar(&f.load.Tracks, "tracks", 2, "tracks of a stream")
	flags.Var(&f.headroom, "headroom", "what to add for safety")
	flags.IntVar(&f.load.EndsPerMinute, "ends-per-minute", 0, "sessions that end in a minute; their ports are kept back for pool.drain_idle and pool.cool_down")
	flags.IntVar(&f.from, "from", hostcheck.DefaultFrom, "where the range should begin if possible")
	flags.StringVar(&f.present, "range", "", "compare with this range, LOW-HIGH, instead of the one in force")
	flags.BoolVar(&f.asJSON, "json", false, "print the plan as JSON")
	f.client.add(c, 2*time.Second)
	return c
}

// planned is a plan beside the range there is; printed as JSON too.
type planned struct {
	Needs    []plannedNeed `json:"needs"`
	Leased   int           `json:"leased_pairs"`
	KeptBack int           `json:"kept_back_pairs"`
	Headroom int           `json:"headroom_pairs"`
	Pairs    int           `json:"pairs"`
	Range    string        `json:"range"`
	Overlap  string        `json:"overlap,omitempty"` // ports of Range that others use too
	Present  presentRange  `json:"present"`
}

type plannedNeed struct {
	What      string `json:"what"`
	Sessions  int    `json:"sessions"`
	PairsEach int    `json:"pairs_each"`
	Pairs     int    `json:"pairs"`
}

// presentRange is the range to compare with.
type presentRange struct {
	Source   string          `json:"source"`
	Range    string          `json:"range"`
	Pairs    int             `json:"leasable_pairs"`
	Enough   bool            `json:"enough"`           // the planned pairs fit
	Usage    int             `json:"peak_use_percent"` // share of Pairs that the load holds at its peak
	Capacity []plannedNumber `json:"capacity"`
}

type plannedNumber struct {
	What     string `json:"what"`
	Sessions int    `json:"sessions"`
}

func (p *program) plan(ctx context.Context, f *planFlags) error {
	if f.from < 1 || f.from > math.MaxUint16 {
		return usageError(fmt.Errorf("--from %d: want a port, 1 to 65535", f.from))
	}
	cfg := p.localConfig()
	f.load.HeadroomPercent = int(f.headroom)
	f.load.KeptBack = cfg.Pool.DrainIdle + cfg.Pool.CoolDown
	host := hostcheck.System()
	given, reserved, err := hostcheck.Ephemeral(host)
	if err != nil {
		return err
	}
	at := ports.Placing{From: uint16(f.from), Shun: hostcheck.NodePorts().Union(given.Minus(reserved)), Forbid: listenersOf(cfg)} //nolint:gosec // checked above
	plan, err := ports.NewPlan(f.load, at)
	if errors.Is(err, ports.ErrTooLarge) {
		return err
	} else if err != nil {
		return usageError(err)
	}
	out := planned{
		Leased: plan.Leased, KeptBack: plan.KeptBack, Headroom: plan.Headroom, Pairs: plan.Pairs, Range: plan.Range.String(), Overlap: plan.Overlap.String(),
		Needs: []plannedNeed{},
	}
	for _, n := range plan.Needs {
		out.Needs = append(out.Needs, plannedNeed(n))
	}
	if out.Present, err = p.presentRange(ctx, f, cfg); err != nil {
		return err
	}
	out.Present.Enough = plan.Pairs <= out.Present.Pairs
	if out.Present.Pairs > 0 {
		out.Present.Usage = (100*(plan.Leased+plan.KeptBack) + out.Present.Pairs - 1) / out.Present.Pairs
	}
	for _, c := range ports.Carries(out.Present.Pairs, f.load.Tracks) {
		out.Present.Capacity = append(out.Present.Capacity, plannedNumber{c.What, c.Sessions})
	}
	if f.asJSON {
		return writeJSON(p, out)
	}
	return p.printPlan(&out, f, cfg)
}

// listenersOf returns the ports that no range may hold.
func listenersOf(cfg *config.Config) ports.Set {
	var out []ports.Range
	for _, l := range cfg.Listeners() {
		out = append(out, ports.Range{Low: l.Port, High: l.Port})
	}
	return ports.NewSet(out...)
}

// presentRange finds the range to compare with: the flag's, the running server's, or the configuration's.
func (p *program) presentRange(ctx context.Context, f *planFlags, cfg *config.Config) (presentRange, error) {
	excluded := supervisor.HostDemand(cfg).Excluded
	if f.present != "" {
		r, err := ports.ParseRange(f.present)
		if err != nil {
			return presentRange{}, usageError(fmt.Errorf("--range: %w", err))
		}
		return presentRange{Source: "--range", Range: r.String(), Pairs: r.Pairs()}, nil
	}
	server, err := p.client(&f.client)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, f.client.timeout)
		defer cancel()
		var reply poolReply
		if err = server.call(ctx, "getPortPool", url.Values{}, &reply); err == nil {
			pool := reply.Data
			return presentRange{
				Source: "in force on " + server.base, Range: pool.Range,
				Pairs: pool.Pairs - pool.States[ports.Excluded.String()] - pool.States[ports.Foreign.String()],
			}, nil
		}
	}
	var exit *exitError
	if errors.As(err, &exit) || f.client.url != "" || p.getenv("BERTH_URL") != "" {
		return presentRange{}, err // a server was named: it must answer
	}
	r := ports.Range(cfg.RTPProxy.PortRange)
	return presentRange{Source: "of the configuration (no server answers here)", Range: r.String(), Pairs: excluded.Pairs(r)}, nil
}

// printPlan prints a plan for people.
func (p *program) printPlan(plan *planned, f *planFlags, cfg *config.Config) error {
	table := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	if len(plan.Needs) > 0 {
		_, _ = fmt.Fprint(table, "LOAD\tSESSIONS\tPAIRS EACH\tPAIRS\n")
	}
	for _, n := range plan.Needs {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", n.What, n.Sessions, n.PairsEach, n.Pairs)
	}
	_, _ = fmt.Fprintf(table, "leased at the peak\t\t\t%d\n", plan.Leased)
	if plan.KeptBack > 0 {
		_, _ = fmt.Fprintf(table, "kept back after sessions' ends (%s)\t\t\t%d\n", f.load.KeptBack, plan.KeptBack)
	}
	_, _ = fmt.Fprintf(table, "headroom of %s\t\t\t%d\n", f.headroom.String(), plan.Headroom)
	_, _ = fmt.Fprintf(table, "needed\t\t\t%d\n", plan.Pairs)
	if err := table.Flush(); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(p.out, "\nrtp_proxy.port_range = %q\n", plan.Range)
	if plan.Overlap != "" {
		_, _ = fmt.Fprintf(p.out, "no range of that size keeps clear of ephemeral ports and NodePorts: %s lie among them; 'berth doctor' prints the cure for ephemeral ones,\n"+
			"and several servers or media over TCP need fewer ports\n", plan.Overlap)
	}
	return p.printPresent(plan, cfg)
}

// printPresent holds a plan against the range there is.
func (p *program) printPresent(plan *planned, cfg *config.Config) error {
	now := &plan.Present
	_, _ = fmt.Fprintf(p.out, "\n%s %s: %s that can be leased, ", now.Range, now.Source, counted(now.Pairs, "pair"))
	if now.Enough {
		_, _ = fmt.Fprintf(p.out, "enough\nat the peak %d %% are in use; pool.warn_at warns from %d %%\n", now.Usage, cfg.Pool.WarnPercent)
	} else {
		_, _ = fmt.Fprintf(p.out, "%d too few\nset rtp_proxy.port_range in the configuration, then: berth restart\n", plan.Pairs-now.Pairs)
	}
	_, _ = io.WriteString(p.out, "\nit can carry, of one kind alone:\n")
	table := tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	for _, c := range now.Capacity {
		_, _ = fmt.Fprintf(table, "  %s\t%d\n", c.What, c.Sessions)
	}
	return table.Flush()
}
