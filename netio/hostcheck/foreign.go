package hostcheck

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"berth/netio/ports"
)

// socketTables are the kernel's tables of sockets; those of TCP hold connections too.
var socketTables = []struct {
	file string
	tcp  bool
}{{"/proc/net/udp", false}, {"/proc/net/udp6", false}, {"/proc/net/tcp", true}, {"/proc/net/tcp6", true}}

// tcpListen is the state of a listening socket in the tables of TCP (include/net/tcp_states.h); a UDP socket's state does not matter.
const tcpListen = "0A"

// socket is one line of the kernel's tables.
type socket struct {
	local netip.AddrPort
	tcp   bool
	inode uint64 // 0 when it belongs to no process any more
}

// parseSockets reads a table of sockets; of TCP only listeners, which are what keeps a port from being bound. A line that is not understood is left out.
func parseSockets(table []byte, tcp bool) []socket {
	var out []socket
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || tcp && fields[3] != tcpListen {
			continue
		}
		local, ok := parseAddrPort(fields[1])
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(fields[9], 10, 64)
		if err != nil {
			continue
		}
		out = append(out, socket{local: local, tcp: tcp, inode: inode})
	}
	return out
}

// parseAddrPort reads ADDRESS:PORT in hexadecimal: the port as a number, the address as 32-bit words in the byte order of the machine.
func parseAddrPort(text string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, errPort := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || errPort != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for word := 0; word < len(raw); word += 4 {
		binary.NativeEndian.PutUint32(raw[word:], binary.BigEndian.Uint32(raw[word:]))
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), true
}

// collides reports whether a socket on held keeps one on wanted from being bound to the same port.
func collides(held, wanted netip.Addr) bool {
	held, wanted = held.Unmap(), wanted.Unmap()
	switch {
	case wanted == netip.IPv6Unspecified() || !wanted.IsValid():
		return true // serves both families
	case held.IsUnspecified():
		return held.Is6() || wanted.Is4() // "::" mostly serves IPv4 too
	case wanted.IsUnspecified():
		return held.Is4()
	}
	return held == wanted
}

// checkForeign looks for sockets of others on ports of the pool now.
func checkForeign(h Host, d Demand) Finding {
	f := Finding{Check: "held-ports", Level: OK}
	var held []socket
	var inodes []uint64
	read := 0
	for _, table := range socketTables {
		raw, err := h.ReadFile(table.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return unknown(f, err)
		}
		read++
		for _, s := range parseSockets(raw, table.tcp) {
			port := s.local.Port()
			if d.Range.Contains(port) && !d.Excluded.Contains(port) && collides(s.local.Addr(), d.Bind) {
				held, inodes = append(held, s), append(inodes, s.inode)
			}
		}
	}
	if read == 0 {
		return unknown(f, fmt.Errorf("%s: %w", socketTables[0].file, fs.ErrNotExist))
	}
	if len(held) == 0 {
		f.Text = "no port of " + d.Range.String() + " is in use"
		return f
	}
	var owners map[uint64]Process
	if h.Owners != nil {
		owners = h.Owners(inodes)
	}
	return describeHeld(f, d, held, owners)
}

// mostNamed is how many holders a finding names.
const mostNamed = 5

// describeHeld tells our own running server from strangers.
func describeHeld(f Finding, d Demand, held []socket, owners map[uint64]Process) Finding {
	var foreign []ports.Range
	counts := map[string]int{}
	ours := map[uint16]bool{}
	for _, s := range held {
		p, known := owners[s.inode]
		if known && p.Ours {
			ours[s.local.Port()&^1] = true
			continue
		}
		name := "a program that only root may see"
		if known {
			name = fmt.Sprintf("%s (pid %d)", p.Name, p.PID)
		}
		counts[name]++
		foreign = append(foreign, ports.Range{Low: s.local.Port(), High: s.local.Port()})
	}
	if len(foreign) == 0 {
		f.Text = fmt.Sprintf("%d pairs of %s are in use, all by a running berth", len(ours), d.Range)
		return f
	}
	var names []string
	for name, n := range counts {
		names = append(names, fmt.Sprintf("%s on %d", name, n))
	}
	slices.Sort(names)
	if more := len(names) - mostNamed; more > 0 {
		names = append(names[:mostNamed], fmt.Sprintf("and %d more", more))
	}
	set := ports.NewSet(foreign...)
	lost := d.Range.Pairs() - set.Pairs(d.Range)
	f.Level = Warn
	f.Text = fmt.Sprintf("other programs hold %d ports of %s: %s; %d pairs cannot be leased meanwhile", set.Len(), d.Range, strings.Join(names, ", "), lost)
	f.Cure = []string{
		fmt.Sprintf("sudo ss -lunpt 'sport >= :%d and sport <= :%d'  # see who, and stop it", d.Range.Low, d.Range.High),
		fmt.Sprintf(`pool.exclude = "%s"%s`, d.Excluded.Union(set), thenRestart),
	}
	return f
}
