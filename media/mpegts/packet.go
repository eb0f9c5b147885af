package mpegts

import (
	"encoding/binary"

	"berth/media"
	"berth/media/pes"
)

// header is what a transport stream packet says before its payload (section 2.4.3).
type header struct {
	pid       int
	start     bool // payload_unit_start_indicator
	scrambled bool
	counter   byte
	jump      bool // discontinuity_indicator
	random    bool // random_access_indicator
	stuffed   bool // the adaptation field is there to fill the packet
	payload   []byte
}

// parseHeader reads a packet; ok is false for one that is damaged.
func parseHeader(p []byte) (h header, ok bool) {
	h = header{
		pid: int(binary.BigEndian.Uint16(p[1:]) & 0x1fff), start: p[1]&0x40 != 0,
		scrambled: p[3]&0xc0 != 0, counter: p[3] & 15,
	}
	if p[1]&0x80 != 0 { // transport_error_indicator
		return h, false
	}
	at, control := 4, p[3]>>4&3
	if control == 0 {
		return h, false
	}
	if control&2 != 0 {
		n := int(p[4])
		at += 1 + n
		if at > len(p) || control == 3 && at == len(p) {
			return h, false
		}
		fields := 0 // bytes that say something
		if n > 0 {
			flags := p[5]
			h.jump, h.random = flags&0x80 != 0, flags&0x40 != 0
			fields = 1
			if flags&0x10 != 0 {
				fields += 6 // PCR
			}
			if flags&0x08 != 0 {
				fields += 6 // OPCR
			}
			if flags&0x07 != 0 {
				fields = n // splice countdown, private data, extension: no telling
			}
		}
		h.stuffed = n != fields
	}
	if control&1 != 0 {
		h.payload = p[at:]
	}
	return h, true
}

// counters follows the continuity counter of one PID (section 2.4.3.3).
type counters struct {
	known bool
	last  byte
	first uint64 // of the payload of the last packet, to tell a packet that came twice from one that came sixteen later
}

type continuity uint8

const (
	follows continuity = iota
	twice
	broken
)

func (c *counters) next(h header) continuity {
	if h.payload == nil {
		return follows // the counter stands still without payload
	}
	var first uint64
	if len(h.payload) >= 8 {
		first = binary.BigEndian.Uint64(h.payload) ^ binary.BigEndian.Uint64(h.payload[len(h.payload)-8:])
	}
	was := *c
	*c = counters{known: true, last: h.counter, first: first}
	switch {
	case !was.known || h.jump || h.counter == (was.last+1)&15:
		return follows
	case h.counter == was.last && first == was.first:
		return twice
	}
	return broken
}

// clock unwraps the time stamps of all streams together.
type clock struct{ pes.Clock }

// unwrap returns the times of a PES header. A DTS that is nonsense beside its PTS is passed over.
func (c *clock) unwrap(t pes.Times) (pts, dts media.Ticks) {
	const most = 10 * media.Ticks(media.FrameClock)
	pts = c.At(t.PTS)
	if dts = pes.Near(pts, t.DTS); dts > pts || pts-dts > most {
		dts = pts
	}
	return pts, dts
}
