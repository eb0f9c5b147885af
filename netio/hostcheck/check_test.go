package hostcheck

import (
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/netio/ports"
)

// good is a host with nothing to complain about.
func good() (Host, map[string]string) {
	files := map[string]string{
		ephemeralFile: "32768\t60999\n", reservedFile: "\n", rmemDefaultFile: "212992\n", rmemMaxFile: "4194304\n",
		"/proc/net/udp": "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n",
	}
	return Host{
		ReadFile: func(name string) ([]byte, error) {
			text, ok := files[name]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
		Interfaces: func() ([]string, error) { return []string{"lo", "eth0"}, nil },
		Addresses:  func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil },
		Bind:       func(netip.Addr) error { return nil },
		OpenFiles:  func() (uint64, error) { return 1 << 20, nil },
		Writable:   func(string) error { return nil },
		Getenv:     func(string) string { return "" },
		Owners:     func([]uint64) map[uint64]Process { return nil },
	}, files
}

func usualDemand() Demand {
	return Demand{
		Range: ports.Range{Low: 20000, High: 29999}, Bind: netip.IPv6Unspecified(), ListenIP: netip.IPv6Unspecified(),
		Listeners:   []Listener{{"http.port", 8080}, {"rtsp.port", 8554}},
		Connections: 14096, StateDir: "/var/lib/berth",
	}
}

func TestAGoodHostHasNothingToCure(t *testing.T) {
	h, _ := good()
	findings := Check(h, usualDemand())
	var names []string
	for _, f := range findings {
		names = append(names, f.Check)
		require.Equal(t, OK, f.Level, "%+v", f)
		require.NotEmpty(t, f.Text)
		require.NotContains(t, f.Text, "\n")
		require.Empty(t, f.Cure)
	}
	require.Equal(t, []string{
		"range", "ephemeral-ports", "kubernetes-nodeports", "held-ports", "addresses", "open-files", "udp-buffer", "container-network", "state-dir",
	}, names)
	require.Equal(t, OK, Worst(findings))
}

func TestEachFaultIsFoundWithItsCure(t *testing.T) {
	const wildcard = "   1: 00000000:4E84 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0000000000000000 0\n"
	for _, c := range []struct {
		name  string
		check string
		level Level
		text  string
		cure  string
		spoil func(h *Host, files map[string]string, d *Demand)
	}{
		{"own listener in the range", "range", Fail, "rtsp.port = 8554 lies inside", `rtp_proxy.port_range = "20000-28999"`, func(_ *Host, _ map[string]string, d *Demand) {
			d.Range = ports.Range{Low: 8000, High: 16999}
			d.Excluded = ports.NewSet(ports.Range{Low: 8080, High: 8081})
		}},
		{
			"ephemeral overlap, merged with what is reserved", "ephemeral-ports", Warn, "2232 of 5000 ports of 30000-34999",
			"echo 'net.ipv4.ip_local_reserved_ports = 8080,30000-34999' | sudo tee /etc/sysctl.d/60-berth-ports.conf && sudo sysctl -p /etc/sysctl.d/60-berth-ports.conf",
			func(_ *Host, files map[string]string, d *Demand) {
				d.Range = ports.Range{Low: 30000, High: 34999}
				files[reservedFile] = "8080\n"
			},
		},
		{"an ephemeral range of the operator's own", "ephemeral-ports", Warn, "10000 of 10000", "20000-29999", func(_ *Host, files map[string]string, _ *Demand) {
			files[ephemeralFile] = "1024 65535"
		}},
		{"nonsense in /proc", "ephemeral-ports", Warn, "cannot be checked", "", func(_ *Host, files map[string]string, _ *Demand) {
			files[ephemeralFile] = "many"
		}},
		{"no /proc", "ephemeral-ports", Warn, "cannot be checked", "", func(_ *Host, files map[string]string, _ *Demand) {
			delete(files, reservedFile)
		}},
		{"NodePorts", "kubernetes-nodeports", Warn, "30000-32767 of 29000-33001", `rtp_proxy.port_range = "20000-24001"`, func(_ *Host, _ map[string]string, d *Demand) {
			d.Range = ports.Range{Low: 29000, High: 33001}
		}},
		{"another program", "held-ports", Warn, "other programs hold 1 ports of 20000-29999: ntpd (pid 42) on 1; 1 pairs", `pool.exclude = "20100"`, func(h *Host, files map[string]string, _ *Demand) {
			files["/proc/net/udp"] += wildcard
			h.Owners = func([]uint64) map[uint64]Process { return map[uint64]Process{4711: {PID: 42, Name: "ntpd"}} }
		}},
		{"a program that cannot be seen", "held-ports", Warn, "only root may see", "sudo ss -lunpt 'sport >= :20000 and sport <= :29999'", func(_ *Host, files map[string]string, _ *Demand) {
			files["/proc/net/udp"] += wildcard
		}},
		{"no table of sockets", "held-ports", Warn, "cannot be checked", "", func(_ *Host, files map[string]string, _ *Demand) {
			delete(files, "/proc/net/udp")
		}},
		{"address of another machine", "addresses", Fail, "pool.bind = 198.51.100.1 is no address of this machine; present are 192.0.2.7", "ip -brief address", func(h *Host, _ map[string]string, d *Demand) {
			d.Bind = netip.MustParseAddr("198.51.100.1")
			h.Bind = func(a netip.Addr) error {
				if a == d.Bind {
					return syscall.EADDRNOTAVAIL
				}
				return nil
			}
		}},
		{"a container with loopback alone", "container-network", Warn, "without a network", "docker run --network host", func(h *Host, files map[string]string, _ *Demand) {
			files["/.dockerenv"] = ""
			h.Interfaces = func() ([]string, error) { return []string{"lo"}, nil }
		}},
		{"too few files for the pool", "open-files", Fail, "4096 files may be open, and the pool alone needs 10147", "LimitNOFILE=32768", func(h *Host, _ map[string]string, _ *Demand) {
			h.OpenFiles = func() (uint64, error) { return 4096, nil }
		}},
		{"too few files for all connections", "open-files", Warn, "need 24562", "ulimit -n 32768", func(h *Host, _ map[string]string, _ *Demand) {
			h.OpenFiles = func() (uint64, error) { return 20000, nil }
		}},
		{"the limit cannot be read", "open-files", Warn, "cannot be checked: no", "", func(h *Host, _ map[string]string, _ *Demand) {
			h.OpenFiles = func() (uint64, error) { return 0, errors.New("no") }
		}},
		{"default buffer made smaller", "udp-buffer", Warn, "net.core.rmem_default = 65536", "net.core.rmem_default = 212992", func(_ *Host, files map[string]string, _ *Demand) {
			files[rmemDefaultFile] = "65536"
		}},
		{"more buffer asked than allowed", "udp-buffer", Warn, "net.core.rmem_max = 4194304", "net.core.rmem_max = 8388608", func(_ *Host, _ map[string]string, d *Demand) {
			d.UDPBuffer = 8 << 20
		}},
		{"nonsense for a buffer", "udp-buffer", Warn, "is not a number", "", func(_ *Host, files map[string]string, _ *Demand) {
			files[rmemDefaultFile] = "big"
		}},
		{"bridge network and a large range", "container-network", Warn, "all 10000 ports", "--network host", func(_ *Host, files map[string]string, _ *Demand) {
			files["/.dockerenv"] = ""
			files["/sys/class/net/eth0/ifindex"], files["/sys/class/net/eth0/iflink"] = "2\n", "41\n"
		}},
		{"state that cannot be written", "state-dir", Fail, "read-only", `sudo install -d -m 0700 -o USER '/srv/my state'`, func(h *Host, _ map[string]string, d *Demand) {
			d.StateDir = "/srv/my state"
			h.Writable = func(string) error { return syscall.EROFS }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, files := good()
			d := usualDemand()
			c.spoil(&h, files, &d)
			f := findingOf(t, Check(h, d), c.check)
			require.Equal(t, c.level, f.Level, "%+v", f)
			require.Contains(t, f.Text, c.text)
			require.Contains(t, strings.Join(f.Cure, "\n"), c.cure)
			require.Equal(t, c.cure == "", len(f.Cure) == 0)
			require.NotEqual(t, OK, Worst(Check(h, d)))
		})
	}
}

func findingOf(t *testing.T, all []Finding, check string) Finding {
	t.Helper()
	for _, f := range all {
		if f.Check == check {
			return f
		}
	}
	t.Fatalf("no finding of %s in %+v", check, all)
	return Finding{}
}

func TestWhatIsNoFault(t *testing.T) {
	for _, c := range []struct {
		name, check, text string
		change            func(h *Host, files map[string]string, d *Demand)
	}{
		{"ephemeral ports that are reserved", "ephemeral-ports", "without 40000-49999", func(_ *Host, files map[string]string, d *Demand) {
			d.Range = ports.Range{Low: 40000, High: 49999}
			files[reservedFile] = "40000-49999"
		}},
		{"a listener on an excluded pair", "range", "5000 pairs, 4999 of them", func(_ *Host, _ map[string]string, d *Demand) {
			d.Excluded = ports.NewSet(ports.Range{Low: 20000, High: 20000})
			d.Listeners = append(d.Listeners, Listener{"rtsp.sslport", 20000})
		}},
		{"ports held by our own server", "held-ports", "1 pairs of 20000-29999 are in use, all by a running berth", func(h *Host, files map[string]string, _ *Demand) {
			files["/proc/net/udp"] += "1: 00000000:4E84 00000000:0000 07 0:0 0:0 0 0 0 4711 2\n2: 00000000:4E85 00000000:0000 07 0:0 0:0 0 0 0 4712 2\n"
			h.Owners = func([]uint64) map[uint64]Process {
				return map[uint64]Process{4711: {PID: 1, Ours: true}, 4712: {PID: 1, Ours: true}}
			}
		}},
		{"a port that is excluded", "held-ports", "no port", func(_ *Host, files map[string]string, d *Demand) {
			files["/proc/net/udp"] += "1: 00000000:4E84 00000000:0000 07 0:0 0:0 0 0 0 4711 2\n"
			d.Excluded = ports.NewSet(ports.Range{Low: 20100, High: 20100})
		}},
		{"a connection is no listener", "held-ports", "no port", func(_ *Host, files map[string]string, _ *Demand) {
			files["/proc/net/tcp"] = "1: 00000000:4E84 00000000:0000 01 0:0 0:0 0 0 0 4711 2\n"
		}},
		{"a container with the host's network", "container-network", "the host's network", func(h *Host, files map[string]string, _ *Demand) {
			files["/run/.containerenv"] = ""
			files["/sys/class/net/eth0/ifindex"], files["/sys/class/net/eth0/iflink"] = "2\n", "2\n"
		}},
		{"a bridge network and a small range", "container-network", "all 64 ports", func(h *Host, files map[string]string, d *Demand) {
			h.Getenv = func(name string) string { return map[string]string{"container": "podman"}[name] }
			files["/sys/class/net/eth0/ifindex"], files["/sys/class/net/eth0/iflink"] = "2\n", "41\n"
			d.Range = ports.Range{Low: 20000, High: 20063}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, files := good()
			d := usualDemand()
			c.change(&h, files, &d)
			f := findingOf(t, Check(h, d), c.check)
			require.Equal(t, OK, f.Level, "%+v", f)
			require.Contains(t, f.Text, c.text)
		})
	}
}

func TestWithoutLinuxItSaysSo(t *testing.T) {
	h, _ := good()
	h.ReadFile = nil
	findings := Check(h, usualDemand())
	f := findingOf(t, findings, "platform")
	require.Equal(t, Warn, f.Level)
	for _, f := range findings {
		require.NotEqual(t, "held-ports", f.Check)
	}
}

func TestCollides(t *testing.T) {
	for _, c := range []struct {
		held, wanted string
		want         bool
	}{
		{"0.0.0.0", "::", true},
		{"192.0.2.1", "::", true},
		{"2001:db8::1", "::", true},
		{"::", "0.0.0.0", true},
		{"::", "192.0.2.1", true},
		{"0.0.0.0", "192.0.2.1", true},
		{"0.0.0.0", "2001:db8::1", false},
		{"192.0.2.1", "0.0.0.0", true},
		{"2001:db8::1", "0.0.0.0", false},
		{"192.0.2.1", "192.0.2.1", true},
		{"::ffff:192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
	} {
		require.Equal(t, c.want, collides(netip.MustParseAddr(c.held), netip.MustParseAddr(c.wanted)), "%+v", c)
	}
}
