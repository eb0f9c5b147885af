package gb28181

import (
	"berth/media"
	"berth/media/mpegps"
	"berth/media/mpegts"
)

// carries reports whether a codec has a place in a container.
func carries(kind FormKind, codec media.Codec) bool {
	if kind == FormTS {
		return mpegts.Carries(codec)
	}
	return mpegps.Carries(codec)
}

// newMuxer makes the muxer of a container.
func newMuxer(kind FormKind, tracks []*media.Track) (muxer, error) {
	if kind == FormTS {
		return mpegts.NewMuxer(mpegts.MuxerOptions{Tracks: tracks})
	}
	return mpegps.NewMuxer(mpegps.MuxerOptions{Tracks: tracks}), nil
}
