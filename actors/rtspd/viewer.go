package rtspd

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/stream"
	"berth/actors/streams"
	"berth/media"
	"berth/media/hub"
	"berth/netio/fanout"
	"berth/netio/rtsp"
)

// viewer is a session's part in a stream that it plays.
type viewer struct {
	hub    *hub.Hub
	pairs  map[int]*stream.UDPOpened // by hub track, those that are open for this viewer
	tracks []rtsp.PlayTrack
	reader *hub.Reader     // prepared or playing; nil before PLAY and while paused
	paused *hub.Reader     // where the viewer stopped; nil unless paused
	udp    *fanout.UDPSink // while playing over UDP
	tcp    bool            // playing over the connection
	count  *viewCount
	heard  atomic.Int64 // Unix nanoseconds of the last interleaved frame from the viewer

	settleBy time.Time   // when PLAY is answered although the stream has not settled; zero before the first PLAY
	settling *time.Timer // looks again; nil unless PLAY had to wait
}

const (
	// settleTime is how long PLAY may wait for a stream to settle.
	settleTime = time.Second
	// settleStep is the distance of the looks at it.
	settleStep = 20 * time.Millisecond
)

// settleTick looks again whether a viewer's stream has settled.
type settleTick struct {
	incarnation uint64
	viewer      *viewer // that asked; another one may have taken its place
	play        rtsp.PreparePlay
}

func (a *session) onSettleTick(ctx actor.Context, m *settleTick) {
	if m.incarnation == a.incarnation && m.viewer == a.viewer {
		a.prepare(ctx, m.play)
	}
}

func (v *viewer) playing() bool { return v.tcp || v.udp != nil }

// viewCount adds up a viewer's readers; each PLAY after a PAUSE makes a new one. Read by the stream for operators, from any goroutine.
type viewCount struct {
	mu   sync.Mutex
	past hub.ReaderStats
	now  *hub.Reader
}

func (c *viewCount) use(r *hub.Reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == r {
		return
	}
	if c.now != nil {
		c.past = addStats(c.past, c.now.Stats())
		c.past.Lag = 0
	}
	c.now = r
}

func (c *viewCount) stats() hub.ReaderStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil {
		return c.past
	}
	return addStats(c.past, c.now.Stats())
}

func addStats(a, b hub.ReaderStats) hub.ReaderStats {
	return hub.ReaderStats{
		Bytes: a.Bytes + b.Bytes, Packets: a.Packets + b.Packets, Dropped: a.Dropped + b.Dropped, Jumps: a.Jumps + b.Jumps, Lag: b.Lag,
	}
}

func (a *session) onSubscribed(ctx actor.Context, m *streams.Subscribed) {
	if a.stream != nil || m.Key != a.key {
		return // an answer that comes after the question has lost its point
	}
	a.stream = m.Stream
	a.step(ctx, rtsp.StreamFound{Key: m.Key, Tracks: m.Tracks})
}

// join makes the session a viewer in the stream's books.
func (a *session) join(ctx actor.Context) {
	count := &viewCount{}
	a.viewer = &viewer{count: count, pairs: map[int]*stream.UDPOpened{}}
	ctx.Watch(a.stream)
	ctx.Request(a.stream, &stream.AddReader{
		Reader: a.self,
		Info:   stream.ReaderInfo{ID: a.info.ID, Protocol: a.info.Protocol, Peer: a.info.Peer, Local: a.info.Local, Since: a.opts.Now()},
		Count:  count.stats,
	})
}

func (a *session) onReaderAdded(ctx actor.Context, m *stream.ReaderAdded) {
	if a.viewer == nil || a.viewer.hub != nil || m.Key != a.key {
		return
	}
	v := a.viewer
	v.hub = m.Hub
	// What a viewer sends on its connection is receiver reports: signs of life.
	now := a.opts.Now
	a.conn.SetSink(func(uint8, []byte) { v.heard.Store(now().UnixNano()) })
	joined := rtsp.Joined{}
	for i := range m.Hub.Tracks() {
		joined.SSRC = append(joined.SSRC, m.Hub.SSRC(i))
	}
	a.step(ctx, joined)
}

// lastHeard is the last sign of life that was no request.
func (v *viewer) lastHeard() time.Time {
	var last time.Time
	if n := v.heard.Load(); n != 0 {
		last = time.Unix(0, n)
	}
	for _, pair := range v.pairs {
		if at := pair.Heard.Last(); at.After(last) {
			last = at
		}
	}
	return last
}

func (a *session) openUDP(ctx actor.Context, act rtsp.OpenUDP) {
	ctx.Request(a.stream, &stream.OpenUDP{
		Reader: a.self, Track: act.Track, RTP: a.peerAt(act.ClientPort[0]), RTCP: a.peerAt(act.ClientPort[1]),
	})
}

func (a *session) onUDPOpened(ctx actor.Context, m *stream.UDPOpened) {
	if a.viewer == nil {
		return
	}
	if m.Err != nil {
		a.step(ctx, rtsp.Refused{Why: rtsp.RefusedNoPorts, Text: m.Err.Error()})
		return
	}
	a.viewer.pairs[m.Track] = m
	a.step(ctx, rtsp.UDPOpened{Track: m.Track, Port: m.Port})
}

// prepare makes the reader whose first packets the PLAY response describes. In the first second of a stream it waits until that can be told: a viewer who is not
// told how sound and picture line up sees one of them jump when it learns.
func (a *session) prepare(ctx actor.Context, act rtsp.PreparePlay) {
	v := a.viewer
	wanted := make([]int, len(act.Tracks))
	for i, t := range act.Tracks {
		wanted[i] = t.Track
	}
	now := a.opts.Now()
	if v.settleBy.IsZero() {
		v.settleBy = now.Add(settleTime)
	}
	if now.Before(v.settleBy) && !v.hub.Settled(wanted, now) {
		root, self, again := a.root, a.self, &settleTick{incarnation: a.incarnation, viewer: v, play: act}
		v.settling = time.AfterFunc(settleStep, func() { root.Send(self, again) })
		return
	}
	v.tracks = act.Tracks
	v.reader = v.hub.NewReader(a.readerOptions(wanted))
	starts := v.reader.Start()
	if v.paused != nil {
		// Sequence numbers must not go back: when no key frame has come since the pause, the viewer goes on where it stopped.
		if old := v.paused.Start(); goesOn(old, starts, v.paused.Stats().Lag) {
			v.reader.Close()
			v.reader, starts = v.paused, old
		}
		v.paused = nil
	}
	v.count.use(v.reader)
	// Sound comes soon, so the estimate of a packet that is still to come is good enough to line it up with the picture. When the picture is to come, sound begins with it, nobody knows when.
	picture := func(s hub.TrackStart) bool { return v.hub.Tracks()[s.Track].Kind == media.KindVideo }
	waits := slices.ContainsFunc(starts, func(s hub.TrackStart) bool { return picture(s) && !s.Known })
	var prepared rtsp.PlayPrepared
	for _, s := range starts {
		soon := !picture(s) && v.hub.TrackStats(s.Track).Packets > 0
		prepared.Starts = append(prepared.Starts, rtsp.PlayStart{Track: s.Track, Known: !waits && (s.Known || soon), Seq: s.Seq, RTPTime: s.RTPTime})
	}
	a.step(ctx, prepared)
}

// goesOn reports whether a viewer that stopped at old, lag packets ago, has already seen what a fresh reader would begin with.
func goesOn(old, fresh []hub.TrackStart, lag uint64) bool {
	for i := range old {
		if old[i].Known && i < len(fresh) && fresh[i].Known {
			return int16(fresh[i].Seq-old[i].Seq) < 0
		}
	}
	return lag == 0 // nothing has come since; otherwise the place has left the ring
}

// play lets the prepared reader flow.
func (a *session) play(ctx actor.Context) {
	v := a.viewer
	if v.tracks[0].Transport == rtsp.TransportTCP {
		channels := make([]int, len(v.hub.Tracks()))
		for i := range channels {
			channels[i] = -1
		}
		for _, t := range v.tracks {
			channels[t.Track] = t.Channels[0]
		}
		if err := a.sink.Play(v.reader, channels); err != nil {
			a.step(ctx, rtsp.WriteFailed{Err: err})
			return
		}
		v.tcp = true
		return
	}
	if err := a.playUDP(); err != nil {
		a.step(ctx, rtsp.WriteFailed{Err: err})
	}
}

func (a *session) playUDP() error {
	v := a.viewer
	to := make([]fanout.UDPTrack, len(v.hub.Tracks()))
	for _, t := range v.tracks {
		to[t.Track] = fanout.UDPTrack{Pair: v.pairs[t.Track].Pair, RTP: a.peerAt(t.ClientPort[0]), RTCP: a.peerAt(t.ClientPort[1])}
	}
	root, self, incarnation := a.root, a.self, a.incarnation
	v.udp = a.opts.Fanout.NewUDPSink(to, fanout.SinkOptions{
		OnError: func(err error) { root.Send(self, &wired{incarnation: incarnation, event: rtsp.WriteFailed{Err: err}}) },
		OnEnd:   func() { root.Send(self, &drained{incarnation: incarnation}) },
	})
	return v.udp.Play(v.reader)
}

// pause stops the flow. The next PLAY begins at the newest key frame, or where this one stopped.
func (a *session) pause() {
	v := a.viewer
	if v.tcp {
		a.sink.Pause()
		v.tcp = false
	}
	if v.udp != nil {
		a.totals.out += v.udp.Stats().Bytes
		v.udp.Close()
		v.udp = nil
	}
	if v.reader != nil {
		v.reader.Close() // the sink did, unless it never had it
	}
	v.paused, v.reader = v.reader, nil
}

func (a *session) leaveViewer(ctx actor.Context) {
	v := a.viewer
	if v.settling != nil {
		v.settling.Stop()
	}
	a.pause()
	stats := v.count.stats()
	a.totals.packets += stats.Packets
	a.totals.dropped += stats.Dropped
	a.conn.SetSink(nil)
	if a.stream != nil {
		ctx.Send(a.stream, &stream.RemoveReader{Reader: a.self})
	}
	a.viewer = nil
}
