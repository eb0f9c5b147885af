package stream

import (
	"github.com/asynkron/protoactor-go/actor"

	"berth/config"
	"berth/media"
)

// The messages between a stream and the registry that spawned it. Nobody else sends or receives them.

// Online tells the registry that the stream has tracks and can be watched. Sent once, at the first [Attached].
type Online struct {
	Stream *actor.PID
	Tracks []*media.Track
}

// Settled tells the registry that an [Attach] has been answered.
type Settled struct {
	Stream    *actor.PID
	Publisher *actor.PID
}

// Ending tells the registry that the stream is over: nothing may be forwarded to it from now on.
type Ending struct{ Stream *actor.PID }

// Finished tells the registry that the stream, after [Ending], needs nothing more and can be stopped.
type Finished struct{ Stream *actor.PID }

// Bounced gives an [Attach] back that the stream cannot take because it is over, or because its viewers do not know the tracks; the
// registry hands it to the stream's successor.
type Bounced struct {
	Key    media.StreamKey
	Stream *actor.PID
	Attach *Attach
}

// Collect asks for a snapshot under a number; answered to the registry with [Collected].
type Collect struct {
	Number  uint64
	Readers bool
}

// Collected answers [Collect].
type Collected struct {
	Number   uint64
	Stream   *actor.PID
	Snapshot *Snapshot
}

// Shut asks the stream to end, under a number; answered to the registry with [Shutting].
type Shut struct {
	Number uint64
	Close  Close
}

// Shutting answers [Shut]. The end itself is told by [Ending] and the actor's termination.
type Shutting struct {
	Number uint64
	Stream *actor.PID
	Closed bool
}

// Configure hands down a new configuration.
type Configure struct{ Config *config.Config }
