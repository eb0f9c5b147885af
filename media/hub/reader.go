package hub

// Policy says what happens to a reader that has fallen off the tail of the ring.
type Policy uint8

// Policies.
const (
	PolicyJump  Policy = iota // it continues at the newest key frame
	PolicyClose               // it gets StateBehind for good
)

// State is the second result of [Reader.Next].
type State uint8

// States of a reader.
const (
	StateReady  State = iota // a chunk has been returned
	StateWait                // nothing is due; a Waker will be called
	StateBehind              // fell too far behind under PolicyClose; nothing more will come
	StateClosed              // the stream has ended and everything has been returned
)

// ReaderOptions sets up a reader.
type ReaderOptions struct {
	// Tracks are the hub tracks that are wanted; nil means all. Chunks without any of them are skipped; packets of others
	// inside a chunk must be skipped by the caller (see Reader.Wants).
	Tracks []int
	// Policy says what happens when the reader is too slow. Default PolicyJump.
	Policy Policy
}

// Reader is one viewer's cursor. Next belongs to one goroutine at a time, everything else may be called from anywhere.
type Reader struct{ hub *Hub }

// TrackStart says where a track begins for a viewer, in the terms of RFC 2326 section 12.33 (RTP-Info).
type TrackStart struct {
	Track   int
	Seq     uint16 // sequence number of the first packet the reader will return
	RTPTime uint32 // timestamp of the instant at which the viewer begins, the same instant for all tracks
	Known   bool   // false when nothing of the track has been published yet; Seq and RTPTime are then estimates
}

// Hub returns the hub that is read.
func (r *Reader) Hub() *Hub { return r.hub }

// Next returns the next chunk, or why there is none. It never blocks.
func (r *Reader) Next() (*Chunk, State) { return nil, StateWait }

// Wants reports whether the reader asked for a track.
func (r *Reader) Wants(track int) bool { return true }

// All reports whether the reader asked for every track, so that chunks can be sent as they are.
func (r *Reader) All() bool { return true }

// Start returns, for each wanted track, where the reader will begin if Next is called now.
func (r *Reader) Start() []TrackStart { return nil }

// Stats returns the reader's counters.
func (r *Reader) Stats() ReaderStats { return ReaderStats{} }
