package api

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"berth/actors/reload"
	"berth/actors/stream"
	"berth/media"
	"berth/media/slab"
)

// collector turns a picture of the server into metrics at each scrape. It is not described beforehand, since what exists depends on whether there is an engine.
type collector struct {
	s *service

	mu          sync.Mutex // one scrape at a time accumulates
	received    counterOf[media.StreamKey]
	sent        counterOf[string]
	fromDevices []counterOf[string] // one for each of receiverCounters
	fromSenders []counterOf[string] // one for each of senderCounters
	restarts    float64             // full restarts seen, the highest generation less one
}

func newCollector(s *service) *collector {
	return &collector{s: s, fromDevices: make([]counterOf[string], len(receiverCounters())), fromSenders: make([]counterOf[string], len(senderCounters()))}
}

// Describe describes nothing, which makes the collector unchecked.
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks every part of the server, at most for scrapeTimeout.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(c.s.closing, scrapeTimeout)
	defer cancel()
	p := c.s.picture(ctx)
	m := emitter{out}
	c.server(m, p)
	c.config(m, p)
	if p.pool != nil {
		pool(m, p.pool)
	}
	c.media(m, p)
	c.rtp(m, p)
	for part, silent := range p.silent {
		m.gauge("berth_scrape_part_silent", "1 when a part of the server did not answer this scrape in time.", one(silent), "part", part)
	}
}

// server emits what is known without asking an actor.
func (c *collector) server(m emitter, p *picture) {
	b := buildOf(c.s.opts.Version)
	m.gauge("berth_build_info", "Always 1; the labels say which program this is.", 1, "version", b.Version, "commit", b.Commit, "go", b.Go)
	m.gauge("berth_engine_up", "1 while the engine runs, 0 during a full restart.", one(p.engine))
	c.mu.Lock()
	if p.engine {
		c.restarts = max(c.restarts, float64(p.generation)-1)
	}
	restarts := c.restarts
	c.mu.Unlock()
	m.counter("berth_engine_restarts_total", "Engines built after the first one, by full restarts and after breakdowns.", restarts)
	if p.engine {
		m.gauge("berth_engine_generation", "Number of the engine that runs.", float64(p.generation))
		m.gauge("berth_engine_start_time_seconds", "Unix time at which the engine began.", float64(p.started))
	}
	if p.store != nil {
		m.gauge("berth_store_durable", "1 while definitions reach the disk.", one(p.store.Durable))
	}
	stats := c.s.opts.Runtime.Stats
	m.counter("berth_actor_panics_total", "Panics in actors.", float64(stats.Panics.Load()))
	m.counter("berth_actor_dead_letters_total", "Messages to actors that were gone.", float64(stats.DeadLetters.Load()))
	h := c.s.http.Stats()
	m.gauge("berth_http_connections", "Open HTTP connections.", float64(h.Open))
	m.counter("berth_http_connections_accepted_total", "HTTP connections taken.", float64(h.Accepted))
	m.counter("berth_http_connections_refused_total", "HTTP connections answered 503 because of limits.http_connections.", float64(h.Refused))
	m.counter("berth_http_connections_evicted_total", "Idle HTTP connections closed to make room.", float64(h.Evicted))
	m.counter("berth_http_panics_total", "Panics in HTTP handlers.", float64(h.Panics))
}

func (c *collector) config(m emitter, p *picture) {
	if p.config == nil {
		return
	}
	ok := p.config.Last == nil || p.config.Last.Err == nil
	m.gauge("berth_config_last_reload_successful", "1 unless the last reload was rejected.", one(ok))
	m.gauge("berth_config_pending_restart_keys", "Keys whose new value waits for a full restart.", float64(len(p.config.Pending)))
	for _, result := range reload.Results() {
		m.counter("berth_config_reloads_total", "Reloads by result: everything in force (applied), something waits for a full restart (pending), nothing changed (rejected).",
			float64(p.config.Results[result]), "result", string(result))
	}
	m.gauge("berth_config_generation", "Number of the configuration in force; it grows with each reload or full restart that changes it.", float64(p.config.Generation))
	m.gauge("berth_config_last_reload_success_timestamp_seconds", "Unix time at which a configuration was last accepted, at the start if not since.",
		float64(p.config.Accepted.Unix()))
	if p.config.Last != nil {
		m.gauge("berth_config_last_reload_time_seconds", "Unix time of the last reload.", float64(p.config.Last.At.Unix()))
	}
	m.gauge("berth_config_info", "Always 1; digest identifies the configuration in force.", 1, "digest", p.config.Running.Digest())
}

func (c *collector) media(m emitter, p *picture) {
	c.mu.Lock()
	for i := range p.streams {
		snap := &p.streams[i]
		c.received.see(snap.Key, snap.Created.UnixNano(), snap.Stats.Bytes)
		for r := range snap.Readers {
			reader := &snap.Readers[r]
			c.sent.see(reader.Info.ID+" "+snap.Key.String(), reader.Info.Since.UnixNano(), reader.Stats.Bytes)
		}
	}
	if !p.silent["streams"] {
		c.received.forget()
		c.sent.forget()
	}
	received, sent := c.received.sum, c.sent.sum
	c.mu.Unlock()
	m.counter("berth_received_bytes_total", "RTP bytes taken from sources, as seen at scrapes.", received)
	m.counter("berth_sent_bytes_total", "Bytes given to viewers, as seen at scrapes.", sent)
	if !p.engine {
		return
	}
	if !p.silent["streams"] {
		c.streams(m, p.streams, p.memory)
	}
	if !p.silent["proxies"] {
		playing := 0
		for i := range p.proxies {
			if p.proxies[i].Playing {
				playing++
			}
		}
		m.gauge("berth_proxies", "Pulls by state.", float64(playing), "state", "playing")
		m.gauge("berth_proxies", "Pulls by state.", float64(len(p.proxies)-playing), "state", "retrying")
	}
	if !p.silent["rtspd"] {
		byState := map[string]int{"init": 0, "ready": 0, "playing": 0, "recording": 0}
		for i := range p.sessions {
			byState[p.sessions[i].State]++
		}
		for state, n := range byState {
			m.gauge("berth_rtsp_sessions", "RTSP connections by state.", float64(n), "state", state)
		}
	}
}

func (*collector) streams(m emitter, list []stream.Snapshot, memory slab.Stats) {
	readers, online := 0, 0
	for i := range list {
		readers += list[i].ReaderCount
		if list[i].Online {
			online++
		}
	}
	m.gauge("berth_streams", "Streams by state: live, or waiting for their publisher to come back.", float64(online), "state", "live")
	m.gauge("berth_streams", "Streams by state: live, or waiting for their publisher to come back.", float64(len(list)-online), "state", "waiting")
	m.gauge("berth_readers", "Viewers of all streams.", float64(readers))
	const help = "Memory outside of the heap for the media of streams without viewers: in use (lent), or ready for the next (warm)."
	m.gauge("berth_media_memory_bytes", help, float64(memory.Lent), "state", "lent")
	m.gauge("berth_media_memory_bytes", help, float64(memory.Warm), "state", "warm")
}

// emitter writes metrics with label pairs.
type emitter struct{ out chan<- prometheus.Metric }

func (e emitter) gauge(name, help string, v float64, labels ...string) {
	e.emit(prometheus.GaugeValue, name, help, v, labels)
}

func (e emitter) counter(name, help string, v float64, labels ...string) {
	e.emit(prometheus.CounterValue, name, help, v, labels)
}

func (e emitter) emit(kind prometheus.ValueType, name, help string, v float64, labels []string) {
	constant := prometheus.Labels{}
	for i := 0; i+1 < len(labels); i += 2 {
		constant[labels[i]] = labels[i+1]
	}
	e.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, constant), kind, v)
}

func one(v bool) float64 {
	if v {
		return 1
	}
	return 0
}
