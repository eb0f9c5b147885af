package fanout

import (
	"net"
	"net/netip"

	"berth/media/hub"
)

// UDPPair is a stream's shared pair of sockets of one track. Its owner closes the sockets after all sinks that use it have been closed.
type UDPPair struct {
	RTP  *net.UDPConn
	RTCP *net.UDPConn
	Port uint16 // of RTP; RTCP is Port+1
}

// UDPTrack says where a viewer wants a track.
type UDPTrack struct {
	Pair *UDPPair       // nil: the track was not set up
	RTP  netip.AddrPort // the viewer's RTP port
	RTCP netip.AddrPort // the viewer's RTCP port
}

// UDPSink sends a stream to one UDP viewer.
type UDPSink struct{}

// NewUDPSink makes a sink; tracks is indexed by hub track.
func (p *Pool) NewUDPSink(tracks []UDPTrack, opts SinkOptions) *UDPSink { return &UDPSink{} }

// Play sends what r returns. The sink owns r until Pause or Close has returned. The error is ErrPlaying or ErrClosed.
func (s *UDPSink) Play(r *hub.Reader) error { return nil }

// Pause stops the media. After the return nothing more is sent.
func (s *UDPSink) Pause() {}

// Stats returns the sink's counters.
func (s *UDPSink) Stats() SinkStats { return SinkStats{} }

// Close ends the sink and waits until nothing of it uses the pairs any more. It may be called again.
func (s *UDPSink) Close() {}
