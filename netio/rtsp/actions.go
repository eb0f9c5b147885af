package rtsp

import (
	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"berth/media"
)

// Action is what the session wants done, in order. Those that ask for something say which events answer them; the session then waits for one of them before
// it looks at the next request.
type Action interface{ action() }

// Respond sends a response.
type Respond struct{ Response *base.Response }

// Subscribe asks for a stream to play, waiting for it as long as viewers may wait. Answered with [StreamFound] or [Refused].
type Subscribe struct {
	Key    media.StreamKey
	Params string // the URL's query, without '?'
}

// Join makes the session a viewer of the found stream. Answered with [Joined] or [Refused].
type Join struct{}

// OpenUDP asks for the stream's shared port pair of one track. Answered with [UDPOpened] or [Refused].
type OpenUDP struct {
	Track      int
	ClientPort [2]uint16 // where the viewer receives RTP and RTCP
}

// PreparePlay makes or keeps a reader of the stream for the tracks that are set up. Answered with [PlayPrepared] or [Refused].
type PreparePlay struct{ Tracks []PlayTrack }

// PlayTrack is one track that a viewer has set up.
type PlayTrack struct {
	Track      int
	Transport  Transport
	Channels   [2]int    // TCP: of RTP and RTCP
	ClientPort [2]uint16 // UDP: of RTP and RTCP
}

// StartPlay lets the prepared reader flow. It follows the PLAY response, so that the first packet comes after it.
type StartPlay struct{}

// PausePlay stops the flow; the viewer stays a viewer.
type PausePlay struct{}

// Publish asks for the right to publish. Answered with [Published] or [Refused].
type Publish struct {
	Key    media.StreamKey
	Params string
	Tracks []*media.Track
}

// LeasePair asks for a port pair on which the publisher's track is received. Answered with [PairLeased] or [Refused].
type LeasePair struct {
	Track      int
	ClientPort [2]uint16 // what the publisher announced, zero when it did not
}

// ReleasePair gives one pair back: the publisher changed the track's transport.
type ReleasePair struct{ Track int }

// MapChannels says on which channels a publisher's track arrives. Packets are taken from then on: some publishers do not wait for the RECORD response.
type MapChannels struct {
	Track    int
	Channels [2]int // of RTP and RTCP
}

// StartRecord begins to take packets.
type StartRecord struct{}

// StopRecord ignores packets until the next StartRecord.
type StopRecord struct{}

// Leave undoes everything that the session holds of its stream: reader, publisher role, port pairs. The connection stays.
type Leave struct{ Cause CloseCause }

// Close ends the session and its connection, after what was sent before it has been written or the peer had fair time to take it.
type Close struct {
	Cause  CloseCause
	Detail string // for the log; may be empty
}

// CloseCause says why a session ended. Its values are those of actors.CloseReason.
type CloseCause string

// The causes that a session finds by itself.
const (
	CausePeerClosed    CloseCause = "peer_closed"
	CauseTimeout       CloseCause = "timeout"
	CauseProtocolError CloseCause = "protocol_error"
	CauseRefused       CloseCause = "refused"
	CauseNotFound      CloseCause = "not_found"
	CauseNoPorts       CloseCause = "no_ports"
	CauseSlowReader    CloseCause = "slow_reader"
)

func (Respond) action()     {}
func (Subscribe) action()   {}
func (Join) action()        {}
func (OpenUDP) action()     {}
func (PreparePlay) action() {}
func (StartPlay) action()   {}
func (PausePlay) action()   {}
func (Publish) action()     {}
func (LeasePair) action()   {}
func (ReleasePair) action() {}
func (MapChannels) action() {}
func (StartRecord) action() {}
func (StopRecord) action()  {}
func (Leave) action()       {}
func (Close) action()       {}
