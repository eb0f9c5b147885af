package config

import (
	"net/netip"
	"time"
)

func poolKeys() []Key {
	return []Key{
		spec[PortSet]{
			name: "pool.exclude", class: Restart, own: true, codec: portSet(),
			doc:   "Ports of rtp_proxy.port_range that are never leased. A pair with one such port is left out as a whole.",
			field: func(c *Config) *PortSet { return &c.Pool.Exclude },
		}.key(),
		spec[netip.Addr]{
			name: "pool.bind", class: Restart, own: true, codec: localAddress("the same as general.listen_ip"),
			doc:   "Local address of the media sockets.",
			field: func(c *Config) *netip.Addr { return &c.Pool.Bind },
		}.key(),
		spec[netip.Addr]{
			name: "pool.advertise", class: New, own: true, codec: peerAddress("the local address of the signalling connection"),
			doc:   "Address told to peers as the place to send media to, for servers behind a NAT.",
			field: func(c *Config) *netip.Addr { return &c.Pool.Advertise },
		}.key(),
		spec[time.Duration]{
			name: "pool.lease_timeout", class: Hot, own: true, codec: span(time.Millisecond, 10*time.Second), def: 50 * time.Millisecond,
			doc:   "Longest search for a pair that can be bound.",
			field: func(c *Config) *time.Duration { return &c.Pool.LeaseTimeout },
		}.key(),
		spec[time.Duration]{
			name: "pool.drain_idle", class: Hot, own: true, codec: span(0, 10*time.Minute), def: 3 * time.Second,
			doc:   "How long a released pair must hear nothing before it is closed.",
			field: func(c *Config) *time.Duration { return &c.Pool.DrainIdle },
		}.key(),
		spec[time.Duration]{
			name: "pool.drain_max", class: Hot, own: true, codec: span(0, time.Hour), def: time.Minute,
			doc:   "Longest time a released pair stays bound while its old peer still sends.",
			field: func(c *Config) *time.Duration { return &c.Pool.DrainMax },
		}.key(),
		spec[time.Duration]{
			name: "pool.cool_down", class: Hot, own: true, codec: span(0, time.Hour), def: 5 * time.Second,
			doc:   "How long a closed pair is not given out again, unless the pool is under pressure.",
			field: func(c *Config) *time.Duration { return &c.Pool.CoolDown },
		}.key(),
		spec[int]{
			name: "pool.warn_at", class: Hot, own: true, codec: whole[int](1, 100, "per cent"), def: 80,
			doc:   "Share of pairs in use from which the pool warns in log, metrics and the hook on_port_pool_alarm.",
			field: func(c *Config) *int { return &c.Pool.WarnPercent },
		}.key(),
	}
}
