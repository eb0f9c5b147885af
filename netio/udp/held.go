package udp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Held is what a process holds on each port: the number of its UDP sockets, and of its TCP listeners. A port without any is absent.
type Held struct {
	UDP map[uint16]int
	TCP map[uint16]int
}

// ErrNoTable means that the kernel's socket tables cannot be had, because the system has no /proc or another one.
var ErrNoTable = errors.New("the kernel's socket table cannot be read")

// Bounds of what is read of the kernel's tables. Both are far above what one machine has, and keep a broken /proc from filling the memory.
const (
	maxTableBytes  = 256 << 20
	maxDescriptors = 4 << 20
	descriptorStep = 1024 // how many names of descriptors are read at once
)

// tcpListening is the state of a listener in the kernel's TCP table (TCP_LISTEN of include/net/tcp_states.h).
const tcpListening = 0x0A

// HeldPorts reads from the kernel which ports from low to high this process holds, on any address. proc is the process's own folder, which is /proc/self but
// in tests. It costs about 20 µs a socket of the whole machine, so it is for a check a minute and not for an allocation. The tables are not read at one moment: what
// is opened or closed meanwhile may be missing or present.
func HeldPorts(ctx context.Context, proc string, low, high uint16) (Held, error) {
	held := Held{UDP: map[uint16]int{}, TCP: map[uint16]int{}}
	var found []tableRow
	read := 0
	for _, name := range []string{"udp", "udp6", "tcp", "tcp6"} {
		rows, err := readTableTwice(ctx, filepath.Join(proc, "net", name), low, high)
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without IPv6 has no table of it
		}
		if err != nil {
			return Held{}, fmt.Errorf("%w: %w", ErrNoTable, err)
		}
		read++
		for _, row := range rows {
			row.tcp = strings.HasPrefix(name, "tcp")
			if !row.tcp || row.state == tcpListening {
				found = append(found, row)
			}
		}
	}
	if read == 0 {
		return Held{}, fmt.Errorf("%w: %s has none", ErrNoTable, filepath.Join(proc, "net"))
	}
	if len(found) == 0 {
		return held, nil
	}
	mine, err := socketsOf(ctx, filepath.Join(proc, "fd"))
	if err != nil {
		return Held{}, fmt.Errorf("%w: %w", ErrNoTable, err)
	}
	for _, row := range found {
		switch _, ours := mine[row.inode]; {
		case !ours:
		case row.tcp:
			held.TCP[row.port]++
		default:
			held.UDP[row.port]++
		}
	}
	return held, nil
}

// tableRow is one socket of the kernel's table.
type tableRow struct {
	port  uint16
	state uint8
	inode uint64
	tcp   bool
}

// readTableTwice unites two readings of a table. The kernel hands it out a page at a time and finds the next page by counting lines, so that a socket which is closed anywhere in
// between makes it skip the line of another.
func readTableTwice(ctx context.Context, name string, low, high uint16) ([]tableRow, error) {
	rows, err := readTable(ctx, name, low, high)
	if err != nil {
		return nil, err
	}
	again, err := readTable(ctx, name, low, high)
	if err != nil {
		return nil, err
	}
	for _, row := range again {
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// readTable reads the rows of one table whose local port lies from low to high.
func readTable(ctx context.Context, name string, low, high uint16) ([]tableRow, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	var rows []tableRow
	lines := bufio.NewScanner(io.LimitReader(file, maxTableBytes))
	for n := 0; lines.Scan(); n++ {
		if n%descriptorStep == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if row, ok := parseTableRow(lines.Bytes()); ok && low <= row.port && row.port <= high {
			rows = append(rows, row)
		}
	}
	return rows, lines.Err()
}

// parseTableRow reads a line of /proc/net/udp and its sisters: slot, local and remote address, state, queues, timer, retransmits, uid, timeout, inode
// (Documentation/networking/proc_net_tcp.rst of the kernel). It reports false for the heading and for what is no such line.
func parseTableRow(line []byte) (tableRow, bool) {
	fields := bytes.Fields(line)
	if len(fields) < 10 {
		return tableRow{}, false
	}
	_, local, ok := bytes.Cut(fields[1], []byte(":"))
	if !ok {
		return tableRow{}, false
	}
	port, errPort := strconv.ParseUint(string(local), 16, 16)
	state, errState := strconv.ParseUint(string(fields[3]), 16, 8)
	inode, errInode := strconv.ParseUint(string(fields[9]), 10, 64)
	if errPort != nil || errState != nil || errInode != nil || inode == 0 {
		return tableRow{}, false
	}
	return tableRow{port: uint16(port), state: uint8(state), inode: inode}, true
}

// socketsOf returns the inodes of the sockets that the descriptors in a folder stand for. A socket with two descriptors counts once.
func socketsOf(ctx context.Context, folder string) (map[uint64]struct{}, error) {
	dir, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer dir.Close() //nolint:errcheck // only read
	out := map[uint64]struct{}{}
	for n := 0; n < maxDescriptors; {
		names, err := dir.Readdirnames(descriptorStep)
		for _, name := range names {
			// A descriptor that was closed meanwhile has no link any more.
			to, err := os.Readlink(filepath.Join(folder, name))
			if err != nil {
				continue
			}
			if number, ok := strings.CutPrefix(to, "socket:["); ok {
				if inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); err == nil {
					out[inode] = struct{}{}
				}
			}
		}
		n += len(names)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
	return out, nil
}
