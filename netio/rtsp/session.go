package rtsp

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"berth/media"
)

// SessionOptions are what a session needs to know; none of it changes while it lives.
type SessionOptions struct {
	ID     string // the Session header's value; unguessable, letters and digits only
	Nonce  string // for Digest authentication; unguessable
	Server string // the Server header; empty leaves it out
	Secure bool   // the connection is TLS: media must stay on it
	IPv6   bool   // the connection's family

	Host         string // host of our URLs when the client's have none
	Source       string // address told to UDP peers; empty tells none
	AllowTCP     bool
	AllowUDP     bool
	VirtualHosts bool // the URL's host is part of the stream's identity
	Auth         AuthOptions

	HandshakeTimeout time.Duration // from the connection's start, or the last TEARDOWN, to PLAY or RECORD
	KeepAlive        time.Duration // a publisher's silence; a UDP or paused peer may be silent four times as long
	AnswerTimeout    time.Duration // for one asking action, the wait for a stream included; a bug or a dying engine is behind it when it passes
}

// State is where a session stands (RFC 2326 A).
type State uint8

// The states.
const (
	StateInit      State = iota // nothing is set up; a publisher may have announced
	StateReady                  // a track is set up
	StatePlaying                // packets flow to the viewer
	StatePaused                 // they did, and can again
	StateRecording              // packets flow from the publisher
	StateClosed                 // final
)

// String returns the state in one lower-case word.
func (s State) String() string {
	return [...]string{"init", "ready", "playing", "paused", "recording", "closed"}[s]
}

// patience of UDP and paused peers, in keep-alive times (ZLMediaKit's factor); also the timeout in the Session header.
const silenceFactor = 4

// maxQueued bounds the requests that wait while one is being served; the connection's reader stops before that.
const maxQueued = 16

type role uint8

const (
	roleNone role = iota
	rolePlay
	rolePublish
)

// trackState is one track of the stream and how it is set up.
type trackState struct {
	transport  Transport
	channels   [2]int
	clientPort [2]uint16
	serverPort uint16 // of a pair that is open for this session, 0 = none
	ssrc       uint32
	hasSSRC    bool
}

// Session is the server's side of one RTSP connection, as a state machine. Not safe for concurrent use.
type Session struct {
	opts SessionOptions
	auth *authenticator

	state   State
	role    role
	at      target // of the stream; zero in the beginning and after TEARDOWN
	allowed bool   // the peer may use the stream at `at`
	found   bool   // a viewer's stream exists, tracks are known
	joined  bool   // the session is registered as its viewer
	tracks  []*media.Track
	setup   []trackState // parallel to tracks
	tell    *Announcement
	ssrc    []uint32

	pending pending // what the current request waits for
	queue   []RequestReceived
	out     []Action

	id          string // the Session header's value; a new one after each TEARDOWN
	generation  int
	now         time.Time // of the running Step
	lastRequest time.Time
	waiting     time.Time // since when the pending request waits
	since       time.Time // start of the handshake, shifted by the time that the peer had to wait for us
	recording   time.Time // start of RECORD
	blame       CloseCause
}

// pending is a request that waits for an answer from elsewhere.
type pending struct {
	step   step
	req    *base.Request
	target target
	track  int
	offer  offer
	change trackState // becomes the track's state when the SETUP succeeds
}

type step uint8

const (
	stepNone step = iota
	stepSubscribe
	stepJoin
	stepOpenUDP
	stepPrepare
	stepPublish
	stepLease
)

// NewSession returns a session whose connection began at now.
func NewSession(now time.Time, opts SessionOptions) *Session {
	return &Session{
		opts: opts, auth: newAuthenticator(opts.Auth, opts.Nonce),
		id: opts.ID, since: now, lastRequest: now,
	}
}

// State returns where the session stands.
func (s *Session) State() State { return s.state }

// Key returns the stream that is described, played or published; zero when there is none.
func (s *Session) Key() media.StreamKey { return s.at.key }

// Publishing reports whether the session publishes.
func (s *Session) Publishing() bool { return s.role == rolePublish }

// Announced returns the publisher's announcement, nil for others.
func (s *Session) Announced() *Announcement { return s.tell }

// Transport returns how the tracks that are set up travel; TransportNone before SETUP.
func (s *Session) Transport() Transport {
	for i := range s.setup {
		if t := s.setup[i].transport; t != TransportNone {
			return t
		}
	}
	return TransportNone
}

// Step takes an event at time now and returns what is to be done, in order. Events that do not fit the state are ignored, since they may have
// crossed with a change; after [Close] everything is. The slice is valid until the next call.
func (s *Session) Step(now time.Time, event Event) []Action {
	s.out, s.now = s.out[:0], now
	if s.state == StateClosed {
		return nil
	}
	switch e := event.(type) {
	case RequestReceived:
		s.lastRequest = now
		if len(s.queue) == maxQueued {
			s.close(CauseProtocolError, "too many requests at once")
			break
		}
		s.queue = append(s.queue, e)
	case Tick:
		s.tick(e)
	case PeerClosed:
		s.peerClosed(e.Err)
	case WriteFailed:
		s.close(s.writeFailure(), errText(e.Err))
	case StreamEnded:
		s.streamEnded(e)
	case Kicked:
		s.close(e.Cause, "")
	default:
		s.answer(event)
	}
	s.work()
	return s.out
}

// work serves queued requests until one has to wait.
func (s *Session) work() {
	for s.state != StateClosed && s.pending.step == stepNone && len(s.queue) > 0 {
		e := s.queue[0]
		s.queue = s.queue[1:]
		s.serve(e)
		if s.pending.step != stepNone {
			s.waiting = s.now
		}
	}
	if len(s.queue) == 0 {
		s.queue = nil
	}
}

// answer hands the reply of an asking action to the step that waits for it.
func (s *Session) answer(event Event) {
	waited := s.pending.step
	switch e := event.(type) {
	case StreamFound:
		if waited == stepSubscribe && e.Key == s.pending.target.key {
			s.onFound(e)
		}
	case Joined:
		if waited == stepJoin {
			s.onJoined(e)
		}
	case UDPOpened:
		if waited == stepOpenUDP && e.Track == s.pending.track {
			s.pending.change.serverPort = e.Port
			s.commitSetup()
		}
	case PlayPrepared:
		if waited == stepPrepare {
			s.onPrepared(e)
		}
	case Published:
		if waited == stepPublish && e.Key == s.pending.target.key {
			s.onPublished()
		}
	case PairLeased:
		if waited == stepLease && e.Track == s.pending.track {
			s.pending.change.serverPort = e.Port
			s.commitSetup()
		}
	case Refused:
		if waited != stepNone {
			s.onRefused(e)
		}
	}
	if waited != stepNone && s.pending.step == stepNone {
		s.since = s.since.Add(max(0, s.now.Sub(s.waiting)))
	}
}

func (s *Session) wait(st step, asks Action) {
	s.pending.step = st
	s.out = append(s.out, asks)
}

// onRefused answers the waiting request with what stood in its way.
func (s *Session) onRefused(e Refused) {
	req, waited := s.pending.req, s.pending.step
	s.pending = pending{}
	switch e.Why {
	case RefusedNotFound:
		s.blame = CauseNotFound
		s.refuse(req, base.StatusNotFound, e.Text)
	case RefusedExists:
		s.blame = CauseRefused
		// ffmpeg prints the reason phrase of any status above 400, but explains 403 as missing rights, which this is not.
		s.refuse(req, base.StatusNotAcceptable, e.Text)
	case RefusedNoPorts:
		s.blame = CauseNoPorts
		s.refuse(req, base.StatusServiceUnavailable, e.Text)
	default:
		s.blame = CauseRefused
		s.refuse(req, base.StatusServiceUnavailable, e.Text)
	}
	if waited == stepSubscribe || waited == stepJoin || waited == stepPublish {
		s.forget()
	}
}

// forget returns to the state of a fresh connection, except for what the peer has proved about itself.
func (s *Session) forget() {
	s.at, s.allowed, s.role, s.found, s.joined = target{}, false, roleNone, false, false
	s.tracks, s.setup, s.tell, s.ssrc = nil, nil, nil, nil
	s.state = StateInit
}

// leave ends the session's part in its stream and keeps the connection.
func (s *Session) leave(cause CloseCause) {
	if s.joined || s.role == rolePublish {
		s.out = append(s.out, Leave{Cause: cause})
	}
	s.forget()
	s.generation++
	s.id = s.opts.ID + strconv.Itoa(s.generation)
	s.since = s.now
	s.blame = ""
}

func (s *Session) close(cause CloseCause, detail string) {
	if s.state == StateClosed {
		return
	}
	s.state = StateClosed
	s.pending, s.queue = pending{}, nil
	s.out = append(s.out, Close{Cause: cause, Detail: detail})
}

func (s *Session) peerClosed(err error) {
	cause := CausePeerClosed
	switch {
	case errors.Is(err, ErrStalled):
		cause = CauseTimeout
	case errors.Is(err, ErrGarbage):
		cause = CauseProtocolError
	case s.blame != "" && s.state == StateInit:
		cause = s.blame // it went because it was refused
	}
	s.close(cause, errText(err))
}

// writeFailure: a viewer that takes nothing is slow, anyone else has gone.
func (s *Session) writeFailure() CloseCause {
	if s.state == StatePlaying {
		return CauseSlowReader
	}
	return CausePeerClosed
}

// streamEnded closes whoever takes part in the stream: the end of its connection tells a player that it is over.
func (s *Session) streamEnded(e StreamEnded) {
	if s.joined || s.role == rolePublish || s.pending.step == stepJoin {
		s.close(e.Cause, "")
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", " ")
}
