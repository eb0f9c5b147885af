package rtspd

import (
	"net/netip"
	"time"

	"berth/actors"
	"berth/media"
)

// ListSessions asks for all sessions that match; answered with [Sessions].
type ListSessions struct{ Filter }

// Filter selects sessions; zero fields match all.
type Filter struct {
	ID        string
	LocalPort uint16
	PeerIP    netip.Addr
}

// Sessions answers [ListSessions], oldest first.
type Sessions struct{ Sessions []SessionInfo }

// SessionInfo describes one connection of the RTSP server.
type SessionInfo struct {
	ID        string
	Protocol  string // rtsp, rtsps
	Peer      netip.AddrPort
	Local     netip.AddrPort
	Since     time.Time
	State     string          // init, ready, playing, recording
	Stream    media.StreamKey // zero before DESCRIBE or ANNOUNCE
	Transport string          // "", tcp, udp
}

// TurnAway makes the server refuse new connections while On is set: it is drained for a full restart, which may yet be called off. Sessions that exist go on.
// Sent by the supervisor. Not answered.
type TurnAway struct{ On bool }

// KickSessions ends the sessions that match; answered with [SessionsKicked].
type KickSessions struct {
	Filter
	Reason actors.CloseReason // ReasonKicked when empty
}

// SessionsKicked answers [KickSessions].
type SessionsKicked struct{ Hit int }
