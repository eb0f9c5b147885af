package camera

import (
	"math/rand/v2"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
)

// Tracks says what a camera announces and sends.
type Tracks int

// The sets of tracks that exist.
const (
	TracksBoth      Tracks = iota // H.264 and AAC
	TracksVideoOnly               // H.264
	TracksAudioOnly               // AAC
	// TracksOdd is H.264, audio of a private payload format that no receiver understands ("X-BERTH/48000"), a metadata track of media type
	// application, and a back channel (shown to clients that ask for back channels).
	TracksOdd
)

// Dynamic payload types (RFC 3551 section 6).
const (
	videoPayload    = 96
	audioPayload    = 97
	metadataPayload = 98
)

// feed is one announced set of tracks with its readers: gortsplib's stream and the counters of what goes into it.
type feed struct {
	stream *gortsplib.ServerStream
	tracks [clipTracks]feedTrack // owned by the goroutine that plays
}

type feedTrack struct {
	media   *description.Media // nil: not part of this feed
	payload uint8
	seq     uint16
	offset  uint32 // of the RTP timestamps (RFC 3550 section 5.1: random)
}

func newFeed(server *gortsplib.Server, c *clip, tracks Tracks) (*feed, error) {
	video := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{
		&format.H264{PayloadTyp: videoPayload, SPS: c.sps, PPS: c.pps, PacketizationMode: 1},
	}}
	audio := &description.Media{Type: description.MediaTypeAudio, Formats: []format.Format{
		&format.MPEG4Audio{PayloadTyp: audioPayload, Config: c.audio, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3},
	}}
	desc := &description.Session{Title: "camera"}
	switch tracks {
	case TracksVideoOnly:
		audio = nil
	case TracksAudioOnly:
		video = nil
	case TracksOdd:
		private := &format.Generic{PayloadTyp: audioPayload, RTPMa: "X-BERTH/48000"}
		if err := private.Init(); err != nil {
			return nil, err
		}
		audio = &description.Media{Type: description.MediaTypeAudio, Formats: []format.Format{private}}
		metadata := &format.Generic{PayloadTyp: metadataPayload, RTPMa: "vnd.onvif.metadata/90000"}
		if err := metadata.Init(); err != nil {
			return nil, err
		}
		desc.Medias = append(desc.Medias,
			&description.Media{Type: description.MediaTypeApplication, Formats: []format.Format{metadata}},
			&description.Media{Type: description.MediaTypeAudio, IsBackChannel: true, Formats: []format.Format{
				&format.G711{PayloadTyp: 0, MULaw: true, SampleRate: 8000, ChannelCount: 1},
			}})
	case TracksBoth:
	}
	f := &feed{}
	for i, medi := range [clipTracks]*description.Media{clipVideo: video, clipAudio: audio} {
		if medi == nil {
			continue
		}
		desc.Medias = append(desc.Medias, medi)
		f.tracks[i] = feedTrack{media: medi, payload: medi.Formats[0].PayloadType(), seq: uint16(rand.Uint32()), offset: rand.Uint32()}
	}
	f.stream = &gortsplib.ServerStream{Server: server, Desc: desc}
	if err := f.stream.Initialize(); err != nil {
		return nil, err
	}
	return f, nil
}

// send writes the packets of one step; ticks is the time in the track's clock since the camera started.
func (f *feed) send(s *step, ticks uint32) {
	t := &f.tracks[s.track]
	if t.media == nil {
		return
	}
	for _, p := range s.packets {
		out := *p
		out.PayloadType, out.SequenceNumber, out.Timestamp = t.payload, t.seq, t.offset+ticks
		t.seq++
		// A reader that cannot be written to is the server's business, and a feed that is closed has none.
		_ = f.stream.WritePacketRTP(t.media, &out)
	}
}
