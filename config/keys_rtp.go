package config

import "time"

func rtpKeys() []Key {
	return []Key{
		spec[int]{
			name: "rtp.videoMtuSize", class: New, codec: whole[int](minMTU, maxMTU, "bytes"), def: 1400,
			doc:   "Largest payload of an RTP packet of video that is made here, as from PS and TS. Packets that came as RTP stay as they are.",
			field: func(c *Config) *int { return &c.RTP.VideoMTU },
		}.key(),
		spec[int]{
			name: "rtp.audioMtuSize", class: New, codec: whole[int](minMTU, maxMTU, "bytes"), def: 600,
			doc:   "Largest payload of an RTP packet of sound that is made here.",
			field: func(c *Config) *int { return &c.RTP.AudioMTU },
		}.key(),
	}
}

// Bounds of a payload: the upper one fits with the headers of IPv4, UDP and RTP in the 1500 bytes of an Ethernet frame, since a larger packet could not leave in
// a batch (UDP GSO).
const (
	minMTU = 200
	maxMTU = 1460
)

func rtpProxyKeys() []Key {
	return append([]Key{
		spec[uint16]{
			name: "rtp_proxy.port", class: Restart, codec: mediaPort(), def: 10000,
			doc:   "Port over UDP and TCP on which any number of devices may push RTP at once; the stream of each is named rtp/<SSRC as 8 hex digits>.",
			field: func(c *Config) *uint16 { return &c.RTPProxy.Port },
		}.key(),
		spec[PortRange]{
			name: "rtp_proxy.port_range", class: Restart, codec: portRange(), def: PortRange{Low: 20000, High: 29999},
			doc:   "Ports for media over UDP and for RTP receivers, leased in even/odd pairs. The default lies below the usual ephemeral and NodePort ranges.",
			field: func(c *Config) *PortRange { return &c.RTPProxy.PortRange },
		}.key(),
		spec[time.Duration]{
			name: "rtp_proxy.timeoutSec", class: Hot, codec: ticks(1, 86_400, time.Second), def: 15 * time.Second,
			doc: "How long an RTP receiver may take in no picture and no sound before it is closed and its port given back (on_rtp_server_timeout). " +
				"pauseRtpCheck suspends this for one receiver.",
			field: func(c *Config) *time.Duration { return &c.RTPProxy.Timeout },
		}.key(),
		spec[time.Duration]{
			name: "rtp_proxy.relearn_after", class: New, own: true, codec: span(500*time.Millisecond, 10*time.Minute), def: 3 * time.Second,
			doc: "How long the device on a receiver's port must be silent before packets from another address are taken for it. " +
				"Until then they count as a stranger's and are dropped.",
			field: func(c *Config) *time.Duration { return &c.RTPProxy.RelearnAfter },
		}.key(),
		spec[int]{
			name: "rtp_proxy.max_devices", class: Hot, own: true, codec: whole[int](1, 100_000, "devices"), def: 1000,
			doc:   "Most devices at once on rtp_proxy.port, and on each port of openRtpServerMultiplex. Packets of further ones are dropped and counted.",
			field: func(c *Config) *int { return &c.RTPProxy.MaxDevices },
		}.key(),
		spec[bool]{
			name: "rtp_proxy.parse_on_demand", class: Hot, own: true, codec: toggle(),
			doc: "Look into the RTP of a stream only while somebody watches it. Saves processor time, but the first viewer waits for the next key frame. " +
				"Off parses always, so that every viewer has a picture at once.",
			field: func(c *Config) *bool { return &c.RTPProxy.ParseOnDemand },
		}.key(),
	}, rtpFormatKeys()...)
}

// rtpFormatKeys are the keys of [rtp_proxy] that say how RTP is read and made.
func rtpFormatKeys() []Key {
	pt := func(name, what string, def int, field func(*Config) *int) Key {
		return spec[int]{
			name: name, class: New, codec: whole[int](0, 127, ""), def: def, field: field,
			doc: "RTP payload type under which devices send " + what + ".",
		}.key()
	}
	return []Key{
		pt("rtp_proxy.h264_pt", "H.264 as elementary stream; what the bytes show counts more", 98, func(c *Config) *int { return &c.RTPProxy.H264PT }),
		pt("rtp_proxy.h265_pt", "H.265 as elementary stream; what the bytes show counts more", 99, func(c *Config) *int { return &c.RTPProxy.H265PT }),
		pt("rtp_proxy.ps_pt", "MPEG program streams; they are recognised under any other too", 96, func(c *Config) *int { return &c.RTPProxy.PSPT }),
		pt("rtp_proxy.opus_pt", "Opus", 100, func(c *Config) *int { return &c.RTPProxy.OpusPT }),
		spec[time.Duration]{
			name: "rtp_proxy.rtp_g711_dur_ms", class: New, codec: ticks(10, 180, time.Millisecond), def: 100 * time.Millisecond,
			doc:   "How much G.711 an RTP sender puts into one packet (startSendRtp with type=0); the largest value still fits into an Ethernet frame.",
			field: func(c *Config) *time.Duration { return &c.RTPProxy.G711Packet },
		}.key(),
		spec[Bytes]{
			name: "rtp_proxy.udp_recv_socket_buffer", class: New, codec: plainSize(64*KiB, 256*MiB), def: 4 * MiB,
			doc:   "Receive buffer asked for each UDP socket of an RTP receiver. The kernel grants at most net.core.rmem_max.",
			field: func(c *Config) *Bytes { return &c.RTPProxy.UDPBuffer },
		}.key(),
	}
}

// waitKeys are the keys of [general] that say when a stream made of frames has all its tracks.
func waitKeys() []Key {
	return []Key{
		spec[time.Duration]{
			name: "general.wait_track_ready_ms", class: New, codec: ticks(0, 600_000, time.Millisecond), def: 10 * time.Second,
			doc:   "How long a pushed stream waits for what a track needs to be played, such as parameter sets; then it begins without that track.",
			field: func(c *Config) *time.Duration { return &c.General.WaitTrackReady },
		}.key(),
		spec[time.Duration]{
			name: "general.wait_add_track_ms", class: New, codec: ticks(0, 600_000, time.Millisecond), def: 3 * time.Second,
			doc:   "How long a pushed stream with one track waits for a second one that nothing has announced.",
			field: func(c *Config) *time.Duration { return &c.General.WaitAddTrack },
		}.key(),
		spec[time.Duration]{
			name: "general.wait_audio_track_data_ms", class: New, codec: ticks(0, 600_000, time.Millisecond), def: time.Second,
			doc:   "How long a pushed stream waits for sound that was announced and does not come.",
			field: func(c *Config) *time.Duration { return &c.General.WaitAudioData },
		}.key(),
		spec[int]{
			name: "general.unready_frame_cache", class: New, codec: whole[int](1, 10_000, "frames"), def: 100,
			doc:   "How many frames of a track are kept while a pushed stream waits for its tracks; older ones are dropped.",
			field: func(c *Config) *int { return &c.General.UnreadyFrames },
		}.key(),
	}
}
