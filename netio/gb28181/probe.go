package gb28181

import "berth/media"

// Kind is what the RTP payloads of a device hold.
type Kind uint8

// The kinds that are understood, and those audio kinds that are passed on by name.
const (
	KindUnknown Kind = iota
	KindPS           // MPEG program stream (ISO/IEC 13818-1 section 2.5), packets cut anywhere; what GB/T 28181 asks for
	KindTS           // MPEG transport stream (RFC 2250 section 2)
	KindEhome        // program stream with a private byte before it, see [Ehome]
	KindH264         // RFC 6184
	KindH265         // RFC 7798
	KindAAC          // RFC 3640, mode AAC-hbr
	KindADTS         // ADTS frames, whole ones in each packet
	KindPCMA         // G.711 A-law (RFC 3551 section 4.5.14)
	KindPCMU         // G.711 µ-law
	KindOpus         // RFC 7587
	KindMPA          // MPEG audio (RFC 2250 section 3.5)
	KindG722         // RFC 3551 section 4.5.2
	KindG723         // RFC 3551 section 4.5.3
	KindG729         // RFC 3551 section 4.5.6
	kinds            // how many there are
)

// kindInfo is one row of the table of kinds.
type kindInfo struct {
	name  string
	codec media.Codec
}

// kindTable is indexed by Kind and never written.
var kindTable = [kinds]kindInfo{
	KindUnknown: {"", media.CodecUnknown},
	KindPS:      {"ps", media.CodecMP2P},
	KindTS:      {"ts", media.CodecMP2T},
	KindEhome:   {"ehome", media.CodecMP2P},
	KindH264:    {"h264", media.CodecH264},
	KindH265:    {"h265", media.CodecH265},
	KindAAC:     {"aac", media.CodecAAC},
	KindADTS:    {"adts", media.CodecAAC},
	KindPCMA:    {"pcma", media.CodecPCMA},
	KindPCMU:    {"pcmu", media.CodecPCMU},
	KindOpus:    {"opus", media.CodecOpus},
	KindMPA:     {"mpa", media.CodecMPA},
	KindG722:    {"g722", media.CodecG722},
	KindG723:    {"g723", media.CodecG723},
	KindG729:    {"g729", media.CodecG729},
}

// String returns the name in statistics: ps, ts, ehome, h264 and so on; "" for KindUnknown.
func (k Kind) String() string {
	if k >= kinds {
		return ""
	}
	return kindTable[k].name
}

// Codec returns what the payload is coded with: CodecMP2P and CodecMP2T for containers, CodecUnknown for KindUnknown.
func (k Kind) Codec() media.Codec {
	if k >= kinds {
		return media.CodecUnknown
	}
	return kindTable[k].codec
}

// Container reports whether the payload is a container, whose elementary streams a demuxer takes out.
func (k Kind) Container() bool { return k == KindPS || k == KindTS || k == KindEhome }

// PayloadTypes are the dynamic payload types that mean something by agreement, the keys `rtp_proxy.ps_pt`, `h264_pt`, `h265_pt` and `opus_pt`. 0 is none. What a packet holds counts for more than they do.
type PayloadTypes struct {
	PS, H264, H265, Opus uint8
}

// hint returns what the payload type promises: by agreement, or by RFC 3551 tables 4 and 5.
func (p PayloadTypes) hint(payloadType uint8) Kind {
	switch payloadType {
	case 0:
		return KindPCMU
	case p.PS:
		return KindPS
	case p.H264:
		return KindH264
	case p.H265:
		return KindH265
	case p.Opus:
		return KindOpus
	case 4:
		return KindG723
	case 8:
		return KindPCMA
	case 9:
		return KindG722
	case 14:
		return KindMPA
	case 18:
		return KindG729
	case 33:
		return KindTS
	}
	return KindUnknown
}

// Certainty says how much one payload tells about its kind.
type Certainty uint8

// From nothing to proof. The values are the points that [Prober] adds up.
const (
	CertainNot    Certainty = 0  // it cannot be told, or it is something else
	CertainFits   Certainty = 2  // it may well be; one of 16 payloads of anything else looks like that
	CertainStrong Certainty = 6  // hardly anything else looks like that
	CertainSure   Certainty = 12 // nothing else does
)

// Probe says what one payload is most likely, from its payload type and content. A fragment out of the middle of something may look like anything: only CertainSure may be trusted alone.
// For more packets than one use a [Prober].
func Probe(payloadType uint8, payload []byte, known PayloadTypes) (Kind, Certainty) {
	best := known.hint(payloadType)
	how := content(best, payload)
	for k := KindPS; k < KindPCMA; k++ { // nothing but the payload type tells the others apart
		if c := content(k, payload); c > how {
			best, how = k, c
		}
	}
	return best, how
}

const (
	hintPoints    = 4                  // what the payload type adds to content that fits
	enoughPoints  = int(CertainSure)   // from here on the kind is decided
	clearLead     = int(CertainStrong) // by so much it must be ahead of every other kind
	probePackets  = 256                // then the leading kind is taken, or what the payload type promises
	containerWait = 512                // payloads of a container without a start in them before it is doubted: longer than any picture
	unitWait      = 4                  // payloads in a row that cannot be what was decided before it is doubted
)

// Prober decides what the payloads of one SSRC and payload type hold, and notices when that changes: a device that switches from program stream to bare H.264 goes on with the same SSRC.
// It belongs to one goroutine. It holds no packets; the caller keeps the first ones until the decision, if it wants them.
type Prober struct {
	known   PayloadTypes
	kind    Kind
	decided bool
	doubts  int // payloads in a row that did not confirm kind
	looked  int
	points  [kinds]int
}

// NewProber makes a Prober.
func NewProber(known PayloadTypes) *Prober { return &Prober{known: known} }

// Kind returns what was decided; KindUnknown before that.
func (p *Prober) Kind() Kind { return p.kind }

// Look takes the next payload, and returns what the payloads of this payload type hold, once that is decided. After 256 payloads it decides in any case, if need be for KindUnknown, and goes on looking.
func (p *Prober) Look(payloadType uint8, payload []byte) (kind Kind, decided bool) {
	if len(payload) == 0 {
		return p.kind, p.decided
	}
	if p.decided && p.kind != KindUnknown && !p.doubt(payload) {
		return p.kind, true
	}
	p.weigh(payloadType, payload)
	if k, ok := p.verdict(payloadType); ok {
		p.kind, p.decided = k, true
		p.doubts, p.looked, p.points = 0, 0, [kinds]int{}
	}
	return p.kind, p.decided
}

// doubt reports whether it is time to look closer, because payload and those before it did not confirm what was decided.
func (p *Prober) doubt(payload []byte) bool {
	limit := unitWait
	if p.kind.Container() {
		limit = containerWait
	}
	switch {
	case confirms(p.kind, payload):
		p.doubts, p.looked, p.points = 0, 0, [kinds]int{}
		return false
	case isPack(payload), p.kind < KindPCMA && startsProgram(payload):
		p.doubts = limit // bare video has no start codes
	}
	p.doubts++
	return p.doubts > limit
}

// weigh adds what the payload says to the account of each kind. A kind that it cannot be loses all it had.
func (p *Prober) weigh(payloadType uint8, payload []byte) {
	p.looked++
	hint := p.known.hint(payloadType)
	for k := KindPS; k < kinds; k++ {
		c := content(k, payload)
		switch {
		case k >= KindPCMA && k != hint:
			continue // nothing but the payload type tells these apart
		case c == CertainNot && !k.Container():
			p.points[k] = 0
			continue
		case c == CertainNot:
			continue // a fragment
		}
		if p.points[k] == 0 && k == hint {
			p.points[k] = hintPoints
		}
		p.points[k] += int(c)
	}
}

func (p *Prober) verdict(payloadType uint8) (Kind, bool) {
	best, second := KindUnknown, 0
	for k := KindPS; k < kinds; k++ {
		switch {
		case p.points[k] > p.points[best]:
			best, second = k, p.points[best]
		case p.points[k] > second:
			second = p.points[k]
		}
	}
	lead := p.points[best]
	switch {
	case lead >= enoughPoints && lead-second >= clearLead:
		return best, true
	case p.looked < probePackets:
		return KindUnknown, false
	case lead >= int(CertainStrong):
		return best, true
	}
	if p.decided && p.kind != KindUnknown {
		return p.kind, true // nothing speaks for another kind
	}
	return p.known.hint(payloadType), true
}
