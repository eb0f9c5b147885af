package rtsp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/sdpunmarshaler"
	"github.com/pion/sdp/v3"

	"berth/media"
)

const (
	maxAnnouncedMedias  = 16 // media lines of one ANNOUNCE
	maxAnnouncedFormats = 32 // payload types of one media line that are looked at
)

// Describe writes the SDP of a stream for viewers (RFC 8866, RFC 2326 C.1). Track i has the control `trackID=i`, relative to Content-Base. ipv6 says
// which family's unspecified address stands in the connection line; the real addresses are agreed in SETUP.
func Describe(name string, tracks []*media.Track, ipv6 bool) []byte {
	origin, anywhere := "IN IP4 127.0.0.1", "IN IP4 0.0.0.0"
	if ipv6 {
		origin, anywhere = "IN IP6 ::1", "IN IP6 ::"
	}
	if name == "" || hasControl(name) {
		name = "-"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=- 0 0 %s\r\ns=%s\r\nc=%s\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n", origin, name, anywhere)
	for i, t := range tracks {
		pt := t.Format.PayloadType()
		fmt.Fprintf(&b, "m=%s 0 RTP/AVP %d\r\n", t.Kind, pt)
		if m := t.Format.RTPMap(); m != "" {
			fmt.Fprintf(&b, "a=rtpmap:%d %s\r\n", pt, m)
		}
		if fmtp := t.Format.FMTP(); len(fmtp) > 0 {
			params := make([]string, 0, len(fmtp))
			for _, k := range slices.Sorted(maps.Keys(fmtp)) {
				params = append(params, k+"="+fmtp[k])
			}
			fmt.Fprintf(&b, "a=fmtp:%d %s\r\n", pt, strings.Join(params, "; "))
		}
		fmt.Fprintf(&b, "a=control:%s%d\r\n", trackControl, i)
	}
	return []byte(b.String())
}

// Announcement is what a publisher announced, reduced to what the server takes.
type Announcement struct {
	Tracks   []*media.Track
	Controls []string // a=control of every media line, "" where it has none
	// Media maps media lines to Tracks, -1 for a line that is not taken.
	Media []int
	// Dropped counts payload types that were announced beside the one that was taken.
	Dropped int
}

// ParseAnnouncement reads the SDP of an ANNOUNCE. Of several payload types in a media line the first one that is understood is taken, else the
// first one that can at least be passed through. It fails when the SDP cannot be read, and with [ErrNoTrack] when no media line
// can be taken.
func ParseAnnouncement(body []byte) (*Announcement, error) {
	desc, err := sdpunmarshaler.Unmarshal(body)
	if err != nil {
		return nil, fmt.Errorf("the SDP cannot be read: %w", err)
	}
	switch n := len(desc.MediaDescriptions); {
	case n == 0:
		return nil, ErrNoTrack
	case n > maxAnnouncedMedias:
		return nil, fmt.Errorf("the SDP has %d media lines, at most %d are taken", n, maxAnnouncedMedias)
	}
	a := &Announcement{}
	for _, m := range desc.MediaDescriptions {
		control, _ := m.Attribute("control")
		a.Controls = append(a.Controls, control)
		track, dropped := announcedFormat(m)
		a.Dropped += dropped
		if track == nil {
			a.Media = append(a.Media, -1)
			continue
		}
		a.Media = append(a.Media, len(a.Tracks))
		a.Tracks = append(a.Tracks, track)
	}
	if len(a.Tracks) == 0 {
		return nil, ErrNoTrack
	}
	return a, nil
}

// announcedFormat picks the payload type of one media line, nil when there is none to take.
func announcedFormat(m *sdp.MediaDescription) (*media.Track, int) {
	if slices.Contains(m.MediaName.Protos, "SAVP") || slices.Contains(m.MediaName.Protos, "SAVPF") {
		return nil, 0 // its packets are encrypted, and the keys are not ours to ask for
	}
	kind := media.KindOther
	switch m.MediaName.Media {
	case "video":
		kind = media.KindVideo
	case "audio":
		kind = media.KindAudio
	}
	var known, other *media.Track
	formats := m.MediaName.Formats
	for _, pt := range formats[:min(len(formats), maxAnnouncedFormats)] {
		f, err := format.Unmarshal(m, pt)
		if err != nil {
			continue
		}
		track, err := media.NewTrackOfKind(kind, f)
		switch {
		case err != nil || track.ClockRate <= 0:
		case track.Codec == media.CodecUnknown && other == nil:
			other = track
		case track.Codec != media.CodecUnknown && known == nil:
			known = track
		}
	}
	if known == nil {
		known = other
	}
	if known == nil {
		return nil, 0
	}
	return known, len(formats) - 1
}
