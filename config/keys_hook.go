package config

import "time"

func hookKeys() []Key {
	return []Key{
		spec[bool]{
			name: "hook.enable", class: Hot, codec: toggle(),
			doc:   "Send web hooks.",
			field: func(c *Config) *bool { return &c.Hook.Enable },
		}.key(),
		spec[time.Duration]{
			name: "hook.timeoutSec", class: Hot, codec: seconds(0.1, 300), def: 10 * time.Second,
			doc:   "Longest time for one whole hook request.",
			field: func(c *Config) *time.Duration { return &c.Hook.Timeout },
		}.key(),
		spec[int]{
			name: "hook.retry", class: Hot, codec: whole[int](0, 100, "tries"), def: 1,
			doc:   "How many more times a hook request is sent after it failed.",
			field: func(c *Config) *int { return &c.Hook.Retry },
		}.key(),
		spec[time.Duration]{
			name: "hook.retry_delay", class: Hot, codec: seconds(0, 300), def: 3 * time.Second,
			doc:   "Pause between two tries of a hook request.",
			field: func(c *Config) *time.Duration { return &c.Hook.RetryDelay },
		}.key(),
		spec[string]{
			name: "hook.on_port_pool_alarm", class: Hot, own: true, codec: webAddress(),
			doc:   "Where to post a change of the port pool's level: normal, high (pool.warn_at), exhausted. Needs hook.enable.",
			field: func(c *Config) *string { return &c.Hook.OnPortPoolAlarm },
		}.key(),
		spec[string]{
			name: "hook.on_rtp_server_timeout", class: Hot, codec: webAddress(),
			doc:   "Where to post that an RTP receiver was closed because no media came (rtp_proxy.timeoutSec). Needs hook.enable.",
			field: func(c *Config) *string { return &c.Hook.OnRTPServerTimeout },
		}.key(),
		spec[string]{
			name: "hook.on_send_rtp_stopped", class: Hot, codec: webAddress(),
			doc:   "Where to post that an RTP sender ended by itself. Needs hook.enable.",
			field: func(c *Config) *string { return &c.Hook.OnSendRTPStopped },
		}.key(),
	}
}
