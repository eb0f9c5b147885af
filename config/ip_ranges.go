package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// IPRange is an inclusive range of addresses of one family.
type IPRange struct {
	Low, High netip.Addr
}

// String returns one address, or LOW-HIGH.
func (r IPRange) String() string {
	if r.Low == r.High {
		return r.Low.String()
	}
	return r.Low.String() + "-" + r.High.String()
}

// IPRanges is a list of addresses and ranges; an empty list stands for every address.
type IPRanges []IPRange

// Allows reports whether the list is empty or holds a. An IPv4 address mapped into IPv6 counts as
// IPv4, and a zone is ignored.
func (l IPRanges) Allows(a netip.Addr) bool {
	if len(l) == 0 {
		return true
	}
	a = a.Unmap().WithZone("")
	for _, r := range l {
		if a.BitLen() == r.Low.BitLen() && r.Low.Compare(a) <= 0 && a.Compare(r.High) <= 0 {
			return true
		}
	}
	return false
}

// String returns the items separated by commas.
func (l IPRanges) String() string {
	items := make([]string, len(l))
	for i, r := range l {
		items[i] = r.String()
	}
	return strings.Join(items, ",")
}

// ipRanges reads addresses, LOW-HIGH ranges and CIDR prefixes separated by commas.
func ipRanges() codec[IPRanges] {
	return codec[IPRanges]{
		kind: "list of addresses", sep: ",", quoted: true,
		bounds: fmt.Sprintf("addresses, LOW-HIGH ranges and prefixes such as 10.0.0.0/8, at most %d, separated by commas; empty allows every address", maxListItems),
		parse:  parseIPRanges, format: IPRanges.String,
	}
}

func parseIPRanges(s string) (IPRanges, *flaw) {
	items, f := splitList(s, ",")
	if f != nil {
		return nil, f
	}
	var list IPRanges
	for _, item := range items {
		r, ok := parseIPRange(item)
		if !ok {
			return nil, &flaw{
				fmt.Sprintf("holds %q, which is no address, range or prefix", item),
				"write items such as 192.0.2.7, 10.0.0.0-10.0.0.255 or 10.0.0.0/8, separated by commas",
			}
		}
		list = append(list, r)
	}
	// A list of nothing but separators would silently mean everybody.
	if len(list) == 0 && strings.TrimSpace(s) != "" {
		return nil, &flaw{"holds separators but no address", "write addresses, or leave it empty to allow every address"}
	}
	return list, nil
}

func parseIPRange(item string) (IPRange, bool) {
	if p, err := netip.ParsePrefix(item); err == nil {
		p = p.Masked()
		return IPRange{Low: p.Addr(), High: lastOf(p)}, !p.Addr().Is4In6()
	}
	low, high, ranged := strings.Cut(item, "-")
	if !ranged {
		high = low
	}
	lo, errLow := netip.ParseAddr(strings.TrimSpace(low))
	hi, errHigh := netip.ParseAddr(strings.TrimSpace(high))
	if errLow != nil || errHigh != nil || lo.Zone() != "" || hi.Zone() != "" {
		return IPRange{}, false
	}
	lo, hi = lo.Unmap(), hi.Unmap()
	return IPRange{Low: lo, High: hi}, lo.BitLen() == hi.BitLen() && lo.Compare(hi) <= 0
}

// lastOf returns the highest address of a masked prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
