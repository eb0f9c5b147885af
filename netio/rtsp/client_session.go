package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"berth/netio/udp"
)

const (
	// pullWriteTimeout bounds every write while the pull lasts.
	pullWriteTimeout = 10 * time.Second
	// pullFarewell bounds everything that is written at the end of a pull, TEARDOWN above all.
	pullFarewell = time.Second
	// never stands for those timeouts of the library in whose place a context or the watch of the pull acts.
	never = 100 * 365 * 24 * time.Hour
)

// pullSession is one RTSP connection to one target, on one Client of the library. Its methods belong to one goroutine, but interrupt and close may be called by any.
//
// The library's hooks see requests before they are written and responses before they are acted upon, on the library's loop. What they keep is read by
// others only after a call of the library has returned.
type pullSession struct {
	target pullTarget
	dialer *pullDialer
	client *gortsplib.Client
	auth   pullAuth
	pairs  map[int]net.PacketConn // lent sockets by local port; filled before SETUP

	base   *base.URL
	tracks []pullTrack

	method   base.Method // of the last request; owned by the library's loop
	location string      // where the source redirects to, "" if it does not; written by the library's loop

	set     int             // tracks that are set up
	setting int             // the track whose SETUP is under way; written before it is asked for
	legs    map[int]pullLeg // answers to SETUP over UDP, by track; written by the library's loop

	mu      sync.Mutex
	closed  bool
	packets *pullMedia // nil before PLAY
	closing sync.Once
}

// newPullSession starts the library's loop for a target. The caller must close the session.
func newPullSession(p *Pull, target pullTarget) (*pullSession, error) {
	s := &pullSession{
		target: target,
		dialer: &pullDialer{dial: p.opts.Dial, tls: p.opts.TLS},
		auth:   pullAuth{user: target.user, password: target.password},
		pairs:  map[int]net.PacketConn{},
		legs:   map[int]pullLeg{},
	}
	s.client = &gortsplib.Client{
		Scheme:         target.url.Scheme,
		Host:           target.url.Host,
		ReadTimeout:    never,
		WriteTimeout:   pullWriteTimeout,
		UserAgent:      p.opts.UserAgent,
		DialContext:    s.dialer.dialPlain,
		DialTLSContext: s.dialer.dialTLS,
		ListenPacket:   s.listenPacket,
		// Silence is watched by the pull, which knows media from everything else that arrives.
		InitialUDPReadTimeout: never,
		OnRequest:             s.onRequest,
		OnResponse:            s.onResponse,
		OnServerRequest:       s.onServerRequest,
		OnTransportSwitch:     func(error) {},
		OnPacketsLost:         func(uint64) {}, // counted by the Ingest
		OnDecodeError:         func(error) { p.invalid.Add(1) },
	}
	return s, s.client.Start()
}

func (s *pullSession) onRequest(req *base.Request) {
	s.method = req.Method
	s.auth.sign(req)
}

func (s *pullSession) onResponse(res *base.Response) {
	s.auth.challenged(res)
	switch code := res.StatusCode; {
	case code >= 300 && code < 400 && len(res.Header["Location"]) == 1:
		// The library would follow without end and take the credentials along. Without the header it reports the status instead.
		s.location = res.Header["Location"][0]
		delete(res.Header, "Location")
	case s.method == base.Options && (code == base.StatusMethodNotAllowed || code == base.StatusNotImplemented || code == base.StatusNotFound):
		res.StatusCode = base.StatusOK // OPTIONS is optional for what is wanted of it here; the response then lists no methods
	case s.method == base.Setup && code == base.StatusOK:
		s.onSetup(res)
	}
}

// onSetup notes where a track's packets will come from, and makes the library accept sources that do not say: the first packet from their address then decides.
func (s *pullSession) onSetup(res *base.Response) {
	var transport headers.Transport
	if transport.Unmarshal(res.Header["Transport"]) != nil || transport.Protocol != headers.TransportProtocolUDP {
		return
	}
	var leg pullLeg
	if transport.Source2 != nil {
		leg.source, _ = netip.ParseAddr(*transport.Source2) // a name is left to the library, and is the host we are connected to
	}
	if p := transport.ServerPorts; p == nil || p[0] <= 1 || p[1] <= 1 || p[0] > 65535 || p[1] > 65535 {
		s.client.AnyPortEnable = true
	} else {
		leg.ports = [2]uint16{uint16(p[0]), uint16(p[1])}
	}
	s.legs[s.setting] = leg
}

// secure reports whether the tracks that are set up come as SRTP.
func (s *pullSession) secure() bool {
	return s.target.url.Scheme == "rtsps" && isSecureMedia(s.tracks[0].media)
}

// open makes the packet path, unless the session has been closed already.
func (s *pullSession) open(listen func() *pullMedia) (*pullMedia, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, liberrors.ErrClientTerminated{}
	}
	s.packets = listen()
	return s.packets, nil
}

// media returns the packet path, nil before there is one.
func (s *pullSession) media() *pullMedia {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packets
}

// onServerRequest answers a source's own keep-alive; the library knows OPTIONS only and ends the connection at anything else.
func (s *pullSession) onServerRequest(req *base.Request) {
	if req.Method == base.GetParameter && len(req.Body) == 0 {
		req.Method = base.Options
	}
}

func (s *pullSession) listenPacket(_, address string) (net.PacketConn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := net.LookupPort("udp", port)
	if err != nil {
		return nil, err
	}
	if conn, ok := s.pairs[number]; ok {
		return conn, nil
	}
	return nil, fmt.Errorf("port %d is not one of those leased for this pull", number)
}

// guard makes ctx end whatever call of the library is under way; release undoes that, and waits when it is just happening.
func (s *pullSession) guard(ctx context.Context) (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		s.close()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// close ends the session: TEARDOWN when there is something to tear down, within pullFarewell. When it returns no goroutine of the library is left, and the
// lent sockets are not used any more.
func (s *pullSession) close() {
	s.closing.Do(func() {
		s.dialer.limitWrites(time.Now().Add(pullFarewell))
		s.mu.Lock()
		s.closed = true
		m := s.packets
		s.mu.Unlock()
		if m != nil {
			m.ingest.Close()
		}
		s.client.Close()
	})
}

// describe connects and asks for the tracks (RFC 2326 section 10.2).
func (s *pullSession) describe(ctx context.Context) error {
	defer s.guard(ctx)()
	desc, _, err := s.client.Describe(s.target.requestURL())
	if err := pullCause(ctx, err, "the source's description"); err != nil {
		return err
	}
	s.base = desc.BaseURL
	s.tracks = pullTracks(desc)
	switch n := len(s.tracks); {
	case n == 0:
		return &PullError{Reason: PullNoTracks, URL: s.target.safe()}
	case n > maxPullTracks:
		s.tracks = nil
		return &PullError{Reason: PullUnsupported, URL: s.target.safe(), Err: fmt.Errorf("%d tracks are more than %d", n, maxPullTracks)}
	}
	return nil
}

// lend takes the sockets of a track; the library finds them again by port. It reads from them only where it has to decrypt.
func (s *pullSession) lend(pair PullPair) {
	for _, conn := range []*net.UDPConn{pair.RTP, pair.RTCP} {
		if s.secure() {
			s.pairs[localPort(conn)] = udp.Borrow(conn)
		} else {
			s.pairs[localPort(conn)] = newPullSocket(conn)
		}
	}
}

func localPort(conn net.PacketConn) int { return conn.LocalAddr().(*net.UDPAddr).Port }

// setup sets the wanted tracks up (RFC 2326 section 10.4) over the pairs, or over TCP when there are none.
func (s *pullSession) setup(ctx context.Context, wanted []int, pairs []PullPair) error {
	protocol := gortsplib.ProtocolTCP
	if pairs != nil {
		protocol = gortsplib.ProtocolUDP
	}
	s.client.Protocol = &protocol
	defer s.guard(ctx)()
	for i, t := range s.tracks {
		if wanted[i] < 0 {
			continue
		}
		s.setting = i
		var rtpPort, rtcpPort int
		if pairs != nil {
			s.lend(pairs[i])
			rtpPort, rtcpPort = localPort(pairs[i].RTP), localPort(pairs[i].RTCP)
		}
		err := s.retryStale(func() error {
			_, err := s.client.Setup(s.base, t.media, rtpPort, rtcpPort)
			return err
		})
		if err := pullCause(ctx, err, "the answer to SETUP"); err != nil {
			return err
		}
		s.set++
	}
	return nil
}

// play starts the flow (RFC 2326 section 10.5).
func (s *pullSession) play(ctx context.Context) error {
	defer s.guard(ctx)()
	err := s.retryStale(func() error {
		_, err := s.client.Play(nil)
		return err
	})
	return pullCause(ctx, err, "the answer to PLAY")
}

// retryStale repeats a request once when it was refused with a fresh challenge: the nonce had expired.
func (s *pullSession) retryStale(request func() error) error {
	before := s.auth.nonces
	err := request()
	var status liberrors.ErrClientBadStatusCode
	if errors.As(err, &status) && status.Code == base.StatusUnauthorized && before > 0 && s.auth.nonces > before {
		return request()
	}
	return err
}

// pullCause prefers the end of ctx over what that did to a call of the library.
func pullCause(ctx context.Context, err error, waitingFor string) error {
	cause := context.Cause(ctx)
	switch {
	case cause == nil:
		return err
	case errors.Is(cause, context.DeadlineExceeded):
		return &pullWaitError{what: waitingFor, cause: cause}
	default:
		return cause
	}
}

// isSecureMedia reports whether a track is announced with SRTP (RFC 3711).
func isSecureMedia(m *description.Media) bool { return m.Profile == headers.TransportProfileSAVP }
