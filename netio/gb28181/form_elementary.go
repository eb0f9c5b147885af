package gb28181

import (
	"encoding/binary"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"

	"berth/media"
	"berth/media/h264"
	"berth/media/h265"
)

// maxUnitBytes bounds an access unit; the rest of a larger one leaves as another unit.
const maxUnitBytes = 8 << 20

// chooseElementary picks the track of an elementary stream.
func (f *Form) chooseElementary() error {
	tracks := f.wanted(media.KindVideo)
	if f.opts.OnlyAudio || len(tracks) == 0 {
		tracks = f.wanted(media.KindAudio)
	}
	if len(tracks) == 0 {
		return ErrNoTrack
	}
	f.tracks = tracks[:1]
	t := f.hub.Tracks()[tracks[0]]
	f.clock = t.ClockRate
	e := elementary{ring: &f.ring}
	switch g := t.Format.(type) {
	case *format.H264:
		f.make = &elementaryVideo{elementary: e, scan: scanH264, sets: aggregateH264(g)}
	case *format.H265:
		donl := g.MaxDONDiff > 0
		v := &elementaryVideo{elementary: e, scan: func(b []byte) (key, sets bool) { return scanH265(b, donl) }}
		if !donl {
			v.sets = setsH265(g)
		}
		f.make = v
	case *format.G711:
		frame := max(t.Channels, 1)
		f.make = &elementaryG711{elementary: e, frame: frame, size: frame * int(t.ClockRate.Ticks(f.opts.G711Packet))}
	default:
		if t.Kind == media.KindVideo {
			f.make = &elementaryVideo{elementary: e}
		} else {
			f.make = &elementaryAudio{e}
		}
	}
	return nil
}

// begin tells the maker where the reader begins.
func (f *Form) begin() {
	if c, ok := f.make.(*container); ok {
		c.begin(f.reader.Start())
	}
}

// elementary collects one unit.
type elementary struct {
	ring *formRing
	unit unit
	slab []packet // places of the packets of this and former units
}

// add appends a packet to the unit.
func (e *elementary) add(payload []byte, marker bool) {
	if len(e.slab) == cap(e.slab) {
		// The unit's packets move along, so that they stay in one piece.
		slab := make([]packet, 0, max(256, 2*len(e.unit.packets)))
		e.slab = append(slab, e.unit.packets...)
	}
	first := len(e.slab) - len(e.unit.packets)
	e.slab = append(e.slab, packet{payload, marker})
	e.unit.packets = e.slab[first:len(e.slab):len(e.slab)]
	e.unit.bytes += len(payload)
}

func (e *elementary) empty() bool { return len(e.unit.packets) == 0 }

// publish hands the unit to the senders.
func (e *elementary) publish() {
	if !e.empty() {
		e.ring.push(e.unit)
	}
	e.unit = unit{}
}

// payloadOf returns what an RTP packet carries. The hub has checked all lengths.
func payloadOf(pkt []byte) []byte {
	h, _ := media.ParseRTP(pkt)
	return h.Payload
}

func hasMarker(pkt []byte) bool { return pkt[1]&0x80 != 0 }

func timestampOf(pkt []byte) uint32 { return binary.BigEndian.Uint32(pkt[4:]) }

// elementaryVideo passes the packets of pictures on as they are, one access unit at a time. Parameter sets that the stream's description tells, and that do not come in the stream, are put before each key
// frame: the receiver has no description.
type elementaryVideo struct {
	elementary
	scan func(payload []byte) (key, sets bool) // nil: every access unit is a beginning
	sets [][]byte                              // payloads of parameter sets
	has  bool                                  // the unit brings its own

	hasKey  bool // a key frame has come
	keyed   bool // a beginning has come
	keyedAt time.Time
}

func (v *elementaryVideo) rtp(arrived time.Time, _ int, pkt []byte) {
	payload := payloadOf(pkt)
	if len(payload) == 0 {
		return
	}
	if ts := timestampOf(pkt); v.empty() || ts != v.unit.timestamp || v.unit.bytes > maxUnitBytes {
		v.end()
		v.unit.timestamp, v.unit.arrived = ts, arrived
	}
	if v.scan == nil {
		v.unit.key = true
	} else if key, sets := v.scan(payload); key || sets {
		v.unit.key = v.unit.key || key
		v.has = v.has || sets
	}
	v.add(payload, hasMarker(pkt))
	if hasMarker(pkt) {
		v.end()
	}
}

// end publishes the access unit.
func (v *elementaryVideo) end() {
	if v.empty() {
		return
	}
	v.hasKey = v.hasKey || v.unit.key
	if !v.keyed || !v.hasKey && v.unit.arrived.Sub(v.keyedAt) >= keylessPatience {
		v.unit.key = true // the stream says that one may begin here, or has no better place
	}
	if v.unit.key {
		v.keyed, v.keyedAt = true, v.unit.arrived
	}
	if v.unit.key && !v.has && len(v.sets) > 0 {
		packets := make([]packet, 0, len(v.sets)+len(v.unit.packets))
		for _, set := range v.sets {
			packets = append(packets, packet{set, false})
			v.unit.bytes += len(set)
		}
		v.unit.packets = append(packets, v.unit.packets...)
	}
	v.publish()
	v.has = false
}

func (*elementaryVideo) report(int, time.Time, uint32) {}

func (*elementaryVideo) flush() {}

func scanH264(payload []byte) (key, sets bool) {
	f := h264.Scan(payload)
	return f&(h264.FlagIDR|h264.FlagRecovery) != 0, f.Has(h264.FlagSPS)
}

func scanH265(payload []byte, donl bool) (key, sets bool) {
	f := h265.Scan(payload, donl)
	return f&(h265.FlagIRAP|h265.FlagRecovery) != 0, f.Has(h265.FlagSPS)
}

// aggregateH264 returns the parameter sets as single NAL unit packets (RFC 6184 section 5.6).
func aggregateH264(f *format.H264) [][]byte { return present(f.SPS, f.PPS) }

// setsH265 returns the parameter sets as single NAL unit packets (RFC 7798 section 4.4.1).
func setsH265(f *format.H265) [][]byte { return present(f.VPS, f.SPS, f.PPS) }

// present returns the sets, or nothing unless all are there.
func present(sets ...[]byte) [][]byte {
	for _, s := range sets {
		if len(s) == 0 {
			return nil
		}
	}
	return sets
}

// elementaryAudio passes packets on as they are, each a unit.
type elementaryAudio struct{ elementary }

func (a *elementaryAudio) rtp(arrived time.Time, _ int, pkt []byte) {
	payload := payloadOf(pkt)
	if len(payload) == 0 {
		return
	}
	a.unit.timestamp, a.unit.arrived, a.unit.key = timestampOf(pkt), arrived, true
	a.add(payload, hasMarker(pkt))
	a.publish()
}

func (*elementaryAudio) report(int, time.Time, uint32) {}

func (*elementaryAudio) flush() {}

// elementaryG711 packs sound anew, so that a packet holds as much as receivers expect (RFC 3551 section 4.5.14: one byte a sample and channel).
type elementaryG711 struct {
	elementary
	frame int // bytes of one sample of all channels
	size  int // bytes of one packet
	buf   []byte
	next  uint32 // timestamp of the sample after those in buf
}

func (g *elementaryG711) rtp(arrived time.Time, _ int, pkt []byte) {
	payload := payloadOf(pkt)
	payload = payload[:len(payload)/g.frame*g.frame]
	ts := timestampOf(pkt)
	if len(g.buf) > 0 && ts != g.next {
		g.out() // a gap: what is there leaves short
	}
	for len(payload) > 0 {
		if len(g.buf) == 0 {
			g.buf = make([]byte, 0, g.size)
			g.unit.timestamp, g.unit.arrived, g.unit.key = ts, arrived, true
		}
		n := min(g.size-len(g.buf), len(payload))
		g.buf = append(g.buf, payload[:n]...)
		payload = payload[n:]
		ts += uint32(n / g.frame)
		g.next = ts
		if len(g.buf) == g.size {
			g.out()
		}
	}
}

func (g *elementaryG711) out() {
	g.add(g.buf, false)
	g.buf = nil
	g.publish()
}

func (*elementaryG711) report(int, time.Time, uint32) {}

func (*elementaryG711) flush() {}
