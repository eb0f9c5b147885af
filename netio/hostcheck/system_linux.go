package hostcheck

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// platform adds what Linux shows in /proc.
func platform(h Host) Host {
	h.ReadFile, h.Owners = readBounded, owners
	return h
}

// owners looks through the processes that the caller may look into.
func owners(inodes []uint64) map[uint64]Process {
	wanted := make(map[string]uint64, len(inodes))
	for _, inode := range inodes {
		wanted["socket:["+strconv.FormatUint(inode, 10)+"]"] = inode
	}
	out := map[uint64]Process{}
	self, _ := os.Readlink("/proc/self/exe")
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return out
	}
	for _, folder := range folders {
		if len(out) == len(wanted) {
			break
		}
		ofProcess(folder, self, wanted, out)
	}
	return out
}

// ofProcess adds the wanted sockets that one process holds.
func ofProcess(folder, self string, wanted map[string]uint64, out map[uint64]Process) {
	entries, err := os.ReadDir(filepath.Join(folder, "fd"))
	if err != nil {
		return // not ours to see, or gone
	}
	var p Process
	for _, entry := range entries {
		to, err := os.Readlink(filepath.Join(folder, "fd", entry.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		inode, ok := wanted[to]
		if !ok {
			continue
		}
		if p.PID == 0 {
			p.PID, _ = strconv.Atoi(filepath.Base(folder))
			name, _ := readBounded(filepath.Join(folder, "comm"))
			exe, _ := os.Readlink(filepath.Join(folder, "exe"))
			p.Name = strings.TrimSpace(string(name))
			// A program that was replaced on disk since it was started shows as deleted.
			exe = strings.TrimSuffix(exe, " (deleted)")
			p.Ours = exe != "" && (exe == self || filepath.Base(exe) == filepath.Base(self))
		}
		out[inode] = p
	}
}
