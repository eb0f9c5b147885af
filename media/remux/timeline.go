package remux

import (
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"berth/media"
)

// Bounds of what timestamps can mean, in media.FrameClock where they are ticks.
const (
	maxForward     = 3 * media.Ticks(media.FrameClock) // a step of so much more than has passed is a jump
	maxBack        = 1 * media.Ticks(media.FrameClock) // a step back beyond this is a jump; less is a picture that is shown before its predecessor
	maxReorderTime = 2 * media.Ticks(media.FrameClock) // no picture is decoded so long before it is shown
	firstStep      = media.Ticks(media.FrameClock) / 25
	sampleSlack    = 50 // audio follows its timestamps when it is off by more than 1/50 s
	gapSlack       = 2  // and at once when by more than 1/2 s
)

// trackClock maps the times of one elementary stream to media time, which is zero at the first frame of all. A source has one clock for all of its streams as a rule, and then they have
// one offset; one whose clock is another is lined up by arrival.
type trackClock struct {
	started bool
	offset  media.Ticks // to be added to the source's time
	source  media.Ticks // decoding time of the latest frame, as the source said
	at      time.Time   // its arrival
	out     media.Ticks // its media time
	step    media.Ticks // between the latest two frames
	frozen  bool        // the source's time did not move at the latest frame

	saidPTS, saidDTS media.Ticks // of the latest frame

	// audio, in the clock of the track
	next    media.Ticks // where the samples so far end
	samples bool        // next is known
	off     media.Ticks // how far behind its timestamp the latest frame was placed
}

// place returns the time of a frame in its track's clock, for the RTP timestamp: that of its output for video, that of its first sample for audio.
func (a *Assembler) place(now time.Time, e *elementary, f *media.Frame) media.Ticks {
	dts := e.clock.decoding(f)
	expected := a.expected(now, e)
	out := a.follow(now, e, dts, expected)
	rate := e.pack.opts.Track.ClockRate
	if f.Codec.Kind() == media.KindAudio {
		at := e.clock.sound(media.FrameClock.Convert(out, rate), rate, frameDuration(f, rate), media.FrameClock.Convert(expected, rate))
		e.clock.out = rate.Convert(at, media.FrameClock)
		return at
	}
	return media.FrameClock.Convert(out+f.PTS-dts, rate)
}

// decoding returns the DTS of a frame where it makes sense, its PTS else.
func (c *trackClock) decoding(f *media.Frame) media.Ticks {
	stands := c.started && f.DTS == c.saidDTS && f.PTS != c.saidPTS
	c.saidPTS, c.saidDTS = f.PTS, f.DTS
	if stands || f.DTS > f.PTS || f.PTS-f.DTS > maxReorderTime {
		return f.PTS
	}
	return f.DTS
}

// follow returns the media time of a frame that the source places at dts and arrival at expected.
func (a *Assembler) follow(now time.Time, e *elementary, dts, expected media.Ticks) media.Ticks {
	c := &e.clock
	out := dts + c.offset
	switch {
	case !c.started:
		c.offset = a.align(e, dts, expected)
		out = dts + c.offset
		c.step = firstStep
	case dts == c.source:
		// Devices that set no timestamps at all, or the same for all of audio: arrival has to do.
		out = max(expected, c.out+1)
	case out-c.out > max(expected-c.out, 0)+maxForward || c.out-out > maxBack:
		a.stats.Restarts++
		c.offset = a.align(e, dts, expected)
		out = dts + c.offset
		c.samples = false
	}
	c.frozen = c.started && dts == c.source
	if step := out - c.out; c.started && step > 0 && step < maxBack {
		c.step = step
	}
	c.started, c.source, c.at, c.out = true, dts, now, out
	return out
}

// expected returns the media time that a frame which comes now should have by the passing of time alone: since the stream's own latest frame, or another's while it has none or no usable
// timestamps.
func (a *Assembler) expected(now time.Time, e *elementary) media.Ticks {
	c := &e.clock
	other := a.sibling(e)
	if other != nil && (!c.started || c.frozen && !other.frozen) {
		since := other.out + media.FrameClock.Ticks(now.Sub(other.at))
		if !c.started || since > c.out {
			return since
		}
	}
	if !c.started {
		return 0
	}
	return c.out + max(media.FrameClock.Ticks(now.Sub(c.at)), 0)
}

// sibling returns the clock of the other track, nil while it has not begun.
func (a *Assembler) sibling(e *elementary) *trackClock {
	for _, o := range a.offer {
		if o != e && o.clock.started {
			return &o.clock
		}
	}
	return nil
}

// align returns the offset for a stream that begins, or jumps, at dts: that of the other track if it fits, so that both stay lined up as the source means them; else one by
// which it goes on where arrival says.
func (a *Assembler) align(e *elementary, dts, expected media.Ticks) media.Ticks {
	c := &e.clock
	if c.started {
		expected = max(expected, c.out+c.step)
	}
	if other := a.sibling(e); other != nil {
		out := dts + other.offset
		if off := out - expected; off <= maxForward && off >= -maxForward && (!c.started || out > c.out) {
			return other.offset
		}
	}
	return expected - dts
}

// sound places a frame of audio whose timestamp says at, in the track's clock, and which lasts so long; 0 when that is not known. Audio is contiguous: rounding and unsteady timestamps do
// not show, clocks that differ are followed slowly, holes at once. expected is its time by arrival, in the same clock.
func (c *trackClock) sound(at media.Ticks, rate media.ClockRate, lasts, expected media.Ticks) media.Ticks {
	if lasts <= 0 {
		if c.samples {
			at = max(at, c.next)
		}
		c.next, c.samples, c.off = at+1, true, 0
		return at
	}
	if !c.samples {
		c.next, c.samples, c.off = at+lasts, true, 0
		return at
	}
	slack, gap := media.Ticks(rate)/sampleSlack, media.Ticks(rate)/gapSlack
	off := at - c.next
	switch {
	case c.frozen && expected-c.next > gap:
		at = expected // samples are counted; arrival tells only of what has been lost
	case c.frozen:
		at = c.next
	case off >= gap || off >= lasts*3/4 && wholeFrames(off-c.off, lasts):
	case off <= -gap:
		c.offset -= rate.Convert(off, media.FrameClock)
		at, off = c.next, 0
	case off > slack:
		at = c.next + min(off, lasts/16)
	case off < -slack:
		at = c.next + max(off, -lasts/16)
	default:
		at = c.next
	}
	if c.off = c.next + off - at; c.frozen {
		c.off = 0
	}
	c.next = at + lasts
	return at
}

// wholeFrames reports whether a sudden step is as long as one or more frames: these are missing.
func wholeFrames(step, lasts media.Ticks) bool {
	n := (step + lasts/2) / lasts
	off := step - n*lasts
	return n > 0 && off <= lasts/8 && off >= -lasts/8
}

// frameDuration is how long a frame of audio lasts in ticks of the track's clock; 0 when that cannot be told.
func frameDuration(f *media.Frame, rate media.ClockRate) media.Ticks {
	n := len(f.Payload)
	switch f.Codec {
	case media.CodecPCMA, media.CodecPCMU, media.CodecG722:
		return media.Ticks(n) // one tick a byte (RFC 3551 sections 4.5.2 and 4.5.14)
	case media.CodecAAC:
		if f.Config == nil || f.Config.SampleRate <= 0 {
			return 0
		}
		return media.Ticks(frameSamples(f.Config)) * media.Ticks(rate) / media.Ticks(f.Config.SampleRate)
	case media.CodecOpus:
		return media.Ticks(opus.PacketDuration2(f.Payload))
	case media.CodecMP3, media.CodecMPA:
		var h mpeg1audio.FrameHeader
		if h.Unmarshal(f.Payload) != nil || mpegFrameSize(&h) != n {
			return 0
		}
		return media.Ticks(h.SampleCount()) * media.Ticks(rate) / media.Ticks(h.SampleRate)
	case media.CodecG729:
		return media.Ticks(n / 10 * 80)
	case media.CodecG728:
		return media.Ticks(n * 4) // 5 bits for 5 samples, 4 of them in 20 bits (RFC 3551 section 4.5.7)
	case media.CodecG723:
		return 240
	}
	return 0
}
