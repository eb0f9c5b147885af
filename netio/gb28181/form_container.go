package gb28181

import (
	"time"

	"berth/media"
	"berth/media/hub"
	"berth/media/remux"
)

const (
	// containerEpoch is the time of the first frame in a container, so that DTS of pictures that come before it in decoding order stay above zero.
	containerEpoch = media.Ticks(media.FrameClock)
	// alignSlack is how far tracks may be apart before they are lined up again. The stream's sender reports move by less than that at once.
	alignSlack = 10 * time.Millisecond
	// keylessPatience is how long a stream may go without a key frame before any picture counts as a beginning: some encoders refresh gradually and never send one.
	keylessPatience = 20 * time.Second
	// tsPacketBytes is the length of a transport stream packet; seven are what fits a network's packets.
	tsPacketBytes    = 188
	tsPayloadPackets = 7
	// slabBytes is how much memory is taken at once for payloads.
	slabBytes = 64 << 10
)

// muxer makes the bytes of a container, one frame at a time.
type muxer interface {
	Append(dst []byte, track int, f *media.Frame) []byte
}

// container makes a program or transport stream of a stream's packets: RTP to frames, frames to the container, and that cut into payloads.
type container struct {
	elementary
	mux     muxer
	payload int // bytes of one payload at most
	tracks  []containerTrack
	byHub   []int // by hub track: index in tracks, -1 for one that is left out
	lead    int   // index in tracks of the one that the others are lined up with
	hub     *hub.Hub

	arrived time.Time // of the chunk in work
	pts     media.Ticks
	work    media.Frame
	bytes   []byte // slab; what it holds is published and never written again

	video   bool
	hasKey  bool // a key frame has come
	keyed   bool // a beginning has come
	keyedAt time.Time
}

// containerTrack is one track of a container.
type containerTrack struct {
	hubTrack int
	clock    media.ClockRate
	unpack   *remux.Depacketizer
	// placed says that the track's place on the common time line is known, by rtp belonging to pts.
	placed bool
	rtp    uint32
	pts    media.Ticks
	// told says that it is known from a sender report, which said that rtp belongs to at.
	told bool
	at   time.Time
}

// chooseContainer picks the tracks of a container: all video and audio that have a place in it.
func (f *Form) chooseContainer() error {
	var video []int
	if !f.opts.OnlyAudio {
		video = f.wanted(media.KindVideo)
	}
	audio := f.wanted(media.KindAudio)
	if len(video)+len(audio) == 0 {
		return ErrNoTrack
	}
	c := &container{hub: f.hub, payload: f.opts.PayloadBytes, video: len(video) > 0}
	c.ring = &f.ring
	if f.opts.Kind == FormTS {
		c.payload = tsPacketBytes * min(max(f.opts.PayloadBytes/tsPacketBytes, 1), tsPayloadPackets)
	}
	var kept []*media.Track
	for _, i := range append(video, audio...) {
		t := f.hub.Tracks()[i]
		err := c.addTrack(f.opts.Kind, i, t)
		switch {
		case err == nil:
			f.tracks = append(f.tracks, i)
			kept = append(kept, t)
		case t.Kind == media.KindVideo:
			return err
		default:
			f.left = append(f.left, t.Codec.String())
		}
	}
	if len(kept) == 0 {
		return &CodecError{Kind: f.opts.Kind, Codec: f.left[0]}
	}
	c.byHub = make([]int, len(f.hub.Tracks()))
	for i := range c.byHub {
		c.byHub[i] = -1
	}
	for i, t := range c.tracks {
		c.byHub[t.hubTrack] = i
	}
	f.make, f.clock = c, media.FrameClock
	var err error
	c.mux, err = newMuxer(f.opts.Kind, kept)
	return err
}

// addTrack takes a track into the container.
func (c *container) addTrack(kind FormKind, hubTrack int, t *media.Track) error {
	if !carries(kind, t.Codec) {
		return &CodecError{Kind: kind, Codec: t.Codec.String()}
	}
	index := len(c.tracks)
	unpack, err := remux.NewDepacketizer(remux.DepacketizerOptions{Track: t, Emit: func(f *media.Frame) { c.frame(index, f) }})
	if err != nil {
		return &CodecError{Kind: kind, Codec: t.Codec.String(), Err: err}
	}
	c.tracks = append(c.tracks, containerTrack{hubTrack: hubTrack, clock: t.ClockRate, unpack: unpack})
	return nil
}

// begin lines the tracks up by what the stream tells a viewer who begins here.
func (c *container) begin(starts []hub.TrackStart) {
	for _, s := range starts {
		i := c.byHub[s.Track]
		if i >= 0 && (s.Known || c.hub.TrackStats(s.Track).Packets > 0) {
			c.tracks[i].place(s.RTPTime, containerEpoch)
		}
	}
	c.pts = containerEpoch
}

// place says which PTS belongs to an RTP timestamp.
func (t *containerTrack) place(rtp uint32, pts media.Ticks) {
	t.placed, t.rtp, t.pts = true, rtp, pts
	t.unpack.Align(rtp, pts)
}

// ptsOf returns the PTS of an RTP timestamp near those of late.
func (t *containerTrack) ptsOf(rtp uint32) media.Ticks {
	return t.pts + t.clock.Convert(media.TimestampDiff(rtp, t.rtp), media.FrameClock)
}

func (c *container) rtp(arrived time.Time, track int, pkt []byte) {
	t := &c.tracks[c.byHub[track]]
	if !t.placed { // nothing is known but that it comes now
		t.place(timestampOf(pkt), c.pts)
	}
	c.arrived = arrived
	t.unpack.Write(pkt)
}

// report follows a track's clock by the stream's sender reports. Time never goes back: a track that is behind pulls ahead, and from one that is ahead the others do.
func (c *container) report(track int, at time.Time, rtp uint32) {
	i := c.byHub[track]
	t := &c.tracks[i]
	if !t.placed {
		return
	}
	told := t.told
	t.rtp, t.pts = rtp, t.ptsOf(rtp) // the reference follows, so that differences stay far below half the circle
	t.told, t.at = true, at
	lead := &c.tracks[c.lead]
	if i == c.lead || !lead.told {
		return
	}
	off := lead.pts + media.FrameClock.Ticks(at.Sub(lead.at)) - t.pts
	slack := media.FrameClock.Ticks(alignSlack)
	switch {
	case told && off <= slack && off >= -slack:
	case off >= 0:
		t.place(t.rtp, t.pts+off)
	default:
		for j := range c.tracks {
			if o := &c.tracks[j]; j != i && o.placed {
				o.place(o.rtp, o.pts-off)
			}
		}
	}
}

func (*container) flush() {}

// frame puts a frame into the container and hands it to the senders.
func (c *container) frame(track int, f *media.Frame) {
	if track == c.lead {
		c.pts = f.PTS
	}
	key := c.beginning(f)
	c.work = *f
	c.work.Key = key || f.Codec.Kind() != media.KindVideo // where a receiver may begin it must be told what the streams are
	c.reserve(len(f.Payload) + len(f.Payload)/32 + 1024)
	room := c.bytes[len(c.bytes):]
	out := c.mux.Append(room, track, &c.work)
	if cap(room) >= len(out) {
		c.bytes = c.bytes[:len(c.bytes)+len(out)]
	}
	c.unit.timestamp, c.unit.arrived, c.unit.key = uint32(f.DTS), c.arrived, key
	for len(out) > 0 {
		n := min(c.payload, len(out))
		c.elementary.add(out[:n:n], n == len(out))
		out = out[n:]
	}
	c.publish()
}

// beginning says whether a receiver may begin with a frame.
func (c *container) beginning(f *media.Frame) bool {
	switch {
	case !c.video:
		return true
	case f.Codec.Kind() != media.KindVideo:
		return false
	case f.Key:
		c.hasKey = true
	case c.keyed && (c.hasKey || c.arrived.Sub(c.keyedAt) < keylessPatience):
		return false
	}
	c.keyed, c.keyedAt = true, c.arrived
	return true
}

// reserve makes sure that so many bytes can be appended to the slab.
func (c *container) reserve(n int) {
	if cap(c.bytes)-len(c.bytes) < n {
		c.bytes = make([]byte, 0, max(slabBytes, n))
	}
}
