package hostcheck

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"berth/netio/ports"
)

// otherFiles is what a server has open beside sockets of its users: store, log, timers, pollers, and room for files that are open for a moment.
const otherFiles = 64

// checkOpenFiles holds the limit of descriptors against every socket there may be at once.
func checkOpenFiles(h Host, d Demand) Finding {
	f := Finding{Check: "open-files", Level: OK}
	limit, err := h.OpenFiles()
	if err != nil {
		return unknown(f, err)
	}
	pool := 2 * d.Excluded.Pairs(d.Range)
	spare := int(ports.DescriptorReserve(limit)) //nolint:gosec // at most a few hundred
	base := pool + len(d.Listeners) + otherFiles + spare
	need := base + d.Connections
	switch {
	case limit >= uint64(need): //nolint:gosec // a sum of counts
		f.Text = fmt.Sprintf("%d files may be open; a full pool and all connections need %d", limit, need)
		return f
	case limit < uint64(base): //nolint:gosec // as above
		f.Level = Fail
		f.Text = fmt.Sprintf("%d files may be open, and the pool alone needs %d: it cannot be filled", limit, base)
	default:
		f.Level = Warn
		f.Text = fmt.Sprintf("%d files may be open; a full pool and all %d connections that are allowed need %d", limit, d.Connections, need)
	}
	want := 1024
	for want-int(ports.DescriptorReserve(uint64(want))) < need-spare { //nolint:gosec // small counts
		want *= 2
	}
	f.Cure = []string{
		fmt.Sprintf("sudo mkdir -p /etc/systemd/system/berth.service.d && printf '[Service]\\nLimitNOFILE=%d\\n' | sudo tee /etc/systemd/system/berth.service.d/files.conf && "+
			"sudo systemctl daemon-reload && sudo systemctl restart berth  # as a service of systemd", want),
		fmt.Sprintf("ulimit -n %d  # in the shell that starts berth; containers: --ulimit nofile=%d", want, want),
	}
	return f
}

// Files of the kernel's UDP receive buffers, in bytes.
const (
	rmemMaxFile     = "/proc/sys/net/core/rmem_max"
	rmemDefaultFile = "/proc/sys/net/core/rmem_default"
)

// usualBuffer is Linux's default receive buffer in bytes. Less loses packets at every key frame of a large picture.
const usualBuffer = 212992

// perPacket is what the kernel charges a buffer for a packet of full size: the data in its page fragment and the descriptor.
const perPacket = 2304

// checkUDPBuffer holds the receive buffer of a UDP socket against what is asked, or against what is usual when nothing is.
func checkUDPBuffer(h Host, d Demand) Finding {
	f := Finding{Check: "udp-buffer", Level: OK}
	file, setting, want := rmemDefaultFile, "net.core.rmem_default", usualBuffer
	if d.UDPBuffer > 0 {
		file, setting, want = rmemMaxFile, "net.core.rmem_max", d.UDPBuffer
	}
	raw, err := h.ReadFile(file)
	if err != nil {
		return unknown(f, err)
	}
	have, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return unknown(f, fmt.Errorf("%s: %q is not a number", file, strings.TrimSpace(string(raw))))
	}
	f.Text = fmt.Sprintf("%s = %d holds about %d packets of full size a socket", setting, have, have/perPacket)
	if have < want {
		f.Level = Warn
		f.Text += fmt.Sprintf(", %d are wanted: bursts such as key frames lose packets", want/perPacket)
		f.Cure = []string{fmt.Sprintf("echo '%s = %d' | sudo tee %s && sudo sysctl -p %s", setting, want, buffersConf, buffersConf)}
	}
	return f
}

// manyPublished is how many published ports a container engine with a bridge network bears: beyond, a proxy process and a packet
// filter rule for each cost minutes at the start and gigabytes of memory.
const manyPublished = 100

// checkContainer looks for a large range behind a container's bridge network, and for a container that has none.
func checkContainer(h Host, d Demand) Finding {
	f := Finding{Check: "container-network", Level: OK}
	if !inContainer(h) {
		f.Text = "not in a container"
		return f
	}
	others, bridged, err := networks(h)
	if err != nil {
		return unknown(f, err)
	}
	count := 2 * d.Range.Pairs()
	switch {
	case others == 0:
		f.Level = Warn
		f.Text = "in a container without a network: nobody outside of it can send to berth, or play"
		f.Cure = []string{"docker run --network host IMAGE"}
	case !bridged:
		f.Text = "in a container with the host's network"
	case count <= manyPublished:
		f.Text = fmt.Sprintf("in a container with a network of its own: all %d ports of %s must be published, for UDP", count, d.Range)
	default:
		f.Level = Warn
		f.Text = fmt.Sprintf("in a container with a network of its own: peers reach %s only if all %d ports are published, which takes the engine minutes and gigabytes; "+
			"use the host's network, or a small range and pool.advertise", d.Range, count)
		f.Cure = []string{
			"docker run --network host IMAGE",
			"berth ports plan --from 20000 --rtsp-udp N  # then publish that range: -p LOW-HIGH:LOW-HIGH/udp",
		}
	}
	return f
}

// inContainer looks for what Docker, Podman, systemd-nspawn and Kubernetes leave in a container.
func inContainer(h Host) bool {
	if h.Getenv("container") != "" || h.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return true
	}
	for _, file := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := h.ReadFile(file); err == nil {
			return true
		}
	}
	return false
}

// networks counts the interfaces that are not loopback. bridged reports whether every one of them is one end of a pair whose other end lies in another network namespace.
func networks(h Host) (others int, bridged bool, err error) {
	names, err := h.Interfaces()
	if err != nil {
		return 0, false, err
	}
	bridged = true
	for _, name := range names {
		if name == "lo" {
			continue
		}
		index, err := h.ReadFile(path.Join("/sys/class/net", name, "ifindex"))
		if err != nil {
			continue // gone meanwhile
		}
		link, err := h.ReadFile(path.Join("/sys/class/net", name, "iflink"))
		if err != nil {
			continue
		}
		bridged = bridged && string(index) != string(link)
		others++
	}
	return others, bridged, nil
}
