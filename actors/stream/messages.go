package stream

import (
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/media"
	"berth/media/hub"
	"berth/netio/fanout"
)

// Origin says where a stream comes from, in the terms of the HTTP API (`originType`).
type Origin struct {
	Type  OriginType
	URL   string         // source URL
	Peer  netip.AddrPort // address of the publisher or source; zero when unknown
	Local netip.AddrPort
	ID    string // session id or proxy key
}

// OriginType is ZLMediaKit's `originType`.
type OriginType int

// Origin types with ZLMediaKit's numbers.
const (
	OriginUnknown  OriginType = 0
	OriginRTSPPush OriginType = 2
	OriginRTPPush  OriginType = 3
	OriginPull     OriginType = 4
)

// String returns ZLMediaKit's `originTypeStr`.
func (t OriginType) String() string {
	switch t {
	case OriginRTSPPush:
		return "rtsp_push"
	case OriginRTPPush:
		return "rtp_push"
	case OriginPull:
		return "pull"
	}
	return "unknown"
}

// Options are the per-stream settings of a publisher (`protocol.*` keys, API parameters).
type Options struct {
	ContinuePush time.Duration // how long readers wait for the publisher to come back; 0 = end at once
	EnableAudio  bool          // false drops audio tracks
	AutoClose    bool          // end the stream when nobody watches for NoReaderDelay
}

// Attach makes Publisher the stream's source. Sent by the streams registry (forwarded with the publisher as sender); answered to Publisher with [Attached] or
// [Refused]. Publisher is watched: when it ends, the stream waits Options.ContinuePush for another one. The publisher that is attached may attach again
// with a fresh set of tracks, as a proxy does after a reconnection. A stream that is continued keeps the Options of its first publisher.
type Attach struct {
	Publisher *actor.PID
	Origin    Origin
	Params    string // query of the publish URL, without '?'
	Tracks    []*media.Track
	Options   Options
}

// Attached grants the stream to a publisher. The publisher writes packets to Writer from its own goroutines until it sends
// [Detach] or ends, or until it hears [Ended].
type Attached struct {
	Key    media.StreamKey
	Stream *actor.PID
	Writer *hub.Writer
	Tracks []int // Tracks[i] is the hub's track for the publisher's track i, -1 when it is not kept (audio off)
}

// Refused answers a publisher ([Attach]) or a viewer (streams.Subscribe) that cannot be served.
type Refused struct {
	Key media.StreamKey
	Err error
}

// Detach ends a publisher's role. Sent by the publisher on orderly end. Final ends the stream at once instead of waiting ContinuePush.
type Detach struct {
	Publisher *actor.PID
	Reason    actors.CloseReason // what viewers are told when the stream ends by it; ReasonSourceLost when empty
	Final     bool
}

// ReaderInfo describes a viewer to operators (getMediaPlayerList).
type ReaderInfo struct {
	ID       string
	Protocol string // rtsp, rtsps
	Peer     netip.AddrPort
	Local    netip.AddrPort
	Since    time.Time
}

// AddReader registers Reader as a viewer. Sent by a session as request; answered with [ReaderAdded]. Reader is watched and dropped when it ends;
// it hears [Ended] when the stream ends.
type AddReader struct {
	Reader *actor.PID
	Info   ReaderInfo
	Count  func() hub.ReaderStats // read at any time from any goroutine; may be nil
}

// ReaderAdded answers [AddReader]. When the stream has ended meanwhile the answer is [Ended].
type ReaderAdded struct {
	Key    media.StreamKey
	Stream *actor.PID
	Hub    *hub.Hub
}

// RemoveReader ends a viewer's registration and its use of the stream's UDP pairs. Sent by the session. Not answered.
type RemoveReader struct{ Reader *actor.PID }

// OpenUDP asks for the stream's shared UDP pair of one track on behalf of a viewer. Sent by a session as request after [ReaderAdded]; answered with [UDPOpened]. The
// pair is leased at the first viewer's request and released after the last viewer that uses it has left.
type OpenUDP struct {
	Reader *actor.PID
	Track  int            // hub track
	RTP    netip.AddrPort // where the viewer sends RTP from (NAT punching); zero when unknown
	RTCP   netip.AddrPort // where the viewer sends its receiver reports from; zero when unknown
}

// UDPOpened answers [OpenUDP].
type UDPOpened struct {
	Track int
	Port  uint16 // RTP port; RTCP is Port+1
	Pair  *fanout.UDPPair
	Heard *Heard // when RTCP of this viewer last came in; the same for all tracks of a viewer
	Err   error  // *portpool.RefusedError when the pool said no
}

// Ended tells publisher and readers that the stream is over. Sent by the stream to each before it stops.
type Ended struct {
	Key    media.StreamKey
	Reason actors.CloseReason
}

// Close ends the stream. Sent by the registry for API calls. Answered with [Closed].
type Close struct {
	Force  bool // without it a stream with viewers is left alone
	Reason actors.CloseReason
}

// Closed answers [Close].
type Closed struct {
	Key    media.StreamKey
	Closed bool // false: it has viewers and Force was not set
}

// GetStream asks for a [Snapshot].
type GetStream struct{ Readers bool }

// Snapshot is a picture of a stream at one moment.
type Snapshot struct {
	Key         media.StreamKey
	Params      string
	Origin      Origin
	Created     time.Time
	Online      bool // a publisher is attached
	Tracks      []TrackSnapshot
	Stats       hub.Stats
	ReaderCount int
	Readers     []Reader // when asked for
}

// TrackSnapshot is a track with its counters.
type TrackSnapshot struct {
	Track *media.Track
	Stats hub.TrackStats
}

// Reader is one viewer of a [Snapshot].
type Reader struct {
	Info  ReaderInfo
	Stats hub.ReaderStats
}
