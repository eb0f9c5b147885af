package gb28181

import (
	"slices"
	"time"

	"berth/media"
	"berth/media/remux"
)

// delivery is a source's way from its packets to a hub. Guarded by the source's lock.
type delivery struct {
	lanes     [maxLanes]*lane
	assembler *remux.Assembler
	writer    PacketWriter   // nil while nobody is attached
	numbers   []int          // the writer's track for each of the assembler's; -1 for none
	offered   []*media.Track // what Ready was called with last; not written to
	now       time.Time      // arrival of the packet in work
	asleep    bool           // packets are counted and nothing else
	nextTick  time.Time      // of the assembler, while it waits
	lastFrame time.Time
	payload   Kind // the kind that was decided last
}

// assemblerTick is how often the assembler's waits are looked at.
const assemblerTick = 100 * time.Millisecond

// reassemble begins anew with finding out which tracks there are.
func (s *Source) reassemble() {
	if s.assembler != nil {
		s.assembler.Close()
	}
	opts := s.opts.Tracks
	opts.Ready = s.ready
	opts.Write = s.write
	opts.WriteRTCP = s.writeRTCP
	s.assembler = remux.NewAssembler(opts)
	s.numbers = nil
}

// ready is called by the assembler.
func (s *Source) ready(tracks []*media.Track) {
	s.numbers, s.offered = nil, slices.Clone(tracks)
	s.opts.Ready(s.offered)
}

func (s *Source) write(track int, now time.Time, pkt []byte) {
	if n := s.number(track); n >= 0 && s.writer.WriteRTP(n, now, pkt) != nil {
		s.stats.Refused++
	}
}

func (s *Source) writeRTCP(track int, now time.Time, pkt []byte) {
	if n := s.number(track); n >= 0 {
		s.writer.WriteRTCP(n, now, pkt)
	}
}

// number is the writer's track for one of the assembler's.
func (s *Source) number(track int) int {
	if s.writer == nil || track >= len(s.numbers) {
		return -1
	}
	return s.numbers[track]
}

// Answer is Attach for the tracks that Ready was called with. It does nothing when Ready has been called again since: what the device sends now is not what these tracks carry.
func (s *Source) Answer(offer []*media.Track, w PacketWriter, tracks []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(offer) > 0 && len(s.offered) > 0 && &offer[0] == &s.offered[0] {
		s.attach(w, tracks)
	}
}

// Attach makes the frames that were kept, and all later ones, go to a writer: the answer to Options.Ready. tracks[i] is the writer's track for track i of Ready, -1 for one that is not taken.
// A writer that is attached already is replaced; the new one begins at the next key frame.
func (s *Source) Attach(w PacketWriter, tracks []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attach(w, tracks)
}

func (s *Source) attach(w PacketWriter, tracks []int) {
	if s.closed || s.assembler == nil {
		return
	}
	s.writer, s.numbers = w, slices.Clone(tracks)
	if s.assembler.Running() {
		s.assembler.Gap(s.now)
		return
	}
	same := make([]int, len(tracks)) // the assembler's numbers stay its own, so that the writer can be replaced
	for i := range same {
		same[i] = i
	}
	s.assembler.Attached(same)
}

// Detach makes frames go nowhere until the next Attach. Before the first one they are kept; afterwards they are dropped.
func (s *Source) Detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writer = nil
}

// restart begins with another stream of packets.
func (s *Source) restart(now time.Time) {
	for i, l := range s.lanes {
		if l != nil {
			l.retire()
			s.lanes[i] = nil
		}
	}
	if s.assembler != nil {
		s.assembler.Anew(now)
	}
}

// hole says that packets are missing before the next one.
func (s *Source) hole(now time.Time) {
	for _, l := range s.lanes {
		if l != nil {
			l.gap()
		}
	}
	if s.assembler != nil {
		s.assembler.Gap(now)
	}
}

// carry takes the next packet in order.
func (s *Source) carry(now time.Time, v *rtpView) {
	s.now = now
	if s.asleep {
		s.stats.Unwatched++
		s.lastFrame = now
		return
	}
	if len(v.Payload) == 0 {
		return
	}
	if s.assembler == nil {
		s.reassemble()
	}
	l := s.lane(now, v.PayloadType)
	if l == nil {
		s.stats.Invalid++
		return
	}
	l.last = now
	l.take(v)
	s.serveAssembler(now)
}

// lane returns the lane of a payload type; nil when there are too many.
func (s *Source) lane(now time.Time, payloadType uint8) *lane {
	free := -1
	for i, l := range s.lanes {
		switch {
		case l != nil && l.payloadType == payloadType:
			return l
		case free < 0 && (l == nil || now.Sub(l.last) >= laneSilence):
			free = i
		}
	}
	if free < 0 {
		return nil
	}
	if former := s.lanes[free]; former != nil {
		former.retire()
	}
	l := &lane{source: s, payloadType: payloadType, prober: NewProber(s.opts.Payloads)}
	s.lanes[free] = l
	return l
}

// decided is told what a lane turned out to hold.
func (s *Source) decided(k Kind) {
	if k == KindUnknown {
		return
	}
	s.payload = k
	switch k {
	case KindPCMA, KindPCMU, KindG722, KindG723, KindG729:
		s.received.ClockRate = 8000
	case KindOpus:
		s.received.ClockRate = 48000
	default:
		s.received.ClockRate = media.FrameClock
	}
}

// frame takes a frame from a lane.
func (s *Source) frame(stream int, f *media.Frame) {
	s.stats.Frames++
	s.lastFrame = s.now
	s.assembler.Frame(s.now, stream, f)
}

// serveAssembler looks at the waits of the assembler.
func (s *Source) serveAssembler(now time.Time) {
	if s.assembler == nil || s.assembler.Running() {
		s.nextTick = time.Time{}
		return
	}
	if !now.Before(s.nextTick) {
		s.nextTick = now.Add(assemblerTick)
		s.assembler.Tick(now)
	}
}

// pauser is a writer that can be told that nothing comes for a while; *hub.Writer is one.
type pauser interface{ Pause() }

// wakeOrSleep looks whether anybody needs the frames. Only a source whose tracks are known may sleep: else nobody could ask for them.
func (s *Source) wakeOrSleep(now time.Time) {
	if s.opts.OnDemand == nil {
		return
	}
	switch needed := s.opts.OnDemand(); {
	case s.asleep && needed:
		s.asleep = false
		for _, l := range s.lanes {
			if l != nil {
				l.wake()
			}
		}
		s.assembler.Gap(now)
	case !s.asleep && !needed && s.writer != nil && s.assembler != nil && s.assembler.Running():
		s.asleep = true
		for _, l := range s.lanes {
			if l != nil {
				l.retire()
			}
		}
		if w, ok := s.writer.(pauser); ok {
			w.Pause()
		}
	}
}
