package ports

import "strings"

// Sockets is the set of sides of a slot that a lease wants bound.
type Sockets uint8

// The sides of a slot.
const (
	// UDPPair is two UDP sockets: the even port for RTP, the odd one for RTCP.
	UDPPair Sockets = 1 << iota
	// TCPListener is a TCP listener on the even port.
	TCPListener

	allSockets = UDPPair | TCPListener
)

// Has reports whether s holds every side in want.
func (s Sockets) Has(want Sockets) bool { return s&want == want }

// Valid reports whether s names at least one side and nothing unknown.
func (s Sockets) Valid() bool { return s != 0 && s&^allSockets == 0 }

// String returns udp, tcp or udp+tcp; "none" for the empty set.
func (s Sockets) String() string {
	var sides []string
	if s.Has(UDPPair) {
		sides = append(sides, "udp")
	}
	if s.Has(TCPListener) {
		sides = append(sides, "tcp")
	}
	if s&^allSockets != 0 {
		sides = append(sides, "unknown")
	}
	if len(sides) == 0 {
		return "none"
	}
	return strings.Join(sides, "+")
}
