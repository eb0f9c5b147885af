package sender

import (
	"errors"
	"net/netip"
	"time"

	"berth/actors/store"
	"berth/media"
	"berth/netio/gb28181"
)

// Errors of [Started] and [Stopped], beside *portpool.RefusedError and network errors.
var (
	// ErrNoSource says that the stream which is to be sent does not exist.
	ErrNoSource = errors.New("can not find the source stream")
	// ErrNoTarget says that startSendRtpTalk names a stream that no device pushes.
	ErrNoTarget = errors.New("can not find the target stream")
	// ErrNothing says that there was no such sender.
	ErrNothing = errors.New("stopSendRtp failed")
	// ErrInterrupted answers what was under way when the server ended or restarted.
	ErrInterrupted = errors.New("the server is being restarted or ended")
)

// Start starts a sender and keeps its definition. Sent by the API (a request); answered with [Started]: for TCP after the connection stands, for a passive one
// after its port is bound.
type Start struct{ Definition store.Sender }

// Started answers [Start].
type Started struct {
	LocalPort uint16
	Err       error
}

// Stop ends the sender of a stream with SSRC, or all of them when SSRC is empty. Answered with [Stopped] after the ports are back.
type Stop struct {
	Stream media.StreamKey
	SSRC   string
}

// Stopped answers [Stop].
type Stopped struct {
	Count int
	Err   error // ErrNothing, or ErrNoSource
}

// List asks for all senders, or those of Stream; answered with [Senders].
type List struct{ Stream media.StreamKey }

// Senders answers [List], in order of stream and SSRC.
type Senders struct{ Senders []Snapshot }

// Snapshot is a picture of one sender.
type Snapshot struct {
	Definition store.Sender
	Stream     media.StreamKey
	SSRC       string
	Local      netip.AddrPort
	Peer       netip.AddrPort // zero while a passive one waits
	Since      time.Time
	Stats      gb28181.SenderStats
}
