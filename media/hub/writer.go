package hub

import (
	"fmt"
	"time"

	"berth/media"
)

// Writer is one publisher's access to a hub.
type Writer struct{ hub *Hub }

// WriteRTP takes one whole RTP packet of a track of the hub. pkt may be reused after the return. The packet is dropped, counted and answered with ErrPacket when it cannot be passed on;
// so is one of another payload type, with ErrPayloadType. Duplicates and late ones are dropped and counted without an error. After the end of the writer the error is ErrDetached.
func (w *Writer) WriteRTP(track int, now time.Time, pkt []byte) error {
	h := w.hub
	if track < 0 || track >= len(h.state) {
		return fmt.Errorf("track %d: %w", track, ErrTrack)
	}
	hdr, ok := media.ParseRTP(pkt)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writer != w {
		return ErrDetached
	}
	t := h.state[track]
	t.stats.hear(now, len(pkt))
	if !ok || len(pkt) > maxPacket {
		t.stats.dropped++
		return ErrPacket
	}
	if hdr.PayloadType != t.source.pt {
		t.stats.dropped++
		return ErrPayloadType
	}
	if h.firstPacket.IsZero() {
		h.firstPacket = now
	}
	switch t.admit(now, &hdr) {
	case drop:
		t.stats.dropped++
		return nil
	case takeAnew:
		h.begin(t, now, &hdr)
	case takeJumps:
		h.restarts++
		t.anchor(now, &hdr, false)
	}
	h.write(t, now, &hdr, pkt)
	return nil
}

// begin continues the stream with a source's first packet.
func (h *Hub) begin(t *track, now time.Time, hdr *media.RTP) {
	if t.started {
		h.restarts++
		if t.video {
			h.publish(0)
			t.unit = unit{}
		}
		if t.index == h.lead {
			h.epoch++
		}
	}
	t.anchor(now, hdr, true)
	if p := t.source.pending; p != nil && t.source.pendingOf == hdr.SSRC {
		t.source.pending = nil
		h.learn(t, *p)
	}
}

// write adds an admitted packet to the chunk in work and publishes what is complete.
func (h *Hub) write(t *track, now time.Time, hdr *media.RTP, pkt []byte) {
	if t.source.shift != 0 && hdr.Timestamp != t.source.lastTS {
		t.source.tsOffset, t.source.shift = t.source.tsOffset+t.source.shift, 0
	}
	seq, ts := hdr.Seq+t.source.seqOffset, hdr.Timestamp+t.source.tsOffset
	newTime := !t.started || ts != t.lastTS
	t.source.lastTS, t.source.lastAt = hdr.Timestamp, now
	if !t.started || media.TimestampDiff(ts, t.lastTS) > 0 {
		t.lastTS = ts
	}
	t.started, t.lastSeq = true, seq
	if newTime {
		t.time.heard(ts, now, t.source.reported.IsZero())
	}
	if b, n := &h.build, HeaderSize+len(pkt); !b.empty() && (b.size()+n > h.opts.ChunkBytes || b.tight(n) || now.Sub(b.arrived) >= h.opts.HoldTime) {
		h.publish(0)
	}
	if t.video {
		h.openUnit(t, ts)
	} else {
		h.report(t, now) // before the packet, so that a player which has the picture's report knows where its first sound belongs
	}
	rewrite(h.append(t, now, pkt), t.pt, seq, ts, t.ssrc)
	t.sentPackets++
	t.sentOctets += uint64(len(hdr.Payload))
	if t.video {
		h.writeVideo(t, now, hdr)
	} else {
		t.stats.frame(now)
		h.writeOther()
	}
	t.stats.window(now, &t.source.seq)
}

func (h *Hub) append(t *track, now time.Time, pkt []byte) []byte {
	dst := h.build.add(now, uint8(2*t.index), len(pkt))
	copy(dst, pkt)
	return dst
}

// openUnit ends the former access unit of a video track when its timestamp has passed without a marker, and begins the next. Parameter sets that were sent as an
// access unit of their own belong to the picture after them.
func (h *Hub) openUnit(t *track, ts uint32) {
	u := &t.unit
	if u.used && u.ts == ts {
		u.open = true // some sources set the marker on every slice
		return
	}
	if u.open && !u.picture {
		u.ts = ts
		return
	}
	if u.open {
		h.cadence.whole = 0
		h.publish(0)
	}
	*u = unit{used: true, open: true, ts: ts, start: h.ring.head.Load()}
}

// writeVideo follows the access unit that the packet just added belongs to.
func (h *Hub) writeVideo(t *track, now time.Time, hdr *media.RTP) {
	u := &t.unit
	c := content{picture: true, key: !u.picture}
	if t.scan != nil {
		c = t.scan(hdr.Payload)
	}
	if c.picture && !u.picture {
		t.stats.frame(now)
		if t.index == h.lead {
			h.cadence.picture(now, h.opts.MergeTime)
		}
	}
	u.picture = u.picture || c.picture
	u.params = u.params || c.params
	if c.key {
		t.realKey = now
	}
	if !u.key && (c.key || t.scan != nil && u.picture && t.due(now, h.firstPacket)) {
		u.key = true
		h.startsAt(t, now)
	}
	if c.picture {
		h.build.picture = true
	}
	h.report(t, now)
	if hdr.Marker && u.picture {
		u.open = false
		h.cadence.whole = min(h.cadence.whole+1, trusted)
		h.publish(0)
		return
	}
	if !h.holding && h.cadence.whole < trusted {
		h.holding = true
		h.wake(h.opts.HoldTime)
	}
}

// startsAt makes the present access unit of a track the place where readers begin.
func (h *Hub) startsAt(t *track, now time.Time) {
	t.starts(now)
	if t.unit.start == h.ring.head.Load() {
		h.build.starts |= 1 << t.index // publish stores it
	} else {
		h.start[t.index].Store(t.unit.start + 1)
	}
	if t.index == h.lead {
		if h.build.lent != nil {
			h.build.move(0) // what is kept from here on holds nothing of a piece that could go with what was before
		}
		h.hasten()
	}
}

// writeOther publishes a packet that is no picture, unless a picture in work takes it along. In a stream with pictures viewers may be served a little later, in one write with the next.
func (h *Hub) writeOther() {
	if h.build.picture {
		return
	}
	if h.lead < 0 {
		h.publish(0)
		return
	}
	h.publish(h.opts.MergeTime)
}

// WriteRTCP takes a compound RTCP packet from the source of a track and learns from its sender reports. Anything else is ignored.
func (w *Writer) WriteRTCP(track int, now time.Time, pkt []byte) {
	h := w.hub
	ssrc, ntp, rtp, ok := parseSR(pkt)
	if !ok || track < 0 || track >= len(h.state) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.writer != w {
		return
	}
	t := h.state[track]
	r := sourceReport{ntp: ntpTime(ntp), rtp: rtp, at: now}
	switch {
	case t.clock == 0:
	case !t.source.known:
		t.source.pending, t.source.pendingOf = &r, ssrc
	case ssrc == t.source.ssrc:
		t.source.seq.SenderReport(now, ntp)
		h.learn(t, r)
	}
}

// Flush is [Hub.Flush] for the owner of the publisher; it does nothing after the end of the writer.
func (w *Writer) Flush(now time.Time) {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if w.hub.writer == w {
		w.hub.flush(now)
	}
}

// Watched reports whether anybody hears of what is published, which is whether a [Waker] is subscribed. It costs a publisher next to nothing to ask before each packet.
func (w *Writer) Watched() bool { return w.hub.watched.Load() > 0 }

// Close ends this publisher's role; readers stay. What it has not finished is published. It may be called again and after a newer Attach.
func (w *Writer) Close() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if w.hub.writer == w {
		w.hub.detach()
	}
}
