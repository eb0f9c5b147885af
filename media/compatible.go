package media

import (
	"bytes"
	"maps"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
)

// Compatible reports whether packets of b can continue a track that viewers know as a: the same codec, clock and packing, and no parameter set that differs.
// Payload types may differ, they are rewritten. A side that does not tell its parameter sets (they come in the stream) does not contradict the other.
func Compatible(a, b *Track) bool {
	if a.Kind != b.Kind || a.Codec != b.Codec || a.ClockRate != b.ClockRate || a.SampleRate != b.SampleRate || a.Channels != b.Channels {
		return false
	}
	switch fa := a.Format.(type) {
	case *format.H264:
		fb, ok := b.Format.(*format.H264)
		return ok && packingH264(fa) == packingH264(fb) && agree(fa.SPS, fb.SPS) && agree(fa.PPS, fb.PPS)
	case *format.H265:
		fb, ok := b.Format.(*format.H265)
		return ok && (fa.MaxDONDiff > 0) == (fb.MaxDONDiff > 0) && agree(fa.VPS, fb.VPS) && agree(fa.SPS, fb.SPS) && agree(fa.PPS, fb.PPS)
	case *format.Opus:
		_, ok := b.Format.(*format.Opus)
		return ok
	}
	return a.Format.RTPMap() == b.Format.RTPMap() && maps.Equal(a.Format.FMTP(), b.Format.FMTP())
}

// packingH264 tells interleaved packing from the rest; modes 0 and 1 differ in what a sender may do, not in how a receiver reads (RFC 6184 section 6).
func packingH264(f *format.H264) bool { return f.PacketizationMode == 2 }

func agree(a, b []byte) bool { return len(a) == 0 || len(b) == 0 || bytes.Equal(a, b) }
