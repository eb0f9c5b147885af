package gb28181

import (
	"encoding/binary"
	"slices"

	"berth/media"
)

// Framing is how RTP packets follow each other on a TCP connection.
type Framing uint8

// The framings that devices use.
const (
	FramingUnknown     Framing = iota // nothing was recognised yet
	FramingLength                     // a 16-bit length before each packet (RFC 4571 section 2)
	FramingInterleaved                // `$`, channel and a 16-bit length before each packet, as RTSP does (RFC 2326 section 10.12)
)

// String returns the name for logs and the API: "", rfc4571 or interleaved.
func (k Framing) String() string {
	switch k {
	case FramingLength:
		return "rfc4571"
	case FramingInterleaved:
		return "interleaved"
	}
	return ""
}

// HeaderSize returns the bytes before each packet: 2 or 4.
func (k Framing) HeaderSize() int {
	if k == FramingInterleaved {
		return 4
	}
	return 2
}

// AppendHeader appends what goes before a packet of size bytes (at most 65535) that is sent; an unknown framing counts as [FramingLength]. The channel is 0 for RTP and 1 for RTCP.
func (k Framing) AppendHeader(dst []byte, size int, rtcp bool) []byte {
	if k == FramingInterleaved {
		channel := byte(0)
		if rtcp {
			channel = 1
		}
		dst = append(dst, '$', channel)
	}
	return binary.BigEndian.AppendUint16(dst, uint16(size))
}

const (
	rtpHeaderSize  = media.RTPHeaderSize
	rtcpHeaderSize = 8 // the shortest RTCP packet: header and SSRC
	maxPacket      = 1<<16 - 1

	rememberedSources = 8       // SSRCs that are recognised again; more than one device's sound and picture need
	giveUpKnown       = 1 << 16 // bytes passed over before a search stops insisting on an SSRC that it knows: a quarter of a second of 2 Mb/s
	confirmHops       = 4       // headers that are looked at, one behind the other, to confirm the first
	maxHeld           = maxPacket + 4 + 4 + rtpHeaderSize

	smallBuffer = 4 << 10 // a buffer of up to twice this size is kept between two cut packets
	shrinkAfter = 64      // uses that needed less before a larger one is let go
)

// IsRTCP tells an RTCP packet from an RTP packet on the same socket or connection by its second byte: packet types 200 to 207 (RFC 5761 section 4).
func IsRTCP(pkt []byte) bool {
	return len(pkt) >= 2 && pkt[1] >= 200 && pkt[1] <= 207
}

// sourceOf returns the SSRC of the sender of an RTP or RTCP packet; ok is false when it is cut off before that.
func sourceOf(pkt []byte) (ssrc uint32, ok bool) {
	at := 8
	if IsRTCP(pkt) {
		at = 4
	}
	if len(pkt) < at+4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(pkt[at:]), true
}

// Framer cuts the bytes of one TCP connection into RTP and RTCP packets. It finds out which [Framing] the device uses, and finds the next packet again after garbage: bytes that do not belong to
// a packet, packets that are cut short because the device dropped the rest of a write, and a connection that begins in the middle. The private header of Ehome connections is passed over.
//
// A packet is believed when its header is plausible and its SSRC was seen before on the connection; otherwise when what follows it begins plausibly too. While in step nothing waits for a later packet.
//
// A Framer belongs to one goroutine. It holds at most one packet of 64 KiB, and no memory beyond a few KiB while packets are small. The zero value is ready.
type Framer struct {
	framing Framing
	begun   bool // the beginning of the connection was looked at
	lost    bool // searching for a packet
	missed  int  // bytes passed over by the search that is under way

	sources [rememberedSources]uint32 // SSRCs of believed packets; the first seen of them
	seen    int                       // how many of sources were filled, ever

	buf    []byte // the beginning of a packet that was cut is buf[off:]; what comes whole is never copied
	off    int
	need   int // bytes that must be held before it is worth looking again
	unused int // times in a row that buf was emptied and had needed no more than smallBuffer

	skipped uint64
}

// Push takes the next bytes of the connection, cut anywhere, and calls packet for each whole RTP or RTCP packet, without its framing. The packet is a part of b, or of the Framer's buffer, and valid until
// packet returns.
func (f *Framer) Push(b []byte, packet func(pkt []byte)) {
	for taken := 0; f.Held() > 0 && taken < len(b); {
		n := min(max(f.need-f.Held(), 1), len(b)-taken)
		f.hold(b[taken : taken+n])
		taken += n
		f.off += f.parse(f.buf[f.off:], taken < len(b), packet)
		if left := f.Held(); left <= taken { // all that is left lies in b, too: go on there without a copy
			f.empty()
			b, taken = b[taken-left:], 0
			continue
		}
		if taken == len(b) {
			return
		}
	}
	if len(b) == 0 {
		return
	}
	used := f.parse(b, false, packet)
	if used < len(b) {
		f.hold(b[used:])
	}
}

// Skipped returns how many bytes belonged to no packet.
func (f *Framer) Skipped() uint64 { return f.skipped }

// Kind returns the framing that the device uses; FramingUnknown before the first packet.
func (f *Framer) Kind() Framing { return f.framing }

// Held returns how many bytes wait for the rest of their packet.
func (f *Framer) Held() int { return len(f.buf) - f.off }

// Release lets the buffer go if nothing is in it. Called when a connection falls idle.
func (f *Framer) Release() {
	if f.Held() == 0 {
		f.buf, f.off = nil, 0
	}
}

// hold keeps b behind what is held. What is done with in front is overwritten when the buffer is full, and then at least as much as is moved: a hostile sender cannot make moving expensive.
func (f *Framer) hold(b []byte) {
	held := f.Held()
	switch {
	case len(f.buf)+len(b) <= cap(f.buf):
	case held+len(b) <= cap(f.buf)/2:
		f.buf, f.off = f.buf[:copy(f.buf, f.buf[f.off:])], 0
	default:
		f.buf, f.off = append(make([]byte, 0, max(2*(held+len(b)), smallBuffer)), f.buf[f.off:]...), 0
	}
	f.buf = append(f.buf, b...)
}

func (f *Framer) empty() {
	if f.unused++; len(f.buf) > smallBuffer {
		f.unused = 0
	}
	f.buf, f.off = f.buf[:0], 0
	if cap(f.buf) > 2*smallBuffer && f.unused >= shrinkAfter {
		f.buf = nil
	}
}

// parse hands on the packets at the front of b and returns how many bytes are done with. more says that there are bytes behind b which are not shown yet. What is not used is the beginning of
// something that needs f.need bytes to be judged.
func (f *Framer) parse(b []byte, more bool, packet func(pkt []byte)) (used int) {
	for used < len(b) {
		rest := b[used:]
		if !f.begun {
			n, wait := f.begin(rest)
			if wait {
				return used
			}
			used += n
			continue
		}
		size, v := f.front(rest, more)
		switch v {
		case sightWait:
			return used
		case sightPacket:
			pkt := rest[f.framing.HeaderSize():size]
			used += size
			f.found(pkt)
			packet(pkt)
		case sightNothing:
			if f.lost = true; size > 0 { // a cut packet with a whole one inside
				f.pass(size)
				used += size
				continue
			}
			f.pass(1)
			used++
		}
	}
	f.need = 0
	return used
}

func (f *Framer) pass(n int) {
	f.skipped += uint64(n)
	f.missed += n
	if f.missed >= giveUpKnown {
		f.seen = 0
	}
}

// begin passes over the private header of an Ehome connection; wait says that more bytes are needed to recognise it.
func (f *Framer) begin(b []byte) (n int, wait bool) {
	switch isEhomePreamble(b) {
	case sightWait:
		f.need = ehomePreambleSize + FramingInterleaved.HeaderSize() + rtpHeaderSize
		if len(b) < len(ehomePreamble)+1 {
			f.need = len(ehomePreamble) + 1
		}
		return 0, true
	case sightPacket:
		n = ehomePreambleSize
	}
	f.begun = true
	return n, false
}

// found notes a packet that is believed.
func (f *Framer) found(pkt []byte) {
	f.lost, f.missed = false, 0
	if ssrc, ok := sourceOf(pkt); ok && !f.known(ssrc) {
		f.sources[f.seen%rememberedSources] = ssrc
		f.seen++
	}
}

func (f *Framer) known(ssrc uint32) bool {
	return slices.Contains(f.sources[:min(f.seen, rememberedSources)], ssrc)
}
