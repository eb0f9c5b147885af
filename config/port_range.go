package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// minPairs is the smallest usable range: ZLMediaKit refuses fewer than 36 ports, and so do we.
const minPairs = 18

// PortRange is an inclusive range of ports. Media takes it in pairs of an even port and the odd one
// above it; only pairs that lie wholly inside count.
type PortRange struct {
	Low, High uint16
}

// ParsePortRange reads LOW-HIGH. The error says what is wrong and what to write.
func ParsePortRange(s string) (PortRange, error) {
	r, f := parsePortRange(s)
	if f != nil {
		return PortRange{}, fmt.Errorf("port range %q %s: %s", s, f.problem, f.cure)
	}
	return r, nil
}

// String returns LOW-HIGH.
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.Low, r.High) }

// Contains reports whether port lies in the range, both ends included.
func (r PortRange) Contains(port uint16) bool { return r.Low <= port && port <= r.High }

// FirstPair returns the even port of the lowest whole pair; meaningless when Pairs is 0.
func (r PortRange) FirstPair() uint16 { return uint16((int(r.Low) + 1) &^ 1) } //nolint:gosec // Pairs > 0 keeps it below 65535

// Pairs returns how many whole even/odd pairs lie inside the range.
func (r PortRange) Pairs() int {
	first, end := (int(r.Low)+1)&^1, (int(r.High)+1)&^1
	return max(0, (end-first)/2)
}

// Unused returns the ports at the ends that belong to no whole pair: none, one or two.
func (r PortRange) Unused() []uint16 {
	var ports []uint16
	if r.Low%2 == 1 {
		ports = append(ports, r.Low)
	}
	if r.High%2 == 0 {
		ports = append(ports, r.High)
	}
	return ports
}

// portRange reads a range that holds at least minPairs pairs.
func portRange() codec[PortRange] {
	return codec[PortRange]{
		kind: "port range", quoted: true,
		bounds: fmt.Sprintf("LOW-HIGH, both included, 1 to 65535, at least %d even/odd pairs", minPairs),
		parse:  parsePortRange, format: PortRange.String,
	}
}

// parsePortRange is ParsePortRange with the fault in two parts.
func parsePortRange(s string) (PortRange, *flaw) {
	const form = "write LOW-HIGH, such as 20000-29999"
	low, high, ok := strings.Cut(s, "-")
	if !ok {
		return PortRange{}, &flaw{"is not a port range", form}
	}
	lo, err := strconv.ParseUint(strings.TrimSpace(low), 10, 32)
	if err != nil {
		return PortRange{}, &flaw{"has a low end that is not a port number", form}
	}
	hi, err := strconv.ParseUint(strings.TrimSpace(high), 10, 32)
	if err != nil {
		return PortRange{}, &flaw{"has a high end that is not a port number", form}
	}
	switch {
	case lo == 0:
		return PortRange{}, &flaw{"begins at port 0, which cannot be bound", "begin at 1024 or above"}
	case hi > math.MaxUint16 || lo > math.MaxUint16:
		return PortRange{}, &flaw{"goes past the highest port", "end at 65535 or below"}
	case lo > hi:
		return PortRange{}, &flaw{"has its ends the wrong way round", fmt.Sprintf("write %d-%d", hi, lo)}
	}
	r := PortRange{Low: uint16(lo), High: uint16(hi)}
	if n := r.Pairs(); n < minPairs {
		return PortRange{}, tooFewPairs(r, n)
	}
	return r, nil
}

// tooFewPairs suggests the nearest range that is large enough: longer at the top, or else lower.
func tooFewPairs(r PortRange, pairs int) *flaw {
	first := (int(r.Low) + 1) &^ 1
	first = min(first, math.MaxUint16+1-2*minPairs)
	return &flaw{
		fmt.Sprintf("holds %d whole even/odd pairs, at least %d are needed", pairs, minPairs),
		fmt.Sprintf("use %d-%d or more", first, first+2*minPairs-1),
	}
}
