package config

import (
	"net/netip"
	"time"
)

func httpKeys() []Key {
	return []Key{
		spec[uint16]{
			name: "http.port", class: Restart, codec: tcpPort(), def: 8080,
			doc:   "Port of the HTTP listener: API, metrics and web page. ZLMediaKit's default, 80, needs privileges.",
			field: func(c *Config) *uint16 { return &c.HTTP.Port },
		}.key(),
		spec[uint16]{
			name: "http.sslport", class: Restart, codec: tcpPort(),
			doc:   "Port of the HTTPS listener. It is opened only with tls.cert_file and tls.key_file.",
			field: func(c *Config) *uint16 { return &c.HTTP.SSLPort },
		}.key(),
		spec[time.Duration]{
			name: "http.keepAliveSecond", class: Restart, codec: ticks(1, 3600, time.Second), def: 15 * time.Second,
			doc:   "How long an idle HTTP connection is kept.",
			field: func(c *Config) *time.Duration { return &c.HTTP.KeepAlive },
		}.key(),
		spec[Bytes]{
			name: "http.maxReqSize", class: New, codec: plainSize(KiB, 64*MiB), def: 40 * KiB,
			doc:   "Largest body of an API request.",
			field: func(c *Config) *Bytes { return &c.HTTP.MaxReqSize },
		}.key(),
		spec[IPRanges]{
			name: "http.allow_ip_range", class: Hot, codec: ipRanges(), def: privateRanges(),
			doc:   "Addresses that may call the API, as well as needing the secret.",
			field: func(c *Config) *IPRanges { return &c.HTTP.AllowIPRange },
		}.key(),
		spec[bool]{
			name: "http.allow_cross_domains", class: Hot, codec: toggle(), def: true,
			doc:   "Send CORS headers, so that web pages of any origin can read replies and streams.",
			field: func(c *Config) *bool { return &c.HTTP.AllowCrossDomains },
		}.key(),
	}
}

// privateRanges is ZLMediaKit's default: loopback and the private IPv4 networks.
func privateRanges() IPRanges {
	one := func(low, high string) IPRange {
		return IPRange{Low: netip.MustParseAddr(low), High: netip.MustParseAddr(high)}
	}
	return IPRanges{
		one("::1", "::1"), one("127.0.0.1", "127.0.0.1"), one("172.16.0.0", "172.31.255.255"),
		one("192.168.0.0", "192.168.255.255"), one("10.0.0.0", "10.255.255.255"),
	}
}
