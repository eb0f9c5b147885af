package rtpseq

// Bounds of RFC 3550 appendix A.1.
const (
	maxDropout  = 3000 // a step ahead up to here is loss, not a restart
	maxMisorder = 100  // a step back up to here is a late packet, not a restart
)

// Verdict says what a sequence number means.
type Verdict uint8

// Verdicts.
const (
	InOrder   Verdict = iota // the next one, or the first ever
	Gap                      // ahead: packets between are missing
	Late                     // older than the newest, not seen before
	Duplicate                // seen before
	Suspect                  // far from everything; believed when its successor follows
	Restarted                // the second packet after a far jump: the source began anew
)

// String names the verdict.
func (v Verdict) String() string {
	names := [...]string{"in order", "gap", "late", "duplicate", "suspect", "restarted"}
	if int(v) >= len(names) {
		return "unknown"
	}
	return names[v]
}

// Sequence unwraps 16-bit sequence numbers to 64 bits. The zero value is ready. A far jump (RFC 3550 appendix A.1) is believed at its second packet.
type Sequence struct {
	started bool
	suspect bool
	next    uint16 // that would continue the suspect packet
	highest uint64 // extended; begins at 65536 + the first number so that late packets before it stay positive
	seen    uint64 // bit i: highest-i has come
}

// Highest returns the highest extended sequence number so far. Its low 16 bits are the number on the wire.
func (s *Sequence) Highest() uint64 { return s.highest }

// Next takes the number of a packet that has just come and returns its extended number and what it means. The extended number of a Suspect packet is meaningless. After
// Restarted the extended numbers continue upwards without regard to how far the source really jumped.
func (s *Sequence) Next(seq uint16) (uint64, Verdict) {
	if !s.started {
		s.started = true
		s.highest, s.seen = 1<<16+uint64(seq), 1
		return s.highest, InOrder
	}
	ahead := int(int16(seq - uint16(s.highest)))
	switch {
	case ahead > 0 && ahead < maxDropout:
		s.suspect = false
		s.highest += uint64(ahead)
		s.seen = s.seen<<ahead | 1
		if ahead > 1 {
			return s.highest, Gap
		}
		return s.highest, InOrder
	case ahead <= 0 && ahead > -maxMisorder:
		s.suspect = false
		return s.highest - uint64(-ahead), s.late(-ahead)
	case s.suspect && seq == s.next:
		s.suspect = false
		s.highest = (s.highest>>16+1)<<16 | uint64(seq)
		s.seen = 0b11
		return s.highest, Restarted
	}
	s.suspect, s.next = true, seq+1
	return 0, Suspect
}

// late tells a duplicate from a late packet; beyond the 64 remembered numbers everything counts as late.
func (s *Sequence) late(behind int) Verdict {
	if behind >= 64 {
		return Late
	}
	bit := uint64(1) << behind
	if s.seen&bit != 0 {
		return Duplicate
	}
	s.seen |= bit
	return Late
}
