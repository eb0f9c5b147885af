package rtsp

import (
	"errors"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
)

func (s *Session) onAnnounce(req *base.Request) {
	if s.state != StateInit || s.role != roleNone {
		s.refuse(req, base.StatusMethodNotValidInThisState, "")
		return
	}
	t, ok := s.streamTarget(req)
	if !ok || !s.admit(req, t, true) {
		return
	}
	if kind := headerValue(req.Header, "Content-Type"); kind != "" && !strings.HasPrefix(strings.ToLower(kind), "application/sdp") {
		s.refuse(req, base.StatusUnsupportedMediaType, "ANNOUNCE takes application/sdp")
		return
	}
	if len(req.Body) == 0 {
		s.refuse(req, base.StatusBadRequest, "ANNOUNCE needs an SDP body")
		return
	}
	tell, err := ParseAnnouncement(req.Body)
	if errors.Is(err, ErrNoTrack) {
		s.refuse(req, base.StatusUnsupportedMediaType, err.Error())
		return
	}
	if err != nil {
		s.refuse(req, base.StatusBadRequest, err.Error())
		return
	}
	s.tell = tell
	s.pending = pending{req: req, target: t}
	s.wait(stepPublish, Publish{Key: t.key, Params: t.params, Tracks: tell.Tracks})
}

func (s *Session) onPublished() {
	req := s.pending.req
	s.pending = pending{}
	s.role = rolePublish
	s.tracks, s.setup = s.tell.Tracks, make([]trackState, len(s.tell.Tracks))
	s.respond(req, base.Response{StatusCode: base.StatusOK})
}

// setupPublish serves SETUP of an announced track.
func (s *Session) setupPublish(req *base.Request) {
	line := -1
	if req.URL != nil {
		line = announcedTrack(req.URL, s.at.path, s.at.params, s.tell.Controls)
	}
	if line < 0 {
		s.refuse(req, base.StatusNotFound, "no announced track has this URL")
		return
	}
	track := s.tell.Media[line]
	if track < 0 {
		s.refuse(req, base.StatusUnsupportedMediaType, "the track's format was not understood in ANNOUNCE")
		return
	}
	o, ok := s.agree(req, track)
	if !ok {
		return
	}
	before := s.setup[track]
	s.pending = pending{req: req, track: track, offer: o, change: trackState{transport: o.transport, clientPort: o.clientPort}}
	if o.transport == TransportUDP {
		s.wait(stepLease, LeasePair{Track: track, ClientPort: o.clientPort})
		return
	}
	at := len(s.out)
	if !s.settleTCP(&s.pending) {
		return
	}
	// The channels must be known before the response invites packets on them.
	asks := []Action{MapChannels{Track: track, Channels: s.setup[track].channels}}
	if before.transport == TransportUDP {
		asks = append(asks, ReleasePair{Track: track})
	}
	s.out = append(s.out[:at:at], append(asks, s.out[at:]...)...)
}

func (s *Session) onRecord(req *base.Request) {
	if s.role != rolePublish || s.state == StateInit {
		s.refuse(req, base.StatusMethodNotValidInThisState, "RECORD needs ANNOUNCE and SETUP first")
		return
	}
	if !s.aggregate(req) {
		return
	}
	if s.state != StateRecording {
		s.state, s.recording = StateRecording, s.now
		s.out = append(s.out, StartRecord{})
	}
	s.respond(req, base.Response{StatusCode: base.StatusOK, Header: base.Header{"Range": {"npt=now-"}}})
}
