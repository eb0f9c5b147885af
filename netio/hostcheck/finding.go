package hostcheck

import "berth/netio/ports"

// Level says how bad a [Finding] is.
type Level string

// The levels, from good to bad.
const (
	OK   Level = "ok"
	Warn Level = "warn" // works, and will surprise under load or after a change elsewhere
	Fail Level = "fail" // does not work as configured
)

// Finding is the result of one check.
type Finding struct {
	Check string   `json:"check"`          // stable name of the check
	Level Level    `json:"level"`          // how bad it is
	Text  string   `json:"text"`           // what was found and what it means, one line
	Cure  []string `json:"cure,omitempty"` // what ends it: commands or lines of configuration, each an alternative to the others; empty when there is nothing to do
}

// Worst returns the worst level among findings; OK when there are none.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level == Fail {
			return Fail
		}
		if f.Level == Warn {
			worst = Warn
		}
	}
	return worst
}

// The ranges that others use by convention or by default.
const (
	nodePortLow, nodePortHigh = 30000, 32767 // Kubernetes, service-node-port-range
	usualLow, usualHigh       = 32768, 60999 // Linux, net.ipv4.ip_local_port_range
)

// NodePorts returns the ports that Kubernetes gives to services by default, 30000 to 32767.
func NodePorts() ports.Set { return ports.NewSet(ports.Range{Low: nodePortLow, High: nodePortHigh}) }
