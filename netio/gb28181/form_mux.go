package gb28181

import (
	"errors"

	"berth/media"
)

// carries reports whether a codec has a place in a container.
func carries(kind FormKind, codec media.Codec) bool {
	return false
}

// newMuxer makes the muxer of a container.
func newMuxer(kind FormKind, tracks []*media.Track) (muxer, error) {
	return nil, errors.ErrUnsupported
}
