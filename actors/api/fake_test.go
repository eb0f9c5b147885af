package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/api"
	"berth/actors/portpool"
	"berth/actors/proxy"
	"berth/actors/receiver"
	"berth/actors/reload"
	"berth/actors/rtspd"
	"berth/actors/sender"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/media/hub"
	"berth/media/slab"
	"berth/netio/httpd"
	"berth/netio/ports"
)

func TestMain(m *testing.M) { actortest.Main(m) }

const secret = "the-random-secret-of-this-server"

// world is a front with fake actors behind it, which answer what the test put there and remember what they were told.
type world struct {
	t    *testing.T
	rt   *actors.Runtime
	api  *actor.PID
	base string
	http *http.Client

	audits atomic.Int32 // asked for

	mu         sync.Mutex // guards what follows
	streams    []stream.Snapshot
	memory     slab.Stats
	proxies    []proxy.Snapshot
	sessions   []rtspd.SessionInfo
	pool       portpool.Pool
	state      reload.State
	verdict    reload.Verdict
	added      proxy.ProxyAdded
	receivers  []receiver.Snapshot
	senders    []sender.Snapshot
	opened     receiver.Opened
	rtpErr     error // of Connect, SetSSRC and PauseCheck
	started    sender.Started
	stopped    sender.Stopped
	removeErr  error
	health     store.Health
	told       []any // commands, in order
	restart    func(ctx context.Context, by string) (api.RestartResult, error)
	engine     *api.Engine
	mute       bool // the fakes do not answer
	unanswered int  // messages since then
}

// newWorld starts a front; change edits the configuration before.
func newWorld(t *testing.T, change func(*config.Config)) *world {
	t.Helper()
	cfg := config.Default()
	cfg.Metrics.Enable = true
	if change != nil {
		change(cfg)
	}
	rt := actortest.Runtime()
	w := &world{
		t: t, rt: rt, state: reload.State{Running: cfg}, health: store.Health{Durable: true},
		pool: portpool.Pool{Range: ports.Range{Low: 30000, High: 30071}},
	}
	fake := actortest.SpawnFunc(t, rt, "fake", w.receive)
	w.engine = &api.Engine{Generation: 1, Started: time.Now(), Pool: fake, Hook: fake, Streams: fake, Proxies: fake, Receivers: fake, Senders: fake, RTSP: fake}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.base = "http://" + l.Addr().String()
	w.api = actortest.Spawn(t, rt, api.Props(api.Options{
		Runtime: rt, Config: cfg, Listeners: []httpd.Listener{{Listener: l}},
		Engine: w.currentEngine, Reload: fake, Store: fake,
		Restart: func(ctx context.Context, by string) (api.RestartResult, error) {
			w.mu.Lock()
			restart := w.restart
			w.mu.Unlock()
			return restart(ctx, by)
		},
		Secret: func() string { return secret }, ServerID: "server-1", Version: "1.2.3", Log: actortest.Log(),
	}), "api")
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	w.http = &http.Client{Transport: transport, Timeout: time.Minute}
	return w
}

func (w *world) currentEngine() (api.Engine, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.engine == nil {
		return api.Engine{}, false
	}
	return *w.engine, true
}

// set changes what the fakes answer.
func (w *world) set(change func(w *world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// heard returns the commands that the fakes were told since the last call.
func (w *world) heard() []any {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = nil
	return told
}

func (w *world) receive(ctx actor.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mute {
		if ctx.Sender() != nil { // a question, not a message of the library such as Started
			w.unanswered++
		}
		return
	}
	if answer := w.rtp(ctx.Message()); answer != nil {
		ctx.Respond(answer)
		return
	}
	switch m := ctx.Message().(type) {
	case *streams.ListStreams:
		ctx.Respond(&streams.Streams{Streams: w.matching(m.Filter, m.Readers), Memory: w.memory})
	case *streams.CloseStreams:
		w.told = append(w.told, *m)
		ctx.Respond(w.closeMatching(m))
	case *proxy.ListProxies:
		var found []proxy.Snapshot
		for _, p := range w.proxies {
			if m.Key == "" || m.Key == p.Key {
				found = append(found, p)
			}
		}
		ctx.Respond(&proxy.Proxies{Proxies: found})
	case *proxy.AddProxy:
		w.told = append(w.told, m.Definition)
		answer := w.added
		if answer.Key == "" {
			answer.Key = m.Definition.Key.String()
		}
		ctx.Respond(&answer)
	case *proxy.RemoveProxy:
		w.told = append(w.told, *m)
		ctx.Respond(&proxy.ProxyRemoved{Found: strings.HasSuffix(m.Key, "known") || len(w.streams) > 0, Err: w.removeErr})
	case *portpool.Audit:
		w.audits.Add(1)
		ctx.Respond(&portpool.Audited{})
	case *portpool.GetPool:
		answer := w.pool
		if !m.Detail {
			answer.Slots = nil
		}
		ctx.Respond(&answer)
	case *store.GetHealth:
		answer := w.health
		ctx.Respond(&answer)
	case *reload.GetConfig:
		answer := w.state
		ctx.Respond(&answer)
	case *reload.Reload:
		w.told = append(w.told, *m)
		answer := w.verdict
		answer.DryRun = m.DryRun
		ctx.Respond(&answer)
	case *reload.Override:
		w.told = append(w.told, *m)
		answer := w.verdict
		ctx.Respond(&answer)
	case *rtspd.ListSessions:
		ctx.Respond(&rtspd.Sessions{Sessions: w.matchingSessions(m.Filter)})
	case *rtspd.KickSessions:
		w.told = append(w.told, *m)
		ctx.Respond(&rtspd.SessionsKicked{Hit: len(w.matchingSessions(m.Filter))})
	}
}

// rtp answers as receivers and senders; nil for what is not theirs.
func (w *world) rtp(message any) any {
	switch m := message.(type) {
	case *receiver.List:
		answer := &receiver.Receivers{}
		for _, r := range w.receivers {
			if !m.Key.Valid() || m.Key == r.Key {
				answer.Receivers = append(answer.Receivers, r)
			}
		}
		return answer
	case *receiver.Open:
		w.told = append(w.told, m.Definition)
		answer := w.opened
		return &answer
	case *receiver.Connect:
		w.told = append(w.told, *m)
		return &receiver.Connected{Err: w.rtpErr}
	case *receiver.Close:
		w.told = append(w.told, *m)
		return &receiver.Closed{Found: strings.HasSuffix(m.Key.Stream, "known")}
	case *receiver.CloseStreams:
		w.told = append(w.told, *m)
		return &receiver.StreamsClosed{Hit: 1}
	case *receiver.SetSSRC:
		w.told = append(w.told, *m)
		return &receiver.Done{Err: w.rtpErr}
	case *receiver.PauseCheck:
		w.told = append(w.told, *m)
		return &receiver.Done{Err: w.rtpErr}
	case *sender.List:
		answer := &sender.Senders{}
		for _, s := range w.senders {
			if !m.Stream.Valid() || m.Stream == s.Stream {
				answer.Senders = append(answer.Senders, s)
			}
		}
		return answer
	case *sender.Start:
		w.told = append(w.told, m.Definition)
		answer := w.started
		return &answer
	case *sender.Stop:
		w.told = append(w.told, *m)
		answer := w.stopped
		return &answer
	}
	return nil
}

func (w *world) matching(f streams.Filter, readers bool) []stream.Snapshot {
	var found []stream.Snapshot
	for _, s := range w.streams {
		if (f.VHost == "" || f.VHost == s.Key.VHost) && (f.App == "" || f.App == s.Key.App) && (f.Stream == "" || f.Stream == s.Key.Stream) {
			if !readers {
				s.Readers = nil
			}
			found = append(found, s)
		}
	}
	return found
}

func (w *world) closeMatching(m *streams.CloseStreams) *streams.StreamsClosed {
	answer := &streams.StreamsClosed{}
	for _, s := range w.matching(m.Filter, false) {
		answer.Hit++
		if m.Force || s.ReaderCount == 0 {
			answer.Closed++
		}
	}
	return answer
}

func (w *world) matchingSessions(f rtspd.Filter) []rtspd.SessionInfo {
	var found []rtspd.SessionInfo
	for _, s := range w.sessions {
		if (f.ID == "" || f.ID == s.ID) && (f.LocalPort == 0 || f.LocalPort == s.Local.Port()) && (!f.PeerIP.IsValid() || f.PeerIP == s.Peer.Addr()) {
			found = append(found, s)
		}
	}
	return found
}

// reply is a decoded answer of the front.
type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (r reply) code() int {
	code, ok := r.body["code"].(float64)
	if !ok {
		return -12345
	}
	return int(code)
}

func (w *world) do(req *http.Request) reply {
	w.t.Helper()
	resp, err := w.http.Do(req)
	require.NoError(w.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
	r := reply{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") && len(text) > 0 {
		require.NoError(w.t, json.Unmarshal(text, &r.body), "%s", text)
	}
	return r
}

// call posts a form with the secret.
func (w *world) call(name string, args ...string) reply {
	w.t.Helper()
	form := url.Values{"secret": {secret}}
	for i := 0; i+1 < len(args); i += 2 {
		form.Add(args[i], args[i+1])
	}
	return w.do(w.request(http.MethodPost, "/index/api/"+name, "application/x-www-form-urlencoded", form.Encode()))
}

// get asks for a path as it is.
func (w *world) get(path string) reply {
	w.t.Helper()
	return w.do(w.request(http.MethodGet, path, "", ""))
}

func (w *world) request(method, path, kind, body string) *http.Request {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	require.NoError(w.t, err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	return req
}

// requireJSON compares a reply with JSON, key order and layout aside.
func (r reply) requireJSON(t *testing.T, want string) {
	t.Helper()
	require.JSONEq(t, want, r.text)
}

func key(app, name string) media.StreamKey {
	return media.StreamKey{VHost: media.DefaultVHost, App: app, Stream: name}
}

// liveStream is a pulled stream with video and audio, created ago before now.
func liveStream(t *testing.T, app, name string, origin stream.OriginType, readers int, ago time.Duration) stream.Snapshot {
	t.Helper()
	video, err := media.NewTrack(&format.H264{PayloadTyp: 96, PacketizationMode: 1})
	require.NoError(t, err)
	audio, err := media.NewTrack(&format.MPEG4Audio{
		PayloadTyp: 97, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3,
		Config: &mpeg4audio.AudioSpecificConfig{Type: mpeg4audio.ObjectTypeAACLC, SampleRate: 44100, ChannelConfig: 2},
	})
	require.NoError(t, err)
	created := time.Now().Add(-ago)
	s := stream.Snapshot{
		Key: key(app, name), Params: "token=1", Created: created, Online: true, ReaderCount: readers,
		Origin: stream.Origin{
			Type: origin, URL: "rtsp://camera/" + name, ID: key(app, name).String(),
			Peer: netip.MustParseAddrPort("192.0.2.7:554"), Local: netip.MustParseAddrPort("192.0.2.1:40000"),
		},
		Tracks: []stream.TrackSnapshot{
			{Track: video, Stats: hub.TrackStats{Packets: 900, Frames: 250, KeyFrames: 5, GOPSize: 50, GOPInterval: 2 * time.Second, FPS: 24.98, LossPercent: 1.5, LastPacket: created.Add(10 * time.Second)}},
			{Track: audio, Stats: hub.TrackStats{Packets: 400, Frames: 400, LossPercent: -1}},
		},
		Stats: hub.Stats{Bytes: 10_000_000, Packets: 1300},
	}
	for i := range readers {
		s.Readers = append(s.Readers, stream.Reader{
			Info: stream.ReaderInfo{
				ID: "session/" + string(rune('a'+i)), Protocol: "rtsp", Since: created,
				Peer: netip.MustParseAddrPort("198.51.100.1:5000"), Local: netip.MustParseAddrPort("192.0.2.1:8554"),
			},
			Stats: hub.ReaderStats{Bytes: 1000, Packets: 10, Dropped: 2, Jumps: 1},
		})
	}
	return s
}

// calls counts from several goroutines.
type calls struct{ atomic.Int64 }

func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func texts(list []any) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		out = append(out, v.(string))
	}
	return out
}

// waitForCalls waits until the fakes' mailbox has seen n more messages while they are mute.
func (w *world) waitForCalls(n int) {
	w.t.Helper()
	actortest.Eventually(w.t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.unanswered >= n
	}, "%d calls", n)
}

// openIdle leaves an idle connection of another client behind.
func (w *world) openIdle() {
	w.t.Helper()
	resp, err := newClient(w.t).Get(w.base + "/healthz")
	require.NoError(w.t, err)
	_, err = io.Copy(io.Discard, resp.Body) // to the end: the client keeps the connection only then
	require.NoError(w.t, err)
	require.NoError(w.t, resp.Body.Close())
}

func (w *world) listen() net.Listener {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	return l
}

func (w *world) dial() net.Conn {
	w.t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(w.base, "http://"))
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = nc.Close() })
	return nc
}
