package hub

import "time"

// Stats are a stream's counters since the hub was made.
type Stats struct {
	Packets    uint64    // RTP packets taken in
	Bytes      uint64    // bytes of these, RTP headers included
	Chunks     uint64    // chunks published
	Dropped    uint64    // packets not passed on: invalid, late, duplicate, of another payload type
	Lost       uint64    // packets that the source sent, by its sequence numbers, but which never came
	Restarts   uint64    // times the stream was continued after a gap: new publisher, new SSRC, jump in sequence or time
	RingChunks int       // chunks held now
	RingBytes  int64     // bytes held now
	LastPacket time.Time // arrival of the last packet; zero before the first
}

// TrackStats are a track's counters since the hub was made.
type TrackStats struct {
	Packets     uint64
	Bytes       uint64
	Frames      uint64        // access units of video, packets of audio
	KeyFrames   uint64        // random access points; 0 for audio
	GOPSize     int           // frames from the last key frame but one to the last; 0 while unknown
	GOPInterval time.Duration // the time between these; 0 while unknown
	FPS         float64       // frames a second, over the last second or two; 0 while unknown
	Dropped     uint64        // as in Stats
	Lost        uint64        // as in Stats
	LossPercent float64       // share of packets lost in the last 5 seconds, 0-100; -1 while unknown
	Jitter      time.Duration // interarrival jitter (RFC 3550 section 6.4.1)
	LastPacket  time.Time     // zero before the first
}

// ReaderStats are a reader's counters.
type ReaderStats struct {
	Bytes   uint64 // returned by Next, wanted tracks only, interleaved headers included
	Packets uint64 // returned by Next, wanted tracks only
	Dropped uint64 // packets skipped by jumps, all tracks
	Jumps   uint64 // times the reader was moved to a key frame because it was too slow or the stream had a gap
	Lag     uint64 // packets published but not yet returned
}
