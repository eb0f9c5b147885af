package hook

import "time"

// Ask sends a hook whose answer decides something. Sent with ctx.Request by the actor that waits; answered with [Answer], always, at the latest
// after Deadline.
type Ask struct {
	ID       uint64         // chosen by the asker, returned in the answer
	Name     string         // hook name, for instance "on_play"
	Body     map[string]any // read by the hook actor only after the send; the sender keeps no reference
	Deadline time.Duration  // from the send on, waiting in line included; 0 = what hook.timeoutSec, hook.retry and hook.retry_delay allow, and a second
}

// Answer is the reply to [Ask].
type Answer struct {
	ID      uint64
	Asked   bool           // false: the hook is off, the default applies
	Code    int            // the receiver's integer code; 0 allows
	Message string         // why not, as ZLMediaKit words it: [auth failed]: code:401 msg:"..."; fit for viewers, names no receiver
	Body    map[string]any // the whole reply
	Err     error          // transport or format failure after all tries ([FailedError]), or [ErrBusy], [ErrDeadline], [ErrClosed]; counts as refusal
}

// Notify sends a hook whose answer is ignored. Bounded queue: when it is full the oldest is dropped and counted.
type Notify struct {
	Name string
	Body map[string]any
}

// GetStats asks for [Stats].
type GetStats struct{}

// Stats are the hook actor's counters since it was made.
type Stats struct {
	Sent    uint64 // hooks that were answered in due form
	Failed  uint64 // hooks given up after their last try, or by their deadline
	Dropped uint64 // notifications that gave way to newer ones, and questions refused because too many waited
	Refused uint64 // of Sent: those whose code was not 0
	Queued  int    // hooks waiting, under way or between two tries now
}
