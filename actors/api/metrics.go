package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what this front counts itself, and what /metrics shows. What other actors know is collected at each scrape, see collector.go.
type metrics struct {
	shown        prometheus.Gatherer
	calls        *prometheus.CounterVec
	callSeconds  prometheus.Histogram
	refusedCalls *prometheus.CounterVec
}

func newMetrics(s *service) *metrics {
	m := &metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_api_calls_total", Help: "API calls by endpoint and code of the reply.",
		}, []string{"endpoint", "code"}),
		callSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "berth_api_call_seconds", Help: "Duration of API calls, waiting included.",
			Buckets: []float64{.001, .005, .025, .1, .5, 1, 2.5, 5, 10, 30},
		}),
		refusedCalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "berth_api_refused_total", Help: "API calls refused before they were looked at: address, no_secret, secret (wrong), rate (too many wrong ones).",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"address", "no_secret", "secret", "rate"} {
		m.refusedCalls.WithLabelValues(reason)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.calls, m.callSeconds, m.refusedCalls, newCollector(s),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.shown = registry
	if s.opts.Metrics != nil {
		m.shown = prometheus.Gatherers{registry, s.opts.Metrics}
	}
	return m
}

func (m *metrics) countCall(name string, code int, took time.Duration) {
	m.calls.WithLabelValues(name, strconv.Itoa(code)).Inc()
	m.callSeconds.Observe(took.Seconds())
}
