// Package config holds berth's configuration: every key with its type, bounds, unit and class, the
// layers a value can come from, and the immutable snapshot the rest of the program reads.
//
// The names and the meaning of the keys are ZLMediaKit's, so that its configuration files and the
// platforms that drive it keep working; keys of berth's own are written in lower snake case. A value
// comes from the highest layer that names its key: built-in default, configuration file (TOML, YAML or
// ZLMediaKit's config.ini), environment, command line, runtime override.
//
// Load makes a snapshot or reports every fault at once; it never returns a half-good configuration.
// Diff says what differs between two snapshots, and Advance works out what a reload may put in force
// now and what has to wait for a full restart.
//
// cmd loads the first snapshot, actors/reload every later one; owners are handed their section. A
// Config is immutable after Load: any number of goroutines may read it, nobody may write to it or to
// a slice inside it. The package starts no goroutine and keeps no state between calls.
package config
