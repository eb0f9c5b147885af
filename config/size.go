package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size in bytes.
type Bytes int64

// Binary sizes, for bounds and defaults.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// byteUnits are the accepted suffixes, longest first so that MiB is not read as B.
var byteUnits = [...]struct {
	suffix string
	size   Bytes
}{{"kib", KiB}, {"mib", MiB}, {"gib", GiB}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"b", 1}}

// String writes the size with the largest binary unit that leaves a whole number: 16MiB, 40KiB, 1500.
func (b Bytes) String() string {
	switch {
	case b != 0 && b%GiB == 0:
		return strconv.FormatInt(int64(b/GiB), 10) + "GiB"
	case b != 0 && b%MiB == 0:
		return strconv.FormatInt(int64(b/MiB), 10) + "MiB"
	case b != 0 && b%KiB == 0:
		return strconv.FormatInt(int64(b/KiB), 10) + "KiB"
	}
	return strconv.FormatInt(int64(b), 10)
}

// size reads a number of bytes, bare or with a unit such as 16MiB, and writes it with one.
func size(lo, hi Bytes) codec[Bytes] {
	bounds := fmt.Sprintf("%s to %s", lo, hi)
	return codec[Bytes]{
		kind: "size", bounds: bounds + ", a bare number is bytes",
		parse: func(s string) (Bytes, *flaw) {
			b, f := parseBytes(s)
			if f != nil {
				return 0, f
			}
			if b < lo || b > hi {
				return 0, &flaw{"is out of bounds", "write a size from " + bounds}
			}
			return b, nil
		},
		format: Bytes.String,
	}
}

// plainSize is size for ZLMediaKit's keys, whose clients expect a bare number back.
func plainSize(lo, hi Bytes) codec[Bytes] {
	c := size(lo, hi)
	c.bare = true
	c.format = func(b Bytes) string { return strconv.FormatInt(int64(b), 10) }
	return c
}

// parseBytes reads a whole number with an optional unit; it does not know bounds.
func parseBytes(s string) (Bytes, *flaw) {
	digits, scale := strings.ToLower(strings.TrimSpace(s)), Bytes(1)
	if digits == "" {
		return 0, &flaw{"has no value", "write a size such as 65536 or 16MiB"}
	}
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, scale = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/int64(scale) {
		return 0, &flaw{"is not a size", "write a whole number of bytes, or one with a unit such as 64KiB, 16MiB or 1GiB"}
	}
	return Bytes(n) * scale, nil
}
