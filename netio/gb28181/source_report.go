package gb28181

import (
	"encoding/binary"
	"net/netip"
	"time"

	"berth/media/rtpseq"
)

// reportState is what a source knows of the RTCP of its device (RFC 3550 section 6). Devices that send none are normal.
type reportState struct {
	heardAt time.Time      // of the last sender report; zero without one
	from    netip.AddrPort // where the device sends RTCP from; zero while unknown
	next    time.Time      // when a receiver report is due; zero while there is nothing to report
}

// moved forgets the former address.
func (r *reportState) moved(peer netip.AddrPort) {
	if !sameHost(r.from, peer) {
		r.from, r.heardAt = netip.AddrPort{}, time.Time{}
	}
}

// heard says that there is something to report.
func (r *reportState) heard(now time.Time, interval time.Duration) {
	if r.next.IsZero() && interval > 0 {
		r.next = now.Add(interval)
	}
}

// PushRTCP takes what has come on the RTCP socket.
func (s *Source) PushRTCP(now time.Time, from netip.AddrPort, pkt []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(pkt) == 0 {
		return
	}
	if len(pkt) < rtcpHeaderSize || pkt[0]>>6 != 2 || !IsRTCP(pkt) {
		s.stats.Invalid++
		return
	}
	s.takeRTCP(now, from, pkt)
}

// takeRTCP notes a sender report. RTCP comes from another port of the device's host.
func (s *Source) takeRTCP(now time.Time, from netip.AddrPort, pkt []byte) bool {
	if !s.lock.held || !sameHost(from, s.peer) {
		s.stats.Strangers++
		return false
	}
	s.reports.from = from
	walkRTCP(pkt, func(kind uint8, report []byte) {
		if kind == rtcpSenderReport && len(report) >= senderReportBytes {
			s.reports.heardAt = now
			s.received.SenderReport(now, binary.BigEndian.Uint64(report[8:]))
		}
	})
	return true
}

// report makes the receiver report that is due, and says where it goes: over the connection, or else to an address, which is where the device's own RTCP comes from, or the port above its RTP.
// Connections get one only when the device speaks RTCP on them: others do not read at all, or take it for something else.
func (s *Source) report(now time.Time) (pkt []byte, to netip.AddrPort) {
	r := &s.reports
	if r.next.IsZero() || now.Before(r.next) {
		return nil, to
	}
	r.next = time.Time{} // the next packet sets it again: silence is not reported
	switch to = r.from; {
	case !s.lock.held:
		return nil, to
	case s.tcp && r.heardAt.IsZero():
		return nil, to
	case s.tcp:
		to = s.peer
	case !to.IsValid() && s.peer.Port() == 65535:
		return nil, to
	case !to.IsValid():
		to = netip.AddrPortFrom(s.peer.Addr(), s.peer.Port()+1)
	}
	return appendReceiverReport(nil, s.self, s.stats.SSRC, s.received.Report(now)), to
}

// receiverName is the canonical name in our receiver reports.
const receiverName = "berth"

// appendReceiverReport appends a compound of receiver report and source description (RFC 3550 sections 6.4.2 and 6.5).
func appendReceiverReport(dst []byte, self, source uint32, r rtpseq.Report) []byte {
	dst = append(dst, 0x81, rtcpReceiverReport, 0, 7)
	dst = binary.BigEndian.AppendUint32(dst, self)
	dst = binary.BigEndian.AppendUint32(dst, source)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.FractionLost)<<24|uint32(r.TotalLost)&0xffffff)
	dst = binary.BigEndian.AppendUint32(dst, r.HighestSeq)
	dst = binary.BigEndian.AppendUint32(dst, r.Jitter)
	dst = binary.BigEndian.AppendUint32(dst, r.LastSR)
	dst = binary.BigEndian.AppendUint32(dst, r.Delay)
	return appendDescription(dst, self, receiverName)
}

// appendDescription appends a source description with a canonical name of at most 255 bytes.
func appendDescription(dst []byte, ssrc uint32, name string) []byte {
	name = name[:min(len(name), 255)]
	items := (2 + len(name) + 1 + 3) &^ 3 // at least one zero ends the list
	dst = append(dst, 0x81, rtcpDescription)
	dst = binary.BigEndian.AppendUint16(dst, uint16(1+items/4))
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = append(dst, 1, byte(len(name)))
	dst = append(dst, name...)
	return append(dst, make([]byte, items-2-len(name))...)
}
