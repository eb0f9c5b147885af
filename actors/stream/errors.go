package stream

import "errors"

// Errors that an answer of a stream can carry.
var (
	// ErrExists refuses a publisher while another one is live.
	//lint:ignore ST1005 ZLMediaKit's text, which its clients compare
	ErrExists = errors.New("This stream already exists")
	// ErrNoTracks refuses a publisher none of whose tracks is kept.
	ErrNoTracks = errors.New("no track to publish: the source has none, or audio only while protocol.enable_audio is off")
	// ErrTooManyTracks refuses a publisher with more tracks than a stream can have.
	ErrTooManyTracks = errors.New("too many tracks: a stream has at most 64")
	// ErrEnded answers a viewer that came when the stream was over.
	ErrEnded = errors.New("the stream has ended")
	// ErrNotReader answers [OpenUDP] from an actor that is no viewer of the stream.
	ErrNotReader = errors.New("not a viewer of this stream")
	// ErrTrack answers [OpenUDP] for a track that the stream does not have.
	ErrTrack = errors.New("the stream has no such track")
	// ErrCrashed refuses a publisher whose stream failed before it could answer.
	ErrCrashed = errors.New("the stream failed; publish again")
)
