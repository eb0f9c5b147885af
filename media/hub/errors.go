package hub

import "errors"

// Errors that callers branch on.
var (
	// ErrDetached says that the writer has been closed or replaced by a newer publisher, or that the hub has been closed. The publisher must end.
	ErrDetached = errors.New("this publisher has been detached from the stream")
	// ErrTracks says that the publisher's tracks cannot continue those which the stream's viewers know.
	ErrTracks = errors.New("the publisher's tracks differ from those of the stream")
	// ErrPayloadType says that a packet has another payload type than the track. It is dropped and counted. A source that sends nothing else is as good as silent.
	ErrPayloadType = errors.New("the packet is of another payload type than the track")
	// ErrPacket says that bytes are not an RTP packet that can be passed on (RFC 3550 section 5.1). The packet is dropped and counted.
	ErrPacket = errors.New("not a valid RTP packet")
	// ErrTrack says that a track number is out of range.
	ErrTrack = errors.New("no such track")
)
