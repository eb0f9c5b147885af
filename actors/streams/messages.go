package streams

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/stream"
	"berth/media"
	"berth/media/slab"
)

// Errors that a [Refused] can carry, beside those of package stream.
var (
	// ErrExists says that the key has a live publisher.
	ErrExists = stream.ErrExists
	// ErrNotFound says that the stream did not appear in time.
	ErrNotFound = errors.New("can not find the stream")
	// ErrRestarted says that the registry ended before the stream appeared.
	ErrRestarted = errors.New("the engine is being rebuilt")
	// ErrKey says that the key names no stream.
	ErrKey = errors.New("not a stream name: app and stream must be given, and app must have no slash")
	// ErrCrowded says that too many viewers, or publishers, already wait.
	ErrCrowded = errors.New("too many are waiting for this already: try again later")
)

// Publish asks for the right to publish Key. Sent with ctx.Request by the publisher actor, which is Attach.Publisher (the sender when nil). The registry creates the stream or, when it
// waits for its publisher to come back, hands the old one over. Answered to the publisher with [stream.Attached] or [Refused].
type Publish struct {
	Key    media.StreamKey
	Attach stream.Attach
}

// Subscribe asks for a stream to play. Sent with ctx.Request by a session. When the stream does not exist yet the registry waits for it, at most
// Wait (five minutes at the longest). Answered with [Subscribed] or [Refused] (ErrNotFound). A waiting Reader is watched; nothing is sent to one that has ended.
type Subscribe struct {
	Reader *actor.PID
	Key    media.StreamKey
	Wait   time.Duration
}

// Subscribed answers [Subscribe]: the stream exists and has tracks. The session then sends [stream.AddReader] to it when it starts to play.
type Subscribed struct {
	Key    media.StreamKey
	Stream *actor.PID
	Tracks []*media.Track
}

// Refused answers [Publish] and [Subscribe] when they cannot be granted.
type Refused = stream.Refused

// Filter selects streams; empty fields match all (exact match, no wildcards).
type Filter struct{ VHost, App, Stream string }

// ListStreams asks for all streams that match; answered with [Streams].
type ListStreams struct {
	Filter
	Readers bool // with viewer lists
}

// Streams answers [ListStreams], in key order.
type Streams struct {
	Streams []stream.Snapshot
	Memory  slab.Stats // of all streams without viewers, outside of the heap
}

// CloseStreams ends the streams that match; answered with [StreamsClosed] after every one of them has ended or refused.
type CloseStreams struct {
	Filter
	Force  bool
	Reason actors.CloseReason
}

// StreamsClosed answers [CloseStreams].
type StreamsClosed struct {
	Hit    int // matched
	Closed int // ended
}
