package proxy

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/media"
)

// Events of the state machine. Those with an attempt come from that attempt's goroutines and are ignored when it is over.
type (
	// begin starts the first attempt.
	begin struct{}
	// tick is the timer's.
	tick struct{}
	// described is the outcome of Pull.Describe.
	described struct {
		attempt uint64
		tracks  []*media.Track
		canUDP  bool
		err     error
	}
	// granted and refused are the pool's answers.
	granted struct {
		track int
		epoch uint64
		port  uint16
	}
	refused struct {
		track int
		err   error
	}
	// published is the registry's answer; stream is set when it was granted.
	published struct {
		stream *actor.PID
		err    error
	}
	// streamCleared says that the stream which did not fit has ended.
	streamCleared struct{}
	// fellBack says that the pull has let go of its UDP sockets and goes on over TCP.
	fellBack struct {
		attempt uint64
		why     error
	}
	// played is the outcome of Pull.Play.
	played struct {
		attempt   uint64
		transport string
		err       error
	}
	// ended says why a playing pull is over.
	ended struct {
		attempt uint64
		err     error
	}
	// streamEnded says that the stream is over, or that its actor is.
	streamEnded struct{ reason actors.CloseReason }
	// leave ends the proxy.
	leave struct{ reason actors.CloseReason }
	// closed says that the attempt's pull has ended and uses nothing any more.
	closed struct{ attempt uint64 }
)

// action is what the state machine wants done.
type action interface{ action() }

// Actions. What each answers with is an event above.
type (
	// connect makes a pull and describes the source: described.
	connect struct{ attempt uint64 }
	// leasePair asks the pool for a track's pair: granted or refused.
	leasePair struct {
		track int
		port  uint16 // 0 = any
		fresh bool   // any but the ports of old
	}
	// keep makes the sockets of the grant at hand the track's.
	keep struct{ track int }
	// release gives a lease back.
	release struct {
		track int
		epoch uint64
	}
	// publish asks for the stream: published.
	publish struct{}
	// clearStream ends the stream of our key: streamCleared.
	clearStream struct{}
	// play sets up and plays: fellBack (only with fallback), then played, then, after a success, ended.
	play struct {
		attempt  uint64
		udp      bool
		fallback bool
	}
	// closePull ends the pull: closed.
	closePull struct{ attempt uint64 }
	// detach gives the publisher's role up; of pid when set, else of the stream that we publish or, with final, have published last.
	detach struct {
		pid    *actor.PID
		reason actors.CloseReason
		final  bool
	}
	// schedule sets the one timer: tick. unschedule stops it.
	schedule   struct{ after time.Duration }
	unschedule struct{}
	// rememberPorts stores the ports in the definition.
	rememberPorts struct{ ports []uint16 }
	// tellFirst reports the outcome of the first attempt to proxies.
	tellFirst struct{ err error }
	// over tells proxies that no further attempt will be made.
	over struct {
		err    error
		reason actors.CloseReason // "" when it has given up by itself
	}
	// note is worth a line in the log.
	note struct {
		text string
		err  error
	}
)

func (connect) action()       {}
func (leasePair) action()     {}
func (keep) action()          {}
func (release) action()       {}
func (publish) action()       {}
func (clearStream) action()   {}
func (play) action()          {}
func (closePull) action()     {}
func (detach) action()        {}
func (schedule) action()      {}
func (unschedule) action()    {}
func (rememberPorts) action() {}
func (tellFirst) action()     {}
func (over) action()          {}
func (note) action()          {}
