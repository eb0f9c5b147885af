package supervisor

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/hook"
	"berth/actors/portpool"
)

// draining lets a pull over UDP come and go, and returns the ports that it leaves draining.
func draining(r *keyRig) []uint16 {
	r.t.Helper()
	r.pull(startCamera(r.t), "cam", "1")
	reply := r.call("delStreamProxy", "key", "__defaultVhost__/live/cam")
	require.EqualValues(r.t, 0, reply["code"], "%v", reply)
	var ports []uint16
	r.eventually("the pairs drain", func() bool {
		ports = nil
		for _, slot := range r.slots() {
			if slot.State.String() == "draining" {
				ports = append(ports, slot.Port)
			}
		}
		return len(ports) == 2
	})
	return ports
}

func (r *keyRig) slots() []portpool.Slot {
	if pool := r.pool(); pool != nil {
		return pool.Slots
	}
	return nil
}

// states counts the slots that are not free.
func (r *keyRig) states() map[string]int {
	out := map[string]int{}
	for _, slot := range r.slots() {
		out[slot.State.String()]++
	}
	return out
}

func poolRows() map[string]keyRow {
	long := map[string]string{"pool.drain_idle": `"10m"`, "pool.drain_max": `"1h"`, "pool.cool_down": `"1h"`}
	return map[string]keyRow{
		"pool.drain_idle": {
			base: long, to: `"0s"`,
			before: func(r *keyRig) { draining(r) },
			after: func(r *keyRig) {
				r.eventually("the pairs are closed and cool", func() bool { return r.states()["draining"] == 0 && r.states()["cooling"] == 2 })
			},
		},
		"pool.drain_max": {
			base: map[string]string{"pool.drain_idle": `"1s"`, "pool.drain_max": `"1h"`, "pool.cool_down": `"1h"`}, to: `"1s"`,
			before: func(r *keyRig) { keepSending(r, draining(r)) },
			after: func(r *keyRig) {
				r.eventually("the pairs are closed, although somebody keeps sending", func() bool { return r.states()["cooling"] == 2 })
			},
		},
		"pool.cool_down": {
			base: map[string]string{"pool.drain_idle": `"0s"`, "pool.cool_down": `"1h"`}, to: `"0s"`,
			before: func(r *keyRig) {
				r.pull(startCamera(r.t), "cam", "1")
				r.call("delStreamProxy", "key", "__defaultVhost__/live/cam")
				r.eventually("the pairs cool", func() bool { return r.states()["cooling"] == 2 })
			},
			after: func(r *keyRig) { r.eventually("the pairs are free", func() bool { return len(r.slots()) == 0 }) },
		},
		"pool.warn_at": {
			base: map[string]string{"pool.warn_at": "100", "log.level": `"warn"`}, to: "5",
			before: func(r *keyRig) { r.pull(startCamera(r.t), "one", "1"); require.False(r.t, r.log.has(`"warn_at":5`)) },
			after: func(r *keyRig) {
				r.pull(startCamera(r.t), "two", "1")
				r.eventually("the pool warns", func() bool { return r.log.has(`"warn_at":5`) })
			},
		},
		"pool.lease_timeout": {
			pairs: 400, base: map[string]string{"pool.lease_timeout": `"10s"`}, to: `"1ms"`,
			before: func(r *keyRig) { occupy(r) },
			after: func(r *keyRig) { // 400 binds do not fit into a millisecond
				require.Contains(r.t, fmt.Sprint(r.add("cam", startCamera(r.t).URL("cam"), "rtp_type", "1")["msg"]), "pool.lease_timeout")
			},
		},
		"pool.advertise": {
			to:     `"203.0.113.9"`,
			before: func(r *keyRig) { require.NotContains(r.t, udpSource(r, "one"), "203.0.113.9") },
			after:  func(r *keyRig) { require.Contains(r.t, udpSource(r, "two"), "source=203.0.113.9") },
		},
	}
}

// keepSending sends to ports until the end of the test, so that they never fall quiet.
func keepSending(r *keyRig, ports []uint16) {
	r.t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(r.t, err)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			for _, port := range ports {
				_, _ = conn.WriteToUDP([]byte("late"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	r.t.Cleanup(func() { close(stop); <-done; conn.Close() })
	r.eventually("the late packets are heard", func() bool {
		heard := 0
		for _, slot := range r.slots() {
			if slot.Late > 0 {
				heard++
			}
		}
		return heard == len(ports)
	})
}

// occupy binds the even port of every pair, as another program would.
func occupy(r *keyRig) {
	r.t.Helper()
	low, high := r.bounds()
	for port := low; port < high; port += 2 {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		require.NoError(r.t, err)
		r.t.Cleanup(func() { conn.Close() })
	}
}

// hookServer is who hears hooks.
type hookServer struct {
	*httptest.Server
	mu     sync.Mutex
	status int           // what it answers
	stall  chan struct{} // when not nil, it answers after this is closed
	bodies []map[string]any
}

func newHookServer(t *testing.T) *hookServer {
	h := &hookServer{status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body := map[string]any{}
		err := json.NewDecoder(q.Body).Decode(&body)
		h.mu.Lock()
		body["valid"] = err == nil
		h.bodies = append(h.bodies, body)
		status, stall := h.status, h.stall
		h.mu.Unlock()
		if stall != nil {
			select {
			case <-stall:
			case <-q.Context().Done():
			}
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"code":0}`))
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hookServer) heard() []map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]map[string]any(nil), h.bodies...)
}

// post has the engine send a hook.
func (r *keyRig) post() {
	r.process.runtime.System.Root.Send(r.process.engine.Load().Hook, &hook.Notify{Name: "on_port_pool_alarm", Body: map[string]any{"level": "test"}})
}

// hookStats asks the hook actor, and so waits until it has taken what was sent before.
func (r *keyRig) hookStats() *hook.Stats {
	r.t.Helper()
	stats, err := actors.Ask[*hook.Stats](r.t.Context(), r.process.runtime.System, r.process.engine.Load().Hook, &hook.GetStats{})
	require.NoError(r.t, err)
	return stats
}

// hookRow is a row with a hook server, which row.mark is.
func hookRow(to string, base map[string]string, before, after func(*keyRig, *hookServer)) keyRow {
	var h *hookServer
	return keyRow{
		to: to,
		prepare: func(t *testing.T, row *keyRow) {
			h = newHookServer(t)
			row.base = map[string]string{"hook.enable": "true", "hook.on_port_pool_alarm": strconv.Quote(h.URL), "hook.retry": "0"}
			for key, value := range base {
				row.base[key] = value
			}
		},
		before: func(r *keyRig) { before(r, h) },
		after:  func(r *keyRig) { after(r, h) },
	}
}

func hookRows() map[string]keyRow {
	fails := func(_ *keyRig, h *hookServer) { h.status = http.StatusInternalServerError }
	row := hookRow("", map[string]string{"hook.on_port_pool_alarm": `""`}, func(r *keyRig, h *hookServer) {
		r.post()
		r.hookStats()
		require.Empty(r.t, h.heard())
	}, func(r *keyRig, h *hookServer) {
		r.post()
		r.eventually("the hook arrives", func() bool { return len(h.heard()) == 1 })
	})
	prepare := row.prepare
	row.prepare = func(t *testing.T, row *keyRow) {
		prepare(t, row)
		second := newHookServer(t)
		row.to = strconv.Quote(second.URL)
		row.before = func(*keyRig) {}
		row.after = func(r *keyRig) {
			r.post()
			r.eventually("the hook arrives", func() bool { return len(second.heard()) == 1 })
		}
	}
	return map[string]keyRow{
		"hook.on_port_pool_alarm": row,
		"hook.enable": hookRow("true", map[string]string{"hook.enable": "false"}, func(r *keyRig, h *hookServer) {
			r.post()
			r.hookStats()
			require.Empty(r.t, h.heard())
		}, func(r *keyRig, h *hookServer) {
			r.post()
			r.eventually("the hook arrives", func() bool { return len(h.heard()) == 1 })
		}),
		"general.mediaServerId": hookRow(`"the-second-id"`, map[string]string{"general.mediaServerId": `"the-first-id"`}, func(r *keyRig, h *hookServer) {
			r.post()
			r.eventually("the hook arrives", func() bool { return len(h.heard()) == 1 })
			require.Equal(r.t, "the-first-id", h.heard()[0]["mediaServerId"])
		}, func(r *keyRig, h *hookServer) {
			r.post()
			r.eventually("the hook arrives", func() bool { return len(h.heard()) == 2 })
			require.Equal(r.t, "the-second-id", h.heard()[1]["mediaServerId"])
		}),
		"hook.timeoutSec": hookRow("0.1", map[string]string{"hook.timeoutSec": "300"}, func(r *keyRig, h *hookServer) {
			h.stall = make(chan struct{})
			r.t.Cleanup(func() { close(h.stall) })
		}, func(r *keyRig, _ *hookServer) {
			r.post()
			r.eventually("the hook is given up", func() bool { return r.hookStats().Failed == 1 })
		}),
		"hook.retry": hookRow("3", map[string]string{"hook.retry_delay": "0"}, func(r *keyRig, h *hookServer) {
			fails(r, h)
			r.post()
			r.eventually("the hook is given up", func() bool { return r.hookStats().Failed == 1 })
			require.Len(r.t, h.heard(), 1)
		}, func(r *keyRig, h *hookServer) {
			r.post()
			r.eventually("the hook is given up", func() bool { return r.hookStats().Failed == 2 })
			require.Len(r.t, h.heard(), 1+4)
		}),
		"hook.retry_delay": hookRow("0", map[string]string{"hook.retry": "1", "hook.retry_delay": "300"}, fails, func(r *keyRig, h *hookServer) {
			r.post()
			r.eventually("it is sent again at once", func() bool { return len(h.heard()) == 2 })
		}),
	}
}
