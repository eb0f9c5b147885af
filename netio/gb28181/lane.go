package gb28181

import (
	"time"

	"berth/media"
	"berth/media/remux"
)

const (
	// maxLanes bounds the payload types of one device. Two are usual at most: one of sound and one of picture.
	maxLanes = 4
	// laneSilence is how long a payload type must not have come for its lane to be given to another.
	laneSilence = 5 * time.Second
	// laneStreams is the distance of the stream numbers of two payload types; above any stream_id and PID. They hang on the payload type, so that a device that begins anew has the same whatever comes first.
	laneStreams = 1 << 16
	// heldPackets and heldBytes bound what is kept until it is known what the packets hold.
	heldPackets = 256
	heldBytes   = 128 << 10
)

// lane is one payload type of a device. Guarded by its source's lock.
type lane struct {
	source      *Source
	payloadType uint8
	prober      *Prober
	kind        Kind
	carrier     carrier // nil while the kind is not known, nobody understands it, or nobody wants it
	last        time.Time
	held        heldPacketList // of the time before the kind was known
}

// take gives a packet to the carrier, once it is known which.
func (l *lane) take(v *rtpView) {
	kind, known := l.prober.Look(v.PayloadType, v.Payload)
	switch {
	case !known:
		l.source.stats.Invalid += uint64(l.held.add(v.whole))
		return
	case kind != l.kind:
		l.turn(kind)
	}
	if l.held.length() > 0 {
		held := l.held
		l.held = heldPacketList{}
		held.each(l.give, l.gap)
	}
	l.give(v)
}

func (l *lane) give(v *rtpView) {
	if l.carrier == nil {
		l.source.stats.Invalid++
		return
	}
	l.carrier.packet(v)
}

// turn makes the lane carry another kind than before.
func (l *lane) turn(kind Kind) {
	if l.kind != KindUnknown {
		l.retire()
		l.source.stats.Restarts++
		l.source.reassemble()
	}
	l.kind = kind
	l.carrier = newCarrier(kind, l, l.source.opts.Buffers.gathering())
	l.source.decided(kind)
}

// retire ends the carrier and keeps its counters.
func (l *lane) retire() {
	if l.carrier == nil {
		return
	}
	damaged, skipped := l.carrier.counters()
	l.source.stats.Damaged += damaged
	l.source.stats.Skipped += skipped
	l.carrier = nil
}

// wake makes the carrier anew after it was put away.
func (l *lane) wake() {
	if l.carrier == nil && l.kind != KindUnknown {
		l.carrier = newCarrier(l.kind, l, l.source.opts.Buffers.gathering())
	}
}

func (l *lane) gap() {
	if l.carrier != nil {
		l.carrier.gap()
	} else {
		l.held.gap()
	}
}

func (l *lane) base() int { return int(l.payloadType) * laneStreams }

// frame takes a frame from the carrier.
func (l *lane) frame(stream int, f *media.Frame) {
	l.source.frame(l.base()+stream, f)
}

// announce takes what a container says that it holds.
func (l *lane) announce(streams []remux.Elementary) {
	for i := range streams {
		streams[i].ID += l.base()
	}
	l.source.assembler.Announce(streams)
}

// heldPacketList keeps packets, each whole, and where some are missing.
type heldPacketList struct {
	data  []byte
	sizes []int // 0 for a hole
}

// add keeps a packet, and returns how many had to go for it.
func (h *heldPacketList) add(pkt []byte) (gone int) {
	if len(h.data)+len(pkt) > heldBytes || len(h.sizes) >= heldPackets {
		gone = len(h.sizes) // the oldest are worth least, and half a picture nothing
		h.data, h.sizes = h.data[:0], append(h.sizes[:0], 0)
	}
	h.data, h.sizes = append(h.data, pkt...), append(h.sizes, len(pkt))
	return gone
}

func (h *heldPacketList) gap() {
	if len(h.sizes) > 0 {
		h.sizes = append(h.sizes, 0)
	}
}

func (h *heldPacketList) length() int { return len(h.sizes) }

// each hands the packets on.
func (h *heldPacketList) each(give func(v *rtpView), gap func()) {
	data := h.data
	for _, n := range h.sizes {
		if n == 0 {
			gap()
			continue
		}
		if v, ok := viewRTP(data[:n:n]); ok {
			give(&v)
		}
		data = data[n:]
	}
}
