package api

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"berth/actors"
	"berth/config"
	"berth/media"
	"berth/netio/httpd"
)

const (
	// askTimeout bounds what an ordinary call waits for; management platforms give up after ten seconds.
	askTimeout = 8 * time.Second
	// apiPrefix is where the API lives, in lower case: its paths are compared without case.
	apiPrefix = "/index/api/"
	// debugLinesPerSecond and faultLinesPerSecond bound what requests can make the log grow by.
	debugLinesPerSecond = 100
	faultLinesPerSecond = 5
	// acceptFaultReport is how often the log says that connections cannot be accepted, at most.
	acceptFaultReport = 10 * time.Second
	// maxDebugBody is how much of a reply api.apiDebug logs, in bytes.
	maxDebugBody = 4096
)

// service answers requests. Its methods are called on net/http's goroutines, several at once; what changes is atomic or has its own lock.
type service struct {
	opts        Options
	log         zerolog.Logger
	config      atomic.Pointer[config.Config]
	http        *httpd.Server // set before the first request
	endpoints   map[string]endpoint
	mux         *http.ServeMux // everything but the API
	failures    *failures
	meter       *meter[media.StreamKey] // of streams
	senderMeter *meter[string]          // of senders, by senderID
	metrics     *metrics
	debugLog    *rate.Limiter
	faultLog    *rate.Limiter
	acceptLog   *rate.Limiter

	closing  context.Context // ends with close; parent of work that outlives its request
	shut     context.CancelFunc
	restarts sync.WaitGroup // full restarts begun without waiting
	waiting  atomic.Int32   // how many of these
}

func newService(opts Options) *service {
	s := &service{
		opts: opts, log: opts.Log.With().Str("actor", owner).Logger(), failures: newFailures(opts.Now),
		meter: newMeter[media.StreamKey](), senderMeter: newMeter[string](),
		debugLog: rate.NewLimiter(debugLinesPerSecond, debugLinesPerSecond), faultLog: rate.NewLimiter(faultLinesPerSecond, faultLinesPerSecond),
		acceptLog: rate.NewLimiter(rate.Every(acceptFaultReport), 1),
	}
	s.config.Store(opts.Config)
	s.closing, s.shut = context.WithCancel(context.Background())
	s.endpoints = map[string]endpoint{}
	for _, e := range s.table() {
		s.endpoints[strings.ToLower(e.path())] = e
	}
	s.metrics = newMetrics(s)
	s.mux = s.pages()
	return s
}

// close ends what outlived its request.
func (s *service) close() {
	s.shut()
	s.restarts.Wait()
}

// call is one API call on its way through a handler.
type call struct {
	ctx     context.Context // ends with the endpoint's time limit, the client or the server
	request *http.Request
	reply   http.Header
	args    args
	config  *config.Config
	engine  Engine // valid for endpoints that need it
	trusted bool   // let in by api.allow_loopback, without the secret
}

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.ToLower(r.URL.Path)
	e, ok := s.endpoints[path]
	switch {
	case ok:
		s.serve(w, r, e)
	case strings.HasPrefix(path, apiPrefix):
		write(w, nil, &callError{
			code: codeNotFound, status: http.StatusNotFound,
			msg: "there is no API " + r.URL.Path + " in this version; getApiList lists what there is",
		})
	default:
		s.mux.ServeHTTP(w, r)
	}
}

// serve answers one API call.
func (s *service) serve(w http.ResponseWriter, r *http.Request, e endpoint) {
	switch r.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
	case http.MethodHead: // ZLMediaKit answers 200 and does nothing
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		return
	default:
		w.Header().Set("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS")
		write(w, nil, &callError{code: codeInvalidArgs, status: http.StatusMethodNotAllowed, msg: "method " + r.Method + " is not served; use GET or POST"})
		return
	}
	begin := s.opts.Now()
	cfg := s.config.Load()
	a, err := parseArgs(r)
	var reply object
	if err == nil {
		reply, err = s.run(w, r, e, cfg, a)
	}
	var refusal *callError
	if err != nil {
		refusal = asCallError(err)
	}
	body := write(w, reply, refusal)
	code := codeSuccess
	if refusal != nil {
		code = refusal.code
	}
	s.metrics.countCall(e.name, code, s.opts.Now().Sub(begin))
	if cfg.API.Debug && s.log.GetLevel() <= zerolog.DebugLevel && zerolog.GlobalLevel() <= zerolog.DebugLevel && s.debugLog.Allow() {
		s.log.Debug().Str("api", e.name).Stringer("peer", peerOf(r)).Stringer("args", a).Int("code", code).
			Dur("duration", s.opts.Now().Sub(begin)).Str("reply", s.loggable(e, body)).Msg("API call")
	}
}

// loggable is the part of a reply that may stand in the log.
func (s *service) loggable(e endpoint, body []byte) string {
	if e.sensitive {
		return "(not logged: it holds secrets)"
	}
	return string(body[:min(len(body), maxDebugBody)])
}

// run takes a call through authorisation, required arguments and the engine check to its handler.
func (s *service) run(w http.ResponseWriter, r *http.Request, e endpoint, cfg *config.Config, a args) (object, error) {
	trusted, refusal := s.authorise(cfg, r, a)
	if refusal != nil {
		return nil, refusal
	}
	if err := a.require(e.required); err != nil {
		return nil, err
	}
	c := &call{request: r, reply: w.Header(), args: a, config: cfg, trusted: trusted}
	if e.engine {
		var ok bool
		if c.engine, ok = s.opts.Engine(); !ok {
			return nil, engineDown()
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	c.ctx = ctx
	return e.serve(c)
}

// ask puts a question to an actor and waits for its answer. A part that this engine does not have is one that is gone.
func ask[T any](ctx context.Context, s *service, to *actor.PID, msg any) (T, error) {
	if to == nil {
		var none T
		return none, actors.ErrGone
	}
	return actors.Ask[T](ctx, s.opts.Runtime.System, to, msg)
}

// refuse words what the HTTP server itself refuses, so that API clients get JSON whatever happens.
func (s *service) refuse(w http.ResponseWriter, _ *http.Request, status int, reason string) {
	code := codeInvalidArgs
	if status >= http.StatusInternalServerError {
		code = codeException
	}
	write(w, nil, &callError{code: code, status: status, msg: reason})
}

func (s *service) onPanic(r *http.Request, cause any, stack []byte) {
	s.log.Error().Str("path", r.URL.Path).Interface("panic", cause).Bytes("stack", stack).Msg("HTTP handler panicked")
}

func (s *service) onFault(text string) {
	if s.faultLog.Allow() {
		s.log.Debug().Str("fault", text).Msg("HTTP connection fault")
	}
}

// onAcceptFault tells the operator, who sees nothing but refused clients otherwise.
func (s *service) onAcceptFault(listener net.Addr, err error) {
	if s.acceptLog.Allow() {
		s.log.Warn().Err(err).Stringer("listen", listener).
			Msg("cannot accept HTTP connections; if descriptors have run out, raise the limit (LimitNOFILE, ulimit -n)")
	}
}

func (s *service) onAccess(a httpd.Access) {
	if s.log.GetLevel() > zerolog.TraceLevel || zerolog.GlobalLevel() > zerolog.TraceLevel || !s.debugLog.Allow() {
		return
	}
	s.log.Trace().Str("method", a.Method).Str("path", a.Path).Stringer("peer", a.Peer).Int("status", a.Status).
		Int64("bytes", a.Bytes).Dur("duration", a.Duration).Uint64("conn", a.Conn).Msg("HTTP request")
}
