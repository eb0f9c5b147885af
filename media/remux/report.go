package remux

import (
	"encoding/binary"
	"time"
)

const (
	ntpEpoch = -2208988800 // 1900-01-01 in Unix seconds (RFC 3550 section 4)
	rtcpSR   = 200
	srSize   = 28 // a sender report without report blocks (RFC 3550 section 6.4.1)
)

// ParseReport finds the first sender report of a compound RTCP packet (RFC 3550 section 6.4.1) and returns which instant belongs to which RTP timestamp. ok is false without one.
func ParseReport(pkt []byte) (at time.Time, rtp uint32, ok bool) {
	for len(pkt) >= 4 && pkt[0]>>6 == 2 {
		size := 4 * (1 + int(binary.BigEndian.Uint16(pkt[2:])))
		if size > len(pkt) {
			return time.Time{}, 0, false
		}
		if pkt[1] == rtcpSR && size >= srSize {
			ntp := binary.BigEndian.Uint64(pkt[8:])
			at = time.Unix(ntpEpoch+int64(ntp>>32), int64((ntp&0xffff_ffff)*1e9>>32))
			return at, binary.BigEndian.Uint32(pkt[16:]), true
		}
		pkt = pkt[size:]
	}
	return time.Time{}, 0, false
}

// appendReport adds a sender report without report blocks.
func appendReport(dst []byte, ssrc uint32, at time.Time, rtp uint32, stats PacketizerStats) []byte {
	dst = append(dst, 0x80, rtcpSR, 0, srSize/4-1)
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.Unix()-ntpEpoch)<<32|uint64(at.Nanosecond())<<32/1e9)
	dst = binary.BigEndian.AppendUint32(dst, rtp)
	dst = binary.BigEndian.AppendUint32(dst, uint32(stats.Packets))
	return binary.BigEndian.AppendUint32(dst, uint32(stats.Octets))
}
