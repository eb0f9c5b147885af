package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/config"
)

func TestMain(m *testing.M) { actortest.Main(m) }

// receiver is a web hook receiver that keeps what it is sent.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []map[string]any
	heads  []http.Header
}

func newReceiver(t *testing.T, handle http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		raw, _ := io.ReadAll(req.Body)
		var body map[string]any
		if json.Unmarshal(raw, &body) == nil {
			r.mu.Lock()
			r.bodies, r.heads = append(r.bodies, body), append(r.heads, req.Header)
			r.mu.Unlock()
		}
		handle(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies)
}

func reply(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func testConfig(retry int) *config.Config {
	c := config.Default()
	c.Hook.Enable, c.Hook.Timeout, c.Hook.Retry, c.Hook.RetryDelay = true, 10*time.Second, retry, time.Millisecond
	c.General.MediaServerID = "berth-1"
	return c
}

type fixture struct {
	t     *testing.T
	pid   *actor.PID
	asker *actortest.Probe
}

func start(t *testing.T, url string, change ...func(*Options)) *fixture {
	t.Helper()
	rt := actortest.Runtime()
	o := Options{Runtime: rt, Config: testConfig(1), URL: func(name string) string {
		if name == "off" {
			return ""
		}
		return url
	}}
	for _, c := range change {
		c(&o)
	}
	return &fixture{t, actortest.Spawn(t, rt, Props(o), "hook"), actortest.NewProbe(t, rt, "asker")}
}

func (f *fixture) ask(m *Ask) *Answer {
	f.t.Helper()
	f.asker.Request(f.pid, m)
	return actortest.Expect[*Answer](f.t, f.asker)
}

// stats asks as the asker does, so that what it sent before has been taken in.
func (f *fixture) stats() *Stats {
	f.t.Helper()
	f.asker.Request(f.pid, &GetStats{})
	return actortest.Expect[*Stats](f.t, f.asker)
}

func TestAskSendsWhatReceiversExpect(t *testing.T) {
	r := newReceiver(t, reply(`{"code":0,"msg":"success","close":true}`))
	f := start(t, r.URL+"/hook")
	body := map[string]any{"app": "live", "vhost": "__defaultVhost__", "originType": 4}
	a := f.ask(&Ask{ID: 7, Name: "on_publish", Body: body})
	require.Equal(t, &Answer{ID: 7, Asked: true, Body: map[string]any{"code": json.Number("0"), "msg": "success", "close": true}}, a)
	f.ask(&Ask{ID: 8, Name: "on_play"})
	require.Len(t, body, 3, "the asker's map is left alone")

	require.Equal(t, map[string]any{"app": "live", "vhost": "__defaultVhost__", "originType": 4.0, "mediaServerId": "berth-1", "hook_index": 0.0}, r.bodies[0])
	require.Equal(t, map[string]any{"mediaServerId": "berth-1", "hook_index": 1.0}, r.bodies[1])
	require.Equal(t, "application/json", r.heads[0].Get("Content-Type"))
	require.Equal(t, "berth", r.heads[0].Get("User-Agent"))
	require.Equal(t, "__defaultVhost__", r.heads[0].Get("X-VHOST"))
	require.Equal(t, &Stats{Sent: 2}, f.stats())
}

func TestAnswersAreJudged(t *testing.T) {
	cases := []struct {
		name    string
		handle  http.HandlerFunc
		tries   int
		code    int
		message string // what Answer.Message must contain
		failed  bool
	}{
		{"allowed", reply(`{"code":0}`), 1, 0, "", false},
		{"refused, and not tried again", reply(`{"code":401,"msg":"no \"key\""}`), 1, 401, `[auth failed]: code:401 msg:"no \"key\""`, false},
		{"refused without a text", reply(`{"code":-1}`), 1, -1, `[auth failed]: code:-1 msg:""`, false},
		{"code as text", reply(`{"code":"0"}`), 2, -1, `[json code]:code not int:{"code":"0"}`, true},
		{"code as a fraction", reply(`{"code":0.5}`), 2, -1, "[json code]", true},
		{"no code", reply(`{"msg":"ok"}`), 2, -1, "[json code]", true},
		{"no JSON", reply("OK"), 2, -1, "[parse json failed]", true},
		{"JSON, but no object", reply("[0]"), 2, -1, "[parse json failed]", true},
		{"two values", reply(`{"code":0}{"code":0}`), 2, -1, "[parse json failed]", true},
		{"empty", reply(""), 2, -1, "[parse json failed]", true},
		{"endless", reply(`{"code":0,"x":"` + strings.Repeat("x", maxReply) + `"}`), 2, -1, "[parse json failed]:more than", true},
		{"status 500", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"code":0}`)
		}, 2, -1, "[bad http status code]:500", true},
		{"status 204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, 2, -1, "[bad http status code]:204", true},
		{"connection cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 2, -1, "[network err]:", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newReceiver(t, c.handle)
			r.Config.ErrorLog = nil
			f := start(t, r.URL+"/hook?key=s3cret")
			a := f.ask(&Ask{ID: 3, Name: "on_play"})
			require.True(t, a.Asked)
			require.EqualValues(t, 3, a.ID)
			require.Equal(t, c.code, a.Code)
			require.Contains(t, a.Message, c.message)
			require.Equal(t, c.tries, r.count())
			require.NotContains(t, a.Message, "s3cret")
			if !c.failed {
				require.NoError(t, a.Err)
				return
			}
			var failed *FailedError
			require.ErrorAs(t, a.Err, &failed)
			require.Equal(t, c.tries, failed.Tries)
			require.Equal(t, r.URL+"/hook", failed.URL)
			require.Equal(t, &Stats{Failed: 1}, f.stats())
			require.NotEqual(t, r.bodies[0]["hook_index"], r.bodies[1]["hook_index"], "every try has its own number")
		})
	}
}

func TestOffMeansNotAsked(t *testing.T) {
	r := newReceiver(t, reply(`{"code":1}`))
	f := start(t, r.URL)
	require.Equal(t, &Answer{ID: 1}, f.ask(&Ask{ID: 1, Name: "off"}))
	disabled := testConfig(0)
	disabled.Hook.Enable = false
	f.asker.Request(f.pid, &actors.ConfigChanged{Config: disabled})
	require.Equal(t, "hook", actortest.Expect[*actors.ConfigTaken](t, f.asker).Owner)
	require.Equal(t, &Answer{ID: 2}, f.ask(&Ask{ID: 2, Name: "on_play"}))
	f.asker.Request(f.pid, &Notify{Name: "on_flow_report"})
	require.Equal(t, &Stats{}, f.stats())
	require.Zero(t, r.count())
}

func TestNotifyIsSentAndTriedAgain(t *testing.T) {
	var n atomic.Int32
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = io.WriteString(w, `{"code":0}`)
	})
	f := start(t, r.URL)
	f.asker.Request(f.pid, &Notify{Name: "on_stream_changed", Body: map[string]any{"regist": true}})
	actortest.Eventually(t, func() bool { return f.stats().Sent == 1 }, "sent")
	require.Equal(t, 2, r.count())
	f.asker.ExpectNothing(t)
}

func TestFullQueueDropsTheOldestNotification(t *testing.T) {
	hold := make(chan struct{})
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		<-hold
		_, _ = io.WriteString(w, `{"code":0}`)
	})
	f := start(t, r.URL, func(o *Options) { o.Queue, o.Notifying = 3, 1 })
	for n := range 10 {
		f.asker.Request(f.pid, &Notify{Name: "on_flow_report", Body: map[string]any{"n": n}})
	}
	require.Equal(t, &Stats{Dropped: 7, Queued: 3}, f.stats())
	close(hold)
	actortest.Eventually(t, func() bool { return f.stats().Sent == 3 }, "the rest is sent")
	var got []any
	for _, b := range r.bodies {
		got = append(got, b["n"])
	}
	require.Equal(t, []any{0.0, 8.0, 9.0}, got, "the one under way and the newest")
}

func TestTooManyQuestionsAreRefusedAndNotificationsDoNotHoldThemUp(t *testing.T) {
	hold := make(chan struct{})
	r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/stuck" {
			<-hold
		}
		_, _ = io.WriteString(w, `{"code":0}`)
	})
	f := start(t, r.URL, func(o *Options) {
		o.Queue, o.Notifying, o.Asking = 2, 1, 1
		o.URL = func(name string) string { return r.URL + "/" + name }
	})
	for range 4 {
		f.asker.Request(f.pid, &Notify{Name: "stuck"})
	}
	require.Zero(t, f.ask(&Ask{ID: 1, Name: "on_play"}).Code)
	for id := uint64(2); id <= 4; id++ {
		f.asker.Request(f.pid, &Ask{ID: id, Name: "stuck"})
	}
	a := actortest.Expect[*Answer](t, f.asker)
	require.EqualValues(t, 4, a.ID)
	require.ErrorIs(t, a.Err, ErrBusy)
	require.Equal(t, -1, a.Code)
	close(hold)
	require.NoError(t, actortest.Expect[*Answer](t, f.asker).Err)
	require.NoError(t, actortest.Expect[*Answer](t, f.asker).Err)
}

// stuckTransport answers nothing until its request is cancelled.
type stuckTransport struct{ calls atomic.Int32 }

func (s *stuckTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	s.calls.Add(1)
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func TestTimes(t *testing.T) {
	cases := []struct {
		name     string
		deadline time.Duration
		want     time.Duration // until the answer
		tries    int32
		err      error
	}{
		{"timeouts and pauses", 0, 3*5*time.Second + 2*3*time.Second, 3, context.DeadlineExceeded},
		{"deadline in a try", 2 * time.Second, 2 * time.Second, 1, ErrDeadline},
		{"deadline in a pause", 7 * time.Second, 7 * time.Second, 1, ErrDeadline},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			actortest.Bubble(t, func(t *testing.T, rt *actors.Runtime) {
				cfg := testConfig(2)
				cfg.Hook.Timeout, cfg.Hook.RetryDelay = 5*time.Second, 3*time.Second
				stuck := &stuckTransport{}
				pid := actortest.Spawn(t, rt, Props(Options{
					Runtime: rt, Config: cfg, Transport: stuck, URL: func(string) string { return "http://192.0.2.1/" },
				}), "hook")
				p := actortest.NewProbe(t, rt, "asker")
				began := time.Now()
				p.Request(pid, &Ask{ID: 1, Name: "on_play", Deadline: c.deadline})
				a := actortest.Expect[*Answer](t, p)
				require.ErrorIs(t, a.Err, c.err)
				require.Equal(t, c.want, time.Since(began))
				require.Equal(t, c.tries, stuck.calls.Load())
				<-time.After(time.Minute)
				p.ExpectNothing(t)
			})
		})
	}
}

func TestStopEndsEverything(t *testing.T) {
	actortest.CheckLeaks(t)
	stuck := &stuckTransport{}
	f := start(t, "http://192.0.2.1/", func(o *Options) { o.Transport, o.Asking, o.Notifying = stuck, 2, 2 })
	for id := range uint64(5) {
		f.asker.Request(f.pid, &Ask{ID: id, Name: "on_play", Deadline: time.Hour})
		f.asker.Request(f.pid, &Notify{Name: "on_flow_report"})
	}
	actortest.Eventually(t, func() bool { return stuck.calls.Load() == 4 }, "under way")
	require.Equal(t, 10, f.stats().Queued)
	actortest.Stop(t, actortest.Runtime(), f.pid)
	for range 5 {
		a := actortest.Expect[*Answer](t, f.asker)
		require.ErrorIs(t, a.Err, ErrClosed)
		require.True(t, a.Asked)
	}
	f.asker.ExpectNothing(t)
}

func TestCrashAnswersWhoWaits(t *testing.T) {
	actortest.CheckLeaks(t)
	rt, stuck := actortest.Runtime(), &stuckTransport{}
	child := make(chan *actor.PID, 1)
	actortest.SpawnFunc(t, rt, "engine", func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			child <- ctx.Spawn(Props(Options{Runtime: rt, Config: testConfig(1), Transport: stuck, URL: func(string) string { return "http://192.0.2.1/" }}))
		}
	})
	pid := <-child
	p := actortest.NewProbe(t, rt, "asker")
	p.Watch(pid)
	p.Request(pid, &Ask{ID: 9, Name: "on_play"})
	actortest.Eventually(t, func() bool { return stuck.calls.Load() == 1 }, "under way")
	rt.System.Root.Send(pid, &actors.Crash{})
	var sawAnswer, sawEnd bool
	for range 2 {
		switch m := p.Next(t).Message.(type) {
		case *Answer:
			require.ErrorIs(t, m.Err, ErrClosed)
			sawAnswer = true
		case *actor.Terminated:
			sawEnd = true
		}
	}
	require.True(t, sawAnswer && sawEnd)
}

func TestShownURL(t *testing.T) {
	require.Equal(t, "http://h:8080/x", shownURL("http://user:pw@h:8080/x?secret=1#f"))
	require.Equal(t, "(malformed URL)", shownURL("http://[::1"))
}

func FuzzJudge(f *testing.F) {
	for _, s := range []string{`{"code":0}`, `{"code":"0"}`, `{"code":1e3}`, `{"code":-5,"msg":"x"}`, `null`, `[]`, `{"code":99999999999999999999}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := judge(b)
		if err != nil {
			return
		}
		if (v.code == 0) != (v.message == "") {
			t.Fatal("a refusal needs a text, an approval none")
		}
		number, ok := v.body["code"].(json.Number)
		if !ok || strings.ContainsAny(number.String(), ".eE") || !json.Valid(bytes.TrimSpace(b)) {
			t.Fatalf("accepted %q", b)
		}
	})
}

func TestMalformedURL(t *testing.T) {
	f := start(t, "http://user:pw@[::1/hook")
	a := f.ask(&Ask{ID: 1, Name: "on_play"})
	var failed *FailedError
	require.True(t, errors.As(a.Err, &failed))
	require.NotContains(t, a.Message, "pw")
}
