package reload

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/config"
)

// Reload reads, validates, diffs and applies the configuration. Sent by the supervisor (signals) and the API. Answered with [Verdict]. Reloads run one
// at a time; those that arrive meanwhile share the next run.
type Reload struct {
	By     string // who asks: "SIGHUP", "api"
	DryRun bool   // plan only, apply nothing, and probe what a full restart would need
	Strict bool   // refuse everything with ErrStrict when a key would be left waiting for a full restart
}

// Override changes runtime overrides (setServerConfig): nil drops one. Values are validated together with the rest of the configuration before they are stored. Answered with [Verdict].
type Override struct {
	By     string
	Values map[string]*string
}

// Verdict says what a reload did, key by key.
type Verdict struct {
	Number   uint64 // of this reload since the process began
	By       string
	At       time.Time
	DryRun   bool
	Strict   bool
	Err      error    // the configuration was rejected as a whole and nothing changed; every problem on a line
	Warnings []string // configuration warnings that do not reject
	Unknown  []string // override keys that this version does not serve, skipped
	Keys     []KeyVerdict
	Digest   string // of the configuration in force after the reload
}

// Outcome is what happened to one changed key.
type Outcome string

// The outcomes that exist.
const (
	Applied    Outcome = "applied"                 // in force, running sessions included
	AppliedNew Outcome = "applied_to_new_sessions" // in force for sessions that begin from now on
	Pending    Outcome = "pending_full_restart"    // stored, in force after a full restart
	Rejected   Outcome = "rejected"                // not valid, or its owner refused it
)

// KeyVerdict is one changed key of a [Verdict]; secrets are redacted.
type KeyVerdict struct {
	Key     string
	Old     string
	New     string
	Outcome Outcome
	Source  string // where the new value comes from
	Why     string // for Rejected
	Note    string // what a dry run has found out about the new value; empty when there was nothing to find out
	Trouble bool   // the new value would not work if it came into force now, as Note says
}

// GetConfig asks for [State].
type GetConfig struct{}

// State is the configuration as it stands.
type State struct {
	Running    *config.Config
	Pending    []config.Change   // what waits for a full restart
	Overrides  map[string]string // runtime overrides by key, those that wait for a full restart too; never changed
	Last       *Verdict          // nil before the first reload; dry runs do not count
	Results    map[Result]uint64 // reloads by result; the map is the receiver's
	Generation uint64            // of the configuration in force, from 1: how often reloads and full restarts changed it, plus one
	Accepted   time.Time         // when a configuration was last accepted: by a reload, by a full restart or at the start
}

// Result is how a reload as a whole ended.
type Result string

// The results that exist.
const (
	ResultApplied  Result = "applied"  // everything is in force
	ResultPending  Result = "pending"  // accepted; something waits for a full restart
	ResultRejected Result = "rejected" // nothing changed
)

// Results returns every result that exists.
func Results() []Result { return []Result{ResultApplied, ResultPending, ResultRejected} }

// Result says how the reload as a whole ended.
func (v *Verdict) Result() Result {
	if v.Err != nil {
		return ResultRejected
	}
	for _, key := range v.Keys {
		if key.Outcome == Pending {
			return ResultPending
		}
	}
	return ResultApplied
}

// Register makes PID an owner: it is sent actors.ConfigChanged from now on, and answers under Name. An owner of the same name takes the place of the one before. Sent by the supervisor and the engine for their children; the
// registration ends with the actor.
type Register struct {
	Name string
	PID  *actor.PID
}

// Adopt loads the whole configuration, restart keys included, for a full restart. Sent by the supervisor before it touches anything;
// answered with [Adopted]. After an answer without error no other reload begins until [Commit].
type Adopt struct{}

// Adopted answers [Adopt].
type Adopted struct {
	Config   *config.Config
	Warnings []string
	Err      error // refuse the restart
}

// Commit ends an adoption: Config is in force now, nil if the restart did not come about. Sent by the supervisor. Not answered.
type Commit struct{ Config *config.Config }
