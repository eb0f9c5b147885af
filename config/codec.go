package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// codec is how values of one type are read, bounded and written. parse accepts surrounding white space
// and everything format writes; format is canonical, so that equal values have equal texts.
type codec[T any] struct {
	kind   string // the type in words
	bounds string // the allowed values in words
	unit   string // of a bare number
	sep    string // between the items of a list; empty when the value is no list
	quoted bool   // a native number or truth value is refused, since its text may not be what was written
	bare   bool   // format writes a TOML number
	parse  func(string) (T, *flaw)
	format func(T) string
}

// truthValue is the type of a toggle.
const truthValue = "truth value"

// toggle reads 0, 1, true and false in any case, and writes 0 or 1 as ZLMediaKit does.
func toggle() codec[bool] {
	return codec[bool]{
		kind: truthValue, bounds: "true or false (1 or 0)", bare: true,
		parse: func(s string) (bool, *flaw) {
			switch strings.ToLower(strings.TrimSpace(s)) {
			case "1", "true":
				return true, nil
			case "0", "false":
				return false, nil
			}
			return false, &flaw{"is not a truth value", "write true or false"}
		},
		format: func(v bool) string {
			if v {
				return "1"
			}
			return "0"
		},
	}
}

// whole reads integers from lo to hi, both included, in unit.
func whole[T ~int | ~int64 | ~uint16](lo, hi int64, unit string) codec[T] {
	return codec[T]{
		kind: "whole number", bounds: fmt.Sprintf("%d to %d", lo, hi), unit: unit, bare: true,
		parse: func(s string) (T, *flaw) {
			n, f := wholeBetween(s, lo, hi, unit)
			return T(n), f
		},
		format: func(v T) string { return strconv.FormatInt(int64(v), 10) },
	}
}

// tcpPort reads a listening port, where 0 turns the listener off.
func tcpPort() codec[uint16] {
	c := whole[uint16](0, math.MaxUint16, "")
	c.kind, c.bounds = "TCP port", "1 to 65535, or 0 for off"
	return c
}

// mediaPort is tcpPort for a port that is opened over UDP too.
func mediaPort() codec[uint16] {
	c := tcpPort()
	c.kind = "UDP and TCP port"
	return c
}

// ticks reads whole numbers of unit (a millisecond or a second, as ZLMediaKit's key says) into a duration.
func ticks(lo, hi int64, unit time.Duration) codec[time.Duration] {
	name := "seconds"
	if unit == time.Millisecond {
		name = "milliseconds"
	}
	return codec[time.Duration]{
		kind: "whole " + name, bounds: fmt.Sprintf("%d to %d", lo, hi), unit: name, bare: true,
		parse: func(s string) (time.Duration, *flaw) {
			n, f := wholeBetween(s, lo, hi, name)
			return time.Duration(n) * unit, f
		},
		format: func(d time.Duration) string { return strconv.FormatInt(int64(d/unit), 10) },
	}
}

// wholeBetween reads one integer and holds it to its bounds.
func wholeBetween(s string, lo, hi int64, unit string) (int64, *flaw) {
	if unit != "" {
		unit = " " + unit
	}
	cure := fmt.Sprintf("write a whole number from %d to %d%s", lo, hi, unit)
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	switch {
	case err != nil && strings.TrimSpace(s) == "":
		return 0, &flaw{"has no value", cure}
	case err != nil:
		return 0, &flaw{"is not a whole number", cure}
	case n < lo:
		return 0, &flaw{fmt.Sprintf("is below the smallest value, %d%s", lo, unit), cure}
	case n > hi:
		return 0, &flaw{fmt.Sprintf("is above the largest value, %d%s", hi, unit), cure}
	}
	return n, nil
}

// text reads a single-line string of at most limit bytes.
func text(limit int) codec[string] {
	return codec[string]{
		kind: "text", bounds: fmt.Sprintf("at most %d bytes, one line", limit), quoted: true,
		parse: func(s string) (string, *flaw) {
			s = strings.TrimSpace(s)
			if len(s) > limit {
				return "", &flaw{fmt.Sprintf("is %d bytes long", len(s)), fmt.Sprintf("at most %d are allowed", limit)}
			}
			if f := printable(s); f != nil {
				return "", f
			}
			return s, nil
		},
		format: func(s string) string { return s },
	}
}

// localAddress reads an address to bind; an empty text is the zero Addr where optional says what that means.
func localAddress(optional string) codec[netip.Addr] {
	return address(optional, netip.Addr.IsMulticast, "is a multicast address, which cannot be bound")
}

// peerAddress reads an address that is told to peers.
func peerAddress(optional string) codec[netip.Addr] {
	return address(optional, func(a netip.Addr) bool { return a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" },
		"is no address that a peer could send to")
}

// address reads one IP address that unfit does not refuse.
func address(optional string, unfit func(netip.Addr) bool, why string) codec[netip.Addr] {
	bounds := "an IPv4 or IPv6 address"
	if optional != "" {
		bounds += ", or empty: " + optional
	}
	return codec[netip.Addr]{
		kind: "IP address", bounds: bounds, quoted: true,
		parse: func(s string) (netip.Addr, *flaw) {
			s = strings.TrimSpace(s)
			if s == "" && optional != "" {
				return netip.Addr{}, nil
			}
			a, err := netip.ParseAddr(s)
			if err != nil {
				return netip.Addr{}, &flaw{"is not an IP address", "write an IPv4 or IPv6 address without a port, such as 192.0.2.10 or ::"}
			}
			if unfit(a) {
				return netip.Addr{}, &flaw{why, "write the IPv4 or IPv6 address of one interface"}
			}
			return a, nil
		},
		format: func(a netip.Addr) string {
			if !a.IsValid() {
				return ""
			}
			return a.String()
		},
	}
}

// choice reads one of a fixed set of words into a string type.
func choice[T ~string](words ...T) codec[T] {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	all := strings.Join(list, ", ")
	return codec[T]{
		kind: "word", bounds: "one of " + all, quoted: true,
		parse: func(s string) (T, *flaw) {
			s = strings.ToLower(strings.TrimSpace(s))
			for _, w := range words {
				if s == string(w) {
					return w, nil
				}
			}
			return "", &flaw{"is not one of the allowed words", "write one of " + all}
		},
		format: func(v T) string { return string(v) },
	}
}
