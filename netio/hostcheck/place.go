package hostcheck

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// checkAddresses opens a socket on each local address that is configured.
func checkAddresses(h Host, d Demand) Finding {
	f := Finding{Check: "addresses", Level: OK}
	var good, bad []string
	tried := map[netip.Addr]bool{}
	for _, a := range []struct {
		key  string
		addr netip.Addr
	}{{"general.listen_ip", d.ListenIP}, {"pool.bind", d.Bind}} {
		if !a.addr.IsValid() || tried[a.addr] {
			continue
		}
		tried[a.addr] = true
		switch err := h.Bind(a.addr); {
		case err == nil:
			good = append(good, fmt.Sprintf("%s %s", a.key, a.addr))
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			bad = append(bad, fmt.Sprintf("%s = %s is no address of this machine", a.key, a.addr))
		default:
			bad = append(bad, fmt.Sprintf("%s = %s cannot be used: %v", a.key, a.addr, err))
		}
	}
	if len(bad) == 0 {
		f.Text = "present: " + strings.Join(good, ", ")
		return f
	}
	f.Level = Fail
	f.Text = strings.Join(bad, "; ") + present(h)
	f.Cure = []string{
		`general.listen_ip = "::" and pool.bind = ""  # in the configuration: every address of this machine`,
		"ip -brief address  # shows those that can be set instead",
	}
	return f
}

// mostAddresses is how many of the machine's addresses a finding names.
const mostAddresses = 8

// present names the addresses that there are.
func present(h Host) string {
	if h.Addresses == nil {
		return ""
	}
	all, err := h.Addresses()
	if err != nil || len(all) == 0 {
		return ""
	}
	var texts []string
	for _, a := range all[:min(len(all), mostAddresses)] {
		texts = append(texts, a.String())
	}
	slices.Sort(texts)
	return "; present are " + strings.Join(texts, ", ")
}

func checkState(h Host, d Demand) Finding {
	f := Finding{Check: "state-dir", Level: OK, Text: "state.dir " + d.StateDir + " can be written"}
	if err := h.Writable(d.StateDir); err != nil {
		f.Level = Fail
		f.Text = fmt.Sprintf("state.dir %s cannot be written: %v; proxies and overrides that are set through the API would be refused or lost", d.StateDir, err)
		f.Cure = []string{
			fmt.Sprintf("sudo install -d -m 0700 -o USER %s  # USER: whom the server runs as", quoted(d.StateDir)),
			`state.dir = "/another/directory"  # in the configuration`,
		}
	}
	return f
}

// quoted makes a path safe to paste into a shell.
func quoted(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@", r))
	}) {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	return text
}
