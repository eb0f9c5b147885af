package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	readyTimeout  = 2 * time.Second
	scrapeTimeout = 4 * time.Second
)

// pages is what is served beside the API.
func (s *service) pages() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", only(healthz))
	mux.HandleFunc("/readyz", only(s.readyz))
	mux.HandleFunc("/metrics", only(s.guarded(s.serveMetrics())))
	mux.HandleFunc("/{$}", only(s.guarded(servePage())))
	for path, handler := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.HandleFunc(path, s.profiled(handler))
	}
	return mux
}

// only lets GET and HEAD through.
func only(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	}
}

// guarded applies http.allow_ip_range.
func (s *service) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := inAllowedRange(s.config.Load(), peerOf(r)); err != nil {
			http.Error(w, err.msg, http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

// healthz says that the process answers; it asks no actor.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "ok\n")
}

// readyz says whether streams can be served. A store that is not durable is a warning, not a reason to take the server out of service.
func (s *service) readyz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	engine, ok := s.opts.Engine()
	if !ok {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "not ready: "+engineDown().msg+"\n")
		return
	}
	_, _ = fmt.Fprintf(w, "ready: generation %d\n", engine.Generation)
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	switch health, err := s.durable(ctx); {
	case err != nil:
		_, _ = fmt.Fprintf(w, "warning: the store does not answer: %v\n", err)
	case !health.Durable:
		_, _ = fmt.Fprintf(w, "warning: definitions are not durable: %v\n", health.Err)
	}
}

// serveMetrics answers a scrape while metrics.enable is on.
func (s *service) serveMetrics() http.HandlerFunc {
	handler := promhttp.HandlerFor(s.metrics.shown, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes, ErrorLog: scrapeLog{s},
	})
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.config.Load().Metrics.Enable {
			http.Error(w, "metrics.enable is off", http.StatusNotFound)
			return
		}
		handler.ServeHTTP(w, r)
	}
}

// maxScrapes bounds scrapes at a time: each asks every part of the engine.
const maxScrapes = 4

// scrapeLog takes promhttp's errors.
type scrapeLog struct{ s *service }

func (l scrapeLog) Println(v ...any) { l.s.onFault(fmt.Sprintln(v...)) }

// profiled serves a profile while debug.pprof is on, to callers with the secret.
func (s *service) profiled(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cfg := s.config.Load()
		if !cfg.Debug.Pprof {
			http.Error(w, "debug.pprof is off", http.StatusNotFound)
			return
		}
		a, err := parseArgs(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if _, refusal := s.authorise(cfg, r, a); refusal != nil {
			http.Error(w, refusal.msg, http.StatusForbidden)
			return
		}
		next(w, r)
	}
}
