package supervisor

import (
	"time"

	"berth/config"
)

// Restart asks for a full restart: the engine is torn down and built anew with the configuration as it is on disk now. Answered with [Restarted].
// Restarts run one at a time; those that arrive meanwhile share the result of the next one.
type Restart struct{ By string }

// Restarted answers [Restart].
type Restarted struct {
	Err        error         // refused (invalid configuration, nothing touched) or failed (the old configuration is in force again)
	Generation uint64        // in force now
	Duration   time.Duration // from the first stop to the last start
	Applied    []config.Change
	Restored   int // definitions started again
	Failed     int // definitions that could not be started
}

// Shutdown drains and ends the engine. Answered with [ShutDown].
type Shutdown struct{ By string }

// ShutDown answers [Shutdown].
type ShutDown struct{}
