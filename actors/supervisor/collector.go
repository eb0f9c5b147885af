package supervisor

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// growPercent is by how much the heap may grow before it is collected, unless GOGC says otherwise. Nearly all of it is media, in large pieces without pointers, which cost a collection next to
	// nothing: half as often, at the usual 100, saves a twentieth of the processor time of 200 receivers and takes half as much memory again.
	growPercent = 30
	// roomBytes is what it may grow by beyond that. The few megabytes of a server without streams would else be collected several times a second while a platform opens and closes receivers, at a fifth of the
	// server's processor time.
	roomBytes = 12 << 20
	// untouched is the memory that makes that room: it is never touched, and so is none of the machine's, but it counts as live.
	untouched = roomBytes / growPercent * 100
)

// tuneCollector sets the garbage collector up for a media server. end undoes it.
func tuneCollector() (end func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	was := debug.SetGCPercent(growPercent)
	var room []byte
	if os.Getenv("GOMEMLIMIT") == "" { // of which it would take its share
		room = make([]byte, untouched)
	}
	return func() {
		debug.SetGCPercent(was)
		runtime.KeepAlive(room)
	}
}
