package rtsp

import (
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// publicMethods are what the server serves, for Public and Allow headers.
const publicMethods = "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, TEARDOWN, GET_PARAMETER, SET_PARAMETER"

// serve handles one request: it responds, or leaves a pending step that will.
func (s *Session) serve(e RequestReceived) {
	req := e.Request
	if req == nil {
		req = &base.Request{}
	}
	if e.Err != nil {
		s.refuse(req, e.Err.Status, e.Err.Problem)
		if e.Err.Fatal {
			s.close(CauseProtocolError, e.Err.Problem)
		}
		return
	}
	if feature := requiredFeature(req); feature != "" {
		s.respond(req, base.Response{StatusCode: base.StatusOptionNotSupported, Header: base.Header{"Unsupported": {feature}}})
		return
	}
	if req.Method != base.Options && !s.sessionMatches(req) {
		s.refuse(req, base.StatusSessionNotFound, "")
		return
	}
	switch req.Method {
	case base.Options:
		s.respond(req, base.Response{StatusCode: base.StatusOK, Header: base.Header{"Public": {publicMethods}}})
	case base.Describe:
		s.onDescribe(req)
	case base.Announce:
		s.onAnnounce(req)
	case base.Setup:
		s.onSetup(req)
	case base.Play:
		s.onPlay(req)
	case base.Record:
		s.onRecord(req)
	case base.Pause:
		s.onPause(req)
	case base.Teardown:
		s.onTeardown(req)
	case base.GetParameter, base.SetParameter:
		s.onParameter(req)
	case methodRedirect:
		s.notAllowed(req, base.StatusMethodNotAllowed, publicMethods)
	default:
		s.notAllowed(req, base.StatusNotImplemented, publicMethods)
	}
}

// requiredFeature returns what the request insists on (RFC 2326 12.32, 12.27): the server has no options, so anything is too much.
func requiredFeature(req *base.Request) string {
	for _, name := range [...]string{"Require", "Proxy-Require"} {
		if v := strings.TrimSpace(strings.Join(req.Header[name], ", ")); v != "" {
			return v
		}
	}
	return ""
}

// sessionMatches accepts requests without a Session header: there is one session a connection, and many clients forget it in TEARDOWN or keep-alives.
func (s *Session) sessionMatches(req *base.Request) bool {
	value := headerValue(req.Header, "Session")
	if value == "" {
		return true
	}
	id, _, _ := strings.Cut(value, ";")
	return strings.TrimSpace(id) == s.id && s.state != StateInit
}

func (s *Session) onParameter(req *base.Request) {
	if strings.TrimSpace(string(req.Body)) == "" {
		s.respond(req, base.Response{StatusCode: base.StatusOK}) // a keep-alive
		return
	}
	s.refuse(req, base.StatusParameterNotUnderstood, "the server has no parameters")
}

func (s *Session) onPause(req *base.Request) {
	if s.state == StateInit {
		s.notAllowed(req, base.StatusMethodNotValidInThisState, s.allowedNow())
		return
	}
	if !s.aggregate(req) {
		return
	}
	switch s.state {
	case StatePlaying:
		s.out = append(s.out, PausePlay{})
		s.state = StatePaused
	case StateRecording:
		s.out = append(s.out, StopRecord{})
		s.state = StatePaused
	}
	s.respond(req, base.Response{StatusCode: base.StatusOK})
}

// onTeardown ends the session, not the connection: RFC 2326 1.6 lets a client go on with it. A client that tears down nothing hears OK.
func (s *Session) onTeardown(req *base.Request) {
	if !s.aggregate(req) {
		return
	}
	s.respond(req, base.Response{StatusCode: base.StatusOK})
	s.leave(CausePeerClosed)
}

// aggregate checks the URL of a request that means all tracks together. It responds itself when the URL means something else.
func (s *Session) aggregate(req *base.Request) bool {
	if req.URL == nil || s.state == StateInit {
		return true
	}
	t, ok := s.target(req)
	switch {
	case ok && t.key == s.at.key && t.control == "":
		return true
	case s.role == rolePublish:
		// Publishers name their tracks as they like; and the session has one stream only.
		if !ok || !strings.HasPrefix(t.path+"/", s.at.path+"/") {
			s.refuse(req, base.StatusNotFound, "the URL is not the one that was announced")
			return false
		}
	case !ok || t.key != s.at.key:
		s.refuse(req, base.StatusNotFound, "the URL is not the one that was set up")
		return false
	case s.tracksSetUp() > 1:
		s.refuse(req, base.StatusOnlyAggregateOperationAllowed, "")
		return false
	}
	return true
}

func (s *Session) tracksSetUp() int {
	n := 0
	for i := range s.setup {
		if s.setup[i].transport != TransportNone {
			n++
		}
	}
	return n
}

func (s *Session) target(req *base.Request) (target, bool) {
	return parseTarget(req.URL, s.opts.VirtualHosts, s.opts.Host)
}

// streamTarget is target for requests that must name a stream; it responds itself when the URL does not.
func (s *Session) streamTarget(req *base.Request) (target, bool) {
	t, ok := s.target(req)
	if !ok {
		s.refuse(req, base.StatusNotFound, "the URL names no stream; the form is rtsp://host/app/stream")
	}
	return t, ok
}

// admit checks that the peer may use the stream, once a connection and stream. It responds itself when the peer may not.
func (s *Session) admit(req *base.Request, t target, publish bool) bool {
	if t.key != s.at.key {
		s.forget() // of a stream that was looked at only
	}
	if s.auth.required(publish) && !s.allowed {
		if !s.auth.allow(req) {
			if len(req.Header["Authorization"]) > 0 {
				s.blame = CauseRefused
			}
			s.respond(req, base.Response{
				StatusCode: base.StatusUnauthorized, Header: base.Header{"WWW-Authenticate": s.auth.challenge()},
			})
			if s.auth.exhausted() {
				s.close(CauseRefused, "too many wrong credentials")
			}
			return false
		}
		s.allowed = true
	}
	s.at, s.blame = t, ""
	return true
}

// allowedNow lists the methods that the present state takes, for the Allow header of a 455.
func (s *Session) allowedNow() string {
	const always = "OPTIONS, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
	switch {
	case s.state == StateInit && s.role == rolePublish:
		return always + ", SETUP"
	case s.state == StateInit:
		return always + ", DESCRIBE, ANNOUNCE, SETUP"
	case s.role == rolePublish:
		return always + ", SETUP, RECORD, PAUSE"
	}
	return always + ", DESCRIBE, SETUP, PLAY, PAUSE"
}

func (s *Session) notAllowed(req *base.Request, status base.StatusCode, allow string) {
	s.respond(req, base.Response{StatusCode: status, Header: base.Header{"Allow": {allow}}})
}

// refuse responds with an error. text is the body; where no standard phrase fits, its beginning is the reason phrase too, which most clients print.
func (s *Session) refuse(req *base.Request, status base.StatusCode, text string) {
	res := base.Response{StatusCode: status, Header: base.Header{}}
	switch status {
	case base.StatusServiceUnavailable:
		res.Header["Retry-After"] = base.HeaderValue{"5"}
		res.StatusMessage = phrase(text)
	case base.StatusNotAcceptable:
		res.StatusMessage = phrase(text)
	case base.StatusMethodNotValidInThisState:
		res.Header["Allow"] = base.HeaderValue{s.allowedNow()}
	}
	if text != "" {
		res.Header["Content-Type"] = base.HeaderValue{"text/plain"}
		res.Body = []byte(text)
	}
	s.respond(req, res)
}

// phrase makes a reason phrase of a message: its first clause, on one line, not long.
func phrase(text string) string {
	if i := strings.IndexAny(text, ":;,(\r\n"); i >= 0 {
		text = text[:i]
	}
	text = strings.TrimSpace(text)
	if len(text) > 80 || hasControl(text) {
		return ""
	}
	return text
}

func (s *Session) respond(req *base.Request, res base.Response) {
	if res.Header == nil {
		res.Header = base.Header{}
	}
	if seq := headerValue(req.Header, "CSeq"); seq != "" && !hasControl(seq) {
		res.Header["CSeq"] = base.HeaderValue{seq}
	}
	if s.opts.Server != "" {
		res.Header["Server"] = base.HeaderValue{s.opts.Server}
	}
	if s.state != StateInit {
		res.Header["Session"] = base.HeaderValue{s.id}
		if req.Method == base.Setup {
			seconds := uint(silenceFactor * s.opts.KeepAlive / time.Second)
			res.Header["Session"] = headers.Session{Session: s.id, Timeout: &seconds}.Marshal()
		}
	}
	s.out = append(s.out, Respond{Response: &res})
}

// setUpTrack answers SETUP for track i with what was agreed.
func (s *Session) commitSetup() {
	p := s.pending
	s.pending = pending{}
	s.setup[p.track] = p.change
	if s.state == StateInit {
		s.state = StateReady
	}
	s.respond(p.req, base.Response{StatusCode: base.StatusOK, Header: base.Header{
		"Transport": p.change.reply(s.role == rolePublish, s.opts.Source),
	}})
}

// agree negotiates the transport of a track that is being set up. It responds itself when there is nothing to agree on.
func (s *Session) agree(req *base.Request, track int) (offer, bool) {
	rules := transportRules{tcp: s.opts.AllowTCP, udp: s.opts.AllowUDP && !s.opts.Secure, record: s.role == rolePublish}
	for i := range s.setup {
		// One session, one transport: what was agreed for the other tracks holds.
		if t := s.setup[i].transport; i != track && t != TransportNone {
			rules.tcp, rules.udp = rules.tcp && t == TransportTCP, rules.udp && t == TransportUDP
		}
	}
	o, status := negotiate(req.Header["Transport"], rules)
	switch status {
	case base.StatusOK:
		return o, true
	case base.StatusBadRequest:
		s.refuse(req, status, "SETUP needs a Transport header")
	case base.StatusMethodNotValidInThisState:
		s.refuse(req, status, "mode=record needs an ANNOUNCE first")
	default:
		s.refuse(req, status, transportText(rules, s.opts.Secure))
	}
	return o, false
}

func transportText(rules transportRules, secure bool) string {
	switch {
	case secure:
		return "over rtsps only RTP/AVP/TCP is served"
	case rules.tcp && !rules.udp:
		return "only RTP/AVP/TCP is served here"
	case rules.udp && !rules.tcp:
		return "only RTP/AVP over unicast UDP is served here, with client_port"
	}
	return "served are RTP/AVP over unicast UDP with client_port, and RTP/AVP/TCP"
}

// channelsFor picks the channels of a track that travels over TCP.
func (s *Session) channelsFor(track int, wish [2]int) ([2]int, bool) {
	used := map[int]bool{}
	for i := range s.setup {
		if t := &s.setup[i]; i != track && t.transport == TransportTCP {
			used[t.channels[0]], used[t.channels[1]] = true, true
		}
	}
	return freeChannels(wish, used)
}

// trackURL is the absolute URL of track i, as Content-Base and control make it.
func (s *Session) trackURL(i int) string { return s.at.base + "/" + trackControl + strconv.Itoa(i) }
