package camera

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

// Authentication is how a camera checks credentials.
type Authentication int

// The methods that exist (RFC 2617, RFC 7616).
const (
	DigestMD5 Authentication = iota
	DigestSHA256
	Basic
)

func (a Authentication) method() auth.VerifyMethod {
	switch a {
	case DigestSHA256:
		return auth.VerifyMethodDigestSHA256
	case Basic:
		return auth.VerifyMethodBasic
	case DigestMD5:
	}
	return auth.VerifyMethodDigestMD5
}

// Options says what a camera is like.
type Options struct {
	// Listen is the RTSP address; empty means 127.0.0.1:0. Its host is also where UDP is served from.
	Listen string
	// Paths are the names under which the clip is served, without slashes around them; none means every name.
	Paths []string
	// User and Password are what a client must present; an empty User means that nobody is asked.
	User, Password string
	// Authentication is the method that is offered when User is set.
	Authentication Authentication
	// SessionTimeout is how long a session lives without a keep-alive; it is told to clients in whole seconds. 0 means 60 s.
	SessionTimeout time.Duration
	// TLS makes it an rtsps camera.
	TLS *tls.Config
	// Tracks is what it announces at first; see [Camera.SetTracks].
	Tracks Tracks
}

// Camera is a running camera. Made by [Start].
type Camera struct {
	opts   Options
	clip   *clip
	server *gortsplib.Server
	addr   *net.TCPAddr

	refuseUDP, silentUDP atomic.Bool

	sending sync.Mutex // held while packets are written; taken before mu
	stalled bool       // guarded by sending

	setups sync.Mutex // held from a SETUP to its response; taken before mu

	mu        sync.Mutex
	setter    *gortsplib.ServerConn // holds setups
	closed    bool
	current   *feed           // what the next DESCRIBE gets
	silent    map[*feed]*feed // a feed's twin that is never written to
	feeds     []*feed         // all that are written to
	redirects map[string]string
	status    base.StatusCode // of every DESCRIBE, 0 = as usual
	conns     map[*gortsplib.ServerConn]struct{}
	sessions  map[*gortsplib.ServerSession]struct{}
	requests  map[base.Method]int

	stop chan struct{}
	done sync.WaitGroup
}

// Start opens a camera. The caller must Close it.
func Start(opts Options) (*Camera, error) {
	if opts.Listen == "" {
		opts.Listen = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(opts.Listen)
	if err != nil {
		return nil, fmt.Errorf("camera: listen address %q: %w", opts.Listen, err)
	}
	c := &Camera{
		opts: opts, silent: map[*feed]*feed{}, redirects: map[string]string{}, requests: map[base.Method]int{},
		conns: map[*gortsplib.ServerConn]struct{}{}, sessions: map[*gortsplib.ServerSession]struct{}{}, stop: make(chan struct{}),
	}
	if c.clip, err = loadClip(); err != nil {
		return nil, err
	}
	if err := c.open(host); err != nil {
		return nil, fmt.Errorf("camera: %w", err)
	}
	if err := c.SetTracks(opts.Tracks); err != nil {
		c.server.Close()
		return nil, err
	}
	c.done.Go(c.play)
	return c, nil
}

// open binds the sockets and starts the server on them.
func (c *Camera) open(host string) error {
	rtp, rtcp, err := listenPair(host)
	if err != nil {
		return err
	}
	bound := map[string]net.PacketConn{rtp.LocalAddr().String(): rtp, rtcp.LocalAddr().String(): rtcp}
	c.server = &gortsplib.Server{
		Handler:        (*handler)(c),
		RTSPAddress:    c.opts.Listen,
		UDPRTPAddress:  rtp.LocalAddr().String(),
		UDPRTCPAddress: rtcp.LocalAddr().String(),
		ListenPacket:   func(_, address string) (net.PacketConn, error) { return bound[address], nil },
		AuthMethods:    []auth.VerifyMethod{c.opts.Authentication.method()},
		TLSConfig:      c.opts.TLS,
		IdleTimeout:    c.opts.SessionTimeout,
	}
	if err := c.server.Start(); err != nil {
		return errors.Join(err, rtp.Close(), rtcp.Close())
	}
	c.addr = c.server.NetListener().Addr().(*net.TCPAddr)
	return nil
}

// listenPair binds an even UDP port and the odd one behind it (RFC 3550 section 11), wherever the kernel has two.
func listenPair(host string) (rtp, rtcp net.PacketConn, err error) {
	for range 200 {
		if rtp, err = net.ListenPacket("udp", net.JoinHostPort(host, "0")); err != nil {
			return nil, nil, err
		}
		port := rtp.LocalAddr().(*net.UDPAddr).Port
		if port%2 == 0 {
			if rtcp, err = net.ListenPacket("udp", net.JoinHostPort(host, fmt.Sprint(port+1))); err == nil {
				return rtp, rtcp, nil
			}
		}
		_ = rtp.Close()
	}
	return nil, nil, fmt.Errorf("no two neighbouring UDP ports are free on %s: %w", host, err)
}

// Addr returns the RTSP address.
func (c *Camera) Addr() net.Addr { return c.addr }

// URL returns where a path is served, without credentials.
func (c *Camera) URL(path string) string {
	scheme := "rtsp"
	if c.opts.TLS != nil {
		scheme = "rtsps"
	}
	return (&url.URL{Scheme: scheme, Host: c.addr.String(), Path: "/" + strings.Trim(path, "/")}).String()
}

// Close ends all sessions and waits for every goroutine. A closed camera stays closed.
func (c *Camera) Close() {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if first {
		close(c.stop)
		c.server.Close()
	}
	c.done.Wait()
}

// play sends the clip at its own speed, over and over, until the camera is closed.
func (c *Camera) play() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	started := time.Now()
	for loop := 0; ; loop++ {
		begin := started.Add(time.Duration(loop) * clipLength)
		for i := range c.clip.steps {
			s := &c.clip.steps[i]
			timer.Reset(time.Until(begin.Add(s.at)))
			select {
			case <-c.stop:
				return
			case <-timer.C:
			}
			c.send(s, loop)
		}
	}
}

func (c *Camera) send(s *step, loop int) {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.stalled {
		return
	}
	c.mu.Lock()
	feeds := c.feeds // never changed in place
	c.mu.Unlock()
	for _, f := range feeds {
		f.send(s, s.ticksIn(loop))
	}
}
