package config

import (
	"net/netip"
	"time"
)

func generalKeys() []Key {
	return append([]Key{
		spec[string]{
			name: "general.mediaServerId", class: Hot, codec: text(128),
			note:  "a random one, kept in the store",
			doc:   "Name of this server in hooks and towards management platforms, which look it up by this.",
			field: func(c *Config) *string { return &c.General.MediaServerID },
		}.key(),
		spec[bool]{
			name: "general.enableVhost", class: Restart, codec: toggle(),
			doc:   "Make the host name of a URL part of the stream's identity; otherwise all hosts share one set of streams.",
			field: func(c *Config) *bool { return &c.General.EnableVhost },
		}.key(),
		spec[time.Duration]{
			name: "general.maxStreamWaitMS", class: New, codec: ticks(0, 600_000, time.Millisecond), def: 15 * time.Second,
			doc:   "How long a viewer waits for a stream that is not there yet; 0 refuses at once.",
			field: func(c *Config) *time.Duration { return &c.General.MaxStreamWait },
		}.key(),
		spec[time.Duration]{
			name: "general.streamNoneReaderDelayMS", class: Hot, codec: ticks(0, 86_400_000, time.Millisecond), def: 20 * time.Second,
			doc:   "How long a stream must be without viewers before that counts (see protocol.auto_close).",
			field: func(c *Config) *time.Duration { return &c.General.StreamNoneReaderDelay },
		}.key(),
		spec[time.Duration]{
			name: "general.mergeWriteMS", class: New, codec: ticks(0, 1000, time.Millisecond), def: 35 * time.Millisecond,
			doc: "How long sound may wait to leave in one write with the next picture; pictures never wait. 0 sends it at once, " +
				"which can double what a viewer costs. Where an even source stops, its last sound may wait for 100 ms. ZLMediaKit's default is 0.",
			field: func(c *Config) *time.Duration { return &c.General.MergeWrite },
		}.key(),
		spec[netip.Addr]{
			name: "general.listen_ip", class: Restart, codec: localAddress(""), def: netip.IPv6Unspecified(),
			doc:   "Local address of every listener; :: listens on all addresses, IPv4 included.",
			field: func(c *Config) *netip.Addr { return &c.General.ListenIP },
		}.key(),
	}, waitKeys()...)
}

func protocolKeys() []Key {
	return []Key{
		spec[time.Duration]{
			name: "protocol.continue_push_ms", class: New, codec: ticks(0, 3_600_000, time.Millisecond), def: 15 * time.Second,
			doc:   "How long a stream and its viewers are kept for a publisher that went away to come back; 0 ends it at once.",
			field: func(c *Config) *time.Duration { return &c.Protocol.ContinuePush },
		}.key(),
		spec[bool]{
			name: "protocol.enable_audio", class: New, codec: toggle(), def: true,
			doc:   "Keep the audio tracks of streams; off drops them.",
			field: func(c *Config) *bool { return &c.Protocol.EnableAudio },
		}.key(),
		spec[bool]{
			name: "protocol.auto_close", class: New, codec: toggle(),
			doc:   "Close a stream that has had no viewer for general.streamNoneReaderDelayMS.",
			field: func(c *Config) *bool { return &c.Protocol.AutoClose },
		}.key(),
	}
}
