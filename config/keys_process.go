package config

import "time"

func logKeys() []Key {
	return []Key{
		spec[LogLevel]{
			name: "log.level", class: Hot, own: true, codec: choice(LogTrace, LogDebug, LogInfo, LogWarn, LogError), def: LogInfo,
			doc:   "Least severe level that is logged.",
			field: func(c *Config) *LogLevel { return &c.Log.Level },
		}.key(),
		spec[LogFormat]{
			name: "log.format", class: Restart, own: true, codec: choice(LogAuto, LogConsole, LogJSON), def: LogAuto,
			doc:   "How log lines look: console for people, json for machines, auto for console on a terminal and json elsewhere.",
			field: func(c *Config) *LogFormat { return &c.Log.Format },
		}.key(),
	}
}

func stateKeys() []Key {
	return []Key{
		spec[string]{
			name: "state.dir", class: Restart, own: true, fixed: true, codec: text(4096),
			note:  "$STATE_DIRECTORY; else /var/lib/berth for root; else $XDG_STATE_HOME/berth; else ~/.local/state/berth",
			doc:   "Directory of the store, which keeps proxies, runtime overrides and secrets over a restart.",
			field: func(c *Config) *string { return &c.State.Dir },
		}.key(),
	}
}

func tlsKeys() []Key {
	return []Key{
		spec[string]{
			name: "tls.cert_file", class: Hot, own: true, codec: text(4096),
			doc:   "PEM file with the certificate chain of all TLS listeners. A reload reads it again, changed or not; switching TLS on or off waits for a full restart.",
			field: func(c *Config) *string { return &c.TLS.CertFile },
		}.key(),
		spec[string]{
			name: "tls.key_file", class: Hot, own: true, codec: text(4096),
			doc:   "PEM file with the private key of tls.cert_file. A reload reads it again, changed or not; switching TLS on or off waits for a full restart.",
			field: func(c *Config) *string { return &c.TLS.KeyFile },
		}.key(),
	}
}

func observeKeys() []Key {
	return []Key{
		spec[bool]{
			name: "metrics.enable", class: Hot, own: true, codec: toggle(), def: true,
			doc:   "Serve metrics for Prometheus under /metrics.",
			field: func(c *Config) *bool { return &c.Metrics.Enable },
		}.key(),
		spec[bool]{
			name: "debug.pprof", class: Hot, own: true, codec: toggle(),
			doc:   "Serve Go's profiles under /debug/pprof.",
			field: func(c *Config) *bool { return &c.Debug.Pprof },
		}.key(),
	}
}

func limitsKeys() []Key {
	return []Key{
		spec[int]{
			name: "limits.http_connections", class: Hot, own: true, codec: whole[int](1, 1_000_000, "connections"), def: 4096,
			doc:   "Most open HTTP and HTTPS connections; further ones are closed at once.",
			field: func(c *Config) *int { return &c.Limits.HTTPConnections },
		}.key(),
		spec[Bytes]{
			name: "limits.http_header_bytes", class: Restart, own: true, codec: size(KiB, MiB), def: 16 * KiB,
			doc:   "Largest request line and header of an HTTP request.",
			field: func(c *Config) *Bytes { return &c.Limits.HTTPHeaderBytes },
		}.key(),
		spec[time.Duration]{
			name: "limits.http_header_timeout", class: Restart, own: true, codec: span(100*time.Millisecond, 5*time.Minute), def: 10 * time.Second,
			doc:   "Longest time for the header of an HTTP request to arrive.",
			field: func(c *Config) *time.Duration { return &c.Limits.HTTPHeaderTimeout },
		}.key(),
		spec[int]{
			name: "limits.api_failures_per_minute", class: Hot, own: true, codec: whole[int](1, 100_000, "failures"), def: 30,
			doc:   "How often a minute one source address may present a wrong secret before its calls are refused unread.",
			field: func(c *Config) *int { return &c.Limits.APIFailuresPerMinute },
		}.key(),
	}
}
