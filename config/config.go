package config

import (
	"net/netip"
	"time"
)

// Config is one immutable snapshot of every key. Read its fields freely from any goroutine; never
// write to them. Make one with Load, or with Default in tests.
type Config struct {
	API      API
	General  General
	Protocol Protocol
	HTTP     HTTP
	RTSP     RTSP
	RTP      RTP
	RTPProxy RTPProxy
	Pool     Pool
	Hook     Hook
	Proxy    Proxy
	Stream   Stream
	Log      Log
	State    State
	TLS      TLS
	Metrics  Metrics
	Debug    Debug
	Limits   Limits

	// origins says where each value came from, by key; a key that is absent stands at its default.
	origins map[string]Origin
}

// API is the [api] section: who may call the HTTP API.
type API struct {
	// Secret must come with every API call. Empty or a published default means that the server makes a
	// random one and keeps it in its store; see NeedsSecret.
	Secret string
	// Debug logs every API request and reply at level debug.
	Debug bool
	// AllowLoopback lets callers from this machine in without a secret.
	AllowLoopback bool
}

// General is the [general] section.
type General struct {
	// MediaServerID names this server in hooks and to management platforms. Empty means that the server
	// makes a random one and keeps it in its store.
	MediaServerID string
	// EnableVhost makes the host name of a URL part of the stream's identity.
	EnableVhost bool
	// MaxStreamWait is how long a viewer waits for a stream that is not there yet.
	MaxStreamWait time.Duration
	// StreamNoneReaderDelay is how long a stream must be without viewers before that is reported.
	StreamNoneReaderDelay time.Duration
	// MergeWrite is how long sound may wait to leave in one write with the next picture; 0 sends it at once.
	MergeWrite time.Duration
	// ListenIP is the local address of all listeners; the unspecified IPv6 address serves IPv4 too.
	ListenIP netip.Addr
	// WaitTrackReady is how long a pushed stream waits for what its tracks need.
	WaitTrackReady time.Duration
	// WaitAddTrack is how long a pushed stream with one track waits for a second one.
	WaitAddTrack time.Duration
	// WaitAudioData is how long a pushed stream waits for announced sound.
	WaitAudioData time.Duration
	// UnreadyFrames bounds the frames of a track that are kept during these waits.
	UnreadyFrames int
}

// Protocol is the [protocol] section: defaults of every new stream.
type Protocol struct {
	// ContinuePush is how long a stream is kept for its publisher to come back; 0 ends it at once.
	ContinuePush time.Duration
	// EnableAudio keeps audio tracks; false drops them.
	EnableAudio bool
	// AutoClose closes a stream that has had no viewer for General.StreamNoneReaderDelay.
	AutoClose bool
}

// HTTP is the [http] section.
type HTTP struct {
	// Port is the TCP port of the HTTP listener; 0 is off.
	Port uint16
	// SSLPort is the TCP port of the HTTPS listener; 0 is off. It needs TLS.Enabled.
	SSLPort uint16
	// KeepAlive is how long an idle connection is kept.
	KeepAlive time.Duration
	// MaxReqSize bounds the body of an API request.
	MaxReqSize Bytes
	// AllowIPRange lists the addresses that may call the API; an empty list allows all.
	AllowIPRange IPRanges
	// AllowCrossDomains sends CORS headers that let pages of any origin read replies.
	AllowCrossDomains bool
}

// RTSP is the [rtsp] section.
type RTSP struct {
	// Port is the TCP port of the RTSP listener; 0 is off.
	Port uint16
	// SSLPort is the TCP port of the RTSPS listener; 0 is off. It needs TLS.Enabled.
	SSLPort uint16
	// AuthBasic offers Basic instead of Digest authentication.
	AuthBasic bool
	// HandshakeTimeout is how long a connection may take to reach PLAY or RECORD.
	HandshakeTimeout time.Duration
	// KeepAlive is how long a publisher may send nothing; a UDP viewer may be silent four times as long.
	KeepAlive time.Duration
	// Transport restricts what SETUP accepts.
	Transport RTPTransport
	// AuthUsers are the accounts for AuthPublish and AuthPlay; none means that nobody is asked.
	AuthUsers Credentials
	// AuthPublish asks publishers for an account of AuthUsers.
	AuthPublish bool
	// AuthPlay asks viewers for an account of AuthUsers.
	AuthPlay bool
	// MaxConnections bounds the open RTSP and RTSPS connections together.
	MaxConnections int
	// MaxSessionsPerIP bounds the connections from one source address.
	MaxSessionsPerIP int
}

// RTP is the [rtp] section: RTP packets that are made here.
type RTP struct {
	// VideoMTU bounds the payload of a packet of video, in bytes.
	VideoMTU int
	// AudioMTU bounds the payload of a packet of sound, in bytes.
	AudioMTU int
}

// RTPProxy is the [rtp_proxy] section: the range of the port pool, and RTP that is pushed and sent without a session protocol.
type RTPProxy struct {
	// Port is the UDP and TCP port that any number of devices share; 0 is off.
	Port uint16
	// PortRange is what the port pool leases from.
	PortRange PortRange
	// Timeout is how long a receiver may take in no frame.
	Timeout time.Duration
	// RelearnAfter is how long a device must be silent before another address may take its place.
	RelearnAfter time.Duration
	// MaxDevices bounds the devices on one shared port.
	MaxDevices int
	// ParseOnDemand leaves RTP unparsed while nobody watches.
	ParseOnDemand bool
	// H264PT, H265PT, PSPT and OpusPT are the payload types by which devices name what they send.
	H264PT, H265PT, PSPT, OpusPT int
	// G711Packet is how much sound a sender puts into a packet of G.711.
	G711Packet time.Duration
	// UDPBuffer is the receive buffer asked for each UDP socket of a receiver.
	UDPBuffer Bytes
}

// Pool is the [pool] section: how the port pool treats its range.
type Pool struct {
	// Exclude lists ports of the range that are never leased; a pair with one excluded port is out.
	Exclude PortSet
	// Bind is the local address of pool sockets; the zero Addr means General.ListenIP. See Config.PoolBind.
	Bind netip.Addr
	// Advertise is the address told to peers; the zero Addr means the local address of the connection.
	Advertise netip.Addr
	// LeaseTimeout bounds one search for a pair that can be bound.
	LeaseTimeout time.Duration
	// DrainIdle is how long a released pair must hear nothing before it is closed.
	DrainIdle time.Duration
	// DrainMax is how long a released pair stays bound at most, however much still arrives.
	DrainMax time.Duration
	// CoolDown is how long a closed pair is not given out.
	CoolDown time.Duration
	// WarnPercent is the share of pairs in use, in per cent, from which the pool warns.
	WarnPercent int
}

// Hook is the [hook] section: how web hooks are called.
type Hook struct {
	// Enable sends hooks at all.
	Enable bool
	// Timeout bounds one whole hook request.
	Timeout time.Duration
	// Retry is how many more times a failed request is sent.
	Retry int
	// RetryDelay is the pause between two tries.
	RetryDelay time.Duration
	// OnPortPoolAlarm is where a change of the port pool's alarm level is posted to; empty is off.
	OnPortPoolAlarm string
	// OnRTPServerTimeout is where the end of a silent RTP receiver is posted to; empty is off.
	OnRTPServerTimeout string
	// OnSendRTPStopped is where the end of an RTP sender is posted to; empty is off.
	OnSendRTPStopped string
}

// URL returns where the hook of that name goes; empty when it is off or this version has no such hook.
func (h Hook) URL(name string) string {
	switch name {
	case "on_port_pool_alarm":
		return h.OnPortPoolAlarm
	case "on_rtp_server_timeout":
		return h.OnRTPServerTimeout
	case "on_send_rtp_stopped":
		return h.OnSendRTPStopped
	}
	return ""
}

// Proxy is the [proxy] section: streams pulled from elsewhere.
type Proxy struct {
	// ConnectTimeout bounds one attempt, from dialing to the first media packet, unless the call sets timeout_sec.
	ConnectTimeout time.Duration
	// RetryDelayMin is the pause before the first reconnection; it grows with each failure.
	RetryDelayMin time.Duration
	// RetryDelayMax is the longest pause between two reconnections.
	RetryDelayMax time.Duration
	// MediaTimeout is how long a connected source may be silent before it counts as lost.
	MediaTimeout time.Duration
	// UDPFallbackTimeout is how long a UDP pull waits for its first packet before it changes to TCP.
	UDPFallbackTimeout time.Duration
}

// Stream is the [stream] section: what a stream keeps for its viewers.
type Stream struct {
	// GOPCache bounds the media since the last key frame that is kept for new viewers; 0 keeps none.
	GOPCache Bytes
	// RingPackets is how many packets a viewer may fall behind before ReaderPolicy applies.
	RingPackets int
	// ReaderMaxBytes and ReaderMaxLag are how far a viewer may fall behind in bytes and in time; 0 bytes is no bound of its own.
	ReaderMaxBytes Bytes
	ReaderMaxLag   time.Duration
	// ReaderPolicy says what happens to a viewer that fell further behind.
	ReaderPolicy ReaderPolicy
}

// Log is the [log] section.
type Log struct {
	// Level is the least severe level that is written.
	Level LogLevel
	// Format is how a line looks.
	Format LogFormat
}

// State is the [state] section.
type State struct {
	// Dir is the directory of the store. Load always sets it; it is empty only in Default.
	Dir string
}

// TLS is the [tls] section: the certificate of every TLS listener, read again by a reload.
type TLS struct {
	// CertFile is a PEM file with the certificate chain; empty means no TLS.
	CertFile string
	// KeyFile is a PEM file with the private key.
	KeyFile string
}

// Metrics is the [metrics] section.
type Metrics struct {
	// Enable serves /metrics.
	Enable bool
}

// Debug is the [debug] section.
type Debug struct {
	// Pprof serves /debug/pprof.
	Pprof bool
}

// Limits is the [limits] section: bounds that protect the server from its callers.
type Limits struct {
	// HTTPConnections bounds the open HTTP and HTTPS connections together.
	HTTPConnections int
	// HTTPHeaderBytes bounds the request line and header of an HTTP request.
	HTTPHeaderBytes Bytes
	// HTTPHeaderTimeout bounds the time an HTTP request's header may take.
	HTTPHeaderTimeout time.Duration
	// APIFailuresPerMinute is how often one source address may present a wrong secret before it is refused.
	APIFailuresPerMinute int
}

// Default returns the snapshot in which every key stands at its built-in default. State.Dir is empty,
// because its default depends on the environment; Load fills it in.
func Default() *Config {
	c := &Config{origins: map[string]Origin{}}
	for _, k := range registry() {
		// A default that its own codec refuses is caught by TestEveryDefaultIsWithinItsBounds.
		_ = k.assign(c, k.Default)
	}
	return c
}

// zlmShippedSecret is the secret in ZLMediaKit's published sample; everybody knows it.
const zlmShippedSecret = "035c73f7-bb6b-4889-a715-d9eb2d1925cc"

// NeedsSecret reports whether Secret is empty or a published default, so that the server must use a
// random one of its own.
func (a API) NeedsSecret() bool { return a.Secret == "" || a.Secret == zlmShippedSecret }

// Enabled reports whether a certificate is configured, without which no TLS listener is opened.
func (t TLS) Enabled() bool { return t.CertFile != "" && t.KeyFile != "" }

// PoolBind returns the local address of the pool's sockets: Pool.Bind, or General.ListenIP when that is unset.
func (c *Config) PoolBind() netip.Addr {
	if c.Pool.Bind.IsValid() {
		return c.Pool.Bind
	}
	return c.General.ListenIP
}
