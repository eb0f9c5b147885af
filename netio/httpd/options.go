package httpd

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Options configure a [Server]. Only Handler is required.
type Options struct {
	// Handler answers requests. Its request's body is already in memory and its context ends when the client leaves or the server closes.
	Handler http.Handler
	// Limits are the limits to begin with; zero fields take the defaults that [Limits] names.
	Limits Limits
	// GetCertificate provides the certificate of a TLS handshake; it is asked for each one. Nil refuses every TLS connection.
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Refuse writes the reply to a request that does not reach Handler: 408 (body too slow), 413 (body too large), 400 (body
	// broken), 500 (Handler panicked). Nil writes plain text.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, reason string)
	// OnAccess is told of every finished request; nil tells nobody.
	OnAccess func(Access)
	// OnPanic is told of a panic in Handler, with its stack; the connection is closed afterwards. Nil tells nobody.
	OnPanic func(r *http.Request, cause any, stack []byte)
	// OnFault is told of faults that belong to no request, such as failed TLS handshakes. The caller limits its rate. Nil tells nobody.
	OnFault func(text string)
	// OnAcceptFault is told when a listener cannot accept, for want of descriptors as a rule; it is tried again after a pause of at most a second. The caller
	// limits its rate: where connections come and go, every other attempt may fail. Nil tells nobody.
	OnAcceptFault func(listener net.Addr, err error)
	// CloseGrace is how long [Server.Close] lets running requests finish; default 2 s.
	CloseGrace time.Duration
	// Now is the clock of Access and ConnInfo; default time.Now.
	Now func() time.Time
}

// Limits bound what a client can make the server do. A zero or negative field takes its default.
type Limits struct {
	// HeaderBytes bounds request line and header together (net/http adds 4 KiB of slack); default 16 KiB. More is answered 431.
	HeaderBytes int
	// HeaderTimeout bounds the time from the first byte awaited to the end of the header, TLS handshake included; default 10 s.
	HeaderTimeout time.Duration
	// BodyBytes bounds the request body; default 40960, as http.maxReqSize. More is answered 413.
	BodyBytes int64
	// BodyTimeout bounds the time that the body may take; default 15 s. More is answered 408.
	BodyTimeout time.Duration
	// WriteTimeout bounds each write to the socket, however long the handler thought before; default 15 s.
	WriteTimeout time.Duration
	// KeepAlive is how long an idle connection is kept; default 15 s, as http.keepAliveSecond.
	KeepAlive time.Duration
	// Connections bounds the open connections of all listeners together; default 1024.
	Connections int
	// CrossDomains sends the CORS headers that let pages of any origin read replies.
	CrossDomains bool
}

// Listener is a listening socket and how it is spoken to.
type Listener struct {
	net.Listener
	// TLS makes every connection begin with a handshake (HTTPS).
	TLS bool
}

// Access describes one finished request. The query is left out because it may hold secrets.
type Access struct {
	Conn     uint64 // the connection's number, as in ConnInfo
	Method   string
	Path     string
	Peer     netip.AddrPort
	Status   int   // 0 when the client left before a reply
	Bytes    int64 // of the reply's body
	Duration time.Duration
}

// ConnState says what a connection does right now.
type ConnState string

// The states of a connection.
const (
	ConnNew    ConnState = "new"    // accepted, first request not yet begun
	ConnActive ConnState = "active" // in a request
	ConnIdle   ConnState = "idle"   // kept alive between requests
)

// ConnInfo describes one open connection.
type ConnInfo struct {
	ID       uint64 // unique in the life of the server, from 1
	Peer     netip.AddrPort
	Local    netip.AddrPort
	TLS      bool
	Since    time.Time
	State    ConnState
	Requests uint64 // begun on it
}

// Stats count since the server was made.
type Stats struct {
	Open     int    // connections now
	Accepted uint64 // connections taken
	Refused  uint64 // connections answered 503 because of Limits.Connections
	Evicted  uint64 // idle connections closed to make room
	Panics   uint64 // in Handler
}

// withDefaults fills what is zero or negative.
func (l Limits) withDefaults() Limits {
	l.HeaderBytes = or(l.HeaderBytes, 16<<10)
	l.HeaderTimeout = or(l.HeaderTimeout, 10*time.Second)
	l.BodyBytes = or(l.BodyBytes, 40960)
	l.BodyTimeout = or(l.BodyTimeout, 15*time.Second)
	l.WriteTimeout = or(l.WriteTimeout, 15*time.Second)
	l.KeepAlive = or(l.KeepAlive, 15*time.Second)
	l.Connections = or(l.Connections, 1024)
	return l
}

func or[T int | int64 | time.Duration](v, fallback T) T {
	if v <= 0 {
		return fallback
	}
	return v
}

func (o Options) withDefaults() Options {
	if o.Refuse == nil {
		o.Refuse = func(w http.ResponseWriter, _ *http.Request, status int, reason string) {
			http.Error(w, reason, status)
		}
	}
	if o.OnAccess == nil {
		o.OnAccess = func(Access) {}
	}
	if o.OnPanic == nil {
		o.OnPanic = func(*http.Request, any, []byte) {}
	}
	if o.OnFault == nil {
		o.OnFault = func(string) {}
	}
	if o.OnAcceptFault == nil {
		o.OnAcceptFault = func(net.Addr, error) {}
	}
	if o.CloseGrace <= 0 {
		o.CloseGrace = 2 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
