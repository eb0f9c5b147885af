package reload

import (
	"maps"

	"github.com/asynkron/protoactor-go/actor"

	"berth/config"
)

// Loaded is a configuration that was read and validated but is not in force yet.
type Loaded struct {
	Config   *config.Config
	Warnings []string
	// Commit puts what was prepared beside the snapshot (a TLS certificate) to use. It must not block; nil when there is nothing.
	Commit func()
}

// Probe is what a dry run has found out about one changed key without putting anything in force.
type Probe struct {
	Key     string
	Note    string // in words; lower case, no full stop
	Trouble bool   // the new value would not work if it came into force now
}

// job is one reload under way, or waiting for its turn.
type job struct {
	number    uint64
	by        string
	dryRun    bool
	strict    bool
	adopt     bool               // load only, for a full restart
	override  map[string]*string // set by Override; nil for a plain reload
	overrides map[string]string  // all overrides with which this job loads
	unknown   []string           // keys of override that are not served
	askers    []*actor.PID       // who waits for the answer

	loaded  Loaded
	probes  []Probe          // of a dry run
	target  *config.Config   // what will be in force when the job succeeds
	changes []config.Change  // running -> target
	pending []config.Change  // target -> loaded: what waits for a full restart
	storing bool             // the store has been asked to keep the overrides and has not answered
	waiting map[string]bool  // owners that have not answered yet
	taken   map[string]error // owners that have
}

// shares reports whether a request can ride on a job that has not begun: plain reloads all do the same thing.
func (j *job) shares(other *job) bool {
	return j.override == nil && other.override == nil && !j.adopt && !other.adopt && j.dryRun == other.dryRun && j.strict == other.strict
}

// withOverrides returns current with the job's changes laid over it, and remembers which keys are not served.
func (j *job) withOverrides(current map[string]string) map[string]string {
	next := maps.Clone(current)
	if next == nil {
		next = map[string]string{}
	}
	for key, value := range j.override {
		if !overridable(key) {
			j.unknown = append(j.unknown, key)
			continue
		}
		if value == nil {
			delete(next, key)
		} else {
			next[key] = *value
		}
	}
	return next
}

// overridable reports whether key can be set by a runtime override.
func overridable(key string) bool {
	k, served := config.Lookup(key)
	return served && !k.FileOnly
}

// Messages to self; each carries the job it belongs to, so that a late one is recognised and dropped.
type (
	// loadDone is posted by the loading goroutine.
	loadDone struct {
		job    *job
		loaded Loaded
		probes []Probe
		err    error
	}
	// applyTimeout is posted when owners have not answered in time.
	applyTimeout struct{ job *job }
)

// owner is a registered receiver of configuration.
type owner struct {
	name string
	pid  *actor.PID
	// unanswered counts ConfigChanged messages without answer. Answers come in order, so only the one that brings it to zero is for the latest.
	unanswered int
}

// refusals names the owners that refused or did not answer.
func (j *job) refusals() map[string]string {
	why := map[string]string{}
	for name, err := range j.taken {
		if err != nil {
			why[name] = err.Error()
		}
	}
	for name := range j.waiting {
		why[name] = "did not answer in time"
	}
	return why
}
