package api

import (
	"strconv"

	"berth/actors/receiver"
	"berth/actors/sender"
	"berth/actors/store"
	"berth/netio/gb28181"
)

// rtpCounter is one counter of devices or senders that comes and goes with them, and is added up.
type rtpCounter[S any] struct {
	name, help string
	labels     []string
	value      func(*S) uint64
}

// receiverCounters lists what is counted of devices.
func receiverCounters() []rtpCounter[gb28181.SourceStats] {
	type stats = gb28181.SourceStats
	const dropped, droppedHelp = "berth_rtp_dropped_packets_total", "RTP packets that were dropped: from strangers, of an SSRC that is not wanted, invalid, late; as seen at scrapes."
	return []rtpCounter[stats]{
		{"berth_rtp_received_packets_total", "RTP packets taken from devices, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Packets }},
		{"berth_rtp_received_bytes_total", "RTP bytes taken from devices, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Bytes }},
		{"berth_rtp_lost_packets_total", "RTP packets of devices that never came, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Lost }},
		{"berth_rtp_reordered_packets_total", "RTP packets of devices that came out of order, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Reordered }},
		{dropped, droppedHelp, []string{"reason", "stranger"}, func(s *stats) uint64 { return s.Strangers }},
		{dropped, droppedHelp, []string{"reason", "ssrc"}, func(s *stats) uint64 { return s.OtherSSRC }},
		{dropped, droppedHelp, []string{"reason", "invalid"}, func(s *stats) uint64 { return s.Invalid }},
		{dropped, droppedHelp, []string{"reason", "late"}, func(s *stats) uint64 { return s.Late }},
		{"berth_rtp_unwatched_packets_total", "RTP packets that were not looked into because nobody needed their stream, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Unwatched }},
		{"berth_rtp_damaged_frames_total", "Pictures and pieces of sound given up because a part of them was missing, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Damaged }},
		{"berth_rtp_skipped_bytes_total", "Bytes passed over to find the next packet or start code, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Skipped }},
		{"berth_rtp_restarts_total", "Changes of SSRC and jumps in sequence or time of devices, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Restarts }},
	}
}

// senderCounters lists what is counted of senders.
func senderCounters() []rtpCounter[gb28181.SenderStats] {
	type stats = gb28181.SenderStats
	return []rtpCounter[stats]{
		{"berth_rtp_sent_packets_total", "RTP packets given to the kernel by senders, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Packets }},
		{"berth_rtp_sent_bytes_total", "Bytes given to the kernel by senders, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Bytes }},
		{"berth_rtp_unsent_packets_total", "RTP packets that senders left out because peer or network took too little, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Dropped }},
		{"berth_rtp_send_jumps_total", "Times that senders went on at a later key frame because of that, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Jumps }},
		{"berth_rtp_send_errors_total", "Failed writes that did not end a sender, as seen at scrapes.", nil, func(s *stats) uint64 { return s.Errors }},
	}
}

// rtp adds up and emits what devices and senders count.
func (c *collector) rtp(m emitter, p *picture) {
	c.mu.Lock()
	for i, counter := range receiverCounters() {
		for k := range p.receivers {
			r := &p.receivers[k]
			c.fromDevices[i].see(receiverID(r), r.Since.UnixNano(), counter.value(&r.Stats))
		}
		if !p.silent["receivers"] {
			c.fromDevices[i].forget()
		}
		m.counter(counter.name, counter.help, c.fromDevices[i].sum, counter.labels...)
	}
	for i, counter := range senderCounters() {
		for k := range p.senders {
			s := &p.senders[k]
			c.fromSenders[i].see(senderID(s), s.Since.UnixNano(), counter.value(&s.Stats))
		}
		if !p.silent["senders"] {
			c.fromSenders[i].forget()
		}
		m.counter(counter.name, counter.help, c.fromSenders[i].sum, counter.labels...)
	}
	c.mu.Unlock()
	if p.engine && !p.silent["receivers"] {
		receiversByState(m, p.receivers)
	}
	if p.engine && !p.silent["senders"] {
		sendersByMode(m, p.senders)
	}
}

// receiverID tells the devices of shared ports apart too. The device's address is no part of it, because that may change.
func receiverID(r *receiver.Snapshot) string {
	if r.Shared {
		return r.Key.String() + " " + strconv.FormatUint(uint64(r.Stats.SSRC), 10)
	}
	return r.Key.String()
}

func receiversByState(m emitter, list []receiver.Snapshot) {
	const name, help = "berth_rtp_receivers", "Receivers of RTP by state: receiving, waiting for their device's media; and devices on shared ports."
	receiving, shared := 0, 0
	for i := range list {
		switch r := &list[i]; {
		case r.Shared:
			shared++
		case r.Stream.Valid():
			receiving++
		}
	}
	m.gauge(name, help, float64(receiving), "state", "receiving")
	m.gauge(name, help, float64(len(list)-receiving-shared), "state", "waiting")
	m.gauge(name, help, float64(shared), "state", "shared")
}

func sendersByMode(m emitter, list []sender.Snapshot) {
	count := map[store.SenderMode]int{}
	for i := range list {
		count[list[i].Definition.Mode]++
	}
	for _, mode := range []store.SenderMode{store.SendActive, store.SendPassive, store.SendTalk} {
		m.gauge("berth_rtp_senders", "Senders of RTP by mode.", float64(count[mode]), "mode", string(mode))
	}
}
