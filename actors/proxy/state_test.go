package proxy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/portpool"
	"berth/media"
	"berth/media/hub"
)

// machine drives a state and keeps what it did as short words.
type machine struct {
	t   *testing.T
	s   state
	now time.Time
}

func newMachine(t *testing.T, change func(*settings)) *machine {
	t.Helper()
	m := &machine{t: t, now: time.Unix(1000, 0)}
	m.s = state{random: func() float64 { return 0 }, leases: map[int]*lease{}, given: map[int]uint64{}}
	m.s.settings = settings{
		retryCount: -1, rtpType: rtpTCP, enableAudio: true, timeout: 10 * time.Second, delayMin: 2 * time.Second, delayMax: time.Minute,
	}
	if change != nil {
		change(&m.s.settings)
	}
	return m
}

// do steps through events and requires what the last one brought about.
func (m *machine) do(want string, events ...any) {
	m.t.Helper()
	var got []string
	for _, ev := range events {
		got = nil
		for _, act := range m.s.step(m.now, ev) {
			if word := describe(act); word != "" {
				got = append(got, word)
			}
		}
	}
	require.Equal(m.t, want, strings.Join(got, " "))
}

func describe(act action) string {
	switch a := act.(type) {
	case connect:
		return fmt.Sprintf("connect/%d", a.attempt)
	case leasePair:
		if a.fresh {
			return fmt.Sprintf("lease/%d:fresh", a.track)
		}
		return fmt.Sprintf("lease/%d:%d", a.track, a.port)
	case keep:
		return fmt.Sprintf("keep/%d", a.track)
	case release:
		return fmt.Sprintf("release/%d:%d", a.track, a.epoch)
	case publish:
		return "publish"
	case clearStream:
		return "clear"
	case play:
		text := "play/tcp"
		if a.udp {
			text = "play/udp"
		}
		if a.fallback {
			text += "+"
		}
		return text
	case closePull:
		return fmt.Sprintf("close/%d", a.attempt)
	case detach:
		text := "detach/" + string(a.reason)
		if a.final {
			text += "!"
		}
		if a.pid != nil {
			text += "@" + a.pid.Id
		}
		return text
	case schedule:
		return "in/" + a.after.String()
	case rememberPorts:
		return fmt.Sprint("ports/", a.ports)
	case tellFirst:
		return fmt.Sprint("first/", a.err)
	case over:
		return fmt.Sprint("over/", a.err)
	case unschedule, note:
		return ""
	}
	return fmt.Sprintf("%T", act)
}

func testTracks(t *testing.T) []*media.Track {
	t.Helper()
	video, err := media.NewTrack(&format.H264{PayloadTyp: 96, PacketizationMode: 1})
	require.NoError(t, err)
	audio, err := media.NewTrack(&format.G711{PayloadTyp: 0, MULaw: true, SampleRate: 8000, ChannelCount: 1})
	require.NoError(t, err)
	return []*media.Track{video, audio}
}

var errSource = errors.New("no luck")

func refusal(reason portpool.Reason) error { return &portpool.RefusedError{Reason: reason} }

func (m *machine) describe(attempt uint64) described {
	return described{attempt: attempt, tracks: testTracks(m.t), canUDP: true}
}

// playing brings a fresh machine over TCP to where it plays.
func (m *machine) playing() {
	m.t.Helper()
	m.do("connect/1 in/12s", begin{})
	m.do("publish", m.describe(1))
	m.do("play/tcp", published{})
	m.do("first/<nil>", played{attempt: 1, transport: "tcp"})
	require.Equal(m.t, phasePlaying, m.s.phase)
}

func TestStateOverTCP(t *testing.T) {
	m := newMachine(t, nil)
	m.playing()
	require.Equal(t, m.now, m.s.since)
	m.do("close/1", ended{1, errSource})
	m.do("detach/source_lost in/2s", closed{1})
	require.Zero(t, m.s.failed, "a loss is no failed attempt")
	require.Equal(t, m.now.Add(2*time.Second), m.s.retryAt)
	m.do("connect/2 in/12s", tick{})
	m.do("", closed{1}, described{attempt: 1}, played{attempt: 1}, ended{1, errSource}) // of the attempt before
	m.do("publish", m.describe(2))
	m.do("play/tcp", published{})
	m.do("", played{attempt: 2, transport: "tcp"})
	require.Equal(t, 2, m.s.plays)
	require.NoError(t, m.s.err)
}

func TestStateLeasesBeforeItSignals(t *testing.T) {
	m := newMachine(t, func(s *settings) { s.rtpType = rtpUDP })
	m.s.ports = []uint16{30000}
	m.do("lease/0:30000 lease/1:0", begin{}, m.describe(1))
	m.do("keep/1", granted{1, 7, 30002})
	m.do("", granted{1, 7, 30002})
	m.do("release/1:9", granted{1, 9, 30008}) // twice for one track
	// The port of old belongs to someone else by now: any will do.
	m.do("lease/0:0", refused{0, refusal(portpool.ReasonLeased)})
	m.do("keep/0 publish", granted{0, 8, 30004})
	m.do("play/udp", published{})
	m.do("ports/[30004 30002] first/<nil>", played{attempt: 1, transport: "udp"})
	m.do("close/1", ended{1, errSource})
	m.do("release/0:8 release/1:7 detach/source_lost in/2s", closed{1})
	m.do("lease/0:30004 lease/1:30002", tick{}, m.describe(2))
}

// A camera that still serves the session of a server which was killed refuses its ports until that session ends there.
func TestStateTakesOtherPortsWhenThoseOfOldFail(t *testing.T) {
	m := newMachine(t, func(s *settings) { s.rtpType = rtpUDP })
	m.s.ports = []uint16{30000, 30002}
	m.do("lease/0:30000 lease/1:30002", begin{}, m.describe(1))
	m.do("play/udp", granted{0, 1, 30000}, granted{1, 2, 30002}, published{})
	m.do("close/1", played{attempt: 1, err: errSource})
	m.do("lease/0:fresh lease/1:fresh", closed{1}, tick{}, m.describe(2))
	m.do("ports/[30004 30006]", granted{0, 3, 30004}, granted{1, 4, 30006}, published{}, played{attempt: 2, transport: "udp"})
	m.do("lease/0:30004 lease/1:30006", ended{2, errSource}, closed{2}, tick{}, m.describe(3))
}

func TestStateRefusalEndsTheAttempt(t *testing.T) {
	m := newMachine(t, func(s *settings) { s.rtpType, s.firstIsLast = rtpUDP, true })
	m.s.ports = []uint16{30000, 30002}
	m.do("keep/0", begin{}, m.describe(1), granted{0, 1, 30000})
	exhausted := refusal(portpool.ReasonExhausted)
	m.do("close/1", refused{1, exhausted})
	m.do("keep/1", granted{1, 5, 30006}) // cannot be, but must not leak
	text := exhausted.Error()
	m.do("release/0:1 release/1:5 first/"+text+" over/"+text, closed{1})
	m.do("", tick{}, closed{1})
	m.do("release/1:6", granted{1, 6, 30006})
}

func TestStateGrantsThatComeTooLateGoBack(t *testing.T) {
	m := newMachine(t, func(s *settings) { s.rtpType = rtpUDP })
	m.do("close/1", begin{}, m.describe(1), tick{}) // the pool has not answered
	require.ErrorIs(t, m.s.err, errOverdue)
	m.do("first/"+errOverdue.Error()+" in/2s", closed{1})
	m.do("release/0:3", granted{0, 3, 30000})
	m.do("", granted{0, 3, 30000})
	m.do("", refused{1, refusal(portpool.ReasonExhausted)})
}

func TestStateAuto(t *testing.T) {
	auto := func(s *settings) { s.rtpType = rtpAuto }
	t.Run("falls back", func(t *testing.T) {
		m := newMachine(t, auto)
		m.do("play/udp+", begin{}, m.describe(1), granted{0, 1, 30000}, granted{1, 2, 30002}, published{})
		m.do("release/0:1 release/1:2", fellBack{1, errSource})
		m.do("first/<nil>", played{attempt: 1, transport: "tcp"})
		m.do("detach/source_lost in/2s", ended{1, errSource}, closed{1})
		m.do("publish", tick{}, m.describe(2)) // it is not tried twice
	})
	t.Run("does without ports", func(t *testing.T) {
		m := newMachine(t, auto)
		m.do("keep/0", begin{}, m.describe(1), granted{0, 1, 30000})
		m.do("release/0:1 publish", refused{1, refusal(portpool.ReasonExhausted)})
		m.do("play/tcp+", published{})
	})
	t.Run("cannot", func(t *testing.T) {
		m := newMachine(t, auto)
		m.do("publish", begin{}, described{attempt: 1, tracks: testTracks(t)})
	})
	t.Run("type that does not exist", func(t *testing.T) {
		m := newMachine(t, func(s *settings) { s.rtpType = 2 })
		m.do("close/1", begin{}, m.describe(1))
		require.ErrorIs(t, m.s.err, errRTPType)
	})
}

func TestStateWithoutAudio(t *testing.T) {
	m := newMachine(t, func(s *settings) { s.rtpType, s.enableAudio = rtpUDP, false })
	m.do("lease/0:0", begin{}, m.describe(1))
	m.do("keep/0 publish", granted{0, 1, 30000})

	m = newMachine(t, func(s *settings) { s.enableAudio = false })
	m.do("close/1", begin{}, described{attempt: 1, tracks: testTracks(t)[1:]})
	require.ErrorIs(t, m.s.err, errNoAudio)
}

func TestStateRetryCount(t *testing.T) {
	failing := func(m *machine) string {
		m.t.Helper()
		var got []string
		for _, act := range append(m.s.step(m.now, described{attempt: m.s.attempt, err: errSource}), m.s.step(m.now, closed{m.s.attempt})...) {
			if word := describe(act); word != "" {
				got = append(got, word)
			}
		}
		return got[len(got)-1]
	}
	for name, tc := range map[string]struct {
		retries int
		want    []string
	}{
		"for ever": {-1, []string{"in/2s", "in/4s", "in/8s", "in/16s", "in/32s", "in/1m0s", "in/1m0s"}},
		"never":    {0, []string{"over/no luck"}},
		"twice":    {2, []string{"in/2s", "in/4s", "over/no luck"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, func(s *settings) { s.retryCount = tc.retries })
			m.do("connect/1 in/12s", begin{})
			for i, want := range tc.want {
				require.Equal(t, want, failing(m), "attempt %d", i+1)
				require.Equal(t, i+1, m.s.failed)
				m.s.step(m.now, tick{})
			}
		})
	}
	t.Run("a success starts anew", func(t *testing.T) {
		m := newMachine(t, func(s *settings) { s.retryCount = 1 })
		m.playing()
		for attempt := uint64(1); attempt < 4; attempt++ {
			m.do("detach/source_lost in/2s", ended{attempt, errSource}, closed{attempt})
			m.do("", tick{}, m.describe(attempt+1), published{}, played{attempt: attempt + 1})
		}
		m.do("detach/source_lost in/2s", ended{4, errSource}, closed{4})
		// The stream does not have to wait any longer.
		m.do("detach/source_lost! over/no luck", tick{}, described{attempt: 5, err: errSource}, closed{5})
	})
}

func TestStateFirstAttempt(t *testing.T) {
	m := newMachine(t, func(s *settings) { s.firstIsLast = true })
	m.do("close/1", begin{}, described{attempt: 1, err: errSource})
	m.do("first/no luck over/no luck", closed{1})

	m = newMachine(t, nil) // with force
	m.do("first/no luck in/2s", begin{}, described{attempt: 1, err: errSource}, closed{1})

	m = newMachine(t, func(s *settings) { s.firstIsLast = true }) // a loss later on is not the first attempt
	m.playing()
	m.do("detach/source_lost in/2s", ended{1, errSource}, closed{1})
}

func TestStateChangedTracks(t *testing.T) {
	m := newMachine(t, nil)
	changed := fmt.Errorf("publish: %w", hub.ErrTracks)
	m.do("clear", begin{}, m.describe(1), published{err: changed})
	m.do("publish", streamCleared{})
	m.do("", streamCleared{})
	m.do("close/1", published{err: changed}) // not again in the same attempt
	m.do("clear", closed{1}, tick{}, m.describe(2), published{err: changed})
}

func TestStateLatePublish(t *testing.T) {
	late := published{stream: &actor.PID{Id: "old"}}
	m := newMachine(t, nil)
	m.do("close/1", begin{}, m.describe(1), tick{})
	m.do("detach/source_lost@old", late)
	m.do("publish", closed{1}, tick{}, m.describe(2))
	m.do("play/tcp", published{stream: &actor.PID{Id: "new"}})

	// The answer to the first request comes while a second one is under way.
	m = newMachine(t, nil)
	m.do("publish", begin{}, m.describe(1), tick{}, closed{1}, tick{}, m.describe(2))
	m.do("detach/source_lost@old", late)
	m.do("play/tcp", published{stream: &actor.PID{Id: "new"}})
	// ... and is a refusal.
	m = newMachine(t, nil)
	m.do("", begin{}, m.describe(1), tick{}, closed{1}, tick{}, m.describe(2), published{err: errSource})
	m.do("play/tcp", published{})
}

func TestStateStreamEnds(t *testing.T) {
	m := newMachine(t, nil)
	m.playing()
	m.do("close/1", streamEnded{actors.ReasonCrashed})
	m.do("in/2s", closed{1}) // nothing to detach from
	m.do("", streamEnded{actors.ReasonKicked})

	for _, reason := range []actors.CloseReason{actors.ReasonKicked, actors.ReasonNoReader} {
		m = newMachine(t, nil)
		m.playing()
		m.do("close/1", streamEnded{reason})
		m.do("over/the stream was ended: "+string(reason), closed{1})
	}
}

func TestStateLeaves(t *testing.T) {
	leaving := leave{actors.ReasonDeleted}
	m := newMachine(t, nil)
	m.playing()
	m.do("close/1", leaving)
	m.do("", leaving)
	m.do("detach/deleted! over/player proxy close", closed{1})

	m = newMachine(t, nil) // while it waits
	m.do("first/no luck in/2s", begin{}, described{attempt: 1, err: errSource}, closed{1})
	m.do("close/1", leaving)
	m.do("over/no luck", closed{1})

	m = newMachine(t, nil) // while it connects
	m.do("close/1", begin{}, leaving)
	m.do("first/player proxy close over/player proxy close", closed{1})
	m.do("", leaving, tick{})

	m = newMachine(t, func(s *settings) { s.retryCount = 0 }) // after it has given up
	m.do("first/no luck over/no luck", begin{}, described{attempt: 1, err: errSource}, closed{1})
	m.do("over/no luck", leaving)
}
