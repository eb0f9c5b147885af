package config

import (
	"fmt"
	"slices"
	"strings"
)

// rule is a condition that ties several keys together. The keys of one rule are either all of class
// Restart or all not, so that what Advance mixes still keeps every rule (see TestRulesDoNotMixClasses).
type rule struct {
	keys  []string // the first is the one a fault is reported for
	check func(*Config, *loader) *flaw
}

// rules returns every condition across keys.
func rules() []rule {
	list := []rule{
		{[]string{"pool.exclude", "rtp_proxy.port_range"}, excludeLeavesPairs},
		{[]string{"pool.drain_idle", "pool.drain_max"}, func(c *Config, _ *loader) *flaw {
			if c.Pool.DrainIdle <= c.Pool.DrainMax {
				return nil
			}
			return &flaw{
				"is longer than pool.drain_max = " + shortDuration(c.Pool.DrainMax),
				fmt.Sprintf("raise pool.drain_max to %s or lower this", shortDuration(c.Pool.DrainIdle)),
			}
		}},
		{[]string{"proxy.retry_delay_min", "proxy.retry_delay_max"}, func(c *Config, _ *loader) *flaw {
			if c.Proxy.RetryDelayMin <= c.Proxy.RetryDelayMax {
				return nil
			}
			return &flaw{
				"is longer than proxy.retry_delay_max = " + shortDuration(c.Proxy.RetryDelayMax),
				fmt.Sprintf("raise proxy.retry_delay_max to %s or lower this", shortDuration(c.Proxy.RetryDelayMin)),
			}
		}},
		{[]string{"tls.cert_file", "tls.key_file"}, func(c *Config, _ *loader) *flaw {
			if (c.TLS.CertFile == "") == (c.TLS.KeyFile == "") {
				return nil
			}
			return &flaw{"does not go with tls.key_file: one is set and the other is empty", "set both, or neither"}
		}},
	}
	ports := listenerKeys()
	for i, a := range ports {
		list = append(list, rule{[]string{"rtp_proxy.port_range", a, "pool.exclude"}, func(c *Config, l *loader) *flaw {
			return rangeMissesListener(c, l, a)
		}})
		for _, b := range ports[i+1:] {
			list = append(list, rule{[]string{b, a}, func(c *Config, l *loader) *flaw { return listenersDiffer(c, l, a, b) }})
		}
	}
	return list
}

// judge applies the rules whose keys are sound by themselves, then looks for what deserves a warning.
func (l *loader) judge(c *Config) {
	for _, r := range rules() {
		if slices.ContainsFunc(r.keys, func(k string) bool { return l.faulty[k] }) {
			continue
		}
		if f := r.check(c, l); f != nil {
			l.faults = append(l.faults, Fault{
				Origin: l.origins[r.keys[0]], Key: r.keys[0], Value: c.Display(r.keys[0]), Problem: f.problem, Cure: f.cure,
			})
			for _, k := range r.keys {
				l.broken[k] = true
			}
		}
	}
	if len(l.faults) > 0 {
		return // refused: a warning would only stand in the way of the faults
	}
	l.warnUnusedPorts(c)
	l.warnTLSWithoutCertificate(c)
}

// warnUnusedPorts names the ends of the range that form no pair. ZLMediaKit's own ranges end that way,
// so a config.ini is spared.
func (l *loader) warnUnusedPorts(c *Config) {
	const name = "rtp_proxy.port_range"
	o := l.origins[name]
	unused := c.RTPProxy.PortRange.Unused()
	if len(unused) == 0 || (o.Layer == LayerFile && formatOf(o.File).lenient) {
		return
	}
	r := c.RTPProxy.PortRange
	first := int(r.FirstPair())
	l.warn(o, name, r.String(), &flaw{
		fmt.Sprintf("leaves %s unused, because media takes an even port and the odd one above it", joinPorts(unused)),
		fmt.Sprintf("%d-%d is the same range without it", first, first+2*r.Pairs()-1),
	})
}

// warnTLSWithoutCertificate names the TLS listeners that stay closed.
func (l *loader) warnTLSWithoutCertificate(c *Config) {
	if c.TLS.Enabled() {
		return
	}
	for _, s := range c.configuredListeners() {
		if s.TLS && s.Port != 0 {
			l.warn(l.origins[s.Key], s.Key, c.Display(s.Key), &flaw{
				"is not opened, because there is no certificate", "set tls.cert_file and tls.key_file, or set it to 0",
			})
		}
	}
}

// excludeLeavesPairs holds what is left of the range to the least number of pairs.
func excludeLeavesPairs(c *Config, _ *loader) *flaw {
	r := c.RTPProxy.PortRange
	left := 0
	for port := int(r.FirstPair()); port < int(r.High); port += 2 {
		if !c.Pool.Exclude.Contains(uint16(port)) && !c.Pool.Exclude.Contains(uint16(port+1)) {
			left++
		}
	}
	if left >= minPairs {
		return nil
	}
	return &flaw{
		fmt.Sprintf("leaves %d of the %d pairs of rtp_proxy.port_range = %s, at least %d are needed", left, r.Pairs(), r, minPairs),
		"exclude fewer ports, or widen rtp_proxy.port_range",
	}
}

// rangeMissesListener keeps a listener's port out of the pool, unless pool.exclude already does.
func rangeMissesListener(c *Config, l *loader, name string) *flaw {
	port := c.listener(name).Port
	r := c.RTPProxy.PortRange
	if port == 0 || !r.Contains(port) || c.Pool.Exclude.Contains(port) {
		return nil
	}
	cure := fmt.Sprintf("move %s out of the range, or add %d to pool.exclude", name, port)
	below := PortRange{Low: r.Low, High: port &^ 1}
	above := PortRange{Low: port | 1, High: r.High}
	if below.High > below.Low {
		below.High--
	}
	if above.Low < above.High {
		above.Low++
	}
	if side := larger(below, above); side.Pairs() >= minPairs {
		cure = fmt.Sprintf("use %s, or %s", side, cure)
	}
	return &flaw{fmt.Sprintf("contains %s = %d%s", name, port, l.where(name)), cure}
}

func larger(a, b PortRange) PortRange {
	if a.Pairs() > b.Pairs() {
		return a
	}
	return b
}

// listenersDiffer keeps two listeners off one port.
func listenersDiffer(c *Config, l *loader, a, b string) *flaw {
	port := c.listener(b).Port
	if port == 0 || port != c.listener(a).Port {
		return nil
	}
	return &flaw{fmt.Sprintf("is also the port of %s%s", a, l.where(a)), "give each listener its own port, or set one to 0"}
}

// where adds the place of the other key to a message, so that both can be found.
func (l *loader) where(name string) string {
	return " (" + l.origins[name].String() + ")"
}

// joinPorts writes one or two ports as they stand in a sentence.
func joinPorts(ports []uint16) string {
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = fmt.Sprintf("port %d", p)
	}
	return strings.Join(texts, " and ")
}
