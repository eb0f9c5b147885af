package proxy

import (
	"errors"
	"time"

	"berth/actors/store"
	"berth/actors/stream"
	"berth/media"
)

// Errors of [ProxyAdded].
var (
	// ErrExists has ZLMediaKit's text, which clients compare.
	//
	//lint:ignore ST1005 see above
	ErrExists = errors.New("This stream already exists")
	// ErrClosed has ZLMediaKit's text for an addStreamProxy whose proxy is deleted before it has a result.
	ErrClosed = errors.New("player proxy close")
	// ErrInterrupted answers an AddProxy when the server ends or restarts before there is a result. The definition stays.
	ErrInterrupted = errors.New("the server is being restarted or ended before the first attempt had a result; " +
		"if it had been stored, the proxy goes on when the server is back (see listStreamProxy)")
)

// AddProxy starts a pull and keeps its definition. Sent by the API (a request); answered with [ProxyAdded] after the first attempt has succeeded or
// failed. A failed first attempt removes the proxy again unless Definition.Force is set.
type AddProxy struct{ Definition store.Proxy }

// ProxyAdded answers [AddProxy].
type ProxyAdded struct {
	Key string
	Err error // why the first attempt failed, or ErrExists, or why the definition could not be stored
}

// RemoveProxy deletes a definition, durably before the answer, and ends its pull. Answered with [ProxyRemoved].
type RemoveProxy struct{ Key string }

// ProxyRemoved answers [RemoveProxy].
type ProxyRemoved struct {
	Found bool
	Err   error // the store could not delete it; the pull goes on
}

// ListProxies asks for all proxies, or the one with Key; answered with [Proxies].
type ListProxies struct{ Key string }

// Proxies answers [ListProxies], in key order.
type Proxies struct{ Proxies []Snapshot }

// Snapshot is a picture of one proxy.
type Snapshot struct {
	Definition store.Proxy
	Key        string
	Stream     media.StreamKey
	Playing    bool
	Status     string           // last error text, or "success" while playing
	Since      time.Time        // start of the present connection; zero when not playing
	Repulls    int              // successful connections after the first
	Failures   int              // consecutive failed attempts
	RetryAt    time.Time        // next attempt; zero while playing
	Transport  string           // udp, tcp, "" when not playing
	Live       *stream.Snapshot // nil when the stream is not published
}
