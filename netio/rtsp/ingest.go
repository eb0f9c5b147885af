package rtsp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"berth/media"
	"berth/media/rtpseq"
)

// PacketWriter takes a publisher's packets; *hub.Writer is one. It is called from the read loops, for different tracks at once.
type PacketWriter interface {
	WriteRTP(track int, now time.Time, pkt []byte) error
	WriteRTCP(track int, now time.Time, pkt []byte)
}

// IngestTrack is one announced track.
type IngestTrack struct {
	Hub       int // the track's number for the PacketWriter, -1 when its packets are thrown away
	ClockRate media.ClockRate
}

// IngestOptions set up an [Ingest].
type IngestOptions struct {
	Writer PacketWriter
	Tracks []IngestTrack
	SSRC   uint32 // of the receiver reports
	// ReorderPackets and ReorderWait bound the window of UDP tracks; zero means the defaults of rtpseq.
	ReorderPackets int
	ReorderWait    time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// IngestStats are a publisher's counters since it began.
type IngestStats struct {
	Packets   uint64 // RTP packets handed to the writer
	Bytes     uint64 // of these
	Refused   uint64 // RTP packets that the writer did not take
	Ignored   uint64 // packets that came while paused, on channels that no track has, or of tracks that are not kept
	Invalid   uint64 // datagrams and frames that are no RTP
	Strangers uint64 // datagrams from somewhere else than the publisher
	Reordered uint64 // UDP packets that came before a predecessor
	Lost      uint64 // packets that never came
}

// Ingest is the packet path of one publisher: from frames of its connection, and from datagrams on leased pairs, to the writer. Frame is called by the
// connection's read loop; each UDP track has two read loops of its own; everything else is called by the owner.
type Ingest struct {
	opts     IngestOptions
	tracks   []*ingestTrack
	channels atomic.Pointer[[256]channelUse] // replaced as a whole
	paused   atomic.Bool
	media    atomic.Int64 // arrival of the last RTP packet that was of use, Unix nanoseconds

	packets, bytes, refused, ignored, invalid, strangers, reordered atomic.Uint64
}

// channelUse says what travels on an interleaved channel; the zero value means nothing.
type channelUse struct {
	track int16 // number plus one
	rtcp  bool
}

// ingestTrack is the state of one track.
type ingestTrack struct {
	IngestTrack
	number int

	mu       sync.Mutex // guards what follows: packets and sender reports come from different goroutines, reports are made by the owner
	received rtpseq.Receiver
	ssrc     uint32
	known    bool // a packet has come, ssrc is its

	tcp [2]int // channels, owned by the owner
	udp *udpLeg
}

// NewIngest makes the packet path of a publisher. Packets are taken at once; see Pause.
func NewIngest(opts IngestOptions) *Ingest {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	g := &Ingest{opts: opts}
	for i, t := range opts.Tracks {
		g.tracks = append(g.tracks, &ingestTrack{IngestTrack: t, number: i, received: rtpseq.Receiver{ClockRate: t.ClockRate}, tcp: [2]int{-1, -1}})
	}
	g.channels.Store(&[256]channelUse{})
	return g
}

// MapTCP says that a track arrives on a pair of interleaved channels, RTP first. A UDP leg of the track ends.
func (g *Ingest) MapTCP(track int, channels [2]int) {
	g.CloseUDP(track)
	g.unmap(track)
	t := g.tracks[track]
	t.tcp = channels
	next := *g.channels.Load()
	for i, c := range channels {
		if 0 <= c && c < len(next) {
			next[c] = channelUse{track: int16(track + 1), rtcp: i == 1}
		}
	}
	g.channels.Store(&next)
}

func (g *Ingest) unmap(track int) {
	g.tracks[track].tcp = [2]int{-1, -1}
	next := *g.channels.Load()
	for c := range next {
		if int(next[c].track) == track+1 {
			next[c] = channelUse{}
		}
	}
	g.channels.Store(&next)
}

// Frame takes an interleaved frame. It is a [FrameSink].
func (g *Ingest) Frame(channel uint8, payload []byte) {
	use := g.channels.Load()[channel]
	if use.track == 0 {
		g.ignored.Add(1)
		return
	}
	t, now := g.tracks[use.track-1], g.opts.Now()
	if use.rtcp {
		g.takeRTCP(t, now, payload)
		return
	}
	if !isRTP(payload) {
		g.invalid.Add(1)
		return
	}
	g.account(t, now, payload)
	g.take(t, now, payload)
}

// isRTP reports whether the bytes can be an RTP packet: version 2, a whole header, and no packet type of RTCP (RFC 5761 section 4).
func isRTP(b []byte) bool {
	return len(b) >= 12 && b[0]>>6 == 2 && !(b[1] >= 192 && b[1] <= 223)
}

// account feeds the reception statistics.
func (g *Ingest) account(t *ingestTrack, now time.Time, pkt []byte) {
	ssrc := binary.BigEndian.Uint32(pkt[8:])
	t.mu.Lock()
	if !t.known || t.ssrc != ssrc {
		t.known, t.ssrc = true, ssrc
		t.received = rtpseq.Receiver{ClockRate: t.ClockRate}
	}
	t.received.Packet(now, binary.BigEndian.Uint16(pkt[2:]), binary.BigEndian.Uint32(pkt[4:]))
	t.mu.Unlock()
}

// take hands an RTP packet to the writer.
func (g *Ingest) take(t *ingestTrack, now time.Time, pkt []byte) {
	if t.Hub < 0 || g.paused.Load() {
		g.media.Store(now.UnixNano())
		g.ignored.Add(1)
		return
	}
	if g.opts.Writer.WriteRTP(t.Hub, now, pkt) != nil {
		g.refused.Add(1)
		return
	}
	g.media.Store(now.UnixNano())
	g.packets.Add(1)
	g.bytes.Add(uint64(len(pkt)))
}

// takeRTCP hands a compound RTCP packet to the writer, and notes its sender report.
func (g *Ingest) takeRTCP(t *ingestTrack, now time.Time, pkt []byte) {
	if ntp, ok := senderReport(pkt); ok {
		t.mu.Lock()
		t.received.SenderReport(now, ntp)
		t.mu.Unlock()
	}
	if t.Hub < 0 || g.paused.Load() {
		g.ignored.Add(1)
		return
	}
	g.opts.Writer.WriteRTCP(t.Hub, now, pkt)
}

// senderReport finds the NTP time of a compound packet's first sender report (RFC 3550 section 6.4.1).
func senderReport(pkt []byte) (ntp uint64, ok bool) {
	for len(pkt) >= 4 && pkt[0]>>6 == 2 {
		size := 4 * (int(binary.BigEndian.Uint16(pkt[2:])) + 1)
		if pkt[1] == 200 && size >= 28 && len(pkt) >= 16 {
			return binary.BigEndian.Uint64(pkt[8:]), true
		}
		if size > len(pkt) {
			break
		}
		pkt = pkt[size:]
	}
	return 0, false
}

// Pause throws away what comes until Resume.
func (g *Ingest) Pause() { g.paused.Store(true) }

// Resume takes packets again.
func (g *Ingest) Resume() { g.paused.Store(false) }

// LastMedia returns when the last RTP packet came that was of use, the zero time before the first. What the writer refuses, such as a payload type that was not announced, is of none: a source that
// sends nothing else is as good as silent.
func (g *Ingest) LastMedia() time.Time {
	if n := g.media.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Stats returns the counters.
func (g *Ingest) Stats() IngestStats {
	s := IngestStats{
		Packets: g.packets.Load(), Bytes: g.bytes.Load(), Refused: g.refused.Load(), Ignored: g.ignored.Load(),
		Invalid: g.invalid.Load(), Strangers: g.strangers.Load(), Reordered: g.reordered.Load(),
	}
	for _, t := range g.tracks {
		t.mu.Lock()
		s.Lost += t.received.Lost()
		t.mu.Unlock()
	}
	return s
}

// OpenUDP receives a track on a pair of sockets, from peer only. announced are the ports that the publisher said it sends from, zero when it said
// nothing; other ports of the same address are believed too, because of address translation. The sockets stay the caller's: they are never
// closed here, and not used any more once CloseUDP or Close has returned.
func (g *Ingest) OpenUDP(track int, rtp, rtcp *net.UDPConn, peer netip.Addr, announced [2]uint16) {
	g.CloseUDP(track)
	g.unmap(track)
	t := g.tracks[track]
	t.udp = newUDPLeg(g, t, rtp, rtcp, peer, announced)
	t.udp.start()
}

// CloseUDP ends a track's read loops and waits for them. A track without any is left alone.
func (g *Ingest) CloseUDP(track int) {
	t := g.tracks[track]
	if t.udp != nil {
		t.udp.stop()
		t.udp = nil
	}
}

// Close ends everything; packets are thrown away from then on.
func (g *Ingest) Close() {
	g.Pause()
	for i := range g.tracks {
		g.CloseUDP(i)
	}
}

// Report sends a receiver report for every track that has heard something: UDP tracks answer from their own sockets, TCP tracks through interleaved, which gets a
// whole frame that it must not keep.
func (g *Ingest) Report(now time.Time, interleaved func(frame []byte)) {
	for _, t := range g.tracks {
		t.mu.Lock()
		known, source, report := t.known, t.ssrc, rtpseq.Report{}
		if known {
			report = t.received.Report(now)
		}
		t.mu.Unlock()
		if !known {
			continue
		}
		frame := receiverReport(g.opts.SSRC, source, report)
		switch {
		case t.udp != nil:
			t.udp.send(frame[frameHeader:])
		case t.tcp[1] >= 0:
			frame[1] = byte(t.tcp[1])
			interleaved(frame)
		}
	}
}

// cname identifies us in the SDES packet that RFC 3550 section 6.1 demands of every compound.
const cname = "berth"

// receiverReport lays out a compound of RR and SDES behind an interleaved header whose channel is still to be set.
func receiverReport(self, source uint32, r rtpseq.Report) []byte {
	b := make([]byte, frameHeader, frameHeader+64)
	b[0] = '$'
	b = append(b, 0x81, 201, 0, 7)
	b = binary.BigEndian.AppendUint32(b, self)
	b = binary.BigEndian.AppendUint32(b, source)
	b = binary.BigEndian.AppendUint32(b, uint32(r.FractionLost)<<24|uint32(r.TotalLost)&0xffffff)
	b = binary.BigEndian.AppendUint32(b, r.HighestSeq)
	b = binary.BigEndian.AppendUint32(b, r.Jitter)
	b = binary.BigEndian.AppendUint32(b, r.LastSR)
	b = binary.BigEndian.AppendUint32(b, r.Delay)
	// SDES: one chunk with the CNAME item, ended by at least one zero octet and padded to 32 bits (RFC 3550 section 6.5).
	chunk := 4 + 2 + len(cname) + 1
	words := (chunk + 3) / 4
	b = append(b, 0x81, 202, 0, byte(words))
	b = binary.BigEndian.AppendUint32(b, self)
	b = append(b, 1, byte(len(cname)))
	b = append(b, cname...)
	b = append(b, make([]byte, 4*words-chunk+1)...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-frameHeader))
	return b
}
