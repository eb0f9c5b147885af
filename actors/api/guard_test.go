package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/api"
	"berth/config"
	"berth/netio/httpd"
)

func TestArgumentsFromQueryFormJSONAndHeader(t *testing.T) {
	w := newWorld(t, nil)
	const form, js = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	for _, tc := range []struct {
		name, method, query, kind, body string
		code                            int
		msg                             string
	}{
		{name: "query", method: "GET", query: "?secret=" + secret + "&id=x", code: -1, msg: "can not find the target"},
		{name: "names without case", method: "GET", query: "?SECRET=" + secret + "&Id=x", code: -1},
		{name: "form", method: "POST", kind: form, body: "id=x&secret=" + secret, code: -1},
		{name: "form by PUT", method: "PUT", kind: form, body: "id=x&secret=" + secret, code: -1},
		{name: "JSON", method: "POST", kind: js, body: `{"id":1,"secret":"` + secret + `"}`, code: -1},
		{name: "JSON by DELETE", method: "DELETE", kind: js, body: `{"id":true,"secret":"` + secret + `"}`, code: -1},
		{name: "query wins", method: "POST", query: "?secret=" + secret, kind: form, body: "id=x&secret=wrong", code: -1},
		{name: "wrong query loses to nothing", method: "POST", query: "?secret=wrong", kind: form, body: "id=x&secret=" + secret, code: -100},
		{name: "null is empty", method: "POST", kind: js, body: `{"id":null,"secret":"` + secret + `"}`, code: -300, msg: `Required parameter missed: "id"`},
		{name: "missing", method: "GET", query: "?secret=" + secret, code: -300, msg: `Required parameter missed: "id"`},
		{name: "nested JSON", method: "POST", kind: js, body: `{"id":{"a":1},"secret":"` + secret + `"}`, code: -300, msg: "nested"},
		{name: "broken JSON", method: "POST", kind: js, body: `{"id":`, code: -300, msg: "JSON"},
		{name: "JSON and more", method: "POST", kind: js, body: `{} {}`, code: -300, msg: "JSON"},
		{name: "JSON of another shape", method: "POST", kind: js, body: `[1]`, code: -300, msg: "JSON"},
		{name: "broken escape", method: "GET", query: "?secret=" + secret + "&id=50%", code: -300, msg: "%25"},
		{name: "broken escape of a name", method: "GET", query: "?%zz=1", code: -300, msg: "%25"},
		{name: "another body is ignored", method: "POST", query: "?id=x&secret=" + secret, kind: "text/plain", body: "id=y", code: -1},
		{name: "another body is named when it matters", method: "POST", query: "?secret=" + secret, kind: "text/plain", body: "id=y", code: -300, msg: "text/plain"},
		{name: "too many", method: "POST", query: "?secret=" + secret, kind: form, body: manyArgs(1001), code: -300, msg: "more than 1000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := w.do(w.request(tc.method, "/index/api/kick_session"+tc.query, tc.kind, tc.body))
			require.Equal(t, http.StatusOK, r.status)
			require.Equal(t, tc.code, r.code(), r.text)
			require.Contains(t, r.body["msg"], tc.msg)
		})
	}
	req := w.request(http.MethodGet, "/index/api/kick_session?id=x", "", "")
	req.Header.Set("secret", secret)
	require.Equal(t, -1, w.do(req).code(), "the secret may be a header")
	req = w.request(http.MethodGet, "/index/api/kick_session?secret="+secret, "", "")
	req.Header.Set("id", "x")
	require.Equal(t, -300, w.do(req).code(), "nothing else may")
}

func manyArgs(n int) string {
	var b strings.Builder
	for i := range n {
		_, _ = fmt.Fprintf(&b, "a%d=1&", i)
	}
	return b.String()
}

func TestPathsAndMethods(t *testing.T) {
	w := newWorld(t, nil)
	require.Equal(t, 0, w.get("/INDEX/Api/VERSION?secret="+secret).code())
	r := w.get("/index/api/startRecord?secret=" + secret)
	require.Equal(t, http.StatusNotFound, r.status)
	require.Equal(t, -500, r.code())
	require.Contains(t, r.body["msg"], "startRecord")
	require.Equal(t, http.StatusNotFound, w.get("/elsewhere").status)
	r = w.do(w.request(http.MethodHead, "/index/api/version", "", ""))
	require.Equal(t, http.StatusOK, r.status)
	require.Empty(t, r.text)
	r = w.do(w.request(http.MethodPatch, "/index/api/version", "", ""))
	require.Equal(t, http.StatusMethodNotAllowed, r.status)
	require.NotEmpty(t, r.header.Get("Allow"))
	r = w.do(w.request(http.MethodOptions, "/index/api/version", "", ""))
	require.Equal(t, http.StatusOK, r.status)
	require.Equal(t, http.StatusMethodNotAllowed, w.do(w.request(http.MethodPost, "/healthz", "", "")).status)
	r = w.get("/index/api/version?secret=" + secret)
	require.Equal(t, "application/json; charset=utf-8", r.header.Get("Content-Type"))
	require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	require.Contains(t, r.text, "\n\t\"code\": 0,")
}

func TestAnOversizedBodyIsAnsweredInJSON(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { c.HTTP.MaxReqSize = 1024 })
	r := w.call("kick_session", "id", strings.Repeat("a", 2000))
	require.Equal(t, http.StatusRequestEntityTooLarge, r.status)
	require.Equal(t, -300, r.code())
	require.Contains(t, r.body["msg"], "http.maxReqSize")
}

func TestSecret(t *testing.T) {
	w := newWorld(t, nil)
	r := w.get("/index/api/version")
	r.requireJSON(t, `{"code":-100,"msg":"Please login first"}`)
	require.Equal(t, http.StatusOK, r.status)
	require.Equal(t, -100, w.get("/index/api/version?secret=035c73f7-bb6b-4889-a715-d9eb2d1925cc").code())
	require.Equal(t, -100, w.get("/index/api/version?secret="+secret+"x").code())
	require.Equal(t, -100, w.get("/index/api/version?secret="+secret[1:]).code())
	require.Equal(t, 0, w.call("version").code())
}

func TestConfiguredSecretCountsAndFollowsAReload(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { c.API.Secret = "configured" })
	require.Equal(t, -100, w.call("version").code(), "the random one does not count")
	require.Equal(t, 0, w.get("/index/api/version?secret=configured").code())
	next := *config.Default()
	next.API.Secret = "changed"
	next.HTTP.MaxReqSize = 100
	taken, err := actors.Ask[*actors.ConfigTaken](t.Context(), w.rt.System, w.api, &actors.ConfigChanged{Config: &next})
	require.NoError(t, err)
	require.Equal(t, "api", taken.Owner)
	require.NoError(t, taken.Err)
	require.Equal(t, -100, w.get("/index/api/version?secret=configured").code())
	require.Equal(t, 0, w.get("/index/api/version?secret=changed").code())
	require.Equal(t, http.StatusRequestEntityTooLarge, w.call("version", "x", strings.Repeat("a", 200)).status)
}

func TestGuessingTheSecretIsSlowedDown(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { c.Limits.APIFailuresPerMinute = 3 })
	for range 10 {
		require.Equal(t, -100, w.get("/index/api/version").code())
		require.Equal(t, -100, w.get("/index/api/version?secret=stale").code())
	}
	require.Equal(t, 0, w.call("version").code(), "neither asking without a secret nor repeating one is guessing")
	require.Equal(t, -100, w.get("/index/api/version?secret=guess1").code())
	require.Equal(t, -100, w.get("/index/api/version?secret=guess2").code())
	r := w.call("version")
	require.Equal(t, -100, r.code(), "the right one is refused too, or guessing would still work")
	require.Contains(t, r.body["msg"], "too many wrong secrets")
	require.NotEmpty(t, r.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, w.get("/healthz").status)
	require.Contains(t, w.get("/metrics").text, `berth_api_refused_total{reason="rate"} 1`)
}

func TestAddressRange(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { c.HTTP.AllowIPRange = config.IPRanges{} })
	require.Equal(t, 0, w.call("version").code(), "an empty list allows all")
	elsewhere := *config.Default()
	elsewhere.HTTP.AllowIPRange = config.Default().HTTP.AllowIPRange[2:] // without loopback
	_, err := actors.Ask[*actors.ConfigTaken](t.Context(), w.rt.System, w.api, &actors.ConfigChanged{Config: &elsewhere})
	require.NoError(t, err)
	w.call("version").requireJSON(t, `{"code":-100,"msg":"Your ip is not allowed to access the service."}`)
	require.Equal(t, http.StatusForbidden, w.get("/metrics").status)
	require.Equal(t, http.StatusForbidden, w.get("/").status)
	require.Equal(t, http.StatusOK, w.get("/healthz").status)
	require.Equal(t, http.StatusOK, w.get("/readyz").status)
}

func TestLoopbackWithoutASecret(t *testing.T) {
	w := newWorld(t, func(c *config.Config) {
		c.API.AllowLoopback = true
		c.API.Secret = "hidden"
	})
	r := w.get("/index/api/getServerConfig")
	require.Equal(t, 0, r.code())
	require.Equal(t, "******", r.body["data"].([]any)[0].(map[string]any)["api.secret"], "who did not show the secret is not shown it")
	require.Equal(t, -100, w.get("/index/api/version?secret=wrong").code(), "a wrong secret is wrong here too")
	for _, tc := range []struct{ name, host, header, value string }{
		{"a page of another site", "", "Origin", "https://evil.example"},
		{"a picture in a page of another site", "", "Sec-Fetch-Site", "cross-site"},
		{"a name that resolves to this machine", "evil.example", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req := w.request(http.MethodGet, "/index/api/version", "", "")
			if tc.host != "" {
				req.Host = tc.host
			}
			if tc.header != "" {
				req.Header.Set(tc.header, tc.value)
			}
			require.Equal(t, -100, w.do(req).code())
		})
	}
	req := w.request(http.MethodGet, "/index/api/version", "", "")
	req.Header.Set("Origin", w.base)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	require.Equal(t, 0, w.do(req).code(), "our own page")
	req = w.request(http.MethodGet, "/index/api/version", "", "")
	req.Host = "localhost:8080"
	require.Equal(t, 0, w.do(req).code())
}

func TestNoSecretAtAllLetsNobodyIn(t *testing.T) {
	w := newWorld(t, nil)
	l := w.listen()
	open := actortest.Spawn(t, w.rt, api.Props(api.Options{
		Runtime: w.rt, Config: config.Default(), Listeners: []httpd.Listener{{Listener: l}}, Engine: w.currentEngine, Log: actortest.Log(),
	}), "api")
	w.base = "http://" + l.Addr().String()
	require.Equal(t, -100, w.get("/index/api/version").code())
	require.Equal(t, -100, w.get("/index/api/version?secret=").code())
	actortest.Stop(t, w.rt, open)
}

func TestListenersChangeWithoutDisturbingCalls(t *testing.T) {
	w := newWorld(t, nil)
	first := w.base
	l := w.listen()
	_, err := actors.Ask[*api.ListenersSet](t.Context(), w.rt.System, w.api, &api.SetListeners{Listeners: []httpd.Listener{{Listener: l}}})
	require.NoError(t, err)
	w.base = "http://" + l.Addr().String()
	require.Equal(t, 0, w.call("version").code())
	_, err = newClient(t).Get(first + "/healthz")
	require.Error(t, err)
}

func TestCrashFreesTheListener(t *testing.T) {
	w := newWorld(t, nil)
	w.rt.System.Root.Send(w.api, &actors.Crash{})
	// The guardian restarts a top-level actor; what it owned is gone either way.
	actortest.Eventually(t, func() bool {
		resp, err := newClient(t).Get(w.base + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err != nil
	}, "the listener of the crashed front is closed")
}

func TestConnectionsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { c.Limits.HTTPConnections = 20 })
	var wg sync.WaitGroup
	var mu sync.Mutex
	status := map[int]int{}
	for range 200 {
		wg.Go(func() {
			code := -1
			if resp, err := newClient(t).Get(w.base + "/index/api/version?secret=" + secret); err == nil {
				code = resp.StatusCode
				_ = resp.Body.Close()
			}
			mu.Lock()
			status[code]++
			mu.Unlock()
		})
	}
	wg.Wait()
	require.Positive(t, status[http.StatusOK])
	require.Equal(t, 200, status[http.StatusOK]+status[http.StatusServiceUnavailable]+status[-1])
	actortest.Eventually(t, func() bool { return w.call("version").code() == 0 }, "calls are answered after the flood")
}

func TestPprof(t *testing.T) {
	w := newWorld(t, nil)
	require.Equal(t, http.StatusNotFound, w.get("/debug/pprof/?secret="+secret).status)
	on := *config.Default()
	on.Debug.Pprof = true
	_, err := actors.Ask[*actors.ConfigTaken](t.Context(), w.rt.System, w.api, &actors.ConfigChanged{Config: &on})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, w.get("/debug/pprof/").status)
	r := w.get("/debug/pprof/?secret=" + secret)
	require.Equal(t, http.StatusOK, r.status)
	require.Contains(t, r.text, "goroutine")
	require.Equal(t, http.StatusOK, w.get("/debug/pprof/heap?secret="+secret).status)
}

func TestReadinessNamesAStoreThatIsNotDurable(t *testing.T) {
	w := newWorld(t, nil)
	require.Equal(t, "ready: generation 1\n", w.get("/readyz").text)
	w.set(func(w *world) { w.health.Durable, w.health.Err = false, fmt.Errorf("locked by another process") })
	r := w.get("/readyz")
	require.Equal(t, http.StatusOK, r.status)
	require.Contains(t, r.text, "not durable: locked by another process")
}

func TestPage(t *testing.T) {
	w := newWorld(t, nil)
	r := w.get("/")
	require.Equal(t, http.StatusOK, r.status)
	policy := r.header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.Equal(t, 2, strings.Count(policy, "'sha256-"))
	require.Equal(t, 1, strings.Count(r.text, "<script"), "the policy allows one script")
	require.Equal(t, 1, strings.Count(r.text, "<style"), "the policy allows one style")
	require.NotContains(t, r.text, " style=", "style attributes are forbidden by the policy")
	require.NotContains(t, r.text, "innerHTML", "names of streams must never become markup")
	for _, outside := range []string{"src=\"http", "href=\"http", "@import", "url("} {
		require.NotContains(t, r.text, outside, "the page must work without the internet")
	}
}

func TestSlowClientsAreCut(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { c.Limits.HTTPHeaderTimeout = 100 * time.Millisecond })
	nc := w.dial()
	_, err := nc.Write([]byte("GET /index/api/version HTTP/1.1\r\nHost: x\r\n"))
	require.NoError(t, err)
	_, err = nc.Read(make([]byte, 1))
	require.Error(t, err, "half a header must not keep a connection")
}
