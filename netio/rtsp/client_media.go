package rtsp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"berth/media/hub"
)

// pullMedia is the packet path of one session of a pull. Datagrams are read by an [Ingest]. What arrives on the RTSP connection, and SRTP, comes through the library, which has to take it apart,
// and is put together again for the same Ingest, so that counters and receiver reports are made in one place.
type pullMedia struct {
	pull    *Pull
	session *pullSession
	sink    PullSink
	ingest  *Ingest
	reports bool // receiver reports are ours to send: the library does it for SRTP
	first   chan struct{}
	once    sync.Once
}

var _ PacketWriter = (*pullMedia)(nil)

// pullLeg is what the answer to a track's SETUP says.
type pullLeg struct {
	source netip.Addr // where packets come from, when it says so
	ports  [2]uint16  // from which ports
}

// listen makes the packet path for what has been set up. From then on packets are taken.
func (p *Pull) listen(s *pullSession, opts *PlayOptions) *pullMedia {
	m := &pullMedia{pull: p, session: s, sink: opts.Sink, first: make(chan struct{}), reports: true}
	tracks := make([]IngestTrack, len(s.tracks))
	for i, t := range s.tracks {
		tracks[i] = IngestTrack{Hub: opts.Tracks[i], ClockRate: t.track.ClockRate}
	}
	m.ingest = NewIngest(IngestOptions{Writer: m, Tracks: tracks, SSRC: rand.Uint32(), Now: p.opts.Now})
	direct := opts.Pairs != nil && !s.secure()
	m.reports = direct || opts.Pairs == nil
	for i := range s.tracks {
		switch {
		case opts.Tracks[i] < 0:
		case direct:
			m.openUDP(i, opts.Pairs[i])
		default:
			m.register(i)
		}
	}
	return m
}

// openUDP reads a track's datagrams.
func (m *pullMedia) openUDP(track int, pair PullPair) {
	leg := m.session.legs[track]
	_, peer := m.session.dialer.endpoints()
	from := peer.Addr()
	if leg.source.IsValid() && !leg.source.IsUnspecified() {
		from = leg.source.WithZone(from.Zone())
	}
	m.ingest.OpenUDP(track, pair.RTP, pair.RTCP, from, leg.ports)
}

// channels are the numbers under which the Ingest knows a track's packets.
func channels(track int) [2]int { return [2]int{2 * track, 2*track + 1} }

// register takes a track's packets from the library, which calls back from one goroutine per UDP socket, or from one for all of TCP.
func (m *pullMedia) register(track int) {
	t := m.session.tracks[track]
	numbers := channels(track)
	m.ingest.MapTCP(track, numbers)
	scratch := make([]byte, 0, 2048) // owned by the goroutine of this track's packets
	m.session.client.OnPacketRTP(t.media, t.format, func(pkt *rtp.Packet) {
		pkt.Header.Padding, pkt.Header.PaddingSize = false, 0 // it is cut off already
		size := pkt.MarshalSize()
		if cap(scratch) < size {
			scratch = make([]byte, 0, 2*size)
		}
		n, err := pkt.MarshalTo(scratch[:size])
		if err != nil {
			m.pull.invalid.Add(1)
			return
		}
		m.ingest.Frame(uint8(numbers[0]), scratch[:n])
	})
	m.session.client.OnPacketRTCP(t.media, func(pkt rtcp.Packet) {
		if _, ok := pkt.(*rtcp.SenderReport); !ok {
			return
		}
		if raw, err := pkt.Marshal(); err == nil {
			m.ingest.Frame(uint8(numbers[1]), raw)
		}
	})
}

// WriteRTP implements PacketWriter for the Ingest.
func (m *pullMedia) WriteRTP(track int, now time.Time, pkt []byte) error {
	p := m.pull
	err := m.sink.WriteRTP(track, now, pkt)
	switch {
	case err == nil:
		p.last.Store(max(int64(now.Sub(p.began)), 1))
		m.once.Do(func() { close(m.first) })
	case errors.Is(err, hub.ErrDetached):
		p.detach.Do(func() { close(p.detached) })
	case errors.Is(err, hub.ErrPayloadType):
		p.unannounced.Add(1)
	}
	return err
}

// WriteRTCP implements PacketWriter for the Ingest.
func (m *pullMedia) WriteRTCP(track int, now time.Time, pkt []byte) {
	m.sink.WriteRTCP(track, now, pkt)
}

// report sends a receiver report for each track until ctx ends (RFC 3550 section 6.4.2). Some sources take it for the sign of life that keeps them sending.
func (m *pullMedia) report(ctx context.Context) {
	every := time.NewTicker(m.pull.opts.ReportInterval)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			m.ingest.Report(m.pull.opts.Now(), m.sendInterleaved)
		}
	}
}

// sendInterleaved hands a report on the track's own number to the library, which knows the channel and queues it.
func (m *pullMedia) sendInterleaved(frame []byte) {
	raw := rtcp.RawPacket(append([]byte(nil), frame[frameHeader:]...))
	// It fails when the queue is full or the session has ended; a report may be missed.
	_ = m.session.client.WritePacketRTCP(m.session.tracks[frame[1]/2].media, &raw)
}

// stats adds the counters of the session to s.
func (m *pullMedia) stats(s *PullStats) {
	i := m.ingest.Stats()
	s.Packets += i.Packets + i.Refused
	s.Bytes += i.Bytes
	s.Lost += i.Lost
	s.Reordered += i.Reordered
	s.Invalid += i.Invalid
	s.Strangers += i.Strangers
}
