package config

func apiKeys() []Key {
	return []Key{
		spec[string]{
			name: "api.secret", class: Hot, secret: true, codec: text(256),
			note:  "a random one, kept in the store; `berth secret` shows it",
			doc:   "Secret that must come with every API call. Empty, or the one ZLMediaKit publishes in its sample, means a random one.",
			field: func(c *Config) *string { return &c.API.Secret },
		}.key(),
		spec[bool]{
			name: "api.apiDebug", class: Hot, codec: toggle(), def: true,
			doc:   "Log every API request and its reply at level debug.",
			field: func(c *Config) *bool { return &c.API.Debug },
		}.key(),
		spec[bool]{
			name: "api.allow_loopback", class: Hot, own: true, codec: toggle(),
			doc:   "Let callers from this machine in without the secret. Leave it off behind a reverse proxy on the same machine.",
			field: func(c *Config) *bool { return &c.API.AllowLoopback },
		}.key(),
	}
}
