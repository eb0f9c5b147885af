package api_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/actors/api"
	"berth/actors/proxy"
	"berth/actors/reload"
	"berth/actors/rtspd"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/config"
	"berth/media/slab"
	"berth/netio/httpd"
	"berth/netio/ports"
)

func TestMetrics(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) {
		w.engine.Generation = 3
		w.pool.Counts[ports.Free], w.pool.Counts[ports.Leased] = 30, 6
		w.pool.HighWater, w.pool.Granted, w.pool.Refused = 9, 12, map[string]uint64{"exhausted": 4}
		w.pool.Pending = ports.Range{Low: 1000, High: 2000}
		waiting := liveStream(t, "live", "b", stream.OriginRTSPPush, 0, time.Minute)
		waiting.Online = false
		w.streams = []stream.Snapshot{liveStream(t, "live", "a", stream.OriginPull, 2, time.Minute), waiting}
		w.memory = slab.Stats{Lent: 32768}
		w.proxies = []proxy.Snapshot{{Playing: true}, {}, {Definition: store.Proxy{}}}
		w.sessions = []rtspd.SessionInfo{{State: "playing"}, {State: "playing"}, {State: "recording"}}
		w.state.Pending = []config.Change{{Key: "rtp_proxy.port_range"}}
		w.state.Last = &reload.Verdict{Err: errors.New("bad"), At: time.Unix(1700000000, 0)}
		w.state.Results = map[reload.Result]uint64{reload.ResultApplied: 5, reload.ResultRejected: 1}
		w.state.Generation, w.state.Accepted = 6, time.Unix(1_700_000_000, 0)
	})
	text := w.get("/metrics").text
	for _, line := range []string{
		`berth_engine_up 1`, `berth_engine_generation 3`, `berth_engine_restarts_total 2`,
		`berth_pool_pairs{state="free"} 30`, `berth_pool_pairs{state="leased"} 6`, `berth_pool_pairs{state="draining"} 0`,
		`berth_pool_high_water_pairs 9`, `berth_pool_leases_granted_total 12`, `berth_pool_leases_refused_total{reason="exhausted"} 4`,
		`berth_pool_leases_refused_total{reason="foreign"} 0`, `berth_pool_pending_range 1`,
		`berth_streams{state="live"} 1`, `berth_streams{state="waiting"} 1`, `berth_readers 2`, `berth_media_memory_bytes{state="lent"} 32768`,
		`berth_proxies{state="playing"} 1`, `berth_proxies{state="retrying"} 2`,
		`berth_rtsp_sessions{state="playing"} 2`, `berth_rtsp_sessions{state="recording"} 1`, `berth_rtsp_sessions{state="init"} 0`,
		`berth_received_bytes_total 2e+07`, `berth_sent_bytes_total 2000`,
		`berth_config_last_reload_successful 0`, `berth_config_pending_restart_keys 1`, `berth_config_reloads_total{result="applied"} 5`,
		`berth_config_reloads_total{result="pending"} 0`, `berth_config_reloads_total{result="rejected"} 1`, `berth_config_generation 6`,
		`berth_config_last_reload_success_timestamp_seconds 1.7e+09`,
		`berth_store_durable 1`, `berth_http_connections 1`, `berth_scrape_part_silent{part="portpool"} 0`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.Contains(t, text, `berth_build_info{`)
	require.Contains(t, text, `version="1.2.3"`)
	require.Contains(t, text, "go_goroutines")

	// Byte counters never fall, whatever ends.
	w.set(func(w *world) {
		w.streams[0].Stats.Bytes += 500
		w.streams = w.streams[:1]
		w.streams[0].Readers = nil
	})
	text = w.get("/metrics").text
	require.Contains(t, text, "berth_received_bytes_total 2.00005e+07\n")
	require.Contains(t, text, "berth_sent_bytes_total 2000\n")

	w.set(func(w *world) { w.engine = nil })
	text = w.get("/metrics").text
	require.Contains(t, text, "berth_engine_up 0\n")
	require.Contains(t, text, "berth_engine_restarts_total 2\n", "it must not fall while there is no engine")
	require.NotContains(t, text, "berth_pool_pairs")
}

// A part that does not answer must cost the scrape its deadline and that part's metrics, not the whole scrape.
func TestMetricsOfAPartThatHangs(t *testing.T) {
	w := newWorld(t, nil)
	silent := actortest.NewProbe(t, w.rt, "silent")
	w.set(func(w *world) { w.engine.Streams = silent.PID })
	text := w.get("/metrics").text
	require.Contains(t, text, `berth_scrape_part_silent{part="streams"} 1`)
	require.Contains(t, text, `berth_scrape_part_silent{part="portpool"} 0`)
	require.Contains(t, text, "berth_pool_pairs")
	require.NotContains(t, text, "berth_streams{")
}

func TestMetricsCanBeTurnedOff(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { c.Metrics.Enable = false })
	require.Equal(t, 404, w.get("/metrics").status)
}

func TestMetricsOfOthersAreShownToo(t *testing.T) {
	w := newWorld(t, nil)
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "theirs"}))
	l := w.listen()
	actortest.Spawn(t, w.rt, api.Props(api.Options{
		Runtime: w.rt, Config: w.state.Running, Listeners: []httpd.Listener{{Listener: l}}, Engine: w.currentEngine,
		Reload: w.engine.Pool, Store: w.engine.Pool, Metrics: registry, Log: actortest.Log(),
	}), "api")
	w.base = "http://" + l.Addr().String()
	text := w.get("/metrics").text
	require.Contains(t, text, "theirs 0\n")
	require.Equal(t, 1, strings.Count(text, "\nberth_engine_up "))
}
