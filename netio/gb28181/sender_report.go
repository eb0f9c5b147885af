package gb28181

import (
	"encoding/binary"
	"time"
)

// RTCP packet types and sizes (RFC 3550 section 6).
const (
	rtcpSenderReport   = 200
	rtcpReceiverReport = 201
	rtcpDescription    = 202

	senderReportBytes = 28 // without report blocks

	// ntpEpoch is 1900-01-01 in Unix seconds (RFC 3550 section 4).
	ntpEpoch = -2208988800
)

// walkRTCP calls f with every packet of a compound packet, up to one whose length is untrue.
func walkRTCP(b []byte, f func(kind uint8, pkt []byte)) {
	for len(b) >= 8 && b[0]>>6 == 2 {
		size := 4 * (1 + int(binary.BigEndian.Uint16(b[2:])))
		if size < 8 || size > len(b) {
			return
		}
		f(b[1], b[:size])
		b = b[size:]
	}
}

// isReceiverReport says whether a compound packet reports about ssrc. Devices that receive something else than they think report about another SSRC, or about none before the first
// packet has reached them; that they report at all is the sign of life which is asked for.
func isReceiverReport(b []byte) (ok bool) {
	walkRTCP(b, func(kind uint8, _ []byte) {
		ok = ok || kind == rtcpReceiverReport || kind == rtcpSenderReport
	})
	return ok
}

// appendSenderReport appends a sender report with a source description (RFC 3550 sections 6.4.1 and 6.5).
func appendSenderReport(dst []byte, ssrc, timestamp uint32, now time.Time, packets, octets uint64, cname string) []byte {
	dst = append(dst, 0x80, rtcpSenderReport)
	dst = binary.BigEndian.AppendUint16(dst, senderReportBytes/4-1)
	dst = binary.BigEndian.AppendUint32(dst, ssrc)
	dst = binary.BigEndian.AppendUint64(dst, ntpStamp(now))
	dst = binary.BigEndian.AppendUint32(dst, timestamp)
	dst = binary.BigEndian.AppendUint32(dst, uint32(packets))
	dst = binary.BigEndian.AppendUint32(dst, uint32(octets))
	return appendDescription(dst, ssrc, cname)
}

// ntpStamp converts to a 64-bit NTP timestamp.
func ntpStamp(t time.Time) uint64 {
	return uint64(t.Unix()-ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}
