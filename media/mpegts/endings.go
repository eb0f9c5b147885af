package mpegts

// hint is something after which a picture is likely to be complete, so that it need not wait for the first bytes of the next.
type hint uint8

const (
	hintMark     hint = iota // the marker bit of RTP
	hintStuffing             // a packet that is filled up: multiplexers do that where a PES packet ends
	hints
)

// Bounds of what is learned about how pictures end.
const (
	trustAfter   = 8       // pictures in a row that a hint has to have been right about
	trustPenalty = 8       // times more after it was wrong
	trustMost    = 1 << 14 // and never more
	singleAfter  = 3       // pictures in a row of one PES packet each, until the end of a packet is believed to be the end of its picture
)

// trust is what is known about one hint. Devices differ: some set the marker bit on every packet.
type trust struct{ right, need int }

// endings learns where the pictures of one stream end.
type endings struct {
	singles int  // pictures in a row that had one PES packet
	need    int  // of them; 0 means singleAfter
	out     bool // the last picture was let out before the next had begun

	trust [hints]trust
	seen  uint8 // hints since the last payload, one bit each
}

// single reports whether a PES packet is known to hold one whole picture, which may then go out when the packet ends.
func (e *endings) single() bool { return e.singles >= max(e.need, singleAfter) }

// likely reports whether a PES packet probably holds one whole picture: good enough where the alternative is to drop it.
func (e *endings) likely() bool { return e.singles > 0 }

// alone is called when a picture of one PES packet has been followed by another.
func (e *endings) alone() { e.singles = min(e.singles+1, trustMost) }

// goesOn is called when a PES packet turns out to go on with the picture of the one before.
func (e *endings) goesOn() {
	e.singles, e.need = 0, min(max(e.need, singleAfter)*trustPenalty, trustMost)
	e.out = false
}

// begins is called when a PES packet begins: the hints before it were right.
func (e *endings) begins() { e.resolve(true) }

// resolve says whether the hints that were seen were right: no, when payload goes on behind them.
func (e *endings) resolve(right bool) {
	if e.seen == 0 {
		return
	}
	for k := range e.trust {
		if e.seen&(1<<k) == 0 {
			continue
		}
		t := &e.trust[k]
		if right {
			t.right = min(t.right+1, trustMost)
		} else {
			t.right, t.need = 0, min(max(t.need, trustAfter)*trustPenalty, trustMost)
		}
	}
	e.seen = 0
}

func (e *endings) forget() { e.seen, e.out = 0, false }

func (e *endings) trusted(k hint) bool {
	t := e.trust[k]
	return t.right >= max(t.need, trustAfter)
}

// hint lets the picture in work out if the hint can be trusted. Only packets that do not say how long they are need it.
func (s *stream) hint(k hint) {
	if !s.video() || !s.open || s.inHead || s.left >= 0 || !s.begun || len(s.buf) == 0 {
		return
	}
	s.ended.seen |= 1 << k
	if s.ended.trusted(k) && s.ended.single() {
		s.ended.out = true
		s.finish()
	}
}
