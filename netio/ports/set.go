package ports

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Set is a set of ports as ranges in rising order that neither overlap nor touch. The nil Set is empty. Make one with [NewSet] or [ParseSet];
// a Set is never changed.
type Set []Range

// maxSetText bounds what [ParseSet] reads: every second port of 65536, each with its comma, is below it.
const maxSetText = 256 << 10

// NewSet returns the set of the ports in ranges, which may overlap and stand in any order. An empty or reversed range adds nothing.
func NewSet(ranges ...Range) Set {
	sorted := slices.DeleteFunc(slices.Clone(ranges), func(r Range) bool { return r.IsZero() || r.Low > r.High })
	slices.SortFunc(sorted, func(a, b Range) int { return cmp.Compare(a.Low, b.Low) })
	var out Set
	for _, r := range sorted {
		if last := len(out) - 1; last >= 0 && int(r.Low) <= int(out[last].High)+1 {
			out[last].High = max(out[last].High, r.High)
			continue
		}
		out = append(out, r)
	}
	return out
}

// ParseSet reads ports and LOW-HIGH ranges separated by commas, as the kernel writes net.ipv4.ip_local_reserved_ports. Empty text is the empty set.
func ParseSet(text string) (Set, error) {
	if len(text) > maxSetText {
		return nil, fmt.Errorf("a list of ports of %d bytes is too long", len(text))
	}
	var ranges []Range
	for item := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		low, high, ranged := strings.Cut(item, "-")
		if !ranged {
			high = low
		}
		l, errLow := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
		h, errHigh := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
		if errLow != nil || errHigh != nil || l > h {
			return nil, fmt.Errorf("%q is neither a port nor a range LOW-HIGH", item)
		}
		ranges = append(ranges, Range{Low: uint16(l), High: uint16(h)})
	}
	return NewSet(ranges...), nil
}

// Union returns the ports of s, o or both.
func (s Set) Union(o Set) Set { return NewSet(append(slices.Clone(s), o...)...) }

// Intersect returns the ports that s and o have in common.
func (s Set) Intersect(o Set) Set {
	var out []Range
	for _, a := range s {
		for _, b := range o {
			if low, high := max(a.Low, b.Low), min(a.High, b.High); low <= high {
				out = append(out, Range{Low: low, High: high})
			}
		}
	}
	return NewSet(out...)
}

// Minus returns the ports of s that o does not have.
func (s Set) Minus(o Set) Set {
	var out []Range
	for _, r := range s {
		low := int(r.Low)
		for _, cut := range o {
			if cut.High < r.Low || cut.Low > r.High {
				continue
			}
			if int(cut.Low) > low {
				out = append(out, Range{Low: uint16(low), High: cut.Low - 1}) //nolint:gosec // low is between two ports
			}
			low = max(low, int(cut.High)+1)
		}
		if low <= int(r.High) {
			out = append(out, Range{Low: uint16(low), High: r.High}) //nolint:gosec // low is at most a port
		}
	}
	return NewSet(out...)
}

// Len returns the number of ports in the set.
func (s Set) Len() int {
	n := 0
	for _, r := range s {
		n += int(r.High) - int(r.Low) + 1
	}
	return n
}

// Contains reports whether port is in the set.
func (s Set) Contains(port uint16) bool {
	return slices.ContainsFunc(s, func(r Range) bool { return r.Contains(port) })
}

// Pairs returns how many whole pairs of r have both ports outside the set.
func (s Set) Pairs(r Range) int {
	free := 0
	for port := r.first(); port < int(r.High); port += 2 {
		if !s.Contains(uint16(port)) && !s.Contains(uint16(port+1)) { //nolint:gosec // both lie in the range
			free++
		}
	}
	return free
}

// Place finds the lowest range of so many pairs that lies outside avoid and not below from; false when there is none up to port 65535.
func (s Set) Place(pairs int, from uint16) (Range, bool) {
	for _, gap := range NewSet(Range{Low: max(from, 1), High: math.MaxUint16}).Minus(s) {
		if low := gap.first(); gap.Pairs() >= pairs {
			return Range{Low: uint16(low), High: uint16(low + 2*pairs - 1)}, true //nolint:gosec // it lies in the gap
		}
	}
	return Range{}, false
}

// String returns the set as the kernel writes and reads it: 8080,20000-29999. The empty set is empty text.
func (s Set) String() string {
	items := make([]string, len(s))
	for i, r := range s {
		items[i] = r.String()
		if r.Low == r.High {
			items[i] = strconv.Itoa(int(r.Low))
		}
	}
	return strings.Join(items, ",")
}
