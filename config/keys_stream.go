package config

import "time"

func proxyKeys() []Key {
	return []Key{
		spec[time.Duration]{
			name: "proxy.connect_timeout", class: New, own: true, codec: span(100*time.Millisecond, 5*time.Minute), def: 10 * time.Second,
			doc:   "Longest attempt to connect a pull, up to its first media, when the API call gives no timeout_sec.",
			field: func(c *Config) *time.Duration { return &c.Proxy.ConnectTimeout },
		}.key(),
		spec[time.Duration]{
			name: "proxy.retry_delay_min", class: New, own: true, codec: span(100*time.Millisecond, time.Hour), def: 2 * time.Second,
			doc:   "Pause before the first reconnection of a pull; it grows with each failure.",
			field: func(c *Config) *time.Duration { return &c.Proxy.RetryDelayMin },
		}.key(),
		spec[time.Duration]{
			name: "proxy.retry_delay_max", class: New, own: true, codec: span(100*time.Millisecond, 24*time.Hour), def: time.Minute,
			doc:   "Longest pause between two reconnections of a pull.",
			field: func(c *Config) *time.Duration { return &c.Proxy.RetryDelayMax },
		}.key(),
		spec[time.Duration]{
			name: "proxy.media_timeout", class: New, own: true, codec: span(time.Second, 10*time.Minute), def: 10 * time.Second,
			doc:   "How long a connected source may send no media before it counts as lost.",
			field: func(c *Config) *time.Duration { return &c.Proxy.MediaTimeout },
		}.key(),
		spec[time.Duration]{
			name: "proxy.udp_fallback_timeout", class: New, own: true, codec: span(500*time.Millisecond, time.Minute), def: 3 * time.Second,
			doc:   "How long a pull over UDP waits for its first packet before it changes to TCP.",
			field: func(c *Config) *time.Duration { return &c.Proxy.UDPFallbackTimeout },
		}.key(),
	}
}

func streamKeys() []Key {
	return []Key{
		spec[Bytes]{
			name: "stream.gop_cache_bytes", class: New, own: true, codec: size(0, GiB), def: 16 * MiB,
			doc:   "Most media since the last key frame that a stream keeps, so that new viewers see a picture at once; 0 keeps none.",
			field: func(c *Config) *Bytes { return &c.Stream.GOPCache },
		}.key(),
		spec[int]{
			name: "stream.ring_packets", class: New, own: true, codec: whole[int](256, 65_536, "packets"), def: 4096,
			doc:   "How many packets a viewer may fall behind before stream.reader_policy applies. At 8 Mb/s 4096 packets are about 5 s.",
			field: func(c *Config) *int { return &c.Stream.RingPackets },
		}.key(),
		spec[Bytes]{
			name: "stream.reader_max_bytes", class: New, own: true, codec: size(0, GiB), def: 0,
			doc:   "How many bytes a viewer may fall behind before stream.reader_policy applies; 0 means that only the other limits count. What a viewer is given when it joins does not count.",
			field: func(c *Config) *Bytes { return &c.Stream.ReaderMaxBytes },
		}.key(),
		spec[time.Duration]{
			name: "stream.reader_max_lag", class: New, own: true, codec: span(100*time.Millisecond, 5*time.Minute), def: 4 * time.Second,
			doc:   "How long a viewer may fall behind before stream.reader_policy applies, beyond what its socket holds. It costs memory only while a viewer is behind.",
			field: func(c *Config) *time.Duration { return &c.Stream.ReaderMaxLag },
		}.key(),
		spec[ReaderPolicy]{
			name: "stream.reader_policy", class: New, own: true, codec: choice(ReaderJump, ReaderClose), def: ReaderJump,
			doc:   "What happens to a viewer that fell too far behind: jump to the newest key frame, or close its session.",
			field: func(c *Config) *ReaderPolicy { return &c.Stream.ReaderPolicy },
		}.key(),
	}
}
