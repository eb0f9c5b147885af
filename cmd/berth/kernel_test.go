package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/config"
)

// ports returns the UDP ports of the pool's range that the daemon holds, as the kernel sees it. A port that two sockets hold is an error.
func (d *daemon) ports(t *testing.T) map[int]bool {
	t.Helper()
	pool := d.pool(t)
	sockets := socketsOf(t, d.cmd.Process.Pid)
	held := map[int]bool{}
	for _, table := range []string{"udp", "udp6"} {
		for inode, port := range udpTable(t, table) {
			if !sockets[inode] || port < int(pool.Low) || port > int(pool.High) {
				continue
			}
			require.False(t, held[port], "port %d is held twice", port)
			held[port] = true
		}
	}
	return held
}

// pool returns the range in force.
func (d *daemon) pool(t *testing.T) config.PortRange {
	t.Helper()
	low, high, ok := strings.Cut(d.inForce("rtp_proxy.port_range"), "-")
	require.True(t, ok)
	from, err := strconv.ParseUint(low, 10, 16)
	require.NoError(t, err)
	to, err := strconv.ParseUint(high, 10, 16)
	require.NoError(t, err)
	return config.PortRange{Low: uint16(from), High: uint16(to)}
}

// socketsOf returns the inodes of a process's sockets.
func socketsOf(t *testing.T, pid int) map[string]bool {
	t.Helper()
	if _, err := os.Stat("/proc/self/net/udp"); err != nil {
		t.Skip("the kernel's table of sockets is read from /proc, which is not here")
	}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	out := map[string]bool{}
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			out[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return out
}

// udpTable returns the local port of each UDP socket, by inode.
func udpTable(t *testing.T, name string) map[string]int {
	t.Helper()
	file, err := os.Open("/proc/self/net/" + name)
	if os.IsNotExist(err) {
		return nil // no IPv6
	}
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	out := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[0] == "sl" {
			continue
		}
		_, hex, ok := strings.Cut(fields[1], ":")
		require.True(t, ok, "%s", fields[1])
		port, err := strconv.ParseUint(hex, 16, 16)
		require.NoError(t, err)
		out[fields[9]] = int(port)
	}
	return out
}
