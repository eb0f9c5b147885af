package rtsp

import (
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"

	"berth/media"
)

// maxPullTracks is how many tracks a source may have. Over UDP each costs a pair of ports, so that a source that describes a thousand would take them all.
const maxPullTracks = 64

// pullTrack is one described track that can be played.
type pullTrack struct {
	media  *description.Media // as the library sets it up
	format format.Format      // the one of its formats that is taken
	track  *media.Track
}

// pullTracks chooses what of an SDP (RFC 8866) is played: audio and video towards us, one format each. Back channels, metadata and formats that
// cannot be described are left out.
func pullTracks(desc *description.Session) []pullTrack {
	var tracks []pullTrack
	for _, m := range desc.Medias {
		var kind media.Kind
		switch m.Type {
		case description.MediaTypeVideo:
			kind = media.KindVideo
		case description.MediaTypeAudio:
			kind = media.KindAudio
		default:
			continue
		}
		if m.IsBackChannel {
			continue
		}
		if t, ok := choosePullFormat(m, kind); ok {
			tracks = append(tracks, t)
		}
	}
	return tracks
}

// choosePullFormat takes the first format that is understood, else the first that can be passed through.
func choosePullFormat(m *description.Media, kind media.Kind) (pullTrack, bool) {
	var chosen *media.Track
	for _, f := range m.Formats {
		t, err := media.NewTrackOfKind(kind, f)
		if err != nil {
			continue
		}
		if chosen == nil || (chosen.Codec == media.CodecUnknown && t.Codec != media.CodecUnknown) {
			chosen = t
		}
	}
	if chosen == nil {
		return pullTrack{}, false
	}
	setup := *m
	setup.Formats = []format.Format{libraryFormat(chosen.Format)}
	return pullTrack{media: &setup, format: setup.Formats[0], track: chosen}, true
}

// libraryFormat returns what the library is told. It refuses H.264 over UDP without packetization-mode, because single NAL units may not fit into datagrams (RFC 6184
// section 6.2); but cameras that do not write the parameter fragment all the same.
func libraryFormat(f format.Format) format.Format {
	if h264, ok := f.(*format.H264); ok && h264.PacketizationMode == 0 {
		return &format.H264{PayloadTyp: h264.PayloadTyp, SPS: h264.SPS, PPS: h264.PPS, PacketizationMode: 1}
	}
	return f
}

// samePullTracks reports whether a source that is asked again still offers what it did.
func samePullTracks(a, b []pullTrack) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !media.Compatible(a[i].track, b[i].track) {
			return false
		}
	}
	return true
}
