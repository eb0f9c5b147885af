package ports

import (
	"fmt"
	"strconv"
	"strings"
)

// Range is an inclusive range of ports. Every whole pair inside it can be leased; an odd Low and an even High are left unused.
// The zero Range is empty.
type Range struct{ Low, High uint16 }

// ParseRange reads LOW-HIGH, both from 1 to 65535 and Low not above High. Spaces around the numbers are ignored.
func ParseRange(s string) (Range, error) {
	low, high, ok := strings.Cut(s, "-")
	if !ok {
		return Range{}, fmt.Errorf("port range %q: write LOW-HIGH, such as 20000-29999", s)
	}
	l, errLow := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	h, errHigh := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if errLow != nil || errHigh != nil || l == 0 || l > h {
		return Range{}, fmt.Errorf("port range %q: both ends must be ports from 1 to 65535, the lower one first", s)
	}
	return Range{Low: uint16(l), High: uint16(h)}, nil
}

// String returns LOW-HIGH.
func (r Range) String() string {
	return strconv.Itoa(int(r.Low)) + "-" + strconv.Itoa(int(r.High))
}

// IsZero reports whether r is the zero Range, which stands for "no range".
func (r Range) IsZero() bool { return r == Range{} }

// Pairs returns how many whole pairs lie inside the range, 0 to 32767. The pair 0-1 does not count: port 0 cannot be bound.
func (r Range) Pairs() int {
	return max(0, (int(r.High)+1-r.first())/2)
}

// Contains reports whether port lies in the range.
func (r Range) Contains(port uint16) bool { return r.Low <= port && port <= r.High }

// first returns the even port of the lowest pair; it may lie above High, and above the highest port.
func (r Range) first() int { return max(2, (int(r.Low)+1)&^1) }
