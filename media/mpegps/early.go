package mpegps

// signal is something after which a picture is likely to be complete, so that it need not wait for the first bytes of the next.
type signal uint8

const (
	signalMark  signal = iota // the marker bit of RTP
	signalPack                // a pack header, system header or map
	signalOther               // a packet of another stream
	signals
)

// Bounds of what is learned about signals.
const (
	trustAfter   = 8       // pictures in a row that a signal has to have been right about
	trustMost    = 1 << 14 // and never more
	fullPacket   = 60000   // payload of a packet that is as large as packets get: more of its picture is likely to follow
	trustPenalty = 8       // times more pictures after it was wrong
)

// trust is what is known about one signal. Devices differ: some set the marker bit on every packet, some begin a pack with every PES packet.
type trust struct{ right, need int }

// early is the part of pictures that lets them out before the next one comes.
type early struct {
	trust    [signals]trust
	seen     uint8 // signals since the last packet, one bit each
	asked    bool  // a packet has begun, and nothing has told yet whether it goes on with the unit
	out      bool  // the last unit was let out because of one, and nothing has told yet whether that was right
	prev     stamp // of the last unit
	size     int   // payload bytes of the present packet
	lastSize int   // of the one before
	fragment int   // of the largest packet that was cut in the middle of a NAL unit
	joins    bool  // units of several packets, not for their size, have been seen
}

func (e *early) forgetEarly() { e.seen, e.out, e.asked = 0, false, false }

// full reports whether the last packet was as large as this device makes them.
func (e *early) full() bool {
	return e.lastSize >= fullPacket || e.fragment > 0 && e.lastSize >= e.fragment
}

// resolve says whether the unit that the signals were about had really ended.
func (e *early) resolve(ended bool) {
	if !e.asked {
		return
	}
	e.asked = false
	for k := range e.trust {
		if e.seen&(1<<k) == 0 {
			continue
		}
		if t := &e.trust[k]; ended {
			t.right = min(t.right+1, trustMost)
		} else {
			t.right, t.need = 0, min(t.need*trustPenalty, trustMost)
		}
	}
	if !ended && !e.full() {
		e.joins = true
	}
	e.forgetEarly()
}

// signalled lets the unit in work out if the signal can be trusted. open says that the packet is still open.
func (s *stream) signalled(k signal, open bool) {
	v := &s.video
	if s.hears() || !v.begun || !v.slice && !s.plain() || v.lost || v.content || v.fresh {
		return
	}
	if open && (k != signalMark || s.d.state != inOpen) {
		return
	}
	if !open && !s.ended {
		return
	}
	v.seen |= 1 << k
	if t := v.trust[k]; t.right >= t.need && (open || !v.full()) {
		s.finish(len(s.buf))
		v.out = true
	}
}

// regret begins a unit with the rest of one that was let out too early. It has the same time stamp, so that it is put together again further on.
func (s *stream) regret() {
	v := &s.video
	v.asked = true
	v.resolve(false)
	v.begun, v.slice, v.lost, s.from, v.time = true, true, false, max(s.pes, s.from), v.prev
	v.looking = v.all()
}
