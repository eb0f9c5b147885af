package hook

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRedirectsKeepMethodAndBody(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.WriteString(w, `{"code":0,"method":"`+req.Method+`","path":"`+req.URL.Path+`"}`)
			})
			first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.URL.Path == "/hook" {
					http.Redirect(w, req, "/moved?key=s3cret", status) // relative
					return
				}
				http.Redirect(w, req, r.URL+"/end", status)
			}))
			t.Cleanup(first.Close)
			f := start(t, first.URL+"/hook?key=s3cret")
			a := f.ask(&Ask{ID: 1, Name: "on_play", Body: map[string]any{"app": "live", "vhost": "v"}})
			require.NoError(t, a.Err)
			require.Equal(t, map[string]any{"code": json.Number("0"), "method": "POST", "path": "/end"}, a.Body)
			require.Equal(t, []map[string]any{{"app": "live", "vhost": "v", "mediaServerId": "berth-1", "hook_index": 0.0}}, r.bodies,
				"one try, one number, however often it is sent on")
			require.Empty(t, r.heads[0].Get("Referer"), "the query of a hook's URL is nobody else's business")
			require.Equal(t, "v", r.heads[0].Get("X-VHOST"))
		})
	}
}

func TestRedirectsThatLeadNowhere(t *testing.T) {
	cases := []struct {
		name     string
		location string
		requests int // of one try
		err      string
	}{
		{"no location", "", 1, "[bad http status code]:302"},
		{"malformed location", "http://[::1", 1, "[network err]:failed to parse Location header"},
		{"in a circle", "/hook", 1 + maxRedirects, "[network err]:more than 10 redirects"},
		{"to something else than HTTP", "file:///etc/passwd", 1, "[network err]:unsupported protocol scheme"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.location != "" {
					w.Header().Set("Location", c.location)
				}
				w.WriteHeader(http.StatusFound)
				_, _ = io.WriteString(w, `{"code":0}`)
			})
			f := start(t, r.URL+"/hook", func(o *Options) { o.Config = testConfig(0) })
			a := f.ask(&Ask{ID: 1, Name: "on_play"})
			require.ErrorContains(t, a.Err, c.err)
			require.Equal(t, -1, a.Code)
			require.Equal(t, c.requests, r.count())
		})
	}
}
