package proxy

import (
	"errors"
	"fmt"
	"time"

	"berth/actors"
	"berth/actors/portpool"
	"berth/media"
	"berth/media/hub"
)

// phase is where a proxy stands.
type phase int

const (
	phaseIdle       phase = iota // before begin
	phaseDescribing              // connecting and asking for the tracks
	phaseLeasing                 // waiting for port pairs
	phasePublishing              // waiting for the stream
	phaseReplacing               // waiting for the end of a stream whose tracks do not fit any more
	phaseOpening                 // setting up, waiting for the first packet
	phasePlaying
	phaseClosing // waiting for the end of the pull
	phaseWaiting // for the time of the next attempt
	phaseOver    // nothing more happens
)

// settings are what the state machine needs of definition and configuration. New ones count from the next attempt on.
type settings struct {
	retryCount  int  // store.Proxy.RetryCount
	rtpType     int  // store.Proxy.RTPType
	enableAudio bool // false: audio tracks are neither leased for nor set up
	firstIsLast bool // a failed first attempt is the end: the API call did not say force
	timeout     time.Duration
	delayMin    time.Duration
	delayMax    time.Duration
}

// Values of store.Proxy.RTPType.
const (
	rtpTCP  = 0
	rtpUDP  = 1
	rtpAuto = -1
)

// overdueSlack is what an attempt may take beyond its timeout before it is given up from here: its own timeout comes first unless an answer of another actor is missing.
const overdueSlack = 2 * time.Second

// Errors of attempts that no other package knows.
var (
	errOverdue = errors.New("the port pool or the stream registry has not answered in time")
	errRTPType = errors.New("rtp_type is neither 0 (TCP), 1 (UDP) nor -1 (UDP, then TCP)")
	errNoAudio = errors.New("the source offers audio only, and enable_audio=0 leaves nothing to play")
)

// state decides what a proxy does. It is used by its actor only; it has no clock, socket, logger or actor.
type state struct {
	settings
	random func() float64

	phase    phase
	attempt  uint64 // number of the present attempt, from 1
	tracks   []*media.Track
	wanted   []bool         // by track
	leases   map[int]*lease // by track; present: asked for
	given    map[int]uint64 // by track: epoch of the lease that was given back last
	ports    []uint16       // by track: what to ask the pool for, 0 = any
	fresh    bool           // the source failed with the ports of old: any but those
	tcpOnly  bool           // UDP brought nothing from this source
	attached bool           // the stream is ours
	awaited  bool           // the stream was ours, and may be waiting for us to come back
	publish  int            // Publish requests without an answer
	replaced bool           // the old stream has been ended in this attempt

	final    bool               // no further attempt: it was removed, or its stream was ended on purpose
	reason   actors.CloseReason // why
	err      error              // of the last attempt, nil while it goes well
	failed   int                // attempts that failed in a row
	retries  int                // made since the last success
	plays    int                // successes
	reported bool               // the outcome of the first attempt has been told

	since     time.Time // playing since
	retryAt   time.Time // while waiting
	transport string    // while playing
}

// lease is a pair that was asked for one track. epoch is zero until it is granted.
type lease struct {
	asked uint16
	epoch uint64
	port  uint16
}

// step takes one event and returns what is to be done, in order.
func (s *state) step(now time.Time, ev any) []action {
	switch e := ev.(type) {
	case begin:
		return s.connect(now)
	case tick:
		return s.onTick(now)
	case described:
		return s.onDescribed(now, e)
	case granted:
		return s.onGranted(e)
	case refused:
		return s.onRefused(now, e)
	case published:
		return s.onPublished(now, e)
	case streamCleared:
		return s.onStreamCleared()
	case fellBack:
		return s.onFellBack(e)
	case played:
		return s.onPlayed(now, e)
	case ended:
		if e.attempt == s.attempt && s.phase == phasePlaying {
			return s.fail(e.err)
		}
	case streamEnded:
		return s.onStreamEnded(e)
	case leave:
		return s.finish(e.reason)
	case closed:
		if e.attempt == s.attempt && s.phase == phaseClosing {
			return s.onClosed(now)
		}
	}
	return nil
}

func (s *state) connect(now time.Time) []action {
	s.phase, s.attempt = phaseDescribing, s.attempt+1
	s.retryAt = time.Time{}
	s.tracks, s.wanted, s.leases, s.replaced = nil, nil, map[int]*lease{}, false
	return []action{connect{s.attempt}, schedule{s.timeout + overdueSlack}}
}

func (s *state) onTick(now time.Time) []action {
	switch s.phase {
	case phaseWaiting:
		return s.connect(now)
	case phaseDescribing, phaseLeasing, phasePublishing, phaseReplacing, phaseOpening:
		return s.fail(errOverdue)
	default:
		return nil
	}
}

func (s *state) onDescribed(now time.Time, e described) []action {
	if e.attempt != s.attempt || s.phase != phaseDescribing {
		return nil
	}
	if e.err != nil {
		return s.fail(e.err)
	}
	s.tracks, s.wanted = e.tracks, make([]bool, len(e.tracks))
	any := false
	for i, t := range e.tracks {
		s.wanted[i] = s.enableAudio || t.Kind != media.KindAudio
		any = any || s.wanted[i]
	}
	if !any {
		return s.fail(errNoAudio)
	}
	switch {
	case s.rtpType != rtpTCP && s.rtpType != rtpUDP && s.rtpType != rtpAuto:
		return s.fail(errRTPType)
	case s.rtpType == rtpUDP || (s.rtpType == rtpAuto && !s.tcpOnly && e.canUDP):
		return s.lease()
	default:
		return s.askToPublish()
	}
}

func (s *state) lease() []action {
	s.phase = phaseLeasing
	var actions []action
	for track, wanted := range s.wanted {
		if !wanted {
			continue
		}
		l := &lease{}
		if track < len(s.ports) {
			l.asked = s.ports[track]
		}
		s.leases[track] = l
		actions = append(actions, leasePair{track, l.asked, s.fresh})
	}
	return actions
}

func (s *state) onGranted(e granted) []action {
	l := s.leases[e.track]
	switch {
	case e.epoch == s.given[e.track]:
		return nil // the pool's second answer, about a lease that is over
	case l == nil:
		s.given[e.track] = e.epoch
		return []action{release{e.track, e.epoch}} // nobody waits for it any more
	case l.epoch == e.epoch:
		return nil
	case l.epoch != 0:
		return []action{release{e.track, e.epoch}}
	}
	l.epoch, l.port = e.epoch, e.port
	actions := []action{keep{e.track}}
	if s.phase != phaseLeasing {
		return actions
	}
	for _, l := range s.leases {
		if l.epoch == 0 {
			return actions
		}
	}
	return append(actions, s.askToPublish()...)
}

func (s *state) onRefused(now time.Time, e refused) []action {
	l := s.leases[e.track]
	if l == nil || l.epoch != 0 || s.phase != phaseLeasing {
		return nil
	}
	switch {
	case l.asked != 0 && wantedPortGone(e.err):
		l.asked = 0 // the port of old is not to be had: any other will do
		return []action{leasePair{e.track, 0, s.fresh}}
	case s.rtpType == rtpAuto:
		return append(s.releaseAll(), append([]action{note{"no ports for UDP, pulling over TCP", e.err}}, s.askToPublish()...)...)
	default:
		return s.fail(e.err)
	}
}

// wantedPortGone reports whether a refusal is about the port that was asked for, and not about the pool.
func wantedPortGone(err error) bool {
	var r *portpool.RefusedError
	if !errors.As(err, &r) {
		return false
	}
	switch r.Reason {
	case portpool.ReasonExhausted, portpool.ReasonAddress, portpool.ReasonProcess, portpool.ReasonRestarting:
		return false
	default:
		return true
	}
}

func (s *state) askToPublish() []action {
	s.phase = phasePublishing
	s.publish++
	return []action{publish{}}
}

func (s *state) onPublished(now time.Time, e published) []action {
	s.publish--
	if s.publish > 0 || s.phase != phasePublishing {
		if e.err == nil {
			return []action{detach{pid: e.stream, reason: actors.ReasonSourceLost}} // of an attempt that is over
		}
		return nil
	}
	switch {
	case e.err == nil:
		s.phase, s.attached = phaseOpening, true
		udp := len(s.leases) > 0
		return []action{play{s.attempt, udp, s.rtpType == rtpAuto}}
	case errors.Is(e.err, hub.ErrTracks) && !s.replaced:
		s.phase, s.replaced = phaseReplacing, true
		return []action{note{"the source has changed its tracks; its stream is published anew", e.err}, clearStream{}}
	default:
		return s.fail(e.err)
	}
}

func (s *state) onStreamCleared() []action {
	if s.phase != phaseReplacing {
		return nil
	}
	return s.askToPublish()
}

func (s *state) onFellBack(e fellBack) []action {
	if e.attempt != s.attempt || s.phase != phaseOpening {
		return nil
	}
	s.tcpOnly = true
	return append(s.releaseAll(), note{"nothing came over UDP, pulling over TCP", e.why})
}

func (s *state) onPlayed(now time.Time, e played) []action {
	if e.attempt != s.attempt || s.phase != phaseOpening {
		return nil
	}
	if e.err != nil {
		// A source that still serves the session of a server which was killed may refuse the ports of old for as long as that session lives.
		s.ports, s.fresh = nil, true
		return s.fail(e.err)
	}
	s.phase, s.err, s.since, s.transport = phasePlaying, nil, now, e.transport
	s.failed, s.retries, s.fresh = 0, 0, false
	s.plays++
	actions := []action{unschedule{}}
	if ports := s.leasedPorts(); len(ports) > 0 {
		actions = append(actions, rememberPorts{ports})
		s.ports = ports
	}
	return append(actions, s.report(nil)...)
}

// leasedPorts are the even ports by track; 0 for a track without a pair. nil when there is none.
func (s *state) leasedPorts() []uint16 {
	if len(s.leases) == 0 {
		return nil
	}
	ports := make([]uint16, len(s.tracks))
	for track, l := range s.leases {
		ports[track] = l.port
	}
	return ports
}

func (s *state) onStreamEnded(e streamEnded) []action {
	if !s.attached {
		return nil
	}
	s.attached, s.awaited = false, false
	switch e.reason {
	case actors.ReasonKicked, actors.ReasonDeleted, actors.ReasonNoReader:
		// It was ended on purpose: nobody wants it back.
		s.err = fmt.Errorf("the stream was ended: %s", e.reason)
		return s.finish(e.reason)
	default:
		return s.fail(fmt.Errorf("the stream has ended: %s", e.reason))
	}
}

// fail ends the present attempt.
func (s *state) fail(err error) []action {
	if s.phase != phasePlaying {
		s.failed++
	}
	s.err = err
	return s.close()
}

// finish ends the present attempt, and there is no other.
func (s *state) finish(reason actors.CloseReason) []action {
	switch {
	case s.final:
		return nil
	case s.phase == phaseOver:
		s.final, s.reason = true, reason
		return []action{over{s.err, s.reason}}
	}
	s.final, s.reason = true, reason
	if s.phase == phaseClosing {
		return nil
	}
	return s.close()
}

func (s *state) close() []action {
	s.phase, s.since, s.transport, s.retryAt = phaseClosing, time.Time{}, "", time.Time{}
	return []action{unschedule{}, closePull{s.attempt}}
}

func (s *state) onClosed(now time.Time) []action {
	actions := s.releaseAll()
	last := s.final || (s.plays == 0 && !s.reported && s.firstIsLast) || (s.retryCount >= 0 && s.retries >= s.retryCount)
	if s.attached || (last && s.awaited) {
		s.attached, s.awaited = false, !last
		reason := actors.ReasonSourceLost
		if s.final {
			reason = s.reason
		}
		actions = append(actions, detach{reason: reason, final: last})
	}
	if s.final && s.err == nil {
		s.err = ErrClosed
	}
	actions = append(actions, s.report(s.err)...)
	if last {
		s.phase = phaseOver
		return append(actions, over{s.err, s.reason})
	}
	s.retries++
	pause := backoff(s.retries, s.delayMin, s.delayMax, s.random())
	s.phase, s.retryAt = phaseWaiting, now.Add(pause)
	return append(actions, note{"the source will be tried again", s.err}, schedule{pause})
}

// releaseAll gives every lease back. One that was asked for and has not come will be given back when it does.
func (s *state) releaseAll() []action {
	var actions []action
	for track := range s.tracks {
		if l := s.leases[track]; l != nil && l.epoch != 0 {
			s.given[track] = l.epoch
			actions = append(actions, release{track, l.epoch})
		}
	}
	s.leases = map[int]*lease{}
	return actions
}

func (s *state) report(err error) []action {
	if s.reported {
		return nil
	}
	s.reported = true
	return []action{tellFirst{err}}
}
