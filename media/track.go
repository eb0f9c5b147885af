package media

import (
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
)

// ErrNoFormat is returned by [NewTrack] when it is given no format.
var ErrNoFormat = errors.New("a track needs a format that says how its packets are packed")

// Track says what one track of a stream is and how it is packed in RTP. It is made by [NewTrack] and never changes; the
// formats and parameter sets it refers to must not be changed either.
type Track struct {
	Kind      Kind
	Codec     Codec
	ClockRate ClockRate     // of RTP timestamps
	Format    format.Format // how the payload is packed in RTP, with its payload type and fmtp

	Width  int     // pixels, 0 when unknown or not video
	Height int     // pixels, 0 when unknown or not video
	FPS    float64 // pictures a second as the parameter sets claim, 0 when they do not say

	SampleRate int // Hz, 0 when unknown or not audio
	Channels   int // 0 when unknown or not audio
	SampleBits int // bits of a decoded sample, 0 when not audio
}

// NewTrack derives a track from a format. A format that nobody here understands gives a track with CodecUnknown, which is passed
// through as it is; its kind is guessed from its encoding name. Parameter sets that do not parse are left to the player: they cost the picture size, not the track.
// The only errors are a missing format and one whose required description is missing.
func NewTrack(f format.Format) (*Track, error) {
	return newTrack(f, nil)
}

// NewTrackOfKind is [NewTrack] for a caller who knows the kind, for instance from the media line of an SDP. A codec whose kind is known keeps its own.
func NewTrackOfKind(kind Kind, f format.Format) (*Track, error) {
	return newTrack(f, &kind)
}

func newTrack(f format.Format, kind *Kind) (*Track, error) {
	if f == nil {
		return nil, ErrNoFormat
	}
	t := &Track{Format: f, Codec: CodecUnknown, Kind: KindOther}
	if err := t.derive(); err != nil {
		return nil, fmt.Errorf("describe track: %w", err)
	}
	if t.Codec != CodecUnknown {
		t.Kind = t.Codec.Kind()
	}
	if kind != nil && (t.Codec == CodecUnknown || t.Kind == KindOther) {
		t.Kind = *kind
	}
	return t, nil
}

// PayloadType returns the RTP payload type of the track's packets.
func (t *Track) PayloadType() uint8 { return t.Format.PayloadType() }
