package receiver

import (
	"errors"
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/store"
	"berth/media"
	"berth/netio/gb28181"
)

// Errors of [Opened] and of the other answers, beside *portpool.RefusedError and bind errors.
var (
	// ErrExists has ZLMediaKit's text, which clients compare. A definition that came back after a restart, and that nobody has asked for since, is taken over instead.
	//
	//lint:ignore ST1005 see above
	ErrExists = errors.New("This stream already exists")
	// ErrNotFound says that there is no receiver with this key.
	ErrNotFound = errors.New("RtpServer not found by stream_id")
	// ErrNotActive says that a receiver does not connect by itself: its tcp_mode is not 2.
	ErrNotActive = errors.New("the receiver was not opened with tcp_mode = 2 (TCP active)")
	// ErrInterrupted answers what was under way when the server ended or restarted.
	ErrInterrupted = errors.New("the server is being restarted or ended")
)

// Open opens a receiver and keeps its definition. Sent by the API (a request); answered with [Opened] after its sockets are bound.
type Open struct{ Definition store.Receiver }

// Opened answers [Open].
type Opened struct {
	Port uint16 // local port; RTCP of a UDP receiver is Port+1
	Err  error
}

// Close ends a receiver, its stream, and its definition. Answered with [Closed] after its sockets have gone back to the pool.
type Close struct{ Key media.StreamKey }

// Closed answers [Close].
type Closed struct{ Found bool }

// CloseStreams ends the receivers whose media is published under a stream that matches (empty fields match all), whatever key they were opened with; those that have had no media are left alone.
// Answered with [StreamsClosed]. Sent by close_streams.
type CloseStreams struct{ VHost, App, Stream string }

// StreamsClosed answers [CloseStreams].
type StreamsClosed struct{ Hit int }

// Connect makes a receiver of tcp_mode 2 connect to its device. Answered with [Connected] when the connection stands or has failed.
type Connect struct {
	Key  media.StreamKey
	Host string // name or address
	Port uint16
}

// Connected answers [Connect].
type Connected struct{ Err error }

// SetSSRC changes the SSRC that a receiver listens to; 0 = any. Answered with [Done].
type SetSSRC struct {
	Key  media.StreamKey
	SSRC uint32
}

// PauseCheck stops the test for silence for a time; 0 resumes it at once. Answered with [Done].
type PauseCheck struct {
	Key media.StreamKey // of the published stream or of the receiver
	For time.Duration
}

// Done answers [SetSSRC] and [PauseCheck].
type Done struct{ Err error }

// List asks for all receivers, those of the fixed port included, or the one with Key; answered with [Receivers].
type List struct{ Key media.StreamKey }

// Receivers answers [List], in key order.
type Receivers struct{ Receivers []Snapshot }

// Snapshot is a picture of one receiver.
type Snapshot struct {
	Definition store.Receiver
	Key        media.StreamKey // as opened
	Stream     media.StreamKey // as published; the zero key before there is media
	Port       uint16
	Local      netip.AddrPort
	Peer       netip.AddrPort // the device; zero before its first valid packet
	Transport  string         // udp, tcp, "" before the first packet
	Shared     bool           // fed by the fixed port
	Restored   bool           // came back after a restart and nobody has asked for it since
	Since      time.Time
	Paused     time.Time // the test for silence is off until then; zero when it is on
	Stats      gb28181.SourceStats
}

// GetRestored asks how the receivers that were stored before have come back; answered with [Restored] when each has its sockets or could not get them, at the latest after a second. Sent by the engine.
type GetRestored struct{}

// Restored answers [GetRestored].
type Restored struct {
	Restored int // have their sockets
	Failed   int // do not have them yet; they go on trying
}

// GetTalk asks for the way back to the device of a receiver, for startSendRtpTalk. Answered with [Talk]. Sent by a sender actor.
type GetTalk struct{ Stream media.StreamKey }

// Talk answers [GetTalk]. Path is closed when the receiver loses its device.
type Talk struct {
	Receiver *actor.PID
	Path     *gb28181.ReturnPath
	Err      error
}
