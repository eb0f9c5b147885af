package httpd

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server serves HTTP on any number of listeners. Make it with [New], give it listeners with [Server.SetListeners], end it with [Server.Close].
type Server struct {
	opts   Options
	tls    *tls.Config
	ctx    context.Context // parent of every request's context; ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // accept loops, http.Server loops, refusals
	limits atomic.Pointer[Limits]

	accepted, refused, evicted, panics atomic.Uint64

	mu        sync.Mutex // guards what follows
	closed    bool
	nextID    uint64
	current   *generation
	listeners map[net.Listener]struct{}
	conns     map[uint64]*conn      // from accept until net/http's goroutine is done with it
	open      int                   // those of conns that are not leaving
	refusing  map[net.Conn]struct{} // being told 503
	drained   chan struct{}         // closed when the server is closed and conns is empty
}

// generation is one http.Server: its time limits cannot change while it runs, so new limits make a new one for new connections.
type generation struct {
	http         *http.Server
	in           *handover
	writeTimeout time.Duration
}

// New makes a server that listens on nothing yet.
func New(opts Options) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		opts: opts.withDefaults(), ctx: ctx, cancel: cancel,
		listeners: map[net.Listener]struct{}{}, conns: map[uint64]*conn{}, refusing: map[net.Conn]struct{}{},
		drained: make(chan struct{}),
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: s.opts.GetCertificate}
	s.SetLimits(opts.Limits)
	return s
}

// SetLimits changes the limits while serving. BodyBytes, BodyTimeout, CrossDomains and Connections hold from the next request or connection on every
// connection; the others hold for connections accepted from now on. Lowering Connections closes nothing.
func (s *Server) SetLimits(l Limits) {
	l = l.withDefaults()
	s.limits.Store(&l)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.current != nil {
		_ = s.current.in.Close() // its connections go on with the limits they began with
	}
	g := &generation{in: newHandover(), writeTimeout: l.WriteTimeout}
	g.http = &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: l.HeaderTimeout,
		IdleTimeout:       l.KeepAlive,
		MaxHeaderBytes:    l.HeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
		ConnContext: func(ctx context.Context, nc net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, ours(nc))
		},
		ConnState: s.onState,
		ErrorLog:  log.New(faultWriter(s.opts.OnFault), "", 0),
		Protocols: new(http.Protocols),
	}
	g.http.Protocols.SetHTTP1(true)
	g.http.DisableGeneralOptionsHandler = true
	s.current = g
	s.wg.Go(func() { _ = g.http.Serve(g.in) })
}

// faultWriter receives net/http's log lines.
type faultWriter func(string)

func (f faultWriter) Write(b []byte) (int, error) {
	f(strings.TrimSpace(string(b)))
	return len(b), nil
}

// SetListeners makes the server listen on exactly these listeners: new ones begin to be served, those not named any more are closed. Connections that
// they accepted go on. The server owns what it is given and closes it in Close.
func (s *Server) SetListeners(list []Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		for _, l := range list {
			_ = l.Close()
		}
		return
	}
	next := make(map[net.Listener]struct{}, len(list))
	for _, l := range list {
		next[l.Listener] = struct{}{}
		if _, served := s.listeners[l.Listener]; !served {
			s.wg.Go(func() { s.accept(l) })
		}
	}
	for l := range s.listeners {
		if _, kept := next[l]; !kept {
			_ = l.Close()
		}
	}
	s.listeners = next
}

// Conns lists the open connections in no particular order.
func (s *Server) Conns() []ConnInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ConnInfo, 0, len(s.conns))
	for _, c := range s.conns {
		if !c.leaving {
			list = append(list, c.info())
		}
	}
	return list
}

// CloseConn cuts the connection with that number; false when there is none.
func (s *Server) CloseConn(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.conns[id]
	if !ok || c.leaving {
		return false
	}
	s.dismissLocked(c)
	return true
}

// dismissLocked cuts a connection; it counts no longer, although net/http's goroutine may need a moment to notice.
func (s *Server) dismissLocked(c *conn) {
	if !c.leaving {
		c.leaving = true
		s.open--
	}
	_ = c.Close()
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	return Stats{
		Open: open, Accepted: s.accepted.Load(), Refused: s.refused.Load(), Evicted: s.evicted.Load(), Panics: s.panics.Load(),
	}
}

// Close stops listening, ends the contexts of running requests, lets them write their replies for Options.CloseGrace, cuts what is left, and returns when every goroutine
// has ended. Further calls wait for the same end.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	if first {
		for l := range s.listeners {
			_ = l.Close()
		}
		_ = s.current.in.Close()
		s.current.http.SetKeepAlivesEnabled(false)
		for c := range s.refusing {
			_ = c.Close()
		}
		s.signalDrainedLocked()
	}
	s.mu.Unlock()
	if first {
		s.cancel()
		s.closeConns(func(c *conn) bool { return c.state.Load() != ConnActive })
	}
	grace := time.NewTimer(s.opts.CloseGrace)
	defer grace.Stop()
	select {
	case <-s.drained:
	case <-grace.C:
		s.closeConns(func(*conn) bool { return true })
		<-s.drained
	}
	s.wg.Wait()
	return nil
}

// closeConns cuts the connections that which names.
func (s *Server) closeConns(which func(*conn) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if which(c) {
			s.dismissLocked(c)
		}
	}
}

// forget is called when net/http's goroutine has finished with a connection, or has never had it.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dismissLocked(c)
	delete(s.conns, c.id)
	s.signalDrainedLocked()
}

func (s *Server) signalDrainedLocked() {
	if !s.closed || len(s.conns) > 0 {
		return
	}
	select {
	case <-s.drained:
	default:
		close(s.drained)
	}
}

// onState follows net/http's view of a connection. Closed and Hijacked are the last calls of its goroutine.
func (s *Server) onState(nc net.Conn, state http.ConnState) {
	c := ours(nc)
	if c == nil {
		return
	}
	switch state {
	case http.StateNew:
		c.enter(ConnNew, time.Now())
	case http.StateActive:
		c.requests.Add(1)
		c.enter(ConnActive, time.Now())
	case http.StateIdle:
		c.enter(ConnIdle, time.Now())
		if s.ctx.Err() != nil {
			_ = c.Close() // it became idle after Close had looked
		}
	case http.StateHijacked, http.StateClosed:
		s.forget(c)
	}
}
