package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxListItems bounds the items of any list value.
const maxListItems = 1024

// PortSet is a list of inclusive port ranges, in the order they were written.
type PortSet []PortRange

// Contains reports whether any range of the set holds port.
func (s PortSet) Contains(port uint16) bool {
	for _, r := range s {
		if r.Contains(port) {
			return true
		}
	}
	return false
}

// String returns the ranges separated by commas, single ports as one number.
func (s PortSet) String() string {
	items := make([]string, len(s))
	for i, r := range s {
		if r.Low == r.High {
			items[i] = strconv.Itoa(int(r.Low))
		} else {
			items[i] = r.String()
		}
	}
	return strings.Join(items, ",")
}

// portSet reads ports and LOW-HIGH ranges separated by commas; empty is the empty set.
func portSet() codec[PortSet] {
	return codec[PortSet]{
		kind: "list of ports", sep: ",",
		bounds: fmt.Sprintf("ports and LOW-HIGH ranges from 1 to 65535, at most %d, separated by commas", maxListItems),
		parse:  parsePortSet, format: PortSet.String,
	}
}

func parsePortSet(s string) (PortSet, *flaw) {
	items, f := splitList(s, ",")
	if f != nil {
		return nil, f
	}
	var set PortSet
	for _, item := range items {
		low, high, ranged := strings.Cut(item, "-")
		if !ranged {
			high = low
		}
		lo, errLow := strconv.ParseUint(strings.TrimSpace(low), 10, 32)
		hi, errHigh := strconv.ParseUint(strings.TrimSpace(high), 10, 32)
		if errLow != nil || errHigh != nil || lo == 0 || hi > math.MaxUint16 || lo > hi {
			return nil, &flaw{
				fmt.Sprintf("holds %q, which is neither a port nor a range of ports", item),
				"write ports from 1 to 65535 and ranges LOW-HIGH, separated by commas",
			}
		}
		set = append(set, PortRange{Low: uint16(lo), High: uint16(hi)})
	}
	return set, nil
}

// splitList cuts a list at its separator and drops white space and empty items, as ZLMediaKit does.
func splitList(s, sep string) ([]string, *flaw) {
	if strings.Count(s, sep) >= maxListItems {
		return nil, &flaw{"is a list with too many items", fmt.Sprintf("at most %d are allowed", maxListItems)}
	}
	var items []string
	for item := range strings.SplitSeq(s, sep) {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items, nil
}
