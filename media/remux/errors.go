package remux

import "errors"

// Errors of the constructors.
var (
	// ErrCodec says that nobody here knows how frames of this codec are packed in RTP. Between two sides that speak RTP it passes as it is.
	ErrCodec = errors.New("no frames can be made of this codec")
	// ErrInterleaved says that a track sends its NAL units in another order than they are decoded in (packetization-mode 2 of RFC 6184), which nothing in use does.
	ErrInterleaved = errors.New("interleaved packing of H.264 (packetization-mode=2) is not supported: set the source to packetization-mode 1")
)
