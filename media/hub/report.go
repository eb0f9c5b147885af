package hub

import (
	"encoding/binary"
	"time"
)

const (
	// reportPatience is how long the hub waits for the source's own sender reports before it makes its own from arrival times.
	reportPatience = 12 * time.Second
	// reportMinGap is the least distance of a track's reports when a key frame asks for an early one. It is shorter than the usual distances of key frames, so
	// that a reader gets reports with the first packets.
	reportMinGap = 500 * time.Millisecond
	// settlePatience is how long after the stream's first packet viewers may be kept waiting for the other tracks and for the source's reports.
	settlePatience = time.Second
	// reportStale is the age of a source's last report from which arrival times are followed again.
	reportStale = time.Minute

	rtcpSR     = 200
	rtcpSDES   = 202
	senderSize = 28 // a sender report without report blocks (RFC 3550 section 6.4.1)
)

// sourceReport is a sender report of the source.
type sourceReport struct {
	ntp time.Time
	rtp uint32
	at  time.Time // arrival
}

// parseSR finds the first sender report of a compound packet (RFC 3550 section 6.1). ok is false when there is none or lengths are untrue.
func parseSR(pkt []byte) (ssrc uint32, ntp uint64, rtp uint32, ok bool) {
	for len(pkt) >= 4 && pkt[0]>>6 == 2 {
		size := 4 * (1 + int(binary.BigEndian.Uint16(pkt[2:])))
		if size > len(pkt) {
			return 0, 0, 0, false
		}
		if pkt[1] == rtcpSR && size >= senderSize {
			return binary.BigEndian.Uint32(pkt[4:]), binary.BigEndian.Uint64(pkt[8:]), binary.BigEndian.Uint32(pkt[16:]), true
		}
		pkt = pkt[size:]
	}
	return 0, 0, 0, false
}

// learn takes a sender report of a track's source into the track's timeline. All tracks of a source share its wall clock, so one offset turns it into ours.
func (h *Hub) learn(t *track, r sourceReport) {
	first := t.source.reported.IsZero()
	t.source.reported = r.at
	expected := t.time.at(r.rtp + t.source.tsOffset + t.source.shift)
	if !h.clock.heard(r.ntp, r.at) {
		h.clock.start(r.ntp, expected, r.at)
	}
	off := h.clock.at(r.ntp).Sub(expected)
	if first && off < clockStep && off > -clockStep {
		h.align(t, off)
	} else {
		t.time.move(off)
	}
	t.time.lateSet = false
}

// align lines a track up with the others at its source's first report: until then arrivals had to do, which are off by as much as the source sends ahead or in
// one packet. The slew would take minutes for that.
func (h *Hub) align(t *track, off time.Duration) {
	switch {
	case !h.reporting: // viewers have been told a beginning at most, which they correct at the first report of ours
		t.time.wall = t.time.wall.Add(off)
	case off > 0:
		t.source.shift += uint32(t.clock.Ticks(off))
	default: // timestamps must not go back: the others go forward
		for _, o := range h.state {
			if o != t && o.source.known {
				o.source.shift += uint32(o.clock.Ticks(-off))
			}
		}
		h.clock.shift(-off)
	}
}

// report adds a sender report of the track to the chunk that is being built, when one is due.
func (h *Hub) report(t *track, now time.Time) {
	if t.clock == 0 || !t.time.known || now.Before(t.nextReport) || !h.mayReport(now) {
		return
	}
	t.nextReport = now.Add(h.opts.ReportInterval)
	t.lastReport = now
	if t.source.reported.IsZero() || now.Sub(t.source.reported) > reportStale {
		t.time.follow()
	}
	t.time.locked = true
	pkt := h.build.add(now, uint8(2*t.index+1), h.reportSize())
	h.fillReport(pkt, t, now)
}

// mayReport says whether timelines may be told to viewers: once every track's source has reported itself, or patience has ended.
func (h *Hub) mayReport(now time.Time) bool {
	if h.reporting {
		return true
	}
	for _, t := range h.state {
		if t.clock != 0 && t.source.reported.IsZero() {
			h.reporting = now.Sub(h.firstPacket) >= reportPatience
			return h.reporting
		}
	}
	h.reporting = true
	return true
}

// Settled reports whether [Reader.Start] can tell a viewer of these tracks how they line up: all have begun, and their source has said how its clocks belong together. A
// viewer of one track has nothing to line up. A second after the stream's first packet the answer is true in any case.
func (h *Hub) Settled(tracks []int, now time.Time) bool {
	if len(tracks) < 2 {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.firstPacket.IsZero() && now.Sub(h.firstPacket) >= settlePatience {
		return true
	}
	for _, i := range tracks {
		if i < 0 || i >= len(h.state) {
			continue
		}
		if t := h.state[i]; !t.started || t.clock != 0 && t.source.reported.IsZero() {
			return false
		}
	}
	return true
}

// reportSize is the length of a sender report with a source description of one CNAME, padded to 32 bits.
func (h *Hub) reportSize() int {
	return senderSize + 8 + (2+len(h.opts.CNAME)+1+3)&^3
}

// fillReport writes a compound packet (RFC 3550 sections 6.1, 6.4.1 and 6.5).
func (h *Hub) fillReport(pkt []byte, t *track, now time.Time) {
	clear(pkt)
	pkt[0], pkt[1] = 0x80, rtcpSR
	binary.BigEndian.PutUint16(pkt[2:], senderSize/4-1)
	binary.BigEndian.PutUint32(pkt[4:], t.ssrc)
	binary.BigEndian.PutUint64(pkt[8:], ntpStamp(now))
	binary.BigEndian.PutUint32(pkt[16:], t.time.rtpAt(now))
	binary.BigEndian.PutUint32(pkt[20:], uint32(t.sentPackets))
	binary.BigEndian.PutUint32(pkt[24:], uint32(t.sentOctets))
	sdes := pkt[senderSize:]
	sdes[0], sdes[1] = 0x81, rtcpSDES
	binary.BigEndian.PutUint16(sdes[2:], uint16(len(sdes)/4-1))
	binary.BigEndian.PutUint32(sdes[4:], t.ssrc)
	sdes[8], sdes[9] = 1, byte(len(h.opts.CNAME))
	copy(sdes[10:], h.opts.CNAME)
}

// hasten makes all tracks report soon, so that a reader which begins at this key frame can line them up at once.
func (h *Hub) hasten() {
	for _, t := range h.state {
		if soon := t.lastReport.Add(reportMinGap); soon.Before(t.nextReport) {
			t.nextReport = soon
		}
	}
}

// sharedInstant returns the timestamps of all tracks at one instant, that of rtp on track lead. From here on viewers know the timelines.
func (h *Hub) sharedInstant(lead int, rtp uint32) []uint32 {
	out := make([]uint32, len(h.state))
	from := &h.state[lead].time
	for i, t := range h.state {
		switch {
		case i == lead:
			out[i] = rtp
		case t.time.known && from.known:
			out[i] = t.time.rtpAt(from.at(rtp))
		default:
			out[i] = t.lastTS
		}
		t.time.locked = t.time.known
	}
	return out
}
