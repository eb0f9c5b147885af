package gb28181

import (
	"berth/media"
	"berth/media/mpegps"
)

// carries reports whether a codec has a place in a container.
func carries(kind FormKind, codec media.Codec) bool {
	return kind == FormPS && mpegps.Carries(codec)
}

// newMuxer makes the muxer of a container.
func newMuxer(kind FormKind, tracks []*media.Track) muxer {
	return mpegps.NewMuxer(mpegps.MuxerOptions{Tracks: tracks})
}
