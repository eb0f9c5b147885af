package ports

import (
	"strconv"
	"strings"
)

// State is what a slot is doing. A slot is in exactly one state.
type State uint8

// The states of a slot. The zero State is no state.
const (
	Free     State = iota + 1 // may be leased
	Leased                    // bound and held by an owner
	Draining                  // released, still bound, its input thrown away
	Cooling                   // closed, not given out for a while
	Foreign                   // another program holds one of its ports; tried again with back-off
	Excluded                  // never leased: our own listeners, and what the configuration leaves out

	lastState = Excluded
)

// States returns all states in the order in which operators read them.
func States() []State { return []State{Free, Leased, Draining, Cooling, Foreign, Excluded} }

// String returns the state's name in lower case, as the API, the log and metric labels show it.
func (s State) String() string {
	switch s {
	case Free:
		return "free"
	case Leased:
		return "leased"
	case Draining:
		return "draining"
	case Cooling:
		return "cooling"
	case Foreign:
		return "foreign"
	case Excluded:
		return "excluded"
	}
	return "unknown"
}

// Counts is the number of slots by state. Index it with a [State].
type Counts [lastState + 1]int

// Of returns the number of slots in state s; 0 for an unknown state.
func (c Counts) Of(s State) int {
	if s > lastState {
		return 0
	}
	return c[s]
}

// Total returns the number of slots.
func (c Counts) Total() int {
	total := 0
	for _, n := range c {
		total += n
	}
	return total
}

// Leasable returns the number of slots that are ours to lease: all but the excluded ones and those that another program holds.
func (c Counts) Leasable() int { return c[Free] + c[Leased] + c[Draining] + c[Cooling] }

// String returns the states that occur with their numbers, such as "3 free, 33 leased"; "no pairs" when there are none.
func (c Counts) String() string {
	var b strings.Builder
	for _, s := range States() {
		if c[s] == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Itoa(c[s]))
		b.WriteByte(' ')
		b.WriteString(s.String())
	}
	if b.Len() == 0 {
		return "no pairs"
	}
	return b.String()
}
