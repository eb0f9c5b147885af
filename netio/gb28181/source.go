package gb28181

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"berth/media"
	"berth/media/remux"
	"berth/media/rtpseq"
	"berth/netio/udp"
)

// PacketWriter takes what a source makes; *hub.Writer is one.
type PacketWriter interface {
	WriteRTP(track int, now time.Time, pkt []byte) error
	WriteRTCP(track int, now time.Time, pkt []byte)
}

// SourceOptions set up a [Source].
type SourceOptions struct {
	// SSRC is the only one that is taken; 0 = the first one.
	SSRC uint32
	// ReorderPackets and ReorderWait bound how long packets that came by UDP wait for those before them. Defaults 256 and 250 ms: a hole costs the pictures up to the next key frame, so
	// there is little to lose by waiting.
	ReorderPackets int
	ReorderWait    time.Duration
	// Relearn is how long the device's address must be silent before another one is believed. Default 3 s.
	Relearn time.Duration
	// ReportInterval is the distance between receiver reports. Default 5 s (RFC 3550 section 6.2); negative sends none.
	ReportInterval time.Duration
	// Payloads are the dynamic payload types that mean something by agreement (`rtp_proxy.ps_pt` and so on).
	Payloads PayloadTypes
	// Tracks are the rules by which tracks are found; Ready, Write and WriteRTCP in it are set by the source.
	Tracks remux.AssemblerOptions
	// Ready is told which tracks the device sends, and again when it sends others: they are to be published, and answered with [Source.Attach]. Called like Locked. Default: they are not wanted.
	Ready func(tracks []*media.Track)
	// OnDemand says whether anybody needs the frames. While it says no, from when the tracks are attached, packets are counted and not looked into; afterwards media goes on at the next key
	// frame. A writer with a method Pause is told when that begins. It is called with every batch of packets, under the source's lock. Default: they are always needed.
	OnDemand func() bool
	// Locked is told when the first valid packet has come, and whenever the device comes from another address or over another transport. It is called by the goroutine that pushes, under the source's lock: it must
	// not wait and must not call the source.
	Locked func(peer netip.AddrPort, tcp bool)
	// Buffers are shared with other sources, and with receivers. Default none: a source keeps what its largest picture of late needed.
	Buffers *Buffers
	// Rand returns the SSRC of the receiver reports. Default math/rand/v2's seeded generator.
	Rand func() uint32
}

func (o *SourceOptions) setDefaults() {
	if o.ReorderPackets <= 0 {
		o.ReorderPackets = 256
	}
	if o.ReorderWait <= 0 {
		o.ReorderWait = 250 * time.Millisecond
	}
	if o.Relearn <= 0 {
		o.Relearn = relearnAfter
	}
	if o.ReportInterval == 0 {
		o.ReportInterval = 5 * time.Second
	}
	if o.Locked == nil {
		o.Locked = func(netip.AddrPort, bool) {}
	}
	if o.Ready == nil {
		o.Ready = func([]*media.Track) {}
	}
	if o.Rand == nil {
		o.Rand = rand.Uint32
	}
}

// Source is the RTP of one device: whoever reads sockets pushes packets, tracks and packets for a hub come out. It locks on to the first valid packet's address and SSRC. All methods may be called from any
// goroutine; packets are taken one at a time.
type Source struct {
	opts SourceOptions
	self uint32       // SSRC of the receiver reports
	last atomic.Int64 // arrival of the last packet of the device, Unix nanoseconds

	mu       sync.Mutex // guards what follows
	closed   bool
	lock     sourceLock
	peer     netip.AddrPort
	tcp      bool // the peer is a connection
	suspect  []byte
	paths    []*ReturnPath
	reorder  *rtpseq.Reorder // made with the first packet that comes by UDP
	received rtpseq.Receiver
	reports  reportState
	order    packetOrder
	view     rtpView // of the packet that is handed on: one in each call would be garbage
	delivery
	stats SourceStats
}

// NewSource makes a source that has heard nothing.
func NewSource(opts SourceOptions) *Source {
	opts.setDefaults()
	s := &Source{opts: opts, self: opts.Rand(), lock: sourceLock{relearn: opts.Relearn, want: opts.SSRC}}
	s.received.ClockRate = media.FrameClock
	return s
}

// PushUDP takes a datagram: RTP, or RTCP that shares the socket. pkt may be reused after the return. It reports whether the packet was the device's.
func (s *Source) PushUDP(now time.Time, from netip.AddrPort, pkt []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeOrSleep(now)
	return s.push(now, from, pkt, false)
}

// PushTCP takes a packet from a connection, which keeps the order of packets by itself. It reports whether the packet was the device's.
func (s *Source) PushTCP(now time.Time, from netip.AddrPort, pkt []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeOrSleep(now)
	return s.push(now, from, pkt, true)
}

// pushBatch is PushUDP for many. It reports whether one of them was the device's.
func (s *Source) pushBatch(now time.Time, packets []udp.Packet) (any bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeOrSleep(now)
	for _, p := range packets {
		any = s.push(now, p.From, p.Data, false) || any
	}
	return any
}

func (s *Source) push(now time.Time, from netip.AddrPort, pkt []byte, tcp bool) bool {
	if s.closed || len(pkt) == 0 { // empty datagrams keep address translations open
		return false
	}
	if IsRTCP(pkt) {
		return s.takeRTCP(now, from, pkt)
	}
	v, ok := viewRTP(pkt)
	if !ok {
		s.stats.Invalid++
		return false
	}
	return s.admit(now, from, &v, tcp)
}

// admit asks the lock, and reports whether the packet is the device's.
func (s *Source) admit(now time.Time, from netip.AddrPort, v *rtpView, tcp bool) bool {
	began, was := s.lock.held || s.peer.IsValid(), s.lock.from
	switch verdict := s.lock.judge(now, packetMark{from, v.SSRC, v.Seq}); verdict {
	case fromOthers:
		s.stats.Strangers++
		return false
	case otherSSRC:
		s.stats.OtherSSRC++
		return false
	case suspected:
		s.refuse(from)
		s.suspect = append(s.suspect[:0], v.whole...)
		return false
	case locked, relocked:
		if began && from != was.addr {
			s.stats.Relocks++
		}
		s.lockOn(from, tcp)
		if first, ok := viewRTP(s.suspect); ok && verdict == locked && first.SSRC == v.SSRC && first.Seq != v.Seq {
			s.unrefuse(from, was.addr)
			s.take(now, &first)
		}
		s.suspect = nil
	case admitted:
	}
	s.take(now, v)
	return true
}

func (s *Source) refuse(from netip.AddrPort) {
	if from == s.peer {
		s.stats.OtherSSRC++
	} else {
		s.stats.Strangers++
	}
}

// unrefuse takes back what was counted when the first packet of a new stream was put aside.
func (s *Source) unrefuse(from, peer netip.AddrPort) {
	if from == peer {
		s.stats.OtherSSRC--
	} else {
		s.stats.Strangers--
	}
}

// take counts a packet of the device and puts it in order.
func (s *Source) take(now time.Time, v *rtpView) {
	s.last.Store(now.UnixNano())
	s.stats.Packets++
	s.stats.Bytes += uint64(len(v.whole))
	if s.stats.SSRC != v.SSRC || s.stats.Packets == 1 {
		s.stats.SSRC = v.SSRC
		s.received = rtpseq.Receiver{ClockRate: s.received.ClockRate}
	}
	s.received.Packet(now, v.Seq, v.Timestamp)
	s.reports.heard(now, s.opts.ReportInterval)
	if s.tcp {
		s.emit(now, v.whole)
		return
	}
	if s.reorder == nil {
		s.reorder = rtpseq.NewReorder(rtpseq.Options{Packets: s.opts.ReorderPackets, Wait: s.opts.ReorderWait, Emit: s.emit})
	}
	s.reorder.Push(now, v.whole)
}

// service does what is due by the clock, and says when it has to be called again if nothing comes before. report is a receiver report that is to be sent to an address, nil when none is due.
func (s *Source) service(now time.Time) (at time.Time, due bool, report []byte, to netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return time.Time{}, false, nil, netip.AddrPort{}
	}
	s.expire(now)
	report, to = s.report(now)
	at, due = s.deadline()
	return at, due, report, to
}

// Tick does what is due by the clock, for an owner that pushes packets itself; ten times a second is enough. What it returns is a receiver report that is to be sent to an address, nil when none is due.
func (s *Source) Tick(now time.Time) (report []byte, to netip.AddrPort) {
	_, _, report, to = s.service(now)
	return report, to
}

func (s *Source) expire(now time.Time) {
	if s.reorder != nil {
		s.reorder.Expire(now)
	}
	s.serveAssembler(now)
}

func (s *Source) deadline() (at time.Time, due bool) {
	if s.reorder != nil {
		at, due = s.reorder.Deadline()
	}
	if next := s.reports.next; !next.IsZero() && (!due || next.Before(at)) {
		at, due = next, true
	}
	if !s.nextTick.IsZero() && (!due || s.nextTick.Before(at)) {
		at, due = s.nextTick, true
	}
	return at, due
}

// addSkipped counts bytes of a connection that belonged to no packet.
func (s *Source) addSkipped(n uint64) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Skipped += n
}

// LastPacket returns the arrival of the device's last packet without a lock; the zero time before the first.
func (s *Source) LastPacket() time.Time {
	if n := s.last.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Stats returns the counters.
func (s *Source) Stats() SourceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	if s.reorder != nil {
		c := s.reorder.Counters()
		out.Lost += c.Lost
		out.Reordered = c.Reordered
		out.Late = c.Late + c.Duplicates
	}
	out.Jitter = s.received.Jitter()
	out.LastPacket, out.LastFrame = s.LastPacket(), s.lastFrame
	out.Payload = s.payload.String()
	for _, l := range s.lanes {
		if l != nil && l.carrier != nil {
			damaged, skipped := l.carrier.counters()
			out.Damaged += damaged
			out.Skipped += skipped
		}
	}
	return out
}

// Close ends the source: packets are ignored from then on. It may be called again.
func (s *Source) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.closePaths()
	if s.assembler != nil {
		s.assembler.Close()
	}
	s.suspect, s.reorder, s.delivery.lanes, s.writer = nil, nil, [maxLanes]*lane{}, nil
}
