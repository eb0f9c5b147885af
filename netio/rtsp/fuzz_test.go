package rtsp

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/stretchr/testify/require"

	"berth/media"
)

func FuzzNegotiate(f *testing.F) {
	for _, s := range []string{
		"RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record", "RTP/AVP/TCP;interleaved=254-255",
		"RTP/AVP;multicast", `RTP/AVP/UDP;unicast;client_port=1;mode="PLAY"`, "RTP/SAVP;unicast;client_port=1-2,RTP/AVP/TCP",
		"RTP/AVP;unicast;client_port=0-70000", "RTP/AVP;ssrc=xyz;mode=banana", ",,,;;;", "RTP/AVP/TCP;interleaved=4294967295-4294967296",
	} {
		f.Add(s, true, true, false)
		f.Add(s, false, true, true)
	}
	f.Fuzz(func(t *testing.T, header string, tcp, udp, record bool) {
		o, status := negotiate(base.HeaderValue{header}, transportRules{tcp: tcp, udp: udp, record: record})
		if status != base.StatusOK {
			require.Contains(t, []base.StatusCode{base.StatusUnsupportedTransport, base.StatusMethodNotValidInThisState}, status)
			return
		}
		switch o.transport {
		case TransportTCP:
			require.True(t, tcp)
			pair, ok := freeChannels(o.channels, map[int]bool{0: true})
			require.True(t, ok)
			require.Equal(t, pair[0]+1, pair[1])
			require.LessOrEqual(t, pair[1], 255)
		case TransportUDP:
			require.True(t, udp)
			require.True(t, record || o.clientPort[0] != 0 && o.clientPort[1] != 0)
		default:
			t.Fatal("agreed on nothing")
		}
	})
}

func FuzzParseAnnouncement(f *testing.F) {
	for _, body := range bodies {
		f.Add([]byte(body))
		f.Add([]byte(strings.ReplaceAll(body, "\n", "\r\n")))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := ParseAnnouncement(body)
		if err != nil {
			return
		}
		require.NotEmpty(t, a.Tracks)
		require.LessOrEqual(t, len(a.Controls), maxAnnouncedMedias)
		require.Len(t, a.Media, len(a.Controls))
		for _, track := range a.Tracks {
			require.Positive(t, track.ClockRate)
		}
		// What is taken can be described to viewers, on lines of its own, and be read again.
		again, err := ParseAnnouncement(Describe("x", a.Tracks, false))
		if err == nil {
			require.Len(t, again.Tracks, len(a.Tracks))
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"rtsp://h/live/cam", "rtsp://h:554/live/cam/trackID=1", "rtsp://h/live/cam?a=b/trackID=1", "rtsp://h/live/cam/?a=b/", "/live/cam/", "rtsp://[::1]:554/a/b",
		"rtsp://u:p@h/a/b", "rtsp://h//a//b//", "rtsp://h/a/b?x=/", "rtsp://h/a/%2e%2e/b", "RTSP://H/a/trackID=0/trackID=1",
	} {
		f.Add(s, "streamid=0")
	}
	f.Fuzz(func(t *testing.T, raw, control string) {
		u, bad := parseURL(raw)
		if bad != nil {
			return
		}
		at, ok := parseTarget(u, true, "192.0.2.1")
		if !ok {
			return
		}
		require.True(t, at.key.Valid())
		require.False(t, hasControl(at.base+at.params+at.control), "control characters survive in %q", raw)
		again, bad := parseURL(at.base)
		require.Nil(t, bad, "the base %q of %q is no URL", at.base, raw)
		twice, ok := parseTarget(again, true, "h")
		if ok && twice.control == "" {
			require.Equal(t, at.key, twice.key, "the base %q of %q names another stream", at.base, raw)
		}
		announcedTrack(u, at.path, at.params, []string{control, ""})
	})
}

// FuzzSession drives a session with arbitrary events in arbitrary order. Whatever comes, it stays in a legal state, answers every request once and in
// order, asks for one thing at a time, and says nothing after Close.
func FuzzSession(f *testing.F) {
	f.Add([]byte{0, 1, 20, 4, 21, 5, 23, 9, 40})
	f.Add([]byte{2, 24, 5, 25, 7, 11, 30, 40, 40})
	f.Add([]byte{1, 26, 1, 20, 6, 21, 22, 9, 23, 10, 9, 23, 11, 1, 20})
	f.Fuzz(func(t *testing.T, steps []byte) {
		d := newSessionDriver(t, len(steps) > 0 && steps[0]%2 == 0)
		for _, b := range steps {
			d.step(b)
		}
		d.step(255) // the peer goes
		require.Equal(t, StateClosed, d.session.State())
	})
}

// sessionDriver checks what must always hold.
type sessionDriver struct {
	t        *testing.T
	now      time.Time
	session  *Session
	sent     int
	answered int
	closed   bool
	joined   bool
	owner    bool
}

func newSessionDriver(t *testing.T, auth bool) *sessionDriver {
	opts := SessionOptions{
		ID: "S", Nonce: "n", AllowTCP: true, AllowUDP: true, HandshakeTimeout: 15 * time.Second, KeepAlive: 15 * time.Second, AnswerTimeout: 30 * time.Second,
	}
	if auth {
		opts.Auth = AuthOptions{Basic: true, Play: true, Publish: true, Users: []Credential{{"a", "b"}}}
	}
	return &sessionDriver{t: t, now: scriptStart, session: NewSession(scriptStart, opts)}
}

func (d *sessionDriver) step(b byte) {
	event := d.event(b)
	if _, ok := event.(RequestReceived); ok && !d.closed {
		d.sent++
	}
	for _, action := range d.session.Step(d.now, event) {
		require.False(d.t, d.closed, "%T after Close", action)
		d.check(action)
	}
	_ = d.session.Deadline(Tick{})
}

func (d *sessionDriver) check(action Action) {
	switch a := action.(type) {
	case Respond:
		require.Equal(d.t, fmt.Sprint(d.answered), headerValue(a.Response.Header, "CSeq"), "answers in order")
		d.answered++
		require.LessOrEqual(d.t, d.answered, d.sent)
	case Join:
		require.False(d.t, d.joined)
		d.joined = true
	case Publish:
		require.False(d.t, d.joined || d.owner)
	case MapChannels, StartRecord:
		require.True(d.t, d.owner, "%T by a session that does not publish", a)
	case PreparePlay:
		require.True(d.t, d.joined)
		require.NotEmpty(d.t, a.Tracks)
	case Leave:
		require.True(d.t, d.joined || d.owner)
		d.joined, d.owner = false, false
	case Close:
		d.closed = true
	}
	if d.session.pending.step == stepNone && !d.closed && len(d.session.queue) == 0 && d.answered > d.sent {
		d.t.Fatal("more answers than requests")
	}
}

var fuzzMethods = []string{"OPTIONS", "DESCRIBE", "ANNOUNCE", "SETUP", "SETUP", "SETUP", "SETUP", "RECORD", "PAUSE", "PLAY", "TEARDOWN", "GET_PARAMETER", "BREW", "PLAY"}

func (d *sessionDriver) event(b byte) Event {
	key := media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: "cam"}
	switch {
	case b < 20:
		return d.request(int(b))
	case b == 20:
		return StreamFound{Key: key, Tracks: []*media.Track{testTrack(d.t, "h264"), testTrack(d.t, "pcmu")}}
	case b == 21:
		if d.session.pending.step != stepJoin {
			return Tick{}
		}
		return Joined{SSRC: []uint32{1}}
	case b == 22:
		return UDPOpened{Track: d.session.pending.track, Port: 20000}
	case b == 23:
		return PlayPrepared{Starts: []PlayStart{{Track: 0, Known: true}, {Track: 1}}}
	case b == 24:
		d.owner = d.owner || d.session.pending.step == stepPublish
		return Published{Key: key}
	case b == 25:
		return PairLeased{Track: d.session.pending.track, Port: 20000}
	case b < 30:
		if d.session.pending.step == stepJoin {
			d.joined = false
		}
		return Refused{Why: Refusal(b - 26), Text: "no"}
	case b < 40:
		d.now = d.now.Add(time.Duration(b-30) * 5 * time.Second)
		return Tick{}
	case b == 40:
		return StreamEnded{Cause: "source_lost"}
	case b == 41:
		return WriteFailed{}
	case b == 42:
		return Kicked{Cause: "kicked"}
	case b == 255:
		return PeerClosed{}
	}
	return Tick{Media: d.now, Heard: d.now}
}

func (d *sessionDriver) request(kind int) Event {
	method := fuzzMethods[kind%len(fuzzMethods)]
	url := "rtsp://h/live/cam"
	transport := "RTP/AVP/TCP;unicast"
	if method == "SETUP" {
		url += fmt.Sprintf("/trackID=%d", kind%2)
		if kind%3 == 0 {
			transport = "RTP/AVP;unicast;client_port=5000-5001"
		}
	}
	if kind == 13 {
		url = "rtsp://h/live/other"
	}
	text := fmt.Sprintf("%s %s RTSP/1.0\nCSeq: %d\nTransport: %s\nAuthorization: Basic YTpi\n", method, url, d.sent, transport)
	body := ""
	if method == "ANNOUNCE" {
		body = strings.ReplaceAll(bodies["ffmpeg"], "streamid", "trackID")
		text += fmt.Sprintf("Content-Length: %d\n", len(body))
	}
	msg, err := NewReader(strings.NewReader(text+"\n"+body), Limits{}).Next()
	require.NoError(d.t, err)
	return RequestReceived{Request: msg.Request, Err: msg.Err}
}
