package hostcheck

import (
	"net/netip"

	"berth/netio/ports"
)

// Demand is what a server wants of its host, in plain values.
type Demand struct {
	Range       ports.Range // of the pool
	Excluded    ports.Set   // ports that the pool leaves out
	Bind        netip.Addr  // local address of the pool's sockets
	ListenIP    netip.Addr  // local address of the listeners
	Listeners   []Listener  // those that are open
	Connections int         // most open connections of all listeners together
	UDPBuffer   int         // receive buffer asked for each UDP socket, in bytes; 0 = none is asked, the system's default counts
	StateDir    string      // directory that the server writes
}

// Listener is a TCP listener of the server.
type Listener struct {
	Key  string // configuration key of the port
	Port uint16
}

// Process is a program that holds a socket.
type Process struct {
	PID  int
	Name string // as the kernel has it, at most 15 bytes
	Ours bool   // runs the same program as the caller
}

// Host is how [Check] reads the machine; [System] gives the real one. A check whose functions are nil is left out.
type Host struct {
	ReadFile   func(name string) ([]byte, error)        // a file of /proc or /sys
	Interfaces func() ([]string, error)                 // names of the network interfaces
	Addresses  func() ([]netip.Addr, error)             // of all interfaces
	Bind       func(netip.Addr) error                   // opens and closes a UDP socket on a port that the kernel chooses
	OpenFiles  func() (uint64, error)                   // most descriptors that this process may have open
	Writable   func(dir string) error                   // nil when dir, or the folder it would be made in, can be written
	Owners     func(inodes []uint64) map[uint64]Process // who has sockets open, as far as the caller may know
	Getenv     func(name string) string                 // environment of the process
}

// Check holds the host against the demand and returns a finding a check, always in the same order.
func Check(h Host, d Demand) []Finding {
	out := []Finding{checkListeners(d)}
	add := func(possible bool, check func(Host, Demand) Finding) {
		if possible {
			out = append(out, check(h, d))
		}
	}
	add(h.ReadFile != nil, checkEphemeral)
	add(true, checkNodePorts)
	add(h.ReadFile != nil, checkForeign)
	add(h.Bind != nil, checkAddresses)
	add(h.OpenFiles != nil, checkOpenFiles)
	add(h.ReadFile != nil, checkUDPBuffer)
	add(h.ReadFile != nil && h.Interfaces != nil && h.Getenv != nil, checkContainer)
	add(h.Writable != nil && d.StateDir != "", checkState)
	if h.ReadFile == nil {
		out = append(out, Finding{
			Check: "platform", Level: Warn,
			Text: "this is not Linux: ephemeral ports, holders of ports, UDP buffers and containers are not looked at",
		})
	}
	return out
}
