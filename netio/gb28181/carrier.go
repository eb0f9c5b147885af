package gb28181

import (
	"encoding/binary"

	"berth/media"
	"berth/media/mpegps"
	"berth/media/mpegts"
	"berth/media/pes"
	"berth/media/remux"
)

// carrier takes frames out of the packets of one payload type.
type carrier interface {
	// packet takes the next one; it may change its bytes.
	packet(v *rtpView)
	// gap says that packets are missing here.
	gap()
	// counters returns the access units given up and the bytes passed over.
	counters() (damaged, skipped uint64)
}

// frameSink is where a carrier's frames go.
type frameSink interface {
	frame(stream int, f *media.Frame)
	announce(streams []remux.Elementary)
}

// newCarrier makes the carrier of a kind; nil for a kind that nobody understands. buffers may be nil.
func newCarrier(k Kind, to frameSink, buffers *pes.Buffers) carrier {
	switch k {
	case KindPS, KindEhome:
		c := &programCarrier{to: to, demuxer: mpegps.NewDemuxer(mpegps.Options{Emit: to.frame, Buffers: buffers})}
		if k == KindEhome {
			c.ehome = &Ehome{}
		}
		return c
	case KindTS:
		return &transportCarrier{to: to, demuxer: mpegts.NewDemuxer(mpegts.Options{Emit: to.frame, Buffers: buffers})}
	case KindUnknown:
		return nil
	}
	c := &elementaryCarrier{}
	d, err := remux.NewDepacketizer(remux.DepacketizerOptions{
		Codec:       k.Codec(),
		Emit:        func(f *media.Frame) { to.frame(0, f) },
		KeyPatience: -1, // the Assembler sees to it
	})
	if err != nil {
		return nil
	}
	c.depacketizer = d
	return c
}

// programCarrier takes a program stream apart.
type programCarrier struct {
	to      frameSink
	demuxer *mpegps.Demuxer
	ehome   *Ehome // nil without the private byte
	version uint64 // of the streams that were announced
	list    []remux.Elementary
}

func (c *programCarrier) packet(v *rtpView) {
	payload := v.Payload
	if c.ehome != nil {
		payload = c.ehome.Unwrap(payload)
	}
	c.demuxer.Write(payload)
	if v.Marker {
		c.demuxer.Mark()
	}
	if n := c.demuxer.Version(); n != c.version {
		c.version = n
		c.announce()
	}
}

// announce tells of what a map has named. What was only seen is no announcement.
func (c *programCarrier) announce() {
	c.list = c.list[:0]
	for _, e := range c.demuxer.Streams() {
		if e.Type != 0 {
			c.list = append(c.list, remux.Elementary{ID: e.ID, Codec: e.Codec})
		}
	}
	if len(c.list) > 0 {
		c.to.announce(c.list)
	}
}

func (c *programCarrier) gap() { c.demuxer.Gap() }

func (c *programCarrier) counters() (damaged, skipped uint64) {
	s := c.demuxer.Stats()
	return s.Damaged + s.Oversize, s.Skipped
}

// transportCarrier takes a transport stream apart.
type transportCarrier struct {
	to      frameSink
	demuxer *mpegts.Demuxer
	version uint64 // of the streams that were announced
	list    []remux.Elementary
}

func (c *transportCarrier) packet(v *rtpView) {
	c.demuxer.Write(v.Payload)
	if v.Marker {
		c.demuxer.Mark()
	}
	if n := c.demuxer.Version(); n != c.version {
		c.version = n
		c.list = c.list[:0]
		for _, e := range c.demuxer.Streams() {
			c.list = append(c.list, remux.Elementary{ID: e.ID, Codec: e.Codec})
		}
		c.to.announce(c.list)
	}
}

func (c *transportCarrier) gap() { c.demuxer.Gap() }

func (c *transportCarrier) counters() (damaged, skipped uint64) {
	s := c.demuxer.Stats()
	return s.Damaged + s.Oversize, s.Skipped
}

// elementaryCarrier takes an elementary stream out of its RTP payloads. The sequence numbers are its own: other payload types take some of the source's.
type elementaryCarrier struct {
	depacketizer *remux.Depacketizer
	seq          uint16
}

func (c *elementaryCarrier) packet(v *rtpView) {
	c.seq++
	binary.BigEndian.PutUint16(v.whole[2:], c.seq)
	c.depacketizer.Write(v.whole)
}

func (c *elementaryCarrier) gap() { c.depacketizer.Gap() }

func (c *elementaryCarrier) counters() (damaged, skipped uint64) {
	s := c.depacketizer.Stats()
	return s.Damaged + s.Invalid, 0
}
