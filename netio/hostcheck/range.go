package hostcheck

import (
	"fmt"
	"strings"

	"berth/netio/ports"
)

// Files of the kernel's port settings. They hold for IPv6 too.
const (
	ephemeralFile = "/proc/sys/net/ipv4/ip_local_port_range"
	reservedFile  = "/proc/sys/net/ipv4/ip_local_reserved_ports"
)

// Where the cures put settings, so that they survive a reboot; a file each, so that one cure does not undo another.
const (
	portsConf   = "/etc/sysctl.d/60-berth-ports.conf"
	buffersConf = "/etc/sysctl.d/60-berth-buffers.conf"
)

// checkListeners looks for the server's own listeners in the pool's range. A configuration with one that is not excluded is refused
// when it is loaded; this holds also for values that come another way.
func checkListeners(d Demand) Finding {
	f := Finding{Check: "range", Level: OK}
	usable := d.Excluded.Pairs(d.Range)
	f.Text = fmt.Sprintf("rtp_proxy.port_range %s has %d pairs, %d of them can be leased", d.Range, d.Range.Pairs(), usable)
	var inside []string
	for _, l := range d.Listeners {
		if d.Range.Contains(l.Port) && !d.Excluded.Contains(l.Port) {
			inside = append(inside, fmt.Sprintf("%s = %d", l.Key, l.Port))
		}
	}
	if len(inside) > 0 {
		f.Level = Fail
		f.Text = fmt.Sprintf("the server's own %s inside rtp_proxy.port_range %s", sentence(inside), d.Range)
		f.Cure = moveRange(d, d.Range.Pairs())
	}
	return f
}

func sentence(items []string) string {
	if len(items) == 1 {
		return items[0] + " lies"
	}
	return strings.Join(items, ", ") + " lie"
}

// Ephemeral returns the ports that the kernel gives to sockets that ask for none in particular, and what of them it holds back.
func Ephemeral(h Host) (given, reserved ports.Set, err error) {
	if h.ReadFile == nil {
		return usualEphemeral(), nil, nil
	}
	raw, err := h.ReadFile(ephemeralFile)
	if err != nil {
		return nil, nil, err
	}
	var low, high uint16
	if _, err := fmt.Sscan(string(raw), &low, &high); err != nil || low > high {
		return nil, nil, fmt.Errorf("%s: %q is not two ports", ephemeralFile, strings.TrimSpace(string(raw)))
	}
	if raw, err = h.ReadFile(reservedFile); err != nil {
		return nil, nil, err
	}
	if reserved, err = ports.ParseSet(string(raw)); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", reservedFile, err)
	}
	return ports.NewSet(ports.Range{Low: low, High: high}), reserved, nil
}

func usualEphemeral() ports.Set { return ports.NewSet(ports.Range{Low: usualLow, High: usualHigh}) }

func checkEphemeral(h Host, d Demand) Finding {
	f := Finding{Check: "ephemeral-ports", Level: OK}
	given, reserved, err := Ephemeral(h)
	if err != nil {
		return unknown(f, err)
	}
	pool := ports.NewSet(d.Range)
	shared := pool.Intersect(given).Minus(reserved)
	if len(shared) == 0 {
		f.Text = fmt.Sprintf("no port of %s is among the system's ephemeral ports (%s%s)", d.Range, given, heldBack(reserved))
		return f
	}
	f.Level = Warn
	f.Text = fmt.Sprintf("%d of %d ports of %s are ephemeral ports too (%s): any outgoing connection of any program may take one, and that pair is lost meanwhile",
		shared.Len(), pool.Len(), d.Range, shared)
	f.Cure = []string{fmt.Sprintf("echo 'net.ipv4.ip_local_reserved_ports = %s' | sudo tee %s && sudo sysctl -p %s", reserved.Union(pool), portsConf, portsConf)}
	return f
}

func heldBack(reserved ports.Set) string {
	if len(reserved) == 0 {
		return ""
	}
	return " without " + reserved.String()
}

// unknown is the finding of a check that could not be made.
func unknown(f Finding, err error) Finding {
	f.Level, f.Text = Warn, "cannot be checked: "+err.Error()
	return f
}

func checkNodePorts(h Host, d Demand) Finding {
	f := Finding{Check: "kubernetes-nodeports", Level: OK}
	shared := ports.NewSet(d.Range).Intersect(NodePorts())
	if len(shared) == 0 {
		f.Text = fmt.Sprintf("no port of %s is a NodePort of Kubernetes (%s)", d.Range, NodePorts())
		return f
	}
	f.Level = Warn
	f.Text = fmt.Sprintf("%s of %s are NodePorts of Kubernetes: on a node of a cluster, packets to them go to services instead of here", shared, d.Range)
	f.Cure = moveRange(d, d.Range.Pairs())
	return f
}

// thenRestart stands behind a line of configuration that a reload does not put in force.
const thenRestart = "  # in the configuration, then: berth restart"

// moveRange proposes a range of that many pairs, clear of what others use, in the form of a line of configuration.
func moveRange(d Demand, pairs int) []string {
	own := make([]ports.Range, len(d.Listeners))
	for i, l := range d.Listeners {
		own[i] = ports.Range{Low: l.Port, High: l.Port}
	}
	plan, err := ports.NewPlan(ports.Load{Tracks: 1, Receivers: pairs}, ports.Placing{
		From: DefaultFrom, Shun: NodePorts().Union(usualEphemeral()), Forbid: ports.NewSet(own...),
	})
	if err != nil || len(plan.Overlap) > 0 {
		return []string{`rtp_proxy.port_range = "20000-29999"` + thenRestart}
	}
	return []string{fmt.Sprintf(`rtp_proxy.port_range = "%s"%s`, plan.Range, thenRestart)}
}

// DefaultFrom is where a proposed range begins when there is room.
const DefaultFrom = 20000
