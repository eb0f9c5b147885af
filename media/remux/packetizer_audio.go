package remux

import (
	"encoding/binary"

	"github.com/bluenviron/gortsplib/v5/pkg/format"

	"berth/media"
)

// aacHeader is the layout of AU headers (RFC 3640 section 3.2.1), in bits.
type aacHeader struct{ size, index, delta int }

// newAACHeader takes the layout from fmtp; AAC-hbr (RFC 3640 section 3.3.6) where it says none.
func newAACHeader(f *format.MPEG4Audio) aacHeader {
	h := aacHeader{f.SizeLength, f.IndexLength, f.IndexDeltaLength}
	if h.size <= 0 || h.size > 16 || h.index < 0 || h.index > 16 || h.delta < 0 || h.delta > 16 {
		return aacHeader{13, 3, 3}
	}
	return h
}

// writeAAC sends one access unit a packet, larger ones in fragments that all carry the size of the whole (RFC 3640 section 3.2.3.1).
func (p *Packetizer) writeAAC(f *media.Frame) {
	if len(f.Payload) >= 1<<p.aac.size {
		p.stats.Dropped++
		return
	}
	bits := p.aac.size + p.aac.index
	head := uint32(len(f.Payload)) << p.aac.index << (32 - bits)
	for body := f.Payload; len(body) > 0; {
		pkt := append(p.start(), byte(bits>>8), byte(bits))
		for i := 0; i < bits; i += 8 {
			pkt = append(pkt, byte(head>>(24-i)))
		}
		n := min(len(body), p.opts.MTU-len(pkt))
		pkt = append(pkt, body[:n]...)
		body = body[n:]
		p.send(pkt, len(body) == 0)
	}
}

// writeLATM sends one access unit a packet, behind its length in bytes of 255 and a last one (RFC 6416 section 6.3, ISO/IEC 14496-3 PayloadLengthInfo), larger ones in pieces.
func (p *Packetizer) writeLATM(f *media.Frame) {
	pkt := p.start()
	for left := len(f.Payload); ; left -= 255 {
		if len(pkt) == p.opts.MTU {
			p.send(pkt, false)
			pkt = p.start()
		}
		pkt = append(pkt, byte(min(left, 255)))
		if left < 255 {
			break
		}
	}
	for body := f.Payload; ; pkt = p.start() {
		n := min(len(body), p.opts.MTU-len(pkt))
		pkt = append(pkt, body[:n]...)
		if body = body[n:]; len(body) == 0 {
			p.send(pkt, true)
			return
		}
		p.send(pkt, false)
	}
}

// writeMPEGAudio puts four bytes before the frame, which tell where in it a fragment begins (RFC 2250 section 3.5).
func (p *Packetizer) writeMPEGAudio(f *media.Frame) {
	if len(f.Payload) > 0xffff {
		p.stats.Dropped++
		return
	}
	for at := 0; at < len(f.Payload); {
		pkt := append(p.start(), 0, 0)
		pkt = binary.BigEndian.AppendUint16(pkt, uint16(at))
		n := min(len(f.Payload)-at, p.opts.MTU-len(pkt))
		pkt = append(pkt, f.Payload[at:at+n]...)
		at += n
		p.send(pkt, false) // a marker would mean that silence has ended (section 3.3)
	}
}

// writeSamples divides audio whose packets may hold any number of samples (RFC 3551 section 4.3). There is no marker: it would mean that silence has ended (section 4.1).
func (p *Packetizer) writeSamples(f *media.Frame) {
	most := max(p.room()/p.split, 1) * p.split
	for body := f.Payload; len(body) > 0; {
		n := min(len(body), most)
		p.send(append(p.start(), body[:n]...), false)
		p.ts += uint32(n / p.split)
		body = body[n:]
	}
}

// writeWhole sends what cannot be divided as one packet.
func (p *Packetizer) writeWhole(f *media.Frame) {
	if len(f.Payload) > maxMTU-rtpHeader {
		p.stats.Dropped++
		return
	}
	p.send(append(p.start(), f.Payload...), false)
}
