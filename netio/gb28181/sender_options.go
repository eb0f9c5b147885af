package gb28181

import (
	"errors"
	"net/netip"
	"time"

	"berth/media/hub"
)

// Why a sender ends by itself, beside [ErrSourceEnded], [ErrPathClosed], io.EOF (the peer closed its connection) and network errors.
var (
	// ErrNoTCPPeer has ZLMediaKit's text.
	ErrNoTCPPeer = errors.New("wait tcp connection timeout")
	// ErrNoUDPPeer says that nobody has sent a packet to a passive sender.
	ErrNoUDPPeer = errors.New("wait udp packet timeout")
	// ErrNoReports says that the peer, which was to send receiver reports, has sent none for SenderOptions.ReportTimeout.
	ErrNoReports = errors.New("no RTCP receiver report from the peer: it is gone, or sends none (udp_rtcp_timeout)")
	// ErrPeerStuck says that the peer has taken nothing for SenderOptions.WriteTimeout.
	ErrPeerStuck = errors.New("the peer takes nothing")
	// ErrSenderClosed says that Close has been called.
	ErrSenderClosed = errors.New("the sender has been closed")
)

// SenderOptions set up a sender. Form, SSRC and PayloadType matter, everything else has a good default.
type SenderOptions struct {
	// Form is what is sent. It must stay in use (see [Form.Release]) until the sender has been closed. Required.
	Form *Form
	// SSRC and PayloadType stand in the packets.
	SSRC        uint32
	PayloadType uint8
	// PeerTimeout is how long a passive sender waits for its peer. Default 5 s.
	PeerTimeout time.Duration
	// WriteTimeout ends a sender whose peer takes nothing for so long. Default 10 s.
	WriteTimeout time.Duration
	// NeedReports ends a UDP sender that hears no receiver report for ReportTimeout (default 30 s), counted from its first packet.
	NeedReports   bool
	ReportTimeout time.Duration
	// ReportEvery is the distance of a UDP sender's own reports. Default 5 s.
	ReportEvery time.Duration
	// Source takes in what the peer sends back on the same socket or connection; it stays its owner's. Nil: that is thrown away. Not for [SendBack], whose device has a receiver.
	Source *Source
	// OnPeer is called once when the peer is known, with both ends. It must not block. Optional.
	OnPeer func(local, peer netip.AddrPort)
	// OnEnd is called once when the sender ends by itself, from its goroutine. It must not block, nor call Close. Optional.
	OnEnd func(error)
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Rand returns random numbers for the first sequence number. Default math/rand/v2's.
	Rand func() uint32
	// DisableGSO sends datagrams one by one even where the kernel could cut them.
	DisableGSO bool
}

func (o *SenderOptions) setDefaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.PeerTimeout, 5 * time.Second},
		{&o.WriteTimeout, 10 * time.Second},
		{&o.ReportTimeout, 30 * time.Second},
		{&o.ReportEvery, 5 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
}

// Stats returns the sender's counters. It may be called from anywhere at any time.
func (s *Sender) Stats() SenderStats {
	stats := SenderStats{
		Packets: s.packets.Load(), Bytes: s.bytes.Load(), Dropped: s.dropped.Load() + s.lost.Load(), Jumps: s.jumps.Load(), Errors: s.errors.Load(),
	}
	if at := s.reported.Load(); at != 0 {
		stats.LastReport = time.Unix(0, at)
	}
	return stats
}

// Viewer returns the sender's counters as those of a viewer of its stream.
func (s *Sender) Viewer() hub.ReaderStats {
	return hub.ReaderStats{
		Bytes: s.bytes.Load(), Packets: s.packets.Load(), Dropped: s.dropped.Load(), Jumps: s.jumps.Load(), Lag: s.opts.Form.ring.lag(s.next.Load()),
	}
}

// Peer returns who is sent to, the zero value while a passive sender waits.
func (s *Sender) Peer() netip.AddrPort {
	if p := s.peer.Load(); p != nil {
		return *p
	}
	return netip.AddrPort{}
}
