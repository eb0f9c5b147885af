package config

import (
	"fmt"
	"strings"
	"unicode"
)

// Fault is one thing wrong, or worth a warning, in a configuration.
type Fault struct {
	// Origin is where the value stands.
	Origin
	// Key is the key's full name; empty when the fault is not about one key.
	Key string
	// Value is the offending text; secrets are redacted.
	Value string
	// Problem says what is wrong.
	Problem string
	// Cure says what to write or do instead; may be empty.
	Cure string
}

// maxShownValue bounds how much of a bad value a message repeats, in bytes.
const maxShownValue = 80

// String returns the fault in one line: place: key = "value": problem: cure.
func (f Fault) String() string {
	var parts []string
	if f.Layer != LayerDefault {
		parts = append(parts, f.Origin.String())
	}
	switch {
	case f.Key != "" && f.Value != "":
		v := f.Value
		if len(v) > maxShownValue {
			v = strings.ToValidUTF8(v[:maxShownValue], "") + "..."
		}
		parts = append(parts, fmt.Sprintf("%s = %q", f.Key, v))
	case f.Key != "":
		parts = append(parts, f.Key)
	}
	parts = append(parts, f.Problem)
	if f.Cure != "" {
		parts = append(parts, f.Cure)
	}
	return strings.Map(oneLine, strings.Join(parts, ": "))
}

// oneLine keeps the promise of one line a fault, whatever a key or a parser's message holds.
func oneLine(r rune) rune {
	if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
		return ' '
	}
	return r
}

// InvalidError carries every fault of a configuration that was refused.
type InvalidError struct {
	// Faults is never empty and is in the order of layers, then lines.
	Faults []Fault
}

// Error returns one line a fault.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// flaw is a fault that does not know its place yet.
type flaw struct{ problem, cure string }
