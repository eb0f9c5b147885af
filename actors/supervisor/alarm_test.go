package supervisor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

func TestThePoolsAlarmsReachTheWebHook(t *testing.T) {
	bodies := make(chan map[string]any, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err == nil {
			bodies <- body
		}
		_, _ = fmt.Fprint(w, `{"code":0}`)
	}))
	defer receiver.Close()
	s := newServer(t, 20)
	s.keys["hook.enable"] = "true"
	s.keys["pool.warn_at"] = "10"
	s.keys["pool.drain_idle"], s.keys["pool.cool_down"] = `"0s"`, `"0s"`
	source := startCamera(t)
	s.start(faults{})
	s.set("hook.on_port_pool_alarm", strconv.Quote(receiver.URL)) // hot
	require.EqualValues(t, 0, s.call("reloadConfig")["code"])
	s.pull(source, "one", "1") // two pairs of 20
	next := func() map[string]any {
		select {
		case body := <-bodies:
			return body
		case <-time.After(actortest.Wait):
			t.Fatal("no hook came")
			return nil
		}
	}
	body := next()
	require.Equal(t, []any{"high", "normal", 10.0, 10.0, 20.0, 1.0}, []any{body["level"], body["former"], body["percent"], body["warn_at"], body["pairs"], body["generation"]})
	require.NotEmpty(t, body["mediaServerId"])
	require.Contains(t, body["msg"], "running short")
	require.EqualValues(t, 2, body["states"].(map[string]any)["leased"])
	s.call("delStreamProxy", "key", "__defaultVhost__/live/one")
	body = next()
	require.Equal(t, []any{"normal", "high"}, []any{body["level"], body["former"]})
}
