package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/actors/store"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/netio/camera"
	"berth/netio/ports"
)

func TestMain(m *testing.M) { actortest.Main(m) }

// fixture is the part of an engine that proxies need, made of the real actors.
type fixture struct {
	t       *testing.T
	rt      *actors.Runtime
	config  *config.Config
	pool    *actor.PID
	streams *actor.PID
	store   *actor.PID
	proxies *actor.PID
	restore []store.Proxy
}

// newFixture starts everything; change may set what it is made of before that.
func newFixture(t *testing.T, change func(f *fixture)) *fixture {
	t.Helper()
	actortest.CheckLeaks(t)
	f := &fixture{t: t, rt: actortest.Runtime(), config: config.Default()}
	c := f.config
	c.Pool.Bind = netip.MustParseAddr("127.0.0.1")
	c.Pool.LeaseTimeout = 10 * time.Second
	c.Pool.DrainIdle, c.Pool.DrainMax, c.Pool.CoolDown = time.Millisecond, time.Millisecond, 0
	c.Proxy.RetryDelayMin, c.Proxy.RetryDelayMax = 10*time.Millisecond, 50*time.Millisecond
	c.Proxy.ConnectTimeout, c.Proxy.MediaTimeout, c.Proxy.UDPFallbackTimeout = actortest.Wait, 500*time.Millisecond, 100*time.Millisecond
	c.RTPProxy.PortRange = config.PortRange(actortest.FreeRange(t, 18))
	if change != nil {
		change(f)
	}
	if f.store == nil {
		f.store = actortest.Spawn(t, f.rt, store.Props(store.Options{Runtime: f.rt, Dir: t.TempDir()}), "store")
	}
	f.pool = actortest.Spawn(t, f.rt, portpool.Props(f.rt, portpool.Options{Config: c}), "portpool")
	f.streams = actortest.Spawn(t, f.rt, streams.Props(streams.Options{Runtime: f.rt, Config: c, Pool: f.pool}), "streams")
	f.start()
	return f
}

// start starts proxies, again if it has been stopped.
func (f *fixture) start() {
	f.proxies = actortest.Spawn(f.t, f.rt, Props(Options{
		Runtime: f.rt, Config: f.config, Store: f.store, Streams: f.streams, Pool: f.pool, Restore: f.restore,
	}), "proxies")
}

func ask[T any](f *fixture, to *actor.PID, msg any) T {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), actortest.Wait)
	defer cancel()
	answer, err := actors.Ask[T](ctx, f.rt.System, to, msg)
	require.NoError(f.t, err)
	return answer
}

func testKey(name string) media.StreamKey {
	return media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: name}
}

// definition is a proxy for the camera's path x under the name x, which retries for ever.
func definition(c *camera.Camera, change func(d *store.Proxy)) store.Proxy {
	d := store.Proxy{Key: testKey("x"), RetryCount: -1}
	if c != nil {
		d.URL = c.URL("x")
	}
	if change != nil {
		change(&d)
	}
	return d
}

func (f *fixture) add(d store.Proxy) error {
	f.t.Helper()
	added := ask[*ProxyAdded](f, f.proxies, &AddProxy{d})
	require.Equal(f.t, d.Key.String(), added.Key)
	return added.Err
}

func (f *fixture) remove(name string) *ProxyRemoved {
	f.t.Helper()
	return ask[*ProxyRemoved](f, f.proxies, &RemoveProxy{testKey(name).String()})
}

func (f *fixture) list() []Snapshot {
	f.t.Helper()
	return ask[*Proxies](f, f.proxies, &ListProxies{}).Proxies
}

// one returns the picture of proxy x; ok is false when there is none.
func (f *fixture) one() (snap Snapshot, ok bool) {
	f.t.Helper()
	if all := ask[*Proxies](f, f.proxies, &ListProxies{Key: testKey("x").String()}).Proxies; len(all) == 1 {
		return all[0], true
	}
	return Snapshot{}, false
}

// await waits until the picture of proxy x satisfies ready.
func (f *fixture) await(what string, ready func(s Snapshot) bool) Snapshot {
	f.t.Helper()
	var last Snapshot
	actortest.Eventually(f.t, func() bool {
		snap, ok := f.one()
		last = snap
		return ok && ready(snap)
	}, what)
	return last
}

func playing(s Snapshot) bool { return s.Playing && s.Live != nil && s.Live.Online }

// awaitFlow waits until more packets of proxy x have reached its stream.
func (f *fixture) awaitFlow() {
	f.t.Helper()
	before := f.await("playing", playing).Live.Stats.Packets
	f.await("flow", func(s Snapshot) bool { return s.Live != nil && s.Live.Stats.Packets > before+10 })
}

func (f *fixture) leased() int {
	f.t.Helper()
	return ask[*portpool.Pool](f, f.pool, &portpool.GetPool{}).Counts[ports.Leased]
}

func (f *fixture) stored() []store.Proxy {
	f.t.Helper()
	return ask[*store.Proxies](f, f.store, &store.ListProxies{}).Proxies
}

// requireNothing requires that nothing is left of any proxy.
func (f *fixture) requireNothing() {
	f.t.Helper()
	require.Empty(f.t, f.list())
	require.Empty(f.t, f.stored())
	actortest.Eventually(f.t, func() bool { return f.leased() == 0 }, "leases come home")
	actortest.Eventually(f.t, func() bool {
		return len(ask[*streams.Streams](f, f.streams, &streams.ListStreams{}).Streams) == 0
	}, "the stream ends")
}

func startCamera(t *testing.T, opts camera.Options) *camera.Camera {
	t.Helper()
	c, err := camera.Start(opts)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestPullsOverEachTransport(t *testing.T) {
	for _, tc := range []struct {
		rtpType, leases int
		transport       string
	}{{rtpTCP, 0, "tcp"}, {rtpUDP, 2, "udp"}, {rtpAuto, 2, "udp"}} {
		t.Run(fmt.Sprint(tc.rtpType), func(t *testing.T) {
			f := newFixture(t, nil)
			c := startCamera(t, camera.Options{})
			require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.RTPType = tc.rtpType })))
			snap, ok := f.one()
			require.True(t, ok)
			require.True(t, snap.Playing)
			require.Equal(t, "success", snap.Status)
			require.Equal(t, tc.transport, snap.Transport)
			require.False(t, snap.Since.IsZero())
			require.True(t, snap.RetryAt.IsZero())
			require.Equal(t, tc.leases, f.leased())
			f.awaitFlow()
			live := f.await("playing", playing).Live
			require.Len(t, live.Tracks, 2)
			require.Equal(t, c.Addr().String(), live.Origin.Peer.String())
			require.Equal(t, snap.Key, live.Origin.ID)
			require.Len(t, f.stored(), 1)

			require.Equal(t, ErrExists, f.add(definition(c, nil)))
			require.Equal(t, &ProxyRemoved{Found: true}, f.remove("x"))
			f.requireNothing()
			actortest.Eventually(t, func() bool { return c.Sessions() == 0 && c.Requests(base.Teardown) == 1 }, "torn down")
			require.Equal(t, &ProxyRemoved{}, f.remove("x"))
		})
	}
}

func TestFirstAttemptFails(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{Paths: []string{"elsewhere"}})
	err := f.add(definition(c, nil))
	require.ErrorContains(t, err, "no such stream")
	f.requireNothing()
	require.ErrorContains(t, f.add(definition(nil, func(d *store.Proxy) { d.URL = "http://u:secret@x/" })), "not an RTSP URL")
	f.requireNothing()
	require.ErrorContains(t, f.add(store.Proxy{Key: media.StreamKey{App: "a"}}), "names no stream")
}

func TestForceKeepsAProxyThatFails(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{})
	c.FailDescribe(base.StatusServiceUnavailable)
	require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.Force = true })))
	snap := f.await("second failure", func(s Snapshot) bool { return s.Failures > 1 })
	require.False(t, snap.Playing)
	require.Contains(t, snap.Status, "503")
	require.Len(t, f.stored(), 1)
	c.FailDescribe(0)
	f.awaitFlow()
	require.Zero(t, f.await("playing", playing).Failures)
	require.True(t, f.remove("x").Found)
	f.requireNothing()
}

func TestNoPortsNoSignalling(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{})
	hog := actortest.NewProbe(t, f.rt, "hog")
	for id := range uint64(18) {
		hog.Request(f.pool, &portpool.LeasePair{Owner: hog.PID, ID: id, Stream: testKey("hog"), Purpose: portpool.PurposeRTPReceive, Sockets: ports.UDPPair})
		actortest.Expect[*portpool.PairLeased](t, hog)
	}
	err := f.add(definition(c, func(d *store.Proxy) { d.RTPType = rtpUDP }))
	require.ErrorContains(t, err, "none reserved port in pool")
	var refused *portpool.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Zero(t, c.Requests(base.Setup))
	require.Empty(t, f.list())

	require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.RTPType = rtpAuto })), "it can do without")
	require.Equal(t, "tcp", f.await("playing", playing).Transport)
	require.True(t, f.remove("x").Found)
	f.requireGone(18)
}

// requireGone requires that no proxy holds a lease beside the others there are.
func (f *fixture) requireGone(others int) {
	f.t.Helper()
	actortest.Eventually(f.t, func() bool { return f.leased() == others }, "leases come home")
}

func TestFallsBackToTCPAndGivesThePortsBack(t *testing.T) {
	for name, spoil := range map[string]func(*camera.Camera){
		"refused": func(c *camera.Camera) { c.RefuseUDP(true) }, "silent": func(c *camera.Camera) { c.SilentUDP(true) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			c := startCamera(t, camera.Options{})
			spoil(c)
			require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.RTPType = rtpAuto })))
			require.Equal(t, "tcp", f.await("playing", playing).Transport)
			f.requireGone(0)
			f.awaitFlow()
		})
	}
}

func TestComesBack(t *testing.T) {
	for name, spoil := range map[string]func(*camera.Camera){
		"dropped": func(c *camera.Camera) { c.DropConnections() },
		"stalled": (*camera.Camera).Stall,
	} {
		for _, rtpType := range []int{rtpTCP, rtpUDP} {
			t.Run(fmt.Sprint(name, rtpType), func(t *testing.T) {
				f := newFixture(t, nil)
				c := startCamera(t, camera.Options{})
				require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.RTPType = rtpType })))
				first := f.await("playing", playing).Live
				spoil(c)
				f.await("lost", func(s Snapshot) bool { return !s.Playing || s.Repulls > 0 })
				c.Resume()
				again := f.await("playing again", func(s Snapshot) bool { return playing(s) && s.Repulls > 0 })
				require.Equal(t, first.Created, again.Live.Created, "viewers keep their stream")
				f.awaitFlow()
				if rtpType == rtpUDP {
					f.requireGone(2)
				}
			})
		}
	}
}

func TestGivesUpAndIsDeleted(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{})
	require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.RetryCount = 2 })))
	c.Close()
	actortest.Eventually(t, func() bool { return len(f.list()) == 0 }, "given up")
	f.requireNothing()
}

func TestChangedTracksArePublishedAnew(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{})
	require.NoError(t, f.add(definition(c, nil)))
	before := f.await("playing", playing).Live
	require.NoError(t, c.SetTracks(camera.TracksVideoOnly))
	c.DropConnections()
	after := f.await("one track", func(s Snapshot) bool { return playing(s) && len(s.Live.Tracks) == 1 }).Live
	require.NotEqual(t, before.Created, after.Created)
	f.awaitFlow()
}

func TestWithoutAudio(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{})
	off := false
	require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.RTPType, d.EnableAudio = rtpUDP, &off })))
	require.Equal(t, 1, f.leased())
	require.Equal(t, 1, c.Requests(base.Setup))
	require.Len(t, f.await("playing", playing).Live.Tracks, 1)
	f.awaitFlow()
	require.True(t, f.remove("x").Found)
	require.NoError(t, c.SetTracks(camera.TracksAudioOnly))
	require.ErrorIs(t, f.add(definition(c, func(d *store.Proxy) { d.EnableAudio = &off })), errNoAudio)
}

func TestRestoresWithTheSamePorts(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{})
	require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.RTPType = rtpUDP })))
	actortest.Eventually(t, func() bool { return len(f.stored()) == 1 && len(f.stored()[0].Ports) == 2 }, "ports are remembered")
	want := f.stored()[0].Ports

	for range 3 {
		actortest.Stop(t, f.rt, f.proxies)
		f.requireGone(0)
		f.restore = append(f.stored(), f.stored()...) // twice the same is one
		f.start()
		require.Equal(t, want, f.await("playing", playing).Definition.Ports)
		f.awaitFlow()
	}
	require.True(t, f.remove("x").Found)
	f.requireNothing()
}

func TestRemovalEndsAPendingAdd(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer mute.Close() //nolint:errcheck // the end of the test
	f := newFixture(t, nil)
	adder := actortest.NewProbe(t, f.rt, "adder")
	adder.Request(f.proxies, &AddProxy{definition(nil, func(d *store.Proxy) { d.URL = "rtsp://" + mute.Addr().String() + "/x" })})
	f.await("connecting", func(s Snapshot) bool { return s.Status == "connecting" })
	require.True(t, f.remove("x").Found)
	require.Equal(t, ErrClosed, actortest.Expect[*ProxyAdded](t, adder).Err)
	f.requireNothing()

	adder.Request(f.proxies, &AddProxy{definition(nil, func(d *store.Proxy) { d.URL = "rtsp://" + mute.Addr().String() + "/x" })})
	f.await("connecting", func(s Snapshot) bool { return s.Status == "connecting" })
	actortest.Stop(t, f.rt, f.proxies)
	require.Equal(t, ErrInterrupted, actortest.Expect[*ProxyAdded](t, adder).Err, "it was not deleted, and comes back")
}

func (f *fixture) child(epoch uint64) *actor.PID {
	return actor.NewPID(f.proxies.Address, fmt.Sprintf("%s/%s-%d", f.proxies.Id, testKey("x"), epoch))
}

func TestCrashCostsTheProxyOnly(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{})
	require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.RTPType = rtpUDP })))
	require.NoError(t, f.add(definition(c, func(d *store.Proxy) { d.Key = testKey("y") })))
	before := f.await("playing", playing)
	f.rt.System.Root.Send(f.child(1), &actors.Crash{})
	f.await("playing again", func(s Snapshot) bool { return playing(s) && s.Since.After(before.Since) })
	f.awaitFlow()
	f.requireGone(2)
	require.Len(t, f.list(), 2)
	require.True(t, f.remove("x").Found)
	require.True(t, f.remove("y").Found)
	f.requireNothing()
}

func TestCrashInTheFirstAttemptAnswers(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer mute.Close() //nolint:errcheck // the end of the test
	f := newFixture(t, nil)
	adder := actortest.NewProbe(t, f.rt, "adder")
	adder.Request(f.proxies, &AddProxy{definition(nil, func(d *store.Proxy) { d.URL = "rtsp://" + mute.Addr().String() + "/x" })})
	actortest.Eventually(t, func() bool { return actortest.Alive(f.rt, f.child(1)) }, "spawned")
	f.rt.System.Root.Send(f.child(1), &actors.Crash{})
	require.ErrorIs(t, actortest.Expect[*ProxyAdded](t, adder).Err, errCrashed)
	f.requireNothing()
}

func TestAStreamEndedOnPurposeTakesItsProxyAlong(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{})
	require.NoError(t, f.add(definition(c, nil)))
	ask[*streams.StreamsClosed](f, f.streams, &streams.CloseStreams{Force: true, Reason: actors.ReasonKicked})
	actortest.Eventually(t, func() bool { return len(f.list()) == 0 }, "deleted")
	f.requireNothing()
}

func TestAnotherPublisherIsInTheWay(t *testing.T) {
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{})
	other := newFixtureProxies(f)
	require.NoError(t, f.add(definition(c, nil)))
	added := ask[*ProxyAdded](f, other, &AddProxy{definition(c, nil)})
	require.ErrorIs(t, added.Err, streams.ErrExists)
	f.awaitFlow()
}

// newFixtureProxies starts a second registry on the same streams.
func newFixtureProxies(f *fixture) *actor.PID {
	return actortest.Spawn(f.t, f.rt, Props(Options{
		Runtime: f.rt, Config: f.config, Store: f.store, Streams: f.streams, Pool: f.pool,
	}), "others")
}

func TestSelfSignedCertificates(t *testing.T) {
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	defer https.Close()
	f := newFixture(t, nil)
	c := startCamera(t, camera.Options{TLS: &tls.Config{Certificates: https.TLS.Certificates}})
	err := f.add(definition(c, func(d *store.Proxy) { d.Params = map[string]string{"tls_verify": "1"} }))
	require.ErrorContains(t, err, "TLS")
	require.NoError(t, f.add(definition(c, nil)))
	f.awaitFlow()
}

// fakeStore answers writes with errors from a list, in order; nil is success, and so is everything behind the end.
type fakeStore struct{ puts, deletes []error }

func (s *fakeStore) receive(ctx actor.Context) {
	next := func(errs *[]error) (err error) {
		if len(*errs) > 0 {
			err, *errs = (*errs)[0], (*errs)[1:]
		}
		return err
	}
	switch ctx.Message().(type) {
	case *store.PutProxy:
		ctx.Respond(&store.Done{Err: next(&s.puts)})
	case *store.DeleteProxy:
		ctx.Respond(&store.Done{Err: next(&s.deletes)})
	case *store.ListProxies:
		ctx.Respond(&store.Proxies{})
	}
}

func TestStoreFails(t *testing.T) {
	full := errors.New("disk full")
	s := &fakeStore{puts: []error{full}, deletes: []error{full}}
	f := newFixture(t, func(f *fixture) { f.store = actortest.SpawnFunc(t, f.rt, "store", s.receive) })
	c := startCamera(t, camera.Options{})
	require.ErrorIs(t, f.add(definition(c, nil)), full)
	require.Zero(t, c.Requests(base.Describe), "not stored, not pulled")
	require.Empty(t, f.list())

	require.NoError(t, f.add(definition(c, nil)))
	removed := f.remove("x")
	require.True(t, removed.Found)
	require.ErrorIs(t, removed.Err, full)
	f.awaitFlow() // the pull goes on
	require.Equal(t, &ProxyRemoved{Found: true}, f.remove("x"))
	require.Empty(t, f.list())

	actortest.Stop(t, f.rt, f.store)
	require.ErrorIs(t, f.add(definition(c, nil)), actors.ErrGone)
}

// What is queued in a store that panics is dropped without an answer.
func TestStoreDiesBeforeItAnswers(t *testing.T) {
	asked := make(chan struct{}, 1)
	f := newFixture(t, func(f *fixture) {
		f.store = actortest.SpawnFunc(t, f.rt, "store", func(ctx actor.Context) {
			if _, put := ctx.Message().(*store.PutProxy); put {
				asked <- struct{}{}
			}
		})
	})
	c := startCamera(t, camera.Options{})
	probe := actortest.NewProbe(t, f.rt, "adder")
	probe.Request(f.proxies, &AddProxy{Definition: definition(c, nil)})
	<-asked
	actortest.Stop(t, f.rt, f.store)
	require.ErrorIs(t, actortest.Expect[*ProxyAdded](t, probe).Err, actors.ErrGone)
	require.Empty(t, f.list())
}

func TestConfigChangesForLaterAttempts(t *testing.T) {
	f := newFixture(t, func(f *fixture) { f.config.Proxy.RetryDelayMin, f.config.Proxy.RetryDelayMax = time.Hour, time.Hour })
	c := startCamera(t, camera.Options{})
	require.NoError(t, f.add(definition(c, nil)))
	next := *f.config
	next.Proxy.RetryDelayMin, next.Proxy.RetryDelayMax = time.Millisecond, time.Millisecond
	require.Equal(t, &actors.ConfigTaken{Owner: "proxies"}, ask[*actors.ConfigTaken](f, f.proxies, &actors.ConfigChanged{Config: &next}))
	c.DropConnections()
	f.await("playing again", func(s Snapshot) bool { return playing(s) && s.Repulls == 1 })
}

// A full restart stops all proxies at once and starts them again; ports, sockets and goroutines must all come home.
func TestManyStopTogether(t *testing.T) {
	const many = 40
	f := newFixture(t, func(f *fixture) { f.config.RTPProxy.PortRange = config.PortRange(actortest.FreeRange(f.t, 2*many)) })
	c := startCamera(t, camera.Options{})
	for i := range many {
		f.restore = append(f.restore, definition(c, func(d *store.Proxy) { d.Key, d.RTPType = testKey(fmt.Sprint("s", i)), rtpUDP }))
	}
	for range 2 {
		actortest.Stop(t, f.rt, f.proxies)
		f.requireGone(0)
		f.start()
		actortest.Eventually(t, func() bool {
			n := 0
			for _, snap := range f.list() {
				if playing(snap) {
					n++
				}
			}
			return n == many
		}, "all play")
		require.Equal(t, 2*many, f.leased())
	}
}
