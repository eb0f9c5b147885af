package remux

import (
	"encoding/binary"

	"berth/media"
	"berth/media/annexb"
)

// Packet types and header sizes of RFC 6184 and RFC 7798.
const (
	h264STAPA = 24
	h264FUA   = 28
	h265AP    = 48
	h265FU    = 49

	fuStart = 0x80
	fuEnd   = 0x40
)

// nalPacking is what differs between the two codecs.
type nalPacking struct {
	header    int                                       // bytes of a NAL unit's header
	kind      func(unit []byte) unitKind                //
	aggregate func(dst, unit []byte) []byte             // begins an aggregation packet
	join      func(pkt, unit []byte)                    // makes the packet's header say what another unit's says
	fragment  func(dst, unit []byte) (_ []byte, fu int) // begins a fragment; fu is the index of the FU header
}

func packingH264() nalPacking {
	return nalPacking{header: 1, kind: kindH264, aggregate: aggregateH264, join: joinH264, fragment: fragmentH264}
}

func packingH265() nalPacking {
	return nalPacking{header: 2, kind: kindH265, aggregate: aggregateH265, join: joinH265, fragment: fragmentH265}
}

// writeUnits packs an access unit. Units that fit into one packet together share it; a parameter set or a delimiter then costs three bytes, not a packet. Access unit delimiters are
// kept: RFC 6184 and 7798 allow them, decoders pass over them, and what goes through several servers comes out as it went in.
func (p *Packetizer) writeUnits(f *media.Frame) {
	how := &p.units
	var alone []byte // a unit that waits for company
	var pkt []byte   // an aggregation packet in work
	unit, rest := p.nextUnit(f.Payload)
	for unit != nil {
		next, after := p.nextUnit(rest)
		switch {
		case pkt != nil && len(pkt)+2+len(unit) <= p.opts.MTU:
			pkt = p.aggregated(pkt, unit)
		case pkt == nil && alone != nil && how.header+2+len(alone)+2+len(unit) <= p.room():
			pkt = p.aggregated(p.aggregated(how.aggregate(p.start(), alone), alone), unit)
			alone = nil
		default:
			p.flushUnits(pkt, alone, false)
			pkt, alone = nil, nil
			if len(unit) <= p.room() {
				alone = unit
			} else {
				p.writeFragments(unit, next == nil)
			}
		}
		unit, rest = next, after
	}
	p.flushUnits(pkt, alone, true)
}

// nextUnit passes over what cannot be sent.
func (p *Packetizer) nextUnit(b []byte) (unit, rest []byte) {
	for unit, rest = annexb.Next(b); unit != nil; unit, rest = annexb.Next(rest) {
		if p.units.kind(unit) != unitInvalid {
			return unit, rest
		}
		p.stats.Dropped++
	}
	return nil, nil
}

func (p *Packetizer) flushUnits(pkt, alone []byte, marker bool) {
	switch {
	case pkt != nil:
		p.send(pkt, marker)
	case alone != nil:
		p.send(append(p.start(), alone...), marker)
	}
}

func (p *Packetizer) aggregated(pkt, unit []byte) []byte {
	p.units.join(pkt, unit)
	pkt = binary.BigEndian.AppendUint16(pkt, uint16(len(unit)))
	return append(pkt, unit...)
}

// writeFragments sends a unit that is too large for one packet.
func (p *Packetizer) writeFragments(unit []byte, last bool) {
	pos := byte(fuStart)
	for body := unit[p.units.header:]; len(body) > 0; pos = 0 {
		pkt, fu := p.units.fragment(p.start(), unit)
		n := min(len(body), p.opts.MTU-len(pkt))
		if n == len(body) {
			pos |= fuEnd
		}
		pkt[fu] |= pos
		pkt = append(pkt, body[:n]...)
		body = body[n:]
		p.send(pkt, last && len(body) == 0)
	}
}

// aggregateH264 begins a STAP-A (RFC 6184 section 5.7.1).
func aggregateH264(dst, _ []byte) []byte { return append(dst, h264STAPA) }

// joinH264: F is set when it is set in any unit, NRI is the highest of all (RFC 6184 section 5.7).
func joinH264(pkt, unit []byte) {
	head := &pkt[rtpHeader]
	*head = (*head|unit[0])&0x80 | max(*head&0x60, unit[0]&0x60) | h264STAPA
}

// fragmentH264 begins an FU-A (RFC 6184 section 5.8).
func fragmentH264(dst, unit []byte) (_ []byte, fu int) {
	return append(dst, unit[0]&0xe0|h264FUA, unit[0]&0x1f), rtpHeader + 1
}

// aggregateH265 begins an aggregation packet (RFC 7798 section 4.4.2) with the layer and the temporal id of its first unit.
func aggregateH265(dst, unit []byte) []byte { return append(dst, unit[0]&0x81|h265AP<<1, unit[1]) }

// joinH265: F is set when it is set in any unit, layer and temporal id are the lowest of all (RFC 7798 section 4.4.2).
func joinH265(pkt, unit []byte) {
	head := pkt[rtpHeader : rtpHeader+2]
	layer := min(uint(head[0]&1)<<5|uint(head[1]>>3), uint(unit[0]&1)<<5|uint(unit[1]>>3))
	head[0] = (head[0]|unit[0])&0x80 | h265AP<<1 | byte(layer>>5)
	head[1] = byte(layer<<3) | min(head[1]&7, unit[1]&7)
}

// fragmentH265 begins a fragmentation unit (RFC 7798 section 4.4.3).
func fragmentH265(dst, unit []byte) (_ []byte, fu int) {
	return append(dst, unit[0]&0x81|h265FU<<1, unit[1], unit[0]>>1&0x3f), rtpHeader + 2
}
