package rtsp

import (
	"strconv"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

func (s *Session) onDescribe(req *base.Request) {
	if !acceptsSDP(req.Header["Accept"]) {
		s.refuse(req, base.StatusNotAcceptable, "descriptions are served as application/sdp only")
		return
	}
	t, ok := s.streamTarget(req)
	if !ok {
		return
	}
	if s.role == rolePublish || s.joined && t.key != s.at.key {
		s.refuse(req, base.StatusMethodNotValidInThisState, "")
		return
	}
	if !s.admit(req, t, false) {
		return
	}
	if s.joined {
		s.respondDescription(req)
		return
	}
	s.pending = pending{req: req, target: t}
	s.wait(stepSubscribe, Subscribe{Key: t.key, Params: t.params})
}

// acceptsSDP reads an Accept header as leniently as it is written in the field.
func acceptsSDP(accept base.HeaderValue) bool {
	value := strings.ToLower(strings.TrimSpace(strings.Join(accept, ",")))
	return value == "" || strings.Contains(value, "application/sdp") || strings.Contains(value, "application/*") || strings.Contains(value, "*/*")
}

func (s *Session) onFound(e StreamFound) {
	p := s.pending
	s.pending = pending{}
	s.found, s.tracks, s.setup = true, e.Tracks, make([]trackState, len(e.Tracks))
	if p.req.Method == base.Describe {
		s.respondDescription(p.req)
		return
	}
	s.setupPlay(p.req, p.target)
}

func (s *Session) respondDescription(req *base.Request) {
	s.respond(req, base.Response{
		StatusCode: base.StatusOK,
		Header: base.Header{
			"Content-Base": {s.at.base + "/"},
			"Content-Type": {"application/sdp"},
		},
		Body: Describe(s.at.key.Stream, s.tracks, s.opts.IPv6),
	})
}

func (s *Session) onSetup(req *base.Request) {
	if s.state != StateInit && s.state != StateReady {
		s.refuse(req, base.StatusMethodNotValidInThisState, "the transport cannot change after PLAY or RECORD")
		return
	}
	if s.role == rolePublish {
		s.setupPublish(req)
		return
	}
	t, ok := s.streamTarget(req)
	if !ok {
		return
	}
	if s.joined && t.key != s.at.key {
		s.refuse(req, base.StatusAggregateOperationNotAllowed, "a session carries one stream; use another connection for another one")
		return
	}
	if t.key == s.at.key && t.params == "" {
		t.params = s.at.params // Content-Base carries no query: keep what DESCRIBE brought
	}
	if !s.admit(req, t, false) {
		return
	}
	if s.found {
		s.setupPlay(req, t)
		return
	}
	s.pending = pending{req: req, target: t}
	s.wait(stepSubscribe, Subscribe{Key: t.key, Params: t.params})
}

// setupPlay serves SETUP of a stream that exists.
func (s *Session) setupPlay(req *base.Request, t target) {
	track, ok := 0, true
	if t.control != "" {
		track, ok = trackIndex(t.control)
	} else if len(s.tracks) != 1 {
		s.refuse(req, base.StatusAggregateOperationNotAllowed, "the stream has several tracks; the URL must name one of them")
		return
	}
	if !ok || track >= len(s.tracks) {
		s.refuse(req, base.StatusNotFound, "the stream has no such track")
		return
	}
	o, ok := s.agree(req, track)
	if !ok {
		return
	}
	s.pending = pending{req: req, target: t, track: track, offer: o}
	if !s.joined {
		s.wait(stepJoin, Join{})
		return
	}
	s.openTrack()
}

func (s *Session) onJoined(e Joined) {
	s.joined, s.role, s.ssrc = true, rolePlay, e.SSRC
	s.pending.step = stepNone
	s.openTrack()
}

// openTrack settles the pending SETUP of a viewer's track.
func (s *Session) openTrack() {
	p := &s.pending
	p.change = trackState{transport: p.offer.transport, clientPort: p.offer.clientPort}
	if p.track < len(s.ssrc) {
		p.change.ssrc, p.change.hasSSRC = s.ssrc[p.track], true
	}
	if p.offer.transport == TransportUDP {
		s.wait(stepOpenUDP, OpenUDP{Track: p.track, ClientPort: p.offer.clientPort})
		return
	}
	s.settleTCP(p)
}

// settleTCP completes a SETUP over TCP, for viewers and publishers.
func (s *Session) settleTCP(p *pending) bool {
	channels, ok := s.channelsFor(p.track, p.offer.channels)
	if !ok {
		req := p.req
		s.pending = pending{}
		s.refuse(req, base.StatusUnsupportedTransport, "all interleaved channels are in use")
		return false
	}
	p.change.channels = channels
	s.commitSetup()
	return true
}

func (s *Session) onPlay(req *base.Request) {
	if s.role != rolePlay || s.state == StateInit {
		s.refuse(req, base.StatusMethodNotValidInThisState, "PLAY needs a SETUP first")
		return
	}
	if !s.aggregate(req) {
		return
	}
	if status, text := checkRange(req.Header["Range"], s.state == StateReady); status != base.StatusOK {
		s.refuse(req, status, text)
		return
	}
	if s.state == StatePlaying {
		s.respond(req, base.Response{StatusCode: base.StatusOK, Header: base.Header{"Range": {liveRange(false)}}})
		return
	}
	var tracks []PlayTrack
	for i := range s.setup {
		if t := &s.setup[i]; t.transport != TransportNone {
			tracks = append(tracks, PlayTrack{Track: i, Transport: t.transport, Channels: t.channels, ClientPort: t.clientPort})
		}
	}
	s.pending = pending{req: req}
	s.wait(stepPrepare, PreparePlay{Tracks: tracks})
}

func (s *Session) onPrepared(e PlayPrepared) {
	req, first := s.pending.req, s.state == StateReady
	s.pending = pending{}
	var info headers.RTPInfo
	for _, start := range e.Starts {
		entry := &headers.RTPInfoEntry{URL: s.trackURL(start.Track)}
		if start.Known {
			entry.SequenceNumber, entry.Timestamp = &start.Seq, &start.RTPTime
		}
		info = append(info, entry)
	}
	header := base.Header{"Range": {liveRange(first)}}
	if len(info) > 0 {
		header["RTP-Info"] = info.Marshal()
	}
	s.state = StatePlaying
	s.respond(req, base.Response{StatusCode: base.StatusOK, Header: header})
	s.out = append(s.out, StartPlay{})
}

// liveRange is the Range header of a PLAY response: a viewer's time begins with its first PLAY; later ones go on with what is live.
func liveRange(first bool) string {
	if first {
		return "npt=0.000-"
	}
	return "npt=now-"
}

// checkRange looks at a PLAY request's Range (RFC 2326 12.29). The stream is live: a range that begins at its start or now is fine, a position in it
// is not (456), except after a pause, where clients name the position that they stopped at.
func checkRange(value base.HeaderValue, first bool) (base.StatusCode, string) {
	if len(value) == 0 {
		return base.StatusOK, ""
	}
	spec, _, _ := strings.Cut(value[0], ";")
	unit, rest, ok := strings.Cut(strings.TrimSpace(spec), "=")
	if !ok {
		return base.StatusInvalidRange, "the Range header has no unit"
	}
	start, _, ok := strings.Cut(rest, "-")
	if !ok {
		return base.StatusInvalidRange, "the Range header has no range"
	}
	start = strings.TrimSpace(start)
	switch unit = strings.ToLower(strings.TrimSpace(unit)); unit {
	case "npt":
		if start == "" || strings.EqualFold(start, "now") {
			return base.StatusOK, ""
		}
		zero, valid := zeroTime(start)
		switch {
		case !valid:
			return base.StatusInvalidRange, "the Range header's start is not a time"
		case !zero && first:
			return base.StatusHeaderFieldNotValidForResource, "the stream is live; there is no position to start at"
		}
	case "smpte", "smpte-30-drop", "smpte-25", "clock":
		if zero, valid := zeroTime(start); first && (!valid || !zero) && start != "" && !strings.EqualFold(start, "now") {
			return base.StatusHeaderFieldNotValidForResource, "the stream is live; there is no position to start at"
		}
	default:
		return base.StatusInvalidRange, "the Range header's unit is unknown"
	}
	return base.StatusOK, ""
}

// zeroTime reads seconds or hours:minutes:seconds and reports whether they are zero, and whether they are a time at all.
func zeroTime(s string) (zero, valid bool) {
	zero = true
	for _, part := range strings.Split(s, ":") {
		v, err := strconv.ParseFloat(part, 64)
		if err != nil || v < 0 {
			return false, false
		}
		zero = zero && v == 0
	}
	return zero, true
}
