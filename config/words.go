package config

import "strings"

// LogLevel is a severity.
type LogLevel string

// The log levels, least severe first.
const (
	LogTrace LogLevel = "trace"
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// LogFormat is how log lines look.
type LogFormat string

// The log formats.
const (
	// LogAuto is console on a terminal and JSON elsewhere.
	LogAuto LogFormat = "auto"
	// LogConsole is for people.
	LogConsole LogFormat = "console"
	// LogJSON is one JSON object a line.
	LogJSON LogFormat = "json"
)

// ReaderPolicy says what happens to a viewer that is too slow.
type ReaderPolicy string

// The reader policies.
const (
	// ReaderJump moves the viewer on to the newest key frame.
	ReaderJump ReaderPolicy = "jump"
	// ReaderClose ends the viewer's session.
	ReaderClose ReaderPolicy = "close"
)

// RTPTransport restricts how RTP may be carried, with ZLMediaKit's numbers.
type RTPTransport int

// The RTP transports.
const (
	// RTPAny lets the client choose.
	RTPAny RTPTransport = -1
	// RTPOverTCP accepts only RTP interleaved in the RTSP connection.
	RTPOverTCP RTPTransport = 0
	// RTPOverUDP accepts only RTP over UDP.
	RTPOverUDP RTPTransport = 1
)

// String returns any, tcp or udp.
func (t RTPTransport) String() string {
	switch t {
	case RTPOverTCP:
		return "tcp"
	case RTPOverUDP:
		return "udp"
	default:
		return "any"
	}
}

// rtpTransport reads ZLMediaKit's numbers; its 2, multicast, is refused by name because it is not served.
func rtpTransport() codec[RTPTransport] {
	c := whole[RTPTransport](int64(RTPAny), int64(RTPOverUDP), "")
	c.kind, c.bounds = "number", "-1 any, 0 TCP only, 1 UDP only"
	within := c.parse
	c.parse = func(s string) (RTPTransport, *flaw) {
		if strings.TrimSpace(s) == "2" {
			return 0, &flaw{"asks for multicast, which is not served yet", "write -1 for any transport, 0 for TCP or 1 for UDP"}
		}
		v, f := within(s)
		if f != nil {
			f.cure = "write -1 for any transport, 0 for TCP or 1 for UDP"
		}
		return v, f
	}
	return c
}
