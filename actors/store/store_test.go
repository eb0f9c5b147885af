package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"berth/actors"
	"berth/actors/actortest"
	"berth/media"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(childMain(role))
	}
	actortest.Main(m)
}

func testKey(n int) media.StreamKey {
	return media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: fmt.Sprintf("cam/%04d", n)}
}

func testProxy(n int) Proxy {
	yes := true
	return Proxy{
		Key: testKey(n), URL: fmt.Sprintf("rtsp://192.0.2.7:554/ch%d", n), RetryCount: -1, Timeout: 10 * time.Second, RTPType: 1, User: "admin",
		Password: "s3cret", EnableAudio: &yes, Params: map[string]string{"note": "front door"}, Ports: []uint16{30000, 30002},
		Created: time.Date(2026, 11, 22, 15, 0, n%60, 0, time.UTC),
	}
}

// fixture is a store that the test starts and stops at will.
type fixture struct {
	t   *testing.T
	dir string
	pid *actor.PID
}

func start(t *testing.T, dir string, change ...func(*Options)) *fixture {
	t.Helper()
	o := Options{Runtime: actortest.Runtime(), Dir: dir, RetryEvery: 20 * time.Millisecond, Log: actortest.Log()}
	for _, c := range change {
		c(&o)
	}
	return &fixture{t, dir, actortest.Spawn(t, o.Runtime, Props(o), "store")}
}

func ask[T any](f *fixture, msg any) T {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), actortest.Wait)
	defer cancel()
	v, err := actors.Ask[T](ctx, actortest.Runtime().System, f.pid, msg)
	require.NoError(f.t, err)
	return v
}

func (f *fixture) put(n int) error   { return ask[*Done](f, &PutProxy{testProxy(n)}).Err }
func (f *fixture) drop(n int) error  { return ask[*Done](f, &DeleteProxy{testKey(n)}).Err }
func (f *fixture) health() *Health   { return ask[*Health](f, &GetHealth{}) }
func (f *fixture) proxies() *Proxies { return ask[*Proxies](f, &ListProxies{}) }
func (f *fixture) stop()             { actortest.Stop(f.t, actortest.Runtime(), f.pid) }
func (f *fixture) path() string      { return filepath.Join(f.dir, fileName) }
func (f *fixture) awaitDurable(want bool) {
	f.t.Helper()
	actortest.Eventually(f.t, func() bool { return f.health().Durable == want }, "durable=%v", want)
}

func (f *fixture) numbers() []string {
	var out []string
	for _, p := range f.proxies().Proxies {
		out = append(out, p.Key.Stream)
	}
	return out
}

func str(s string) *string { return &s }

func TestDefinitionsSurviveRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "berth")
	f := start(t, dir)
	for n := range 5 {
		require.NoError(t, f.put(n))
	}
	require.NoError(t, f.drop(3))
	require.NoError(t, f.drop(99), "what is not there can be deleted")
	changed := testProxy(1)
	changed.URL = "rtsp://192.0.2.8/other"
	require.NoError(t, ask[*Done](f, &PutProxy{changed}).Err)
	require.NoError(t, ask[*Done](f, &PutOverrides{map[string]*string{"hook.retry": str("7"), "log.level": str("debug")}}).Err)
	require.NoError(t, ask[*Done](f, &PutOverrides{map[string]*string{"log.level": nil, "api.secret": str("")}}).Err)
	f.stop()

	f = start(t, dir)
	got := f.proxies()
	require.NoError(t, got.Err)
	require.Equal(t, []Proxy{testProxy(0), changed, testProxy(2), testProxy(4)}, got.Proxies)
	require.Equal(t, map[string]string{"hook.retry": "7", "api.secret": ""}, ask[*Overrides](f, &GetOverrides{}).Values)
	h := f.health()
	require.Equal(t, &Health{Path: f.path(), Durable: true}, h)

	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	info, err = os.Stat(f.path())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestManyWritersAreAnsweredEach(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	p := actortest.NewProbe(t, actortest.Runtime(), "writer")
	const n = 500
	for i := range n {
		p.Request(f.pid, &PutProxy{testProxy(i)})
	}
	for range n {
		require.NoError(t, actortest.Expect[*Done](t, p).Err)
	}
	f.stop()
	require.Len(t, start(t, dir).proxies().Proxies, n)
}

func TestWritesThatCannotBeKeptAreRefused(t *testing.T) {
	f := start(t, t.TempDir())
	bad := testProxy(1)
	bad.Key.App = ""
	require.ErrorContains(t, ask[*Done](f, &PutProxy{bad}).Err, "names no stream")
	huge := testProxy(2)
	huge.URL = string(make([]byte, maxPayloadBytes))
	require.ErrorContains(t, ask[*Done](f, &PutProxy{huge}).Err, "limit")
	long := testProxy(3)
	long.Key.Stream = string(make([]byte, maxKeyBytes))
	require.ErrorContains(t, ask[*Done](f, &PutProxy{long}).Err, "limits")
	require.ErrorContains(t, ask[*Done](f, &PutOverrides{map[string]*string{"": str("x")}}).Err, "limits")
	require.NoError(t, f.put(4))
	require.Equal(t, []string{"cam/0004"}, f.numbers())
}

func TestLockedDatabaseIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	require.NoError(t, f.put(1))
	f.stop()

	other, err := os.OpenFile(f.path(), os.O_RDWR, 0)
	require.NoError(t, err)
	defer other.Close() //nolint:errcheck // closed below on the good path
	require.NoError(t, unix.Flock(int(other.Fd()), unix.LOCK_EX))
	notify := actortest.NewProbe(t, actortest.Runtime(), "notify")
	f = start(t, dir, func(o *Options) { o.Notify = notify.PID })
	got := f.proxies()
	require.ErrorIs(t, got.Err, ErrLocked)
	require.Empty(t, got.Proxies)
	require.ErrorIs(t, ask[*Overrides](f, &GetOverrides{}).Err, ErrLocked)
	h := f.health()
	require.False(t, h.Durable)
	require.ErrorIs(t, h.Err, ErrLocked)
	require.Empty(t, h.Moved, "a file that another process holds is not damaged")
	err = f.put(2)
	var refused *NotDurableError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, f.path(), refused.Path)
	require.ErrorContains(t, err, "another process holds it")

	require.NoError(t, other.Close())
	require.Equal(t, []Proxy{testProxy(1)}, actortest.Expect[*Reopened](t, notify).Proxies)
	require.Equal(t, []string{"cam/0001"}, f.numbers(), "the refused write left nothing")
	require.True(t, f.health().Durable)
	require.NoError(t, f.put(2))
}

func TestUnusableDirectoryKeepsServing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	f := start(t, dir)
	h := f.health()
	require.False(t, h.Durable)
	require.ErrorContains(t, h.Err, "state directory")
	require.Error(t, f.put(1))
	require.NoError(t, os.Remove(dir))
	f.awaitDurable(true)
	require.NoError(t, f.put(1))
}

func TestFileTakenAwayIsWrittenAnew(t *testing.T) {
	for name, take := range map[string]func(path string) error{
		"deleted": os.Remove,
		"replaced by an older copy": func(path string) error {
			return os.Rename(path+".copy", path)
		},
		"directory deleted": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			f := start(t, dir)
			require.NoError(t, f.put(1))
			f.stop()
			old, err := os.ReadFile(f.path())
			require.NoError(t, err)
			f = start(t, dir)
			require.NoError(t, f.put(2))
			require.NoError(t, f.drop(1))
			require.NoError(t, os.WriteFile(f.path()+".copy", old, 0o600))
			require.NoError(t, take(f.path()))
			require.NoError(t, f.put(3))
			f.stop()
			require.Equal(t, []string{"cam/0002", "cam/0003"}, start(t, dir).numbers())
		})
	}
}

func TestDamageWhileRunningIsMended(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	for n := range 20 {
		require.NoError(t, f.put(n))
	}
	// bbolt maps the file: cutting it makes the next access a memory fault.
	require.NoError(t, os.Truncate(f.path(), 4096))
	actortest.Eventually(t, func() bool { return f.put(20) == nil }, "write accepted again")
	h := f.health()
	require.True(t, h.Durable)
	require.FileExists(t, h.Moved)
	require.Len(t, f.numbers(), 21)
	f.stop()
	require.Len(t, start(t, dir).numbers(), 21)
}

func TestNewerSchemaIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	require.NoError(t, f.put(1))
	f.stop()
	setSchema(t, f.path(), "2")
	before, err := os.ReadFile(f.path())
	require.NoError(t, err)
	f = start(t, dir)
	require.ErrorIs(t, f.health().Err, ErrNewer)
	require.Error(t, f.put(2))
	f.stop()
	after, err := os.ReadFile(f.path())
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestStopAndCrashFreeTheFile(t *testing.T) {
	actortest.CheckLeaks(t)
	rt, dir := actortest.Runtime(), t.TempDir()
	child := make(chan *actor.PID, 1)
	actortest.SpawnFunc(t, rt, "parent", func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			child <- ctx.Spawn(Props(Options{Runtime: rt, Dir: dir}))
		}
	})
	f := &fixture{t, dir, <-child}
	require.NoError(t, f.put(1))
	p := actortest.NewProbe(t, rt, "watch")
	p.Watch(f.pid)
	for n := range 10 {
		p.Request(f.pid, &PutProxy{testProxy(10 + n)})
	}
	rt.System.Root.Send(f.pid, &actors.Crash{})
	actortest.Await[*actor.Terminated](t, p)
	next := start(t, dir)
	require.True(t, next.health().Durable)
	require.Contains(t, next.numbers(), "cam/0001")
}

func TestStopAnswersWaitingWriters(t *testing.T) {
	f := start(t, t.TempDir())
	p := actortest.NewProbe(t, actortest.Runtime(), "writer")
	// The store's answers come in order, so the first one proves that the rest is in its mailbox or beyond.
	for n := range 100 {
		p.Request(f.pid, &PutProxy{testProxy(n)})
	}
	require.NoError(t, actortest.Expect[*Done](t, p).Err)
	f.stop()
	acknowledged := 1
	for range p.Drain(t) {
		acknowledged++
	}
	require.LessOrEqual(t, acknowledged, 100)
	require.True(t, start(t, f.dir).health().Durable)
}
