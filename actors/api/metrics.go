package api

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what this front counts itself, and the registry that /metrics shows. What other actors know is collected at each scrape, see collector.go.
type metrics struct {
	registry     *prometheus.Registry
	own          []prometheus.Collector // registered here, taken out by unregister
	calls        *prometheus.CounterVec
	callSeconds  prometheus.Histogram
	refusedCalls *prometheus.CounterVec
}

func newMetrics(s *service) *metrics {
	m := &metrics{
		registry: s.opts.Registry,
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
	m.own = []prometheus.Collector{m.calls, m.callSeconds, m.refusedCalls, newCollector(s)}
	if m.registry == nil {
		m.registry = prometheus.NewRegistry()
		m.own = append(m.own, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	for _, c := range m.own {
		m.registry.MustRegister(c)
	}
	return m
}

// unregister leaves a registry that was given as it was.
func (m *metrics) unregister() {
	for _, c := range m.own {
		m.registry.Unregister(c)
	}
}

func (m *metrics) countCall(name string, code int, took time.Duration) {
	m.calls.WithLabelValues(name, strconv.Itoa(code)).Inc()
	m.callSeconds.Observe(took.Seconds())
}
