package api

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/config"
	"berth/netio/httpd"
)

// SetListeners makes the front listen on exactly these sockets, without disturbing open connections. Sent by the supervisor when a full restart
// changed an address. The front owns what it is given. Answered with [ListenersSet].
type SetListeners struct{ Listeners []httpd.Listener }

// ListenersSet answers [SetListeners].
type ListenersSet struct{}

// Engine names the parts of the engine that runs now. Immutable.
type Engine struct {
	Generation uint64
	Started    time.Time
	Pool       *actor.PID
	Hook       *actor.PID
	Streams    *actor.PID
	Proxies    *actor.PID
	Receivers  *actor.PID
	Senders    *actor.PID
	RTSP       *actor.PID
}

// DrainState is how far the drain before a full restart is. Immutable.
type DrainState struct {
	Viewers int           // that are left
	Left    time.Duration // until the restart begins in spite of them
}

// RestartResult is the report of a full restart.
type RestartResult struct {
	Generation uint64 // in force now
	Duration   time.Duration
	Applied    []config.Change
	Restored   int // definitions started again
	Failed     int // definitions that could not be started
}
