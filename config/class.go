package config

// Class says when a changed key takes effect.
type Class uint8

const (
	// Hot keys take effect at once, for running sessions too.
	Hot Class = iota + 1
	// New keys take effect at once for sessions, streams and attempts that begin afterwards.
	New
	// Restart keys wait for a full restart of the engine.
	Restart
)

// String returns the class's name as the API and logs show it: hot, new or restart.
func (c Class) String() string {
	switch c {
	case Hot:
		return "hot"
	case New:
		return "new"
	case Restart:
		return "restart"
	}
	return "unknown"
}

// Effect says in words when a change of a key of this class takes effect.
func (c Class) Effect() string {
	switch c {
	case Hot:
		return "at once, running sessions included"
	case New:
		return "at once, for new sessions"
	case Restart:
		return "after a full restart"
	}
	return "unknown"
}

// Immediate reports whether a reload puts a changed key of this class in force.
func (c Class) Immediate() bool { return c == Hot || c == New }
