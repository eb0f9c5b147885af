package mpegts

import (
	"berth/media"
	"berth/media/pes"
)

// Options says what a [Demuxer] does.
type Options struct {
	// Emit is called with every access unit, in the order in which they end; stream is the PID. The frame is valid until it returns. It must not call the demuxer. Required.
	Emit func(stream int, f *media.Frame)
	// MaxUnit bounds the bytes of one access unit; a larger one is dropped and counted. Default 4 MiB.
	MaxUnit int
	// MaxStreams bounds the elementary streams that are taken in; further ones of the map are passed over. Default 4. A demuxer holds at most MaxUnit of each.
	MaxStreams int
	// Buffers are shared with other demuxers: each holds a large buffer only while it gathers a large unit. Default nil: each keeps what its largest unit of late needed.
	Buffers *pes.Buffers
}

// Elementary is a stream inside of the transport stream.
type Elementary struct {
	ID    int         // PID
	Type  byte        // stream_type of the program map
	Codec media.Codec // never CodecUnknown: private data is not among the streams
}

const (
	packetSize = 188 // section 2.4.3.2
	withParity = 204 // with 16 bytes of Reed-Solomon code, as some encoders leave them on
	syncByte   = 0x47

	pidPAT  = 0
	pidNull = 0x1fff

	confirmSyncs = 3 // sync bytes at the right distance that are looked for before a place is believed, where there are so many bytes
)

// Demuxer takes a transport stream apart. It takes in the first program that the program association table names.
type Demuxer struct {
	opt    Options
	stride int    // bytes from packet to packet; 0 while the place of the next one is not known
	held   []byte // the beginning of a packet that the input cut, or what is searched; less than confirmSyncs packets

	pat, pmt section
	pmtPID   int // -1 before a PAT
	order    []*stream
	version  uint64
	list     []Elementary // as of version listed
	listed   uint64

	clock clock
	stats Stats
	frame media.Frame
}

// NewDemuxer makes a demuxer that waits for the first packets.
func NewDemuxer(o Options) *Demuxer {
	if o.MaxUnit <= 0 {
		o.MaxUnit = 4 << 20
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = 4
	}
	return &Demuxer{opt: o, pmtPID: -1, version: 1}
}

// Write takes the next bytes of the transport stream, cut anywhere. Nothing of b is kept but the beginning of a packet. It never fails: what makes no sense is counted.
func (d *Demuxer) Write(b []byte) {
	d.stats.Bytes += uint64(len(b))
	for len(d.held) > 0 && len(b) > 0 {
		n := min(d.want()-len(d.held), len(b))
		d.held = append(d.held, b[:n]...)
		used := d.take(d.held, false)
		left := len(d.held) - used
		if left <= n { // all that is left lies in b, too
			d.held, b = d.held[:0], b[n-left:]
			break
		}
		d.held = d.held[:copy(d.held, d.held[used:])]
		b = b[n:]
	}
	if len(b) == 0 {
		return
	}
	used := d.take(b, true)
	d.held = append(d.held, b[used:]...)
}

// want is how many bytes must be held before it is worth looking at them.
func (d *Demuxer) want() int {
	const enough, parity = (confirmSyncs-1)*packetSize + 1, (confirmSyncs-1)*withParity + 1
	switch {
	case d.stride > 0:
		return d.stride
	case len(d.held) < enough:
		return enough
	}
	return parity
}

// take handles all packets at the front of b and returns how many bytes are done with. whole says that b ends where a Write ended.
func (d *Demuxer) take(b []byte, whole bool) (used int) {
	for used < len(b) {
		rest := b[used:]
		if d.stride == 0 {
			n := d.search(rest, whole)
			d.stats.Skipped += uint64(n)
			if used += n; d.stride == 0 {
				return used
			}
			continue
		}
		if rest[0] != syncByte {
			if len(rest) > d.stride && rest[d.stride] == syncByte { // one packet is damaged
				d.stats.Skipped += uint64(d.stride)
				d.stats.Holes++
				used += d.stride
				continue
			}
			d.stats.Resyncs++
			d.stride = 0
			continue
		}
		if len(rest) < d.stride {
			return used
		}
		d.packet(rest[:packetSize])
		used += d.stride
	}
	return used
}

// search looks for the next packet and returns how many bytes stand before it. d.stride says whether it was found; if not, what is left of b has to be seen again with more bytes behind it.
func (d *Demuxer) search(b []byte, whole bool) int {
	for at := range b {
		if b[at] != syncByte {
			continue
		}
		for _, stride := range [...]int{packetSize, withParity} {
			switch syncs(b[at:], stride, whole) {
			case syncYes:
				d.stride = stride
				return at
			case syncShort:
				return at // what ends like packets of one length may well be the beginning of those of the other
			}
		}
	}
	return len(b)
}

const (
	syncNo = iota
	syncShort
	syncYes
)

// syncs looks whether sync bytes stand where packets of a size would begin. Fewer than enough are believed where a Write ends with a packet: senders fill packets of the network with whole ones.
func syncs(b []byte, stride int, whole bool) int {
	seen := 1
	for at := stride; at < len(b) && seen < confirmSyncs; at += stride {
		if b[at] != syncByte {
			return syncNo
		}
		seen++
	}
	if seen >= confirmSyncs || whole && len(b)%stride == 0 {
		return syncYes
	}
	return syncShort
}

// packet handles one transport stream packet.
func (d *Demuxer) packet(p []byte) {
	d.stats.Packets++
	h, ok := parseHeader(p)
	switch {
	case h.pid == pidNull:
		return
	case !ok:
		d.stats.Holes++
		if s := find(d.order, h.pid); s != nil {
			s.hole()
		}
		return
	case h.pid == pidPAT:
		if d.pat.take(h, &d.stats) {
			d.takePAT(d.pat.bytes())
		}
		return
	case h.pid == d.pmtPID:
		if d.pmt.take(h, &d.stats) {
			d.takePMT(d.pmt.bytes())
		}
		return
	}
	s := find(d.order, h.pid)
	switch {
	case s == nil:
		if h.payload != nil {
			d.stats.Unmapped++
		}
	case h.scrambled:
		d.stats.Scrambled++
	default:
		s.packet(h)
	}
}

// Mark says that the RTP packet that was just written had the marker bit. Once it is known that this device sets it at the end of each picture, and only there, it lets the picture out.
func (d *Demuxer) Mark() {
	if len(d.held) > 0 {
		return // in the middle of a packet
	}
	for _, s := range d.order {
		s.hint(hintMark)
	}
}

// Gap says that bytes are missing before the next Write. Access units that are not complete are dropped.
func (d *Demuxer) Gap() {
	d.stats.Skipped += uint64(len(d.held))
	d.held, d.stride = d.held[:0], 0
	d.pat.reset()
	d.pmt.reset()
	for _, s := range d.order {
		s.gap()
	}
}

// Flush says that the input has ended. Access units that are complete come out. The demuxer can be used again, as after Gap.
func (d *Demuxer) Flush() {
	for _, s := range d.order {
		s.flush()
	}
	d.Gap()
}

// Streams returns what the program map names, without private data, in its order. The slice is valid until Version changes.
func (d *Demuxer) Streams() []Elementary {
	if d.listed == d.version {
		return d.list
	}
	d.list = make([]Elementary, 0, len(d.order))
	for _, s := range d.order {
		d.list = append(d.list, Elementary{ID: s.pid, Type: s.streamType, Codec: s.codec})
	}
	d.listed = d.version
	return d.list
}

// Version changes whenever Streams does.
func (d *Demuxer) Version() uint64 { return d.version }

// Stats returns the counters.
func (d *Demuxer) Stats() Stats {
	stats := d.stats
	for _, s := range d.order {
		s.addAudio(&stats)
	}
	return stats
}
