package streams_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/media/hub"
)

func TestMain(m *testing.M) { actortest.Main(m) }

var cam = media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: "cam/1"}

func track(t testing.TB, f format.Format) *media.Track {
	t.Helper()
	tr, err := media.NewTrack(f)
	require.NoError(t, err)
	return tr
}

func h264(t testing.TB) *media.Track {
	return track(t, &format.H264{PayloadTyp: 96, PacketizationMode: 1})
}

func h265(t testing.TB) *media.Track { return track(t, &format.H265{PayloadTyp: 96}) }

func opus(t testing.TB) *media.Track {
	return track(t, &format.Opus{PayloadTyp: 97, ChannelCount: 2})
}

// world is a registry with its surroundings.
type world struct {
	t   *testing.T
	rt  *actors.Runtime
	pid *actor.PID
	cfg *config.Config
}

// newWorld spawns a registry. The pool is absent unless change sets one.
func newWorld(t *testing.T, rt *actors.Runtime, change ...func(*streams.Options)) *world {
	t.Helper()
	o := streams.Options{Runtime: rt, Config: config.Default()}
	for _, c := range change {
		c(&o)
	}
	return &world{t, rt, actortest.Spawn(t, rt, streams.Props(o), "streams"), o.Config}
}

// player is a probe with the moves of a publisher or viewer.
type player struct {
	*actortest.Probe
	w *world
}

func (w *world) player(name string) *player {
	w.t.Helper()
	return &player{actortest.NewProbe(w.t, w.rt, name), w}
}

var waits = stream.Options{ContinuePush: 15 * time.Second, EnableAudio: true}

func (p *player) offer(key media.StreamKey, o stream.Options, tracks ...*media.Track) {
	p.Request(p.w.pid, &streams.Publish{Key: key, Attach: stream.Attach{
		Publisher: p.PID, Origin: stream.Origin{Type: stream.OriginPull, URL: "rtsp://192.0.2.1/x", ID: "proxy-1"}, Params: "a=b", Tracks: tracks, Options: o,
	}})
}

func (p *player) publish(key media.StreamKey, o stream.Options, tracks ...*media.Track) *stream.Attached {
	p.w.t.Helper()
	p.offer(key, o, tracks...)
	a := actortest.Expect[*stream.Attached](p.w.t, p.Probe)
	require.Equal(p.w.t, key, a.Key)
	return a
}

func (p *player) refused() error {
	p.w.t.Helper()
	return actortest.Expect[*streams.Refused](p.w.t, p.Probe).Err
}

func (p *player) subscribe(key media.StreamKey, wait time.Duration) {
	p.Request(p.w.pid, &streams.Subscribe{Reader: p.PID, Key: key, Wait: wait})
}

func (p *player) view(key media.StreamKey) *stream.ReaderAdded {
	p.w.t.Helper()
	p.subscribe(key, 0)
	s := actortest.Expect[*streams.Subscribed](p.w.t, p.Probe)
	p.Request(s.Stream, &stream.AddReader{Reader: p.PID, Info: stream.ReaderInfo{ID: p.PID.Id, Protocol: "rtsp"}, Count: func() hub.ReaderStats {
		return hub.ReaderStats{Packets: 42}
	}})
	r := actortest.Expect[*stream.ReaderAdded](p.w.t, p.Probe)
	require.Equal(p.w.t, key, r.Key)
	return r
}

func (p *player) ended() actors.CloseReason {
	p.w.t.Helper()
	return actortest.Expect[*stream.Ended](p.w.t, p.Probe).Reason
}

// leave sends a Detach.
func (p *player) leave(a *stream.Attached, final bool, reason actors.CloseReason) {
	p.Request(a.Stream, &stream.Detach{Publisher: p.PID, Reason: reason, Final: final})
}

func (w *world) ask(msg any) any {
	w.t.Helper()
	p := actortest.NewProbe(w.t, w.rt, "api")
	p.Request(w.pid, msg)
	return p.Next(w.t).Message
}

func (w *world) list(f streams.Filter) []stream.Snapshot {
	w.t.Helper()
	return w.ask(&streams.ListStreams{Filter: f, Readers: true}).(*streams.Streams).Streams
}

func (w *world) gone(pid *actor.PID) {
	w.t.Helper()
	actortest.Eventually(w.t, func() bool { return !actortest.Alive(w.rt, pid) }, "%s stopped", pid.Id)
}

// packet writes one RTP packet of a hub's first track.
func packet(t *testing.T, a *stream.Attached, seq uint16) error {
	t.Helper()
	b := []byte{0x80, 0x80 | 96, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0x65, 1, 2, 3}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], uint32(seq)*3000)
	return a.Writer.WriteRTP(0, time.Now(), b)
}

func TestPublishAndView(t *testing.T) {
	actortest.CheckLeaks(t)
	w := newWorld(t, actortest.Runtime())
	pub, viewer := w.player("pub"), w.player("viewer")
	a := pub.publish(cam, waits, h264(t), opus(t))
	require.Equal(t, []int{0, 1}, a.Tracks)
	require.NoError(t, packet(t, a, 1))
	r := viewer.view(cam)
	require.Len(t, r.Hub.Tracks(), 2)
	require.True(t, r.Stream.Equal(a.Stream))

	got := w.list(streams.Filter{App: "live"})
	require.Len(t, got, 1)
	s := got[0]
	require.Equal(t, cam, s.Key)
	require.Equal(t, "a=b", s.Params)
	require.Equal(t, stream.OriginPull, s.Origin.Type)
	require.True(t, s.Online)
	require.Equal(t, 1, s.ReaderCount)
	require.Equal(t, viewer.PID.Id, s.Readers[0].Info.ID)
	require.EqualValues(t, 42, s.Readers[0].Stats.Packets)
	require.EqualValues(t, 1, s.Stats.Packets)
	require.Len(t, s.Tracks, 2)
	require.Equal(t, media.KindVideo, s.Tracks[0].Track.Kind)

	pub.leave(a, true, actors.ReasonDeleted)
	require.Equal(t, actors.ReasonDeleted, viewer.ended())
	w.gone(a.Stream)
	pub.ExpectNothing(t)
	require.ErrorIs(t, packet(t, a, 2), hub.ErrDetached)
	viewer.subscribe(cam, 0)
	require.ErrorIs(t, viewer.refused(), streams.ErrNotFound)
	require.Empty(t, w.list(streams.Filter{}))
}

func TestAudioCanBeDropped(t *testing.T) {
	w := newWorld(t, actortest.Runtime())
	pub := w.player("pub")
	a := pub.publish(cam, stream.Options{}, opus(t), h264(t))
	require.Equal(t, []int{-1, 0}, a.Tracks)
	other := cam
	other.Stream = "radio"
	for _, tracks := range [][]*media.Track{{opus(t)}, nil} {
		pub.offer(other, stream.Options{}, tracks...)
		require.ErrorIs(t, pub.refused(), stream.ErrNoTracks)
	}
	many := make([]*media.Track, 65)
	for i := range many {
		many[i] = h264(t)
	}
	pub.offer(other, waits, many...)
	require.ErrorIs(t, pub.refused(), stream.ErrTooManyTracks)
	pub.offer(media.StreamKey{App: "a/b"}, waits, h264(t))
	require.ErrorIs(t, pub.refused(), streams.ErrKey)
	pub.publish(other, waits, opus(t))
	require.Len(t, w.list(streams.Filter{}), 2)
}

func TestOnePublisherAtATime(t *testing.T) {
	w := newWorld(t, actortest.Runtime())
	pub, rival := w.player("pub"), w.player("rival")
	first := pub.publish(cam, waits, h264(t))
	require.NoError(t, packet(t, first, 1))
	rival.offer(cam, waits, h264(t))
	err := rival.refused()
	require.ErrorIs(t, err, streams.ErrExists)
	require.EqualError(t, err, "This stream already exists")

	again := pub.publish(cam, waits, h264(t)) // a proxy that has reconnected
	require.True(t, again.Stream.Equal(first.Stream))
	require.ErrorIs(t, packet(t, first, 2), hub.ErrDetached)
	require.NoError(t, packet(t, again, 2))

	rival.leave(again, true, "") // a stranger's farewell means nothing
	require.Len(t, w.list(streams.Filter{}), 1)
	require.NoError(t, packet(t, again, 3))
}

func TestViewersStayWhilePublisherReturns(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		w := newWorld(t, rt)
		pub, viewer, heir := w.player("pub"), w.player("viewer"), w.player("heir")
		a := pub.publish(cam, waits, h264(t))
		require.NoError(t, packet(t, a, 1))
		h := viewer.view(cam).Hub
		pub.Stop(t)
		<-time.After(14 * time.Second)
		require.False(t, w.list(streams.Filter{})[0].Online)
		late := w.player("late")
		require.Same(t, h, late.view(cam).Hub, "a stream that waits for its publisher can be watched")
		b := heir.publish(cam, stream.Options{}, h264(t)) // the options of the first one stay
		require.True(t, b.Stream.Equal(a.Stream))
		require.NoError(t, packet(t, b, 1))
		heir.leave(b, false, actors.ReasonPeerClosed)
		began := time.Now()
		viewer.ExpectNothing(t)
		require.Equal(t, actors.ReasonSourceLost, viewer.ended())
		require.Equal(t, 15*time.Second, time.Since(began))
		require.Equal(t, actors.ReasonSourceLost, late.ended())
		w.gone(a.Stream)
	})
}

func TestEndOfPublisher(t *testing.T) {
	cases := []struct {
		name    string
		options stream.Options
		packets bool
		leave   func(p *player, a *stream.Attached)
		reason  actors.CloseReason
	}{
		{"died without a wait", stream.Options{}, true, func(p *player, _ *stream.Attached) { p.Stop(p.w.t) }, actors.ReasonSourceLost},
		{"died before it sent anything", waits, false, func(p *player, _ *stream.Attached) { p.Stop(p.w.t) }, actors.ReasonSourceLost},
		{"left without a wait", stream.Options{}, true, func(p *player, a *stream.Attached) { p.leave(a, false, actors.ReasonTimeout) }, actors.ReasonTimeout},
		{"left for good", waits, true, func(p *player, a *stream.Attached) { p.leave(a, true, "") }, actors.ReasonSourceLost},
		{"died, and its farewell comes later", waits, true, func(p *player, a *stream.Attached) {
			p.Stop(p.w.t)
			actortest.Eventually(p.w.t, func() bool { return !p.w.list(streams.Filter{})[0].Online }, "waiting")
			p.w.rt.System.Root.Send(a.Stream, &stream.Detach{Publisher: p.PID, Reason: actors.ReasonKicked, Final: true})
		}, actors.ReasonKicked},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, actortest.Runtime())
			pub, viewer := w.player("pub"), w.player("viewer")
			a := pub.publish(cam, c.options, h264(t))
			if c.packets {
				require.NoError(t, packet(t, a, 1))
			}
			viewer.view(cam)
			c.leave(pub, a)
			require.Equal(t, c.reason, viewer.ended())
			w.gone(a.Stream)
		})
	}
}

func TestOtherTracksReplaceTheStream(t *testing.T) {
	for _, same := range []bool{true, false} {
		w := newWorld(t, actortest.Runtime())
		pub, viewer := w.player("pub"), w.player("viewer")
		a := pub.publish(cam, waits, h264(t))
		require.NoError(t, packet(t, a, 1))
		viewer.view(cam)
		next := pub
		if !same {
			pub.leave(a, false, "")
			actortest.Eventually(t, func() bool { return !w.list(streams.Filter{})[0].Online }, "waiting")
			next = w.player("next")
		}
		b := next.publish(cam, waits, h265(t)) // fails when the publisher hears anything but its admission
		require.False(t, b.Stream.Equal(a.Stream))
		require.Equal(t, actors.ReasonReplaced, viewer.ended())
		require.Equal(t, media.CodecH265, viewer.view(cam).Hub.Tracks()[0].Codec)
		require.False(t, actortest.Alive(w.rt, a.Stream), "there are never two streams of one key")
	}
}

func TestViewersWaitForTheirStream(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		w := newWorld(t, rt)
		short, long, dead, none := w.player("short"), w.player("long"), w.player("dead"), w.player("none")
		began := time.Now()
		long.subscribe(cam, 10*time.Second)
		short.subscribe(cam, 3*time.Second)
		dead.subscribe(cam, 10*time.Second)
		none.subscribe(cam, 0)
		require.ErrorIs(t, none.refused(), streams.ErrNotFound)
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, short.refused(), streams.ErrNotFound)
		require.Equal(t, 3*time.Second, time.Since(began))
		dead.Stop(t)
		pub := w.player("pub")
		a := pub.publish(cam, waits, h264(t))
		s := actortest.Expect[*streams.Subscribed](t, long.Probe)
		require.True(t, s.Stream.Equal(a.Stream))
		require.Len(t, s.Tracks, 1)
		<-time.After(time.Minute)
		for _, p := range []*player{short, long, dead, none} {
			p.ExpectNothing(t)
		}
		other := cam
		other.Stream = "never"
		began = time.Now()
		long.subscribe(other, time.Hour) // five minutes are the most
		<-time.After(5*time.Minute - time.Second)
		long.ExpectNothing(t)
		require.ErrorIs(t, long.refused(), streams.ErrNotFound)
		require.Equal(t, 5*time.Minute, time.Since(began))
	})
}

func TestWaitersAreBounded(t *testing.T) {
	w := newWorld(t, actortest.Runtime())
	p := w.player("crowd")
	const most = 10_000
	for range most + 3 {
		p.subscribe(cam, time.Minute)
	}
	for range 3 {
		require.ErrorIs(t, p.refused(), streams.ErrCrowded)
	}
	pub := w.player("pub")
	pub.publish(cam, waits, h264(t))
	for range most {
		actortest.Expect[*streams.Subscribed](t, p.Probe)
	}
}

func TestCloseStreams(t *testing.T) {
	w := newWorld(t, actortest.Runtime())
	pub, viewer := w.player("pub"), w.player("viewer")
	other := media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: "cam/2"}
	a := pub.publish(cam, waits, h264(t))
	b := pub.publish(other, waits, h264(t))
	require.NoError(t, packet(t, a, 1))
	viewer.view(cam)

	require.Equal(t, &streams.StreamsClosed{}, w.ask(&streams.CloseStreams{Filter: streams.Filter{App: "vod"}, Force: true}))
	require.Equal(t, &streams.StreamsClosed{Hit: 2, Closed: 1}, w.ask(&streams.CloseStreams{Filter: streams.Filter{App: "live"}}))
	require.False(t, actortest.Alive(w.rt, b.Stream), "it has ended when the answer comes")
	require.Equal(t, other, actortest.Expect[*stream.Ended](t, pub.Probe).Key)
	viewer.ExpectNothing(t)

	require.Equal(t, &streams.StreamsClosed{Hit: 1, Closed: 1},
		w.ask(&streams.CloseStreams{Filter: streams.Filter{VHost: cam.VHost, App: cam.App, Stream: cam.Stream}, Force: true, Reason: actors.ReasonDeleted}))
	require.Equal(t, actors.ReasonDeleted, viewer.ended())
	require.Equal(t, actors.ReasonDeleted, pub.ended())
	left := w.ask(&streams.ListStreams{}).(*streams.Streams)
	require.Empty(t, left.Streams)
	require.Zero(t, left.Memory.Lent)
	pub.publish(cam, waits, h264(t))
}

func TestListIsFilteredAndOrdered(t *testing.T) {
	w := newWorld(t, actortest.Runtime())
	pub := w.player("pub")
	for _, k := range []media.StreamKey{
		{VHost: "b.example", App: "live", Stream: "x"},
		{VHost: "a.example", App: "live", Stream: "z"},
		{VHost: "a.example", App: "live", Stream: "y?§"},
		{VHost: "a.example", App: "vod", Stream: "x"},
	} {
		pub.publish(k, waits, h264(t))
	}
	count := func(f streams.Filter) (out []string) {
		for _, s := range w.list(f) {
			out = append(out, s.Key.String())
		}
		return out
	}
	require.Equal(t, []string{"a.example/live/y?§", "a.example/live/z", "a.example/vod/x", "b.example/live/x"}, count(streams.Filter{}))
	require.Equal(t, []string{"a.example/vod/x", "b.example/live/x"}, count(streams.Filter{Stream: "x"}))
	require.Equal(t, []string{"b.example/live/x"}, count(streams.Filter{VHost: "b.example", App: "live", Stream: "x"}))
	require.Empty(t, count(streams.Filter{VHost: "c.example", App: "live", Stream: "x"}))
}

func TestConfigurationReachesStreams(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		w := newWorld(t, rt)
		pub, viewer := w.player("pub"), w.player("viewer")
		a := pub.publish(cam, stream.Options{ContinuePush: time.Second, AutoClose: true}, h264(t))
		viewer.view(cam)
		next := config.Default()
		next.General.StreamNoneReaderDelay = 3 * time.Second
		require.Equal(t, &actors.ConfigTaken{Owner: "streams"}, w.ask(&actors.ConfigChanged{Config: next}))
		began := time.Now()
		viewer.Request(a.Stream, &stream.RemoveReader{Reader: viewer.PID})
		require.Equal(t, actors.ReasonNoReader, pub.ended())
		require.Equal(t, 3*time.Second, time.Since(began))
		viewer.ExpectNothing(t)
		w.gone(a.Stream)
	})
}

func TestAutoCloseCountsFromThePublication(t *testing.T) {
	actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
		w := newWorld(t, rt)
		began := time.Now()
		pub, viewer := w.player("pub"), w.player("viewer")
		pub.publish(cam, stream.Options{AutoClose: true}, h264(t))
		require.Equal(t, actors.ReasonNoReader, pub.ended())
		require.Equal(t, w.cfg.General.StreamNoneReaderDelay, time.Since(began))

		a := pub.publish(cam, stream.Options{AutoClose: true}, h264(t))
		<-time.After(w.cfg.General.StreamNoneReaderDelay - time.Second)
		viewer.view(cam)
		<-time.After(time.Hour)
		require.True(t, actortest.Alive(rt, a.Stream))
		viewer.Stop(t) // a viewer that dies counts as one that leaves
		began = time.Now()
		require.Equal(t, actors.ReasonNoReader, pub.ended())
		require.Equal(t, w.cfg.General.StreamNoneReaderDelay, time.Since(began))
	})
}

func TestStopOfTheRegistry(t *testing.T) {
	actortest.CheckLeaks(t)
	w := newWorld(t, actortest.Runtime(), func(o *streams.Options) { o.EndReason = func() actors.CloseReason { return actors.ReasonShutdown } })
	pub, viewer, waiting := w.player("pub"), w.player("viewer"), w.player("waiting")
	a := pub.publish(cam, waits, h264(t))
	viewer.view(cam)
	other := cam
	other.Stream = "later"
	waiting.subscribe(other, time.Minute)
	waiting.subscribe(cam, 0)
	actortest.Expect[*streams.Subscribed](t, waiting.Probe)
	actortest.Stop(t, w.rt, w.pid)
	require.Equal(t, actors.ReasonShutdown, pub.ended())
	require.Equal(t, actors.ReasonShutdown, viewer.ended())
	require.ErrorIs(t, waiting.refused(), streams.ErrRestarted)
	require.False(t, actortest.Alive(w.rt, a.Stream))
	ctx, cancel := context.WithTimeout(context.Background(), actortest.Wait)
	defer cancel()
	_, err := actors.Ask[*streams.Streams](ctx, w.rt.System, w.pid, &streams.ListStreams{})
	require.ErrorIs(t, err, actors.ErrGone)
}
