package rtsp

import (
	"encoding/binary"
	"time"
)

const (
	// relearnAfter is how long the believed source port must be silent before another port of the same address takes over, as after a new NAT binding.
	relearnAfter = 2 * time.Second
	// nearSequence is how far apart the sequence numbers of two packets of one stream may be, either way (RFC 3550 appendix A.1 is stricter, at the cost of the first packets).
	nearSequence = 100
)

// sourcePort decides from which port of the right address RTP is taken. The port is not told by every source, told wrongly by some, and changed on the way by address translation;
// but other programs and other machines behind the same translation have the same address, and what they send must neither be heard nor keep a source that has gone alive. So the first port is
// taken on trust, and keeps it once two of its packets have belonged together; another one has to show the same. Owned by the RTP loop.
type sourcePort struct {
	announced uint16 // 0 when the source said nothing

	port   uint16    // believed, 0 before the first packet
	at     time.Time // of the last packet from there
	last   packetMark
	proven bool // two packets from there belonged together

	other     uint16 // a port that would like to be believed
	otherMark packetMark
}

// packetMark is what two packets of one stream have nearly in common.
type packetMark struct {
	ssrc uint32
	seq  uint16
}

func markOf(pkt []byte) packetMark {
	return packetMark{ssrc: binary.BigEndian.Uint32(pkt[8:]), seq: binary.BigEndian.Uint16(pkt[2:])}
}

func (m packetMark) follows(before packetMark) bool {
	d := int16(m.seq - before.seq)
	return m.ssrc == before.ssrc && d != 0 && -nearSequence <= d && d <= nearSequence
}

// believe reports whether an RTP packet from that port is the source's.
func (s *sourcePort) believe(now time.Time, port uint16, pkt []byte) bool {
	mark := markOf(pkt)
	if port == s.port {
		s.proven = s.proven || mark.follows(s.last)
		s.at, s.last = now, mark
		return true
	}
	silent := now.Sub(s.at) >= relearnAfter
	switch {
	case s.port == 0, !s.proven && port == s.announced:
		s.take(now, port, mark, false)
	case s.proven && !silent:
		return false
	case s.proven && mark.ssrc == s.last.ssrc, port == s.other && mark.follows(s.otherMark):
		s.take(now, port, mark, true)
	default:
		s.other, s.otherMark = port, mark
		return false
	}
	return true
}

func (s *sourcePort) take(now time.Time, port uint16, mark packetMark, proven bool) {
	*s = sourcePort{announced: s.announced, port: port, at: now, last: mark, proven: proven}
}

// quietReports is how long the believed source of RTCP must be silent before another port takes over: several of the pauses that RFC 3550 section 6.2 asks for.
const quietReports = 15 * time.Second

// reportPort decides from which port of the right address RTCP is taken. What anybody else sends there could shift the stream's clock, end it (BYE) or draw our reports to himself. The
// announced port is taken, or the one beside RTP's when none was; another one, as behind address translation, only when it knows the SSRC of the track's RTP. Owned by the RTCP loop.
type reportPort struct {
	port   uint16 // believed, 0 before the first packet
	at     time.Time
	proven bool // it has shown the SSRC of the track's RTP
}

// believe reports whether an RTCP packet from that port is the source's. expected is the port that was announced, or guessed, 0 when there is none; own says that the packet has the SSRC of the
// track's RTP, and heard that there has been RTP.
func (r *reportPort) believe(now time.Time, port, expected uint16, own, heard bool) bool {
	settled := r.proven && now.Sub(r.at) < quietReports
	switch {
	case port == r.port:
		own = own || r.proven
	case settled:
		return false
	case own, port == expected:
	case !heard && expected == 0 && r.port == 0: // nothing is known yet
	default:
		return false
	}
	*r = reportPort{port: port, at: now, proven: own}
	return true
}
