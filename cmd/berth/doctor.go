package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"berth/actors/supervisor"
	"berth/netio/hostcheck"
)

func (p *program) doctorCommand() *cobra.Command {
	asJSON, strict := false, false
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check this machine for what will starve the port pool, and print the cures",
		Long: `Hold this machine against the configuration: ephemeral ports, NodePorts and other programs inside rtp_proxy.port_range, the limit of open files,
local addresses, UDP buffers, a container's network, state.dir. Each check is one line, and below a bad one stand the commands that cure it. No server
is asked and nothing is changed. The server makes the same checks when it starts, and logs what they find.

Run it as the user that the server runs as, with the same limits: a service of systemd has those of its unit, not those of your shell.

The exit code is 1 when a check failed; with --strict a warning is enough.`,
		RunE: func(*cobra.Command, []string) error {
			host := hostcheck.System()
			host.Getenv = p.getenv
			return p.doctor(host, asJSON, strict)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	c.Flags().BoolVar(&strict, "strict", false, "exit with 1 on warnings too")
	return c
}

// diagnosis is what doctor prints as JSON.
type diagnosis struct {
	Level    hostcheck.Level     `json:"level"` // the worst of all findings
	Findings []hostcheck.Finding `json:"findings"`
}

func (p *program) doctor(host hostcheck.Host, asJSON, strict bool) error {
	cfg, _, err := p.load()
	if err != nil {
		return err
	}
	found := diagnosis{Findings: hostcheck.Check(host, supervisor.HostDemand(cfg))}
	found.Level = hostcheck.Worst(found.Findings)
	if asJSON {
		err = writeJSON(p, found)
	} else {
		err = p.printFindings(found.Findings)
	}
	if err != nil {
		return err
	}
	if found.Level == hostcheck.Fail || strict && found.Level == hostcheck.Warn {
		return &exitError{code: exitFailed} // everything has been said
	}
	return nil
}

// printFindings prints a line a check, the cures below it.
func (p *program) printFindings(findings []hostcheck.Finding) error {
	width := 0
	count := map[hostcheck.Level]int{}
	for _, f := range findings {
		width = max(width, len(f.Check))
		count[f.Level]++
	}
	for _, f := range findings {
		if _, err := fmt.Fprintf(p.out, "%-4s  %-*s  %s\n", f.Level, width, f.Check, f.Text); err != nil {
			return err
		}
		for i, cure := range f.Cure {
			lead := "do"
			if i > 0 {
				lead = "or"
			}
			_, _ = fmt.Fprintf(p.out, "      %s: %s\n", lead, cure)
		}
	}
	_, err := fmt.Fprintf(p.out, "\n%s: %d ok, %d to be warned of, %d failed\n", counted(len(findings), "check"),
		count[hostcheck.OK], count[hostcheck.Warn], count[hostcheck.Fail])
	return err
}

// writeJSON prints a value for programs.
func writeJSON(p *program, value any) error {
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
