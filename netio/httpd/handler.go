package httpd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"time"
)

// serve is the http.Handler of every connection: limits, CORS, recovery and the access report around Options.Handler.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	begin := s.opts.Now()
	rec := &recorder{ResponseWriter: w}
	defer s.report(rec, r, begin)
	defer func() {
		if cause := recover(); cause != nil {
			s.onPanic(rec, r, cause)
		}
	}()
	limits := s.limits.Load()
	if limits.CrossDomains {
		allowCrossDomains(rec.Header(), r)
	}
	if r.Method == http.MethodOptions {
		preflight(rec)
		return
	}
	if status, reason := s.readBody(rec, r, limits); status != 0 {
		rec.Header().Set("Connection", "close")
		s.opts.Refuse(rec, r, status, reason)
		return
	}
	s.opts.Handler.ServeHTTP(rec, r)
	if rec.status == 0 {
		rec.status = http.StatusOK // net/http's own choice for a handler that wrote nothing
	}
}

// readBody takes the whole body into memory and lifts the read deadline again, since net/http would otherwise end the
// request's context at that deadline although the request is complete. It returns the status of a refusal, or 0.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, limits *Limits) (status int, reason string) {
	if r.Body == nil || r.Body == http.NoBody {
		return 0, ""
	}
	tooLarge := fmt.Sprintf("the request body is larger than the %d bytes that are allowed (http.maxReqSize)", limits.BodyBytes)
	if r.ContentLength > limits.BodyBytes {
		return http.StatusRequestEntityTooLarge, tooLarge
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(limits.BodyTimeout)); err != nil {
		return http.StatusInternalServerError, "the connection takes no deadline"
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limits.BodyBytes+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusRequestTimeout, fmt.Sprintf("the request body did not arrive within %v", limits.BodyTimeout)
	case err != nil:
		return http.StatusBadRequest, "the request body could not be read: " + err.Error()
	case int64(len(body)) > limits.BodyBytes:
		return http.StatusRequestEntityTooLarge, tooLarge
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return http.StatusInternalServerError, "the connection takes no deadline"
	}
	_ = r.Body.Close()
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return 0, ""
}

func (s *Server) onPanic(rec *recorder, r *http.Request, cause any) {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler) // the handler asks for the connection to be cut
	}
	s.panics.Add(1)
	s.opts.OnPanic(r, cause, debug.Stack())
	if rec.status != 0 {
		panic(http.ErrAbortHandler) // half a reply is out: only cutting the connection tells the client
	}
	rec.Header().Set("Connection", "close")
	s.opts.Refuse(rec, r, http.StatusInternalServerError, "the server failed to answer this request; its log says why")
}

func (s *Server) report(rec *recorder, r *http.Request, begin time.Time) {
	a := Access{
		Method: r.Method, Path: r.URL.Path, Status: rec.status, Bytes: rec.bytes,
		Duration: s.opts.Now().Sub(begin),
	}
	if info, ok := Conn(r.Context()); ok {
		a.Conn, a.Peer = info.ID, info.Peer
	}
	s.opts.OnAccess(a)
}

// allowCrossDomains lets pages of any origin read the reply (Fetch standard, CORS protocol). The origin is echoed, not `*`, because pages that send
// credentials are refused otherwise; there are no cookies here that this could give away.
func allowCrossDomains(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	h.Add("Vary", "Origin")
	if r.Method != http.MethodOptions {
		return
	}
	h.Set("Access-Control-Allow-Methods", allowedMethods)
	h.Set("Access-Control-Max-Age", "600")
	if want := r.Header.Get("Access-Control-Request-Headers"); want != "" {
		h.Set("Access-Control-Allow-Headers", want)
		h.Add("Vary", "Access-Control-Request-Headers")
	}
}

// allowedMethods are those that berth's handlers answer.
const allowedMethods = "GET, HEAD, POST, PUT, DELETE, OPTIONS"

func preflight(w http.ResponseWriter) {
	w.Header().Set("Allow", allowedMethods)
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// recorder notes status and size of a reply.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader notes the final status; 1xx are passed on and forgotten.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
