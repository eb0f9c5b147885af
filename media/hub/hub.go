package hub

import (
	"time"

	"berth/media"
)

// Waker hears about published chunks.
type Waker interface {
	// Wake is called after every published chunk, by the writer's goroutine and inside the hub's lock: it must not block and must not call back into the hub. urgent is false when nothing but
	// packets that may wait a few milliseconds for the next picture has been published.
	Wake(urgent bool)
}

// Hub is one stream's packets. See the package comment for who may call what.
type Hub struct {
	tracks []*media.Track
}

// New makes a hub for tracks, at most 64. The slice must not be changed afterwards.
func New(tracks []*media.Track, opts Options) *Hub {
	return &Hub{tracks: tracks}
}

// Tracks returns the tracks that viewers are told of, in the order of their canonical channels. It is not to be changed.
func (h *Hub) Tracks() []*media.Track { return h.tracks }

// SSRC returns the SSRC that the hub gives to the packets of a track (RFC 2326 section 12.39, parameter ssrc).
func (h *Hub) SSRC(track int) uint32 { return 0 }

// Attach makes a publisher the hub's only one; a former Writer is dead from then on. sources are the publisher's tracks; a nil element is a track that is not wanted.
// The result maps each source to the hub's track that it continues, -1 for an unwanted one. Every track of the hub must be continued by exactly one compatible source (see
// [media.Compatible]), else the error is ErrTracks and the former writer stays. On a closed hub the error is ErrDetached.
func (h *Hub) Attach(sources []*media.Track) (*Writer, []int, error) { return nil, nil, nil }

// NewReader makes a cursor that begins at the newest key frame, or waits for the next one.
func (h *Hub) NewReader(opts ReaderOptions) *Reader { return nil }

// Subscribe registers a waker. A waker that is registered twice is called twice.
func (h *Hub) Subscribe(w Waker) {}

// Unsubscribe removes a waker once. After it returns the waker is not called any more.
func (h *Hub) Unsubscribe(w Waker) {}

// Close ends the stream: the writer is detached, readers get what is left and then [StateClosed]. It may be called again.
func (h *Hub) Close() {}

// Stats returns the stream's counters.
func (h *Hub) Stats() Stats { return Stats{} }

// TrackStats returns a track's counters.
func (h *Hub) TrackStats(track int) TrackStats { return TrackStats{} }

// Writer is one publisher's access to a hub.
type Writer struct{ hub *Hub }

// WriteRTP takes one whole RTP packet of a track of the hub. pkt may be reused after the return. The packet is dropped, counted and answered with ErrPacket when it cannot be passed on;
// duplicates, late ones and packets of another payload type are dropped and counted without an error. After the end of the writer the error is ErrDetached.
func (w *Writer) WriteRTP(track int, now time.Time, pkt []byte) error { return nil }

// WriteRTCP takes a compound RTCP packet from the source of a track and learns from its sender reports. Anything else is ignored.
func (w *Writer) WriteRTCP(track int, now time.Time, pkt []byte) {}

// Flush publishes an unfinished access unit whose first packet came before now minus HoldTime. Owners call it from a timer so that a source which stops inside a picture, or never
// sets marker bits, does not keep the last packets from the viewers.
func (w *Writer) Flush(now time.Time) {}

// Close ends this publisher's role; readers stay. It may be called again and after a newer Attach.
func (w *Writer) Close() {}
