package rtspd

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/portpool"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/media"
	"berth/netio/ports"
	"berth/netio/rtsp"
)

// source is a session's part in a stream that it publishes.
type source struct {
	ingest *rtsp.Ingest
	leases map[int]*portpool.PairLeased // by announced track
	asked  map[int]rtsp.LeasePair       // leases that are under way
}

// leaseID numbers a session's leases: one a track.
func leaseID(track int) uint64 { return uint64(track) + 1 }

func (a *session) publish(ctx actor.Context, act rtsp.Publish) {
	a.key, a.stream = act.Key, nil
	url := a.info.Protocol + "://" + a.info.Local.String() + "/" + act.Key.Path()
	c := a.opts.config.Protocol
	ctx.Request(a.opts.Streams, &streams.Publish{
		Key: act.Key,
		Attach: stream.Attach{
			Publisher: a.self,
			Origin:    stream.Origin{Type: stream.OriginRTSPPush, URL: url, Peer: a.info.Peer, Local: a.info.Local, ID: a.info.ID},
			Params:    act.Params,
			Tracks:    act.Tracks,
			Options:   stream.Options{ContinuePush: c.ContinuePush, EnableAudio: c.EnableAudio, AutoClose: c.AutoClose},
		},
	})
}

func (a *session) onAttached(ctx actor.Context, m *stream.Attached) {
	announced := a.machine.Announced()
	if a.ended || a.source != nil || m.Key != a.key || announced == nil {
		// The session is over, or has moved on: the stream must not wait for a publisher that never comes.
		ctx.Send(m.Stream, &stream.Detach{Publisher: a.self, Reason: actors.ReasonPeerClosed})
		return
	}
	tracks := make([]rtsp.IngestTrack, len(announced.Tracks))
	for i, t := range announced.Tracks {
		tracks[i] = rtsp.IngestTrack{Hub: -1, ClockRate: t.ClockRate}
		if i < len(m.Tracks) {
			tracks[i].Hub = m.Tracks[i]
		}
	}
	a.stream = m.Stream
	ctx.Watch(m.Stream)
	a.source = &source{
		ingest: rtsp.NewIngest(rtsp.IngestOptions{Writer: m.Writer, Tracks: tracks, SSRC: rand.Uint32(), Now: a.opts.Now}),
		leases: map[int]*portpool.PairLeased{}, asked: map[int]rtsp.LeasePair{},
	}
	a.log.Info().Str("stream", m.Key.Path()).Strs("tracks", trackNames(announced.Tracks)).Int("formats_dropped", announced.Dropped).
		Msg("publisher attached")
	a.step(ctx, rtsp.Published{Key: m.Key})
}

func trackNames(tracks []*media.Track) []string {
	names := make([]string, len(tracks))
	for i, t := range tracks {
		names[i] = t.Codec.String()
	}
	return names
}

// leasePair asks the pool for a track's pair, unless the track has one from an earlier SETUP.
func (a *session) leasePair(ctx actor.Context, act rtsp.LeasePair) {
	if lease, ok := a.source.leases[act.Track]; ok {
		a.openPair(ctx, act, lease)
		return
	}
	a.source.asked[act.Track] = act
	var peer netip.AddrPort
	if act.ClientPort[0] != 0 {
		peer = a.peerAt(act.ClientPort[0])
	} else {
		peer = a.info.Peer
	}
	ctx.Request(a.opts.Pool, &portpool.LeasePair{
		Owner: a.self, ID: leaseID(act.Track), Stream: a.key, Purpose: portpool.PurposeRTSPPublish,
		Sockets: ports.UDPPair, Peer: peer.String(),
	})
}

func (a *session) onPairLeased(ctx actor.Context, m *portpool.PairLeased) {
	track := int(m.ID) - 1
	if a.source != nil {
		if act, ok := a.source.asked[track]; ok {
			delete(a.source.asked, track)
			a.source.leases[track] = m
			a.openPair(ctx, act, m)
			return
		}
	}
	a.giveBack(ctx, m) // the session left the stream meanwhile
}

// openPair starts to receive on a leased pair.
func (a *session) openPair(ctx actor.Context, act rtsp.LeasePair, lease *portpool.PairLeased) {
	a.source.ingest.OpenUDP(act.Track, lease.RTP, lease.RTCP, a.info.Peer.Addr(), act.ClientPort)
	a.step(ctx, rtsp.PairLeased{Track: act.Track, Port: lease.Port})
}

// releasePair ends the use of one pair and gives it back.
func (a *session) releasePair(ctx actor.Context, track int) {
	lease, ok := a.source.leases[track]
	if !ok {
		return
	}
	delete(a.source.leases, track)
	a.source.ingest.CloseUDP(track)
	a.giveBack(ctx, lease)
}

func (a *session) giveBack(ctx actor.Context, lease *portpool.PairLeased) {
	ctx.Send(a.opts.Pool, &portpool.ReleaseLease{Owner: a.self, ID: lease.ID, Epoch: lease.Epoch})
}

// report sends receiver reports to the publisher.
func (a *session) report(ctx actor.Context, now time.Time) {
	var failed error
	a.source.ingest.Report(now, func(frame []byte) {
		if err := a.sink.WriteControl(frame); err != nil {
			failed = err
		}
	})
	if failed != nil {
		a.step(ctx, rtsp.WriteFailed{Err: failed})
	}
}

// leaveSource ends the publisher's role. The read loops have returned before a pair is given back.
func (a *session) leaveSource(ctx actor.Context, reason actors.CloseReason) {
	s := a.source
	a.conn.SetSink(nil)
	s.ingest.Close()
	for track := range s.leases {
		a.releasePair(ctx, track)
	}
	stats := s.ingest.Stats()
	a.totals.packets += stats.Packets
	a.totals.dropped += stats.Refused + stats.Ignored + stats.Invalid + stats.Strangers
	if a.stream != nil {
		ctx.Send(a.stream, &stream.Detach{Publisher: a.self, Reason: reason})
	}
	a.source = nil
}
