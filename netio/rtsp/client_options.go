package rtsp

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// PullOptions says what to pull and within which limits. See [NewPull].
type PullOptions struct {
	// URL is the source, rtsp or rtsps, with or without credentials. Passwords need not be escaped.
	URL string
	// User and Password replace credentials in URL when User is not empty.
	User, Password string
	// MediaTimeout is how long a playing source may send no packet before the pull ends with PullSilent. 0 means 15 s.
	MediaTimeout time.Duration
	// ReportInterval is the distance between RTCP receiver reports. 0 means 5 s.
	ReportInterval time.Duration
	// MaxRedirects bounds how often a source may send the pull elsewhere. 0 means 5; negative means never.
	MaxRedirects int
	// UserAgent is sent with every request. Empty means "berth".
	UserAgent string
	// TLS is used for rtsps; nil means the system's roots. ServerName is filled in from the URL.
	TLS *tls.Config
	// Dial opens the TCP connection. nil means a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock for packets. nil means time.Now.
	Now func() time.Time
}

func (o PullOptions) withDefaults() PullOptions {
	if o.MediaTimeout == 0 {
		o.MediaTimeout = 15 * time.Second
	}
	if o.ReportInterval == 0 {
		o.ReportInterval = 5 * time.Second
	}
	if o.MaxRedirects == 0 {
		o.MaxRedirects = 5
	}
	if o.UserAgent == "" {
		o.UserAgent = "berth"
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// PullSink takes the packets of a pull. *hub.Writer is one. Different tracks may call it at the same time.
type PullSink interface {
	// WriteRTP takes one whole RTP packet, which is valid until the return. An error that is [hub.ErrDetached] ends the pull; the sink counts all others.
	WriteRTP(track int, now time.Time, pkt []byte) error
	// WriteRTCP takes RTCP of the source: sender reports, alone or in a compound packet (RFC 3550 section 6.1), which is valid until the return.
	WriteRTCP(track int, now time.Time, pkt []byte)
}

// PullPair is a bound pair of UDP sockets for one track, on neighbouring ports. They stay their owner's: a pull never closes them.
type PullPair struct{ RTP, RTCP *net.UDPConn }

// PlayOptions says how the described tracks are to be played. See [Pull.Play].
type PlayOptions struct {
	// Sink takes the packets.
	Sink PullSink
	// Tracks[i] is the sink's number for track i of Describe; a negative one is not set up. It has an element for every described track.
	Tracks []int
	// Pairs[i] is where track i is received; nil means TCP for all. When given, every track that is set up needs one.
	Pairs []PullPair
	// FallbackAfter is how long UDP may bring no packet before TCP is tried. It matters only with OnFallback. 0 means 3 s.
	FallbackAfter time.Duration
	// OnFallback is called when UDP does not work out and the pull goes on over TCP; from then on it does not touch Pairs. nil means that
	// the pull fails instead. Called on Play's goroutine.
	OnFallback func(why error)
}

// PullStats are the counters of a pull. Sink counts more.
type PullStats struct {
	Packets   uint64    // RTP packets handed to the sink
	Bytes     uint64    // bytes of these, as far as the sink took them
	Lost      uint64    // packets that never came, by sequence number
	Reordered uint64    // packets over UDP that came before a predecessor
	Invalid   uint64    // datagrams and frames that could not be read as RTP or RTCP
	Strangers uint64    // datagrams from somewhere else than the source
	Last      time.Time // arrival of the last packet, zero before the first
}
