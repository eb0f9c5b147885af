package config

import "time"

func rtspKeys() []Key {
	return []Key{
		spec[uint16]{
			name: "rtsp.port", class: Restart, codec: tcpPort(), def: 8554,
			doc:   "Port of the RTSP listener. ZLMediaKit's default, 554, needs privileges.",
			field: func(c *Config) *uint16 { return &c.RTSP.Port },
		}.key(),
		spec[uint16]{
			name: "rtsp.sslport", class: Restart, codec: tcpPort(),
			doc:   "Port of the RTSPS listener. It is opened only with tls.cert_file and tls.key_file.",
			field: func(c *Config) *uint16 { return &c.RTSP.SSLPort },
		}.key(),
		spec[bool]{
			name: "rtsp.authBasic", class: New, codec: toggle(),
			doc:   "Ask for Basic instead of Digest authentication. Basic sends the password readable to everybody on the way.",
			field: func(c *Config) *bool { return &c.RTSP.AuthBasic },
		}.key(),
		spec[time.Duration]{
			name: "rtsp.handshakeSecond", class: New, codec: ticks(1, 300, time.Second), def: 15 * time.Second,
			doc:   "How long a connection may take until it plays or records.",
			field: func(c *Config) *time.Duration { return &c.RTSP.HandshakeTimeout },
		}.key(),
		spec[time.Duration]{
			name: "rtsp.keepAliveSecond", class: New, codec: ticks(1, 3600, time.Second), def: 15 * time.Second,
			doc:   "How long a publisher may send nothing before it is dropped. A UDP viewer may be silent four times as long.",
			field: func(c *Config) *time.Duration { return &c.RTSP.KeepAlive },
		}.key(),
		spec[RTPTransport]{
			name: "rtsp.rtpTransportType", class: New, codec: rtpTransport(), def: RTPAny,
			doc:   "Which transport SETUP accepts; another one is answered with 461.",
			field: func(c *Config) *RTPTransport { return &c.RTSP.Transport },
		}.key(),
		spec[Credentials]{
			name: "rtsp.auth_users", class: New, own: true, secret: true, codec: credentials(),
			doc:   "Accounts for publishing and playing over RTSP. Empty means that nobody is asked for one.",
			field: func(c *Config) *Credentials { return &c.RTSP.AuthUsers },
		}.key(),
		spec[bool]{
			name: "rtsp.auth_publish", class: New, own: true, codec: toggle(), def: true,
			doc:   "Publishers need an account of rtsp.auth_users, if there are any.",
			field: func(c *Config) *bool { return &c.RTSP.AuthPublish },
		}.key(),
		spec[bool]{
			name: "rtsp.auth_play", class: New, own: true, codec: toggle(), def: true,
			doc:   "Viewers need an account of rtsp.auth_users, if there are any.",
			field: func(c *Config) *bool { return &c.RTSP.AuthPlay },
		}.key(),
		spec[int]{
			name: "rtsp.max_connections", class: Hot, own: true, codec: whole[int](1, 1_000_000, "connections"), def: 10_000,
			doc:   "Most open RTSP and RTSPS connections; further ones are refused with 503 or closed.",
			field: func(c *Config) *int { return &c.RTSP.MaxConnections },
		}.key(),
		spec[int]{
			name: "rtsp.max_sessions_per_ip", class: Hot, own: true, codec: whole[int](1, 1_000_000, "connections"), def: 2_000,
			doc:   "Most open RTSP and RTSPS connections from one source address; further ones are refused with 503 or closed.",
			field: func(c *Config) *int { return &c.RTSP.MaxSessionsPerIP },
		}.key(),
	}
}
