package gb28181

import "time"

// packetOrder follows the sequence numbers of the packets that are handed on.
type packetOrder struct {
	begun bool
	ssrc  uint32
	next  uint16
	run   int // packets in order since the last hole
}

const (
	// orderlyRun is how many packets must follow each other before a hole in a connection's sequence numbers is believed: some devices do not count at all.
	orderlyRun = 16
	// farJump is a step that is no loss but a new beginning (RFC 3550 appendix A.1).
	farJump = 3000
)

// emit gets the packets of the device in order.
func (s *Source) emit(now time.Time, pkt []byte) {
	o, v := &s.order, &s.view
	*v, _ = viewRTP(pkt) // was checked when it came
	switch ahead := v.Seq - o.next; {
	case !o.begun || o.ssrc != v.SSRC:
		if o.begun {
			s.stats.Restarts++
		}
		*o = packetOrder{begun: true, ssrc: v.SSRC}
		s.restart(now)
	case ahead == 0:
		o.run = min(o.run+1, orderlyRun)
	case s.tcp && o.run < orderlyRun:
		o.run = 0
	default:
		o.run = 0
		if ahead > farJump {
			s.stats.Restarts++
		} else if s.tcp {
			s.stats.Lost += uint64(ahead)
		}
		s.hole(now)
	}
	o.next = v.Seq + 1
	s.carry(now, v)
	v.Payload, v.whole = nil, nil
}
