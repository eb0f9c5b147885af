package gb28181

import "encoding/binary"

// sight is what can be said about a place in a byte stream.
type sight uint8

const (
	sightNothing sight = iota // no packet begins here
	sightWait                 // more bytes are needed to tell; Framer.need says how many
	sightPacket               // a whole packet
)

// plausible reports whether a framed packet may begin at b. b may be cut off anywhere; what is missing counts as right.
func plausible(b []byte, k Framing) bool {
	h := k.HeaderSize()
	if k == FramingInterleaved && len(b) > 0 && b[0] != '$' {
		return false
	}
	if len(b) < h {
		return true
	}
	size, p := int(binary.BigEndian.Uint16(b[h-2:])), b[h:]
	switch {
	case size < rtcpHeaderSize, len(p) > 0 && p[0]>>6 != 2:
		return false
	case len(p) < 2:
		return true
	case !IsRTCP(p):
		return size >= rtpHeaderSize+int(p[0]&0x0f)*4
	case len(p) < 4:
		return true
	}
	return (int(binary.BigEndian.Uint16(p[2:]))+1)*4 <= size
}

// front judges the place at the start of b. With sightPacket size is that of the packet with its framing. With sightNothing a size above 0 says where in b a packet begins.
func (f *Framer) front(b []byte, more bool) (size int, v sight) {
	if f.framing != FramingUnknown {
		if size, v = f.at(b, f.framing, more); v != sightNothing || size > 0 || !f.lost || f.seen > 0 {
			return size, v
		}
	}
	for _, k := range [...]Framing{FramingInterleaved, FramingLength} {
		if k == f.framing {
			continue
		}
		if size, v = f.at(b, k, more); v != sightNothing {
			if v == sightPacket {
				f.framing = k
			}
			return size, v
		}
	}
	return 0, sightNothing
}

// at judges the place at the start of b for one framing. Its rules, from the most common case on:
//
//   - in step, SSRC known: a packet. If what follows it is no header, it may have been cut short; a whole packet inside it then takes its place.
//   - at the beginning of the connection: a packet if nothing follows yet, or if what follows confirms it.
//   - in step, SSRC unknown: a packet if what follows confirms it.
//   - searching, SSRC known: a packet if nothing follows yet, or if what follows confirms it.
//   - searching, SSRC unknown: nothing while there are known ones, else a packet if what follows confirms it.
func (f *Framer) at(b []byte, k Framing, more bool) (size int, v sight) {
	if !plausible(b, k) {
		return 0, sightNothing
	}
	h := k.HeaderSize()
	if len(b) < h {
		return f.wait(h)
	}
	size = h + int(binary.BigEndian.Uint16(b[h-2:]))
	if look := min(size, h+rtpHeaderSize); len(b) < look {
		return f.wait(look)
	}
	ssrc, _ := sourceOf(b[h:])
	known := f.known(ssrc)
	if f.lost && !known && (f.seen > 0 || IsRTCP(b[h:])) {
		return 0, sightNothing
	}
	if len(b) < size {
		return f.wait(size)
	}
	if len(b) == size && more {
		return f.wait(size + h + 2)
	}
	if known && !f.lost {
		if !plausible(b[size:], k) {
			if at := f.inside(b[:size], k); at > 0 {
				return at, sightNothing
			}
		}
		return size, sightPacket
	}
	return f.confirm(b, size, k, ssrc)
}

func (f *Framer) wait(need int) (int, sight) {
	f.need = need
	return 0, sightWait
}

// confirm follows the headers behind a packet of size bytes at the start of b, until one has an SSRC that speaks for it, or there were enough of them.
func (f *Framer) confirm(b []byte, size int, k Framing, ssrc uint32) (int, sight) {
	h, end := k.HeaderSize(), size
	for hop := 1; hop < confirmHops; hop++ {
		rest := b[end:]
		switch {
		case len(rest) == 0 && (f.known(ssrc) || f.seen == 0 && !f.lost):
			return size, sightPacket
		case !plausible(rest, k):
			return 0, sightNothing
		}
		look := h + rtpHeaderSize
		if len(rest) >= h {
			look = min(look, h+int(binary.BigEndian.Uint16(rest[h-2:])))
		}
		if len(rest) < look {
			return f.waitOr(end+look, size)
		}
		if next, _ := sourceOf(rest[h:]); next == ssrc || f.known(next) {
			return size, sightPacket
		}
		end += h + int(binary.BigEndian.Uint16(rest[h-2:]))
		if len(b) < end {
			return f.waitOr(end, size)
		}
	}
	return f.unconfirmed(size)
}

// waitOr waits for more bytes, unless they are more than may be held.
func (f *Framer) waitOr(need, size int) (int, sight) {
	if need > maxHeld {
		return f.unconfirmed(size)
	}
	return f.wait(need)
}

// unconfirmed decides about a packet that is followed by plausible headers of other SSRCs alone: good enough in step, where one place is judged, but not for one of the many places of a search.
func (f *Framer) unconfirmed(size int) (int, sight) {
	if f.lost {
		return 0, sightNothing
	}
	return size, sightPacket
}

// inside finds a whole packet of a known SSRC within a packet that seems to be cut short; 0 without one.
func (f *Framer) inside(b []byte, k Framing) int {
	h := k.HeaderSize()
	for at := 1; at+h+rtcpHeaderSize <= len(b); at++ {
		rest := b[at:]
		if !plausible(rest, k) {
			continue
		}
		if ssrc, ok := sourceOf(rest[h:]); ok && f.known(ssrc) {
			return at
		}
	}
	return 0
}
