package streams_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/hook"
	"berth/actors/portpool"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media/hub"
	"berth/netio/ports"
)

// fakePool is a probe that answers leases when the test says so.
type fakePool struct {
	*actortest.Probe
	t  *testing.T
	rt *actors.Runtime
}

func udpWorld(t *testing.T) (*world, *fakePool) {
	t.Helper()
	rt := actortest.Runtime()
	pool := &fakePool{actortest.NewProbe(t, rt, "pool"), t, rt}
	return newWorld(t, rt, func(o *streams.Options) { o.Pool = pool.PID }), pool
}

func (p *fakePool) asked() *portpool.LeasePair {
	p.t.Helper()
	return actortest.Expect[*portpool.LeasePair](p.t, p.Probe)
}

// grant answers a lease with real sockets on loopback.
func (p *fakePool) grant(m *portpool.LeasePair, epoch uint64) *portpool.PairLeased {
	p.t.Helper()
	lease := &portpool.PairLeased{ID: m.ID, Epoch: epoch, RTP: loopback(p.t), RTCP: loopback(p.t)}
	lease.Port = localOf(lease.RTP).Port()
	p.rt.System.Root.Send(m.Owner, lease)
	return lease
}

func (p *fakePool) released() *portpool.ReleaseLease {
	p.t.Helper()
	return actortest.Expect[*portpool.ReleaseLease](p.t, p.Probe)
}

func loopback(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func localOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func (p *player) open(s *actor.PID, track int) {
	p.Request(s, &stream.OpenUDP{Reader: p.PID, Track: track})
}

func (p *player) opened() *stream.UDPOpened {
	p.w.t.Helper()
	return actortest.Expect[*stream.UDPOpened](p.w.t, p.Probe)
}

func (p *player) part(s *actor.PID) { p.Request(s, &stream.RemoveReader{Reader: p.PID}) }

func TestViewersShareOnePairATrack(t *testing.T) {
	actortest.CheckLeaks(t)
	w, pool := udpWorld(t)
	pub, one, two, tcp := w.player("pub"), w.player("one"), w.player("two"), w.player("tcp")
	a := pub.publish(cam, waits, h264(t), opus(t))
	for _, p := range []*player{one, two, tcp} {
		p.view(cam)
	}
	one.open(a.Stream, 0)
	two.open(a.Stream, 0)
	m := pool.asked()
	require.True(t, m.Owner.Equal(a.Stream))
	require.Equal(t, cam, m.Stream)
	require.Equal(t, portpool.PurposeRTSPPlay, m.Purpose)
	require.Equal(t, ports.UDPPair, m.Sockets)
	lease := pool.grant(m, 7)
	first, second := one.opened(), two.opened()
	require.NoError(t, first.Err)
	require.Same(t, first.Pair, second.Pair)
	require.Equal(t, lease.Port, first.Port)
	require.Same(t, lease.RTCP, first.Pair.RTCP)
	require.NotSame(t, first.Heard, second.Heard)
	one.open(a.Stream, 0) // again
	require.Same(t, first.Heard, one.opened().Heard)

	two.open(a.Stream, 1)
	audio := pool.asked()
	require.NotEqual(t, m.ID, audio.ID)
	pool.grant(audio, 8)
	two.opened()

	one.part(a.Stream)
	tcp.part(a.Stream)
	one.Watch(a.Stream)
	pool.ExpectNothing(t)
	two.Stop(t) // dies
	freed := map[uint64]uint64{}
	for range 2 {
		r := pool.released()
		require.True(t, r.Owner.Equal(a.Stream))
		freed[r.ID] = r.Epoch
	}
	require.Equal(t, map[uint64]uint64{m.ID: 7, audio.ID: 8}, freed)

	three := w.player("three")
	three.view(cam)
	three.open(a.Stream, 0)
	again := pool.asked()
	require.NotEqual(t, m.ID, again.ID, "a new lease, so that nothing old can be taken for it")
	pool.grant(again, 9)
	three.opened()
}

func TestReceiverReportsAreHeard(t *testing.T) {
	w, pool := udpWorld(t)
	pub, viewer := w.player("pub"), w.player("viewer")
	a := pub.publish(cam, waits, h264(t))
	viewer.view(cam)
	sock := loopback(t)
	viewer.Request(a.Stream, &stream.OpenUDP{Reader: viewer.PID, RTCP: localOf(sock)})
	lease := pool.grant(pool.asked(), 1)
	o := viewer.opened()
	require.True(t, o.Heard.Last().IsZero())
	_, err := sock.WriteToUDPAddrPort([]byte{0x80, 201, 0, 1, 1, 2, 3, 4}, localOf(lease.RTCP))
	require.NoError(t, err)
	actortest.Eventually(t, func() bool { return !o.Heard.Last().IsZero() }, "heard")
	require.EqualValues(t, 1, o.Heard.Reports())
}

func TestOpenUDPRefusals(t *testing.T) {
	w, pool := udpWorld(t)
	pub, one, two, stranger := w.player("pub"), w.player("one"), w.player("two"), w.player("stranger")
	a := pub.publish(cam, waits, h264(t))
	one.view(cam)
	two.view(cam)
	for track, p := range map[int]*player{1: one, -1: two} {
		p.open(a.Stream, track)
		require.ErrorIs(t, p.opened().Err, stream.ErrTrack)
	}
	stranger.open(a.Stream, 0)
	require.ErrorIs(t, stranger.opened().Err, stream.ErrNotReader)

	one.open(a.Stream, 0)
	one.Request(a.Stream, &stream.OpenUDP{Reader: two.PID})
	one.Request(a.Stream, &stream.GetStream{})
	require.Equal(t, 2, actortest.Expect[*stream.Snapshot](t, one.Probe).ReaderCount) // both have been taken in
	m := pool.asked()
	why := &portpool.RefusedError{Reason: portpool.ReasonExhausted}
	w.rt.System.Root.Send(m.Owner, &portpool.LeaseRefused{ID: m.ID, Err: why})
	for _, p := range []*player{one, two} {
		var refused *portpool.RefusedError
		require.True(t, errors.As(p.opened().Err, &refused))
		require.Same(t, why, refused)
	}
	one.open(a.Stream, 0)
	require.NotEqual(t, m.ID, pool.asked().ID, "asked anew")
}

func TestLeaseThatNobodyWantsAnyMoreGoesBack(t *testing.T) {
	w, pool := udpWorld(t)
	pub, one, two := w.player("pub"), w.player("one"), w.player("two")
	a := pub.publish(cam, waits, h264(t))
	one.view(cam)
	two.view(cam)
	one.open(a.Stream, 0)
	m := pool.asked()
	one.part(a.Stream)
	actortest.Eventually(t, func() bool { return w.list(streams.Filter{})[0].ReaderCount == 1 }, "left")
	two.open(a.Stream, 0) // another one comes while the first lease is still under way
	second := pool.asked()
	require.NotEqual(t, m.ID, second.ID)
	pool.grant(m, 1)
	require.EqualValues(t, 1, pool.released().Epoch)
	pool.grant(second, 2)
	require.NoError(t, two.opened().Err)
	one.ExpectNothing(t)
}

func TestPoolThatIsGone(t *testing.T) {
	w, pool := udpWorld(t)
	pub, viewer := w.player("pub"), w.player("viewer")
	a := pub.publish(cam, waits, h264(t))
	viewer.view(cam)
	pool.Stop(t)
	viewer.open(a.Stream, 0)
	require.ErrorIs(t, viewer.opened().Err, actors.ErrGone)

	none := newWorld(t, actortest.Runtime())
	pub, viewer = none.player("pub"), none.player("viewer")
	a = pub.publish(cam, waits, h264(t))
	viewer.view(cam)
	viewer.open(a.Stream, 0)
	require.ErrorIs(t, viewer.opened().Err, actors.ErrGone)
}

func TestEndedStreamLetsUDPViewersLeaveAndQueuesItsSuccessor(t *testing.T) {
	w, pool := udpWorld(t)
	pub, viewer, heir, late := w.player("pub"), w.player("viewer"), w.player("heir"), w.player("late")
	a := pub.publish(cam, waits, h264(t))
	viewer.view(cam)
	viewer.open(a.Stream, 0)
	m := pool.asked()
	pool.grant(m, 3)
	viewer.opened()
	pub.leave(a, true, actors.ReasonDeleted)
	require.Equal(t, actors.ReasonDeleted, viewer.ended())

	// The pair is kept for the viewer, and the stream for the pair; whoever comes now waits for the successor or is told.
	heir.offer(cam, waits, h264(t))
	late.Request(a.Stream, &stream.AddReader{Reader: late.PID})
	require.Equal(t, actors.ReasonStreamEnded, late.ended())
	late.open(a.Stream, 0)
	require.ErrorIs(t, late.opened().Err, stream.ErrEnded)
	late.subscribe(cam, time.Minute)
	viewer.part(a.Stream)
	require.EqualValues(t, 3, pool.released().Epoch)
	b := actortest.Expect[*stream.Attached](t, heir.Probe)
	require.False(t, b.Stream.Equal(a.Stream))
	require.True(t, actortest.Expect[*streams.Subscribed](t, late.Probe).Stream.Equal(b.Stream))
}

func TestUDPViewerThatDoesNotLeaveHoldsTheEndUpForOneGraceOnly(t *testing.T) {
	w, pool := udpWorld(t)
	pub, viewer := w.player("pub"), w.player("viewer")
	a := pub.publish(cam, waits, h264(t))
	viewer.view(cam)
	viewer.open(a.Stream, 0)
	pool.grant(pool.asked(), 3)
	viewer.opened()
	require.Equal(t, &streams.StreamsClosed{Hit: 1, Closed: 1}, w.ask(&streams.CloseStreams{Force: true}))
	require.EqualValues(t, 3, pool.released().Epoch)
	require.False(t, actortest.Alive(w.rt, a.Stream))
}

func TestCrashOfAStream(t *testing.T) {
	actortest.CheckLeaks(t)
	rt := actortest.Runtime()
	cfg := config.Default()
	low := actortest.FreeRange(t, 20).Low
	cfg.Pool.Bind = netip.MustParseAddr("127.0.0.1")
	child := make(chan *actor.PID, 1)
	actortest.SpawnFunc(t, rt, "engine", func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			child <- ctx.Spawn(portpool.Props(rt, portpool.Options{Config: cfg, Range: ports.Range{Low: low, High: low + 39}}))
		}
	})
	poolPID := <-child
	w := newWorld(t, rt, func(o *streams.Options) { o.Config, o.Pool = cfg, poolPID })
	pub, viewer, heir := w.player("pub"), w.player("viewer"), w.player("heir")
	a := pub.publish(cam, waits, h264(t))
	require.NoError(t, packet(t, a, 1))
	viewer.view(cam)
	viewer.open(a.Stream, 0)
	require.NoError(t, viewer.opened().Err)
	leased := func() int {
		ctx, cancel := context.WithTimeout(context.Background(), actortest.Wait)
		defer cancel()
		p, err := actors.Ask[*portpool.Pool](ctx, rt.System, poolPID, &portpool.GetPool{})
		require.NoError(t, err)
		return p.Counts[ports.Leased]
	}
	require.Equal(t, 1, leased())

	rt.System.Root.Send(a.Stream, &actors.Crash{})
	require.Equal(t, actors.ReasonCrashed, viewer.ended())
	require.Equal(t, actors.ReasonCrashed, pub.ended())
	require.ErrorIs(t, packet(t, a, 2), hub.ErrDetached)
	actortest.Eventually(t, func() bool { return leased() == 0 }, "lease returned")
	b := heir.publish(cam, waits, h264(t))
	require.False(t, b.Stream.Equal(a.Stream))
	require.Len(t, w.list(streams.Filter{}), 1)
}

func TestNoneReaderHook(t *testing.T) {
	cases := []struct {
		name   string
		answer hook.Answer
		closes bool
	}{
		{"says close", hook.Answer{Asked: true, Body: map[string]any{"code": 0, "close": true}}, true},
		{"says keep", hook.Answer{Asked: true, Body: map[string]any{"code": 0, "close": false}}, false},
		{"fails", hook.Answer{Asked: true, Code: -1, Err: hook.ErrBusy, Body: map[string]any{"close": true}}, false},
		{"is off", hook.Answer{}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
				receiver := actortest.NewProbe(t, rt, "hook")
				w := newWorld(t, rt, func(o *streams.Options) { o.Hook = receiver.PID })
				pub := w.player("pub")
				began := time.Now()
				a := pub.publish(cam, waits, h264(t))
				r := receiver.Next(t)
				ask, ok := r.Message.(*hook.Ask)
				require.True(t, ok)
				require.Equal(t, w.cfg.General.StreamNoneReaderDelay, time.Since(began))
				require.Equal(t, "on_stream_none_reader", ask.Name)
				require.Equal(t, "cam/1", ask.Body["stream"])
				answer := c.answer
				answer.ID = ask.ID
				rt.System.Root.Send(r.Sender, &answer)
				if c.closes {
					require.Equal(t, actors.ReasonNoReader, pub.ended())
					return
				}
				<-time.After(time.Hour)
				receiver.ExpectNothing(t) // once a transition
				require.True(t, actortest.Alive(rt, a.Stream))
				pub.ExpectNothing(t)
			})
		})
	}
	t.Run("auto_close does not wait for it", func(t *testing.T) {
		actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
			receiver := actortest.NewProbe(t, rt, "hook")
			w := newWorld(t, rt, func(o *streams.Options) { o.Hook = receiver.PID })
			pub := w.player("pub")
			pub.publish(cam, stream.Options{AutoClose: true}, h264(t))
			require.Equal(t, actors.ReasonNoReader, pub.ended())
			actortest.Expect[*hook.Notify](t, receiver)
		})
	})
}
