package rtsp

import (
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"berth/media"
)

// Event is what happened; it is given to [Session.Step].
type Event interface{ event() }

// RequestReceived is a request off the connection, whole or malformed. Each is answered with exactly one [Respond], in order, unless the session closes first.
type RequestReceived struct {
	Request *base.Request   // nil only when Err is set
	Err     *MalformedError // why it cannot be served, nil when it can be tried
}

// StreamFound answers [Subscribe]: the stream exists.
type StreamFound struct {
	Key    media.StreamKey
	Tracks []*media.Track
}

// Joined answers [Join]: the session is a viewer of the stream.
type Joined struct {
	SSRC []uint32 // by track, the SSRC that the viewer will see; may be shorter than the tracks when unknown
}

// UDPOpened answers [OpenUDP]: the stream's pair for the track is bound.
type UDPOpened struct {
	Track int
	Port  uint16 // of RTP; RTCP is the next one
}

// PlayPrepared answers [PreparePlay].
type PlayPrepared struct{ Starts []PlayStart }

// PlayStart says where a track will start for this viewer.
type PlayStart struct {
	Track   int
	Known   bool   // false while the track has not carried a packet
	Seq     uint16 // of the first packet that the viewer gets
	RTPTime uint32 // of that packet
}

// Published answers [Publish]: the stream is this session's to write.
type Published struct{ Key media.StreamKey }

// PairLeased answers [LeasePair].
type PairLeased struct {
	Track int
	Port  uint16 // of RTP; RTCP is the next one
}

// Refused answers any asking action when it cannot be granted.
type Refused struct {
	Why  Refusal
	Text string // for the peer and the log
}

// Refusal says why something was refused.
type Refusal uint8

// The refusals, with the status that the peer sees.
const (
	RefusedNotFound    Refusal = iota // 404: the stream did not appear in time
	RefusedExists                     // 406: somebody else publishes it
	RefusedNoPorts                    // 503: the port pool said no
	RefusedUnavailable                // 503: the server is being rebuilt, or a part of it failed
)

// StreamEnded means that the stream is over for the session, whatever its part in it was.
type StreamEnded struct{ Cause CloseCause }

// Tick gives the session the time, and when its peer was last heard.
type Tick struct {
	Media time.Time // last media packet from a publisher
	Heard time.Time // last receiver report from a viewer
}

// PeerClosed means that the connection ended; Err is nil for an orderly end.
type PeerClosed struct{ Err error }

// WriteFailed means that the peer takes no more bytes.
type WriteFailed struct{ Err error }

// Kicked means that the operator or the server ends the session.
type Kicked struct{ Cause CloseCause }

func (RequestReceived) event() {}
func (StreamFound) event()     {}
func (Joined) event()          {}
func (UDPOpened) event()       {}
func (PlayPrepared) event()    {}
func (Published) event()       {}
func (PairLeased) event()      {}
func (Refused) event()         {}
func (StreamEnded) event()     {}
func (Tick) event()            {}
func (PeerClosed) event()      {}
func (WriteFailed) event()     {}
func (Kicked) event()          {}
