package mpegps

import (
	"slices"

	"berth/media"
	"berth/media/annexb"
	"berth/media/pes"
)

// Options says what a [Demuxer] does.
type Options struct {
	// Emit is called with every access unit, in the order in which they end; stream is the stream_id. The frame is valid until it returns. It must not call the demuxer. Required.
	Emit func(stream int, f *media.Frame)
	// MaxUnit bounds the bytes of one access unit; a larger one is dropped and counted. Default 4 MiB.
	MaxUnit int
	// MaxStreams bounds the elementary streams that are taken in; those that come after are passed over. Default 4. A demuxer holds at most MaxUnit of each.
	MaxStreams int
	// Buffers are shared with other demuxers: each holds a large buffer only while it gathers a large unit. Default nil: each keeps what its largest unit of late needed.
	Buffers *pes.Buffers
}

// Elementary is a stream inside of the program stream.
type Elementary struct {
	ID    int         // stream_id
	Type  byte        // stream_type of the program stream map; 0 when no map has named the stream
	Codec media.Codec // as the map says, or as the stream itself tells where it contradicts; CodecUnknown when neither is known
}

// state is what the next byte of input is.
type state uint8

const (
	seeking  state = iota // anything: a start code is looked for
	atCode                // the first byte of a start code, when lengths are right
	inPacket              // payload of a PES packet of known length, left bytes
	inOpen                // payload of a PES packet without a length: it ends at the next start code
	skipping              // left bytes that nobody wants
)

const (
	replayBytes = 128 << 10 // of a packet with a wrong length are read twice at most
	keptReplay  = 4 << 10   // more than this is held in shared buffers, where there are any
)

// Demuxer takes a program stream apart.
type Demuxer struct {
	opt     Options
	state   state
	head    []byte  // of a header that the input cut; in inOpen of a start code
	left    int     // bytes
	current *stream // whose packet is open in inPacket and inOpen
	closed  *stream // whose packet of known length ended right before here; nil after any header
	zeros   int     // between that packet and here

	byID    [pes.IDVideoLast - pes.IDMap + 1]*stream
	order   []*stream
	lastMap []byte
	headed  bool // a system header or map has come since the last packet of video

	scr     pes.Clock
	packed  media.Ticks // system clock of the last pack header
	base    pes.Clock   // the last time stamp of any stream: where a new one begins
	version uint64
	list    []Elementary // as of version listed
	listed  uint64

	replay    []byte // copy of what is read again
	credit    int    // bytes that may be read again: as many as came in
	replaying bool
	stats     Stats
	frame     media.Frame
}

// NewDemuxer makes a demuxer that waits for the first start code.
func NewDemuxer(o Options) *Demuxer {
	if o.MaxUnit <= 0 {
		o.MaxUnit = 4 << 20
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = 4
	}
	return &Demuxer{opt: o, version: 1}
}

// Write takes the next bytes of the program stream, cut anywhere. Nothing of b is kept. It never fails: what makes no sense is counted.
func (d *Demuxer) Write(b []byte) {
	d.stats.Bytes += uint64(len(b))
	d.credit = min(d.credit+len(b), replayBytes)
	d.feed(b)
}

// Mark says that the RTP packet that was just written had the marker bit. Once it is known that this device sets it at the end of each picture, and only there, it lets the picture out.
func (d *Demuxer) Mark() {
	if d.state == inPacket || d.state == skipping {
		return
	}
	d.signal(signalMark, nil)
}

// Gap says that bytes are missing before the next Write. Access units that are not complete are dropped.
func (d *Demuxer) Gap() {
	for _, s := range d.order {
		s.gap(s == d.current)
	}
	d.resync()
}

// Flush says that the input has ended. Access units that are complete come out. The demuxer can be used again, as after Gap.
func (d *Demuxer) Flush() {
	if d.state == inOpen {
		d.current.end()
		d.current = nil
	}
	d.finishAll()
	d.Gap()
}

// finishAll lets out what is complete.
func (d *Demuxer) finishAll() {
	for _, s := range d.order {
		if s != d.current {
			s.flush()
		}
	}
}

// resync looks for the next start code.
func (d *Demuxer) resync() {
	d.stats.Skipped += uint64(len(d.head) + d.zeros)
	d.state, d.head, d.left, d.zeros = seeking, d.head[:0], 0, 0
	d.current, d.closed = nil, nil
}

// Streams returns what the program stream consists of so far, in the order of appearance. The slice is valid until Version changes.
func (d *Demuxer) Streams() []Elementary {
	if d.listed == d.version {
		return d.list
	}
	d.list = make([]Elementary, 0, len(d.order))
	for _, s := range d.order {
		d.list = append(d.list, Elementary{ID: int(s.id), Type: s.streamType, Codec: s.codec})
	}
	d.listed = d.version
	return d.list
}

// Version changes whenever Streams does.
func (d *Demuxer) Version() uint64 { return d.version }

func (d *Demuxer) changed() { d.version++ }

// Stats returns the counters.
func (d *Demuxer) Stats() Stats { return d.stats }

// stream returns the stream with an id, which is made when there is room for it; nil when there is not, or when nobody wants it. streamType is what a map says, 0 for a packet.
func (d *Demuxer) stream(id, streamType byte) *stream {
	if id < pes.IDMap || id > pes.IDVideoLast || !pes.HasHeader(id) {
		return nil
	}
	if s := d.byID[id-pes.IDMap]; s != nil {
		return s
	}
	if id == pes.IDPrivate1 && pes.CodecOf(streamType).Kind() != media.KindAudio {
		return nil // Hikvision puts things of its own here, the DVD AC-3 and subtitles
	}
	if len(d.order) >= d.opt.MaxStreams && !d.evict() {
		return nil
	}
	s := newStream(d, id)
	d.byID[id-pes.IDMap] = s
	d.order = append(d.order, s)
	d.changed()
	return s
}

// evict makes room by forgetting a stream that the map does not name, because it never had a frame (garbage that looked like a packet), or because an earlier map named it.
func (d *Demuxer) evict() bool {
	at := slices.IndexFunc(d.order, func(s *stream) bool {
		return !s.mapped && s != d.current && (s.frames == 0 || s.streamType != 0)
	})
	if at < 0 {
		return false
	}
	d.order[at].flush()
	d.order[at].reset()
	if d.closed == d.order[at] {
		d.closed = nil
	}
	d.byID[d.order[at].id-pes.IDMap] = nil
	d.order = slices.Delete(d.order, at, at+1)
	return true
}

// feed drives the state machine.
func (d *Demuxer) feed(b []byte) {
	for len(b) > 0 {
		switch d.state {
		case inPacket:
			n := min(len(b), d.left)
			d.current.append(b[:n])
			b = b[n:]
			if d.left -= n; d.left == 0 {
				d.endPacket()
			}
		case inOpen:
			b = d.open(b)
		case skipping:
			n := min(len(b), d.left)
			b = b[n:]
			if d.left -= n; d.left == 0 {
				d.state = atCode
			}
		default:
			b = d.header(b)
		}
	}
}

func (d *Demuxer) endPacket() {
	d.current.end()
	d.closed, d.current = d.current, nil
	d.state = atCode
}

// header takes the next header and returns what is behind it. It is read where it lies, and copied only when the input cut it.
func (d *Demuxer) header(b []byte) []byte {
	if d.state == seeking && len(d.head) == 0 {
		if b = d.seek(b); len(b) == 0 {
			return nil
		}
	}
	for {
		view := b
		if len(d.head) > 0 {
			view = d.head
		}
		n := headerSize(view)
		if n == noHeader {
			return d.stray(b)
		}
		if n <= len(view) {
			if len(d.head) > 0 {
				d.head = d.head[:0]
			} else {
				b = b[n:]
			}
			d.take(view[:n])
			return b
		}
		if len(b) == 0 {
			return nil
		}
		n = min(n-len(d.head), len(b))
		d.head = append(d.head, b[:n]...)
		b = b[n:]
	}
}

// seek returns b from the next start code on, or nothing, keeping what may be the beginning of one.
func (d *Demuxer) seek(b []byte) []byte {
	for at := 0; ; {
		i := annexb.StartCode(b, at)
		if i >= 0 && i+3 < len(b) {
			if b[i+3] >= firstCode {
				d.stats.Skipped += uint64(i)
				return b[i:]
			}
			at = i + 3
			continue
		}
		if i < 0 {
			i = len(b) - codeTail(b)
		}
		d.stats.Skipped += uint64(i)
		d.head = append(d.head[:0], b[i:]...)
		return nil
	}
}

// codeTail returns how many bytes at the end of b may begin a start code; b has none that is whole.
func codeTail(b []byte) int {
	n := 0
	for n < 2 && n < len(b) && b[len(b)-1-n] == 0 {
		n++
	}
	return n
}

// take does what a whole header says.
func (d *Demuxer) take(h []byte) {
	d.stats.Skipped += uint64(d.zeros)
	d.zeros, d.closed, d.state = 0, nil, atCode
	id := h[3]
	switch id {
	case idEnd:
		d.finishAll()
		return
	case idPack:
		d.stats.Packs++
		d.packed = d.scr.At(packClock(h))
		d.signal(signalPack, nil)
		return
	case pes.IDMap:
		d.headed = true
		d.signal(signalPack, nil)
		d.takeMap(h)
		return
	}
	length := int(h[4])<<8 | int(h[5])
	if id == idSystem {
		d.headed = true
		d.signal(signalPack, nil)
		d.skip(length)
		return
	}
	s := d.stream(id, 0)
	if s == nil {
		d.stats.Private++
		d.skip(6 + length - len(h))
		if length == 0 {
			d.state = seeking
		}
		return
	}
	d.stats.Packets++
	d.signal(signalOther, s)
	s.begin(pes.ReadTimes(h))
	d.current = s
	switch d.left = 6 + length - len(h); {
	case length == 0:
		d.state = inOpen
	case d.left == 0:
		d.endPacket()
	default:
		d.state = inPacket
	}
}

func (d *Demuxer) skip(n int) {
	if n > 0 {
		d.left, d.state = n, skipping
	}
}

// signal tells all streams but one that something has come after which a complete picture is likely to be followed by another.
func (d *Demuxer) signal(k signal, but *stream) {
	for _, s := range d.order {
		if s != but {
			s.signalled(k, s == d.current)
		}
	}
}
