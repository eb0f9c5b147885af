package rtsp

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/stretchr/testify/require"

	"berth/media"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/session")

// TestSessionScripts plays the scripts of testdata/session against the state machine. A script is blocks separated by empty lines: a command, its
// input, ----, and what the session answers, each action on a line, then the state. Run with -update to rewrite what is expected, and read the diff.
func TestSessionScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/session/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			played := newScript(t).play(string(text))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(played), 0o644))
				return
			}
			require.Equal(t, string(text), played)
		})
	}
}

var scriptStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

type script struct {
	t       *testing.T
	now     time.Time
	opts    SessionOptions
	session *Session
}

func newScript(t *testing.T) *script {
	return &script{t: t, now: scriptStart, opts: SessionOptions{
		ID: "SECRET", Nonce: "nonce", Server: "berth", Host: "192.0.2.1:554", Source: "192.0.2.1", AllowTCP: true, AllowUDP: true,
		HandshakeTimeout: 15 * time.Second, KeepAlive: 15 * time.Second, AnswerTimeout: 30 * time.Second,
	}}
}

func (s *script) play(text string) string {
	var out []string
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(block, "#") {
			out = append(out, block)
			continue
		}
		input, _, _ := strings.Cut(block, "\n----")
		out = append(out, input+"\n----\n"+s.run(input))
	}
	return strings.Join(out, "\n\n") + "\n"
}

// run executes one block and returns what came of it.
func (s *script) run(input string) string {
	head, body, _ := strings.Cut(input, "\n")
	args := strings.Fields(head)
	command, args := args[0], args[1:]
	if command == "options" {
		s.option(args)
		return "ok"
	}
	if s.session == nil {
		s.session = NewSession(s.now, s.opts)
	}
	if command == "advance" {
		d, err := time.ParseDuration(args[0])
		require.NoError(s.t, err)
		s.now = s.now.Add(d)
		return "ok"
	}
	var b strings.Builder
	for _, action := range s.session.Step(s.now, s.event(command, args, body)) {
		fmt.Fprintln(&b, render(action))
	}
	fmt.Fprintf(&b, "state: %s", s.session.State())
	return b.String()
}

func (s *script) option(args []string) {
	for _, arg := range args {
		switch arg {
		case "secure":
			s.opts.Secure = true
		case "tcp-only":
			s.opts.AllowUDP = false
		case "udp-only":
			s.opts.AllowTCP = false
		case "basic":
			s.opts.Auth = AuthOptions{Basic: true, Publish: true, Play: true, Users: []Credential{{"ann", "s:cret"}, {"bob", "pw"}}}
		case "digest":
			s.opts.Auth = AuthOptions{Publish: true, Play: true, Users: []Credential{{"ann", "secret"}, {"bob", "pw"}}}
		case "vhosts":
			s.opts.VirtualHosts = true
		default:
			s.t.Fatalf("no option %s", arg)
		}
	}
}

func (s *script) event(command string, args []string, body string) Event {
	number := func(i int) int {
		n, err := strconv.Atoi(args[i])
		require.NoError(s.t, err)
		return n
	}
	switch command {
	case "request":
		return s.request(body)
	case "found":
		e := StreamFound{Key: s.session.pending.target.key}
		for _, name := range args {
			e.Tracks = append(e.Tracks, testTrack(s.t, name))
		}
		return e
	case "joined":
		return Joined{SSRC: []uint32{0x11111111, 0x22222222}}
	case "udp":
		return UDPOpened{Track: number(0), Port: uint16(number(1))}
	case "prepared":
		var e PlayPrepared
		for i := range args {
			n := number(i)
			e.Starts = append(e.Starts, PlayStart{Track: n, Known: true, Seq: uint16(1000 + n), RTPTime: uint32(90000 + n)})
		}
		return e
	case "published":
		return Published{Key: s.session.pending.target.key}
	case "leased":
		return PairLeased{Track: number(0), Port: uint16(number(1))}
	case "refused":
		why := map[string]Refusal{"not-found": RefusedNotFound, "exists": RefusedExists, "no-ports": RefusedNoPorts, "unavailable": RefusedUnavailable}
		return Refused{Why: why[args[0]], Text: strings.Join(args[1:], " ")}
	case "tick":
		var e Tick
		for _, arg := range args {
			kind, ago, _ := strings.Cut(arg, "=")
			d, err := time.ParseDuration(ago)
			require.NoError(s.t, err)
			if kind == "media" {
				e.Media = s.now.Add(-d)
			} else {
				e.Heard = s.now.Add(-d)
			}
		}
		return e
	case "ended":
		return StreamEnded{Cause: CloseCause(args[0])}
	case "kicked":
		return Kicked{Cause: "kicked"}
	case "write-failed":
		return WriteFailed{Err: errors.New("viewer takes no data")}
	case "peer-closed":
		switch strings.Join(args, " ") {
		case "stalled":
			return PeerClosed{Err: ErrStalled}
		case "garbage":
			return PeerClosed{Err: ErrGarbage}
		}
		return PeerClosed{}
	}
	s.t.Fatalf("no command %s", command)
	return nil
}

// request reads a request through the real reader. A line `@name` at the end stands for a body.
func (s *script) request(text string) Event {
	if at := strings.Index(text, "\n@"); at >= 0 {
		sdp := strings.ReplaceAll(bodies[text[at+2:]], "\n", "\r\n")
		text = text[:at] + "\nContent-Length: " + strconv.Itoa(len(sdp)) + "\n\n" + sdp
	} else {
		text += "\n\n"
	}
	msg, err := NewReader(strings.NewReader(text), Limits{}).Next()
	require.NoError(s.t, err)
	return RequestReceived{Request: msg.Request, Err: msg.Err}
}

// bodies are the SDPs of scripts, as the named peers write them.
var bodies = map[string]string{
	"ffmpeg": `v=0
o=- 0 0 IN IP4 127.0.0.1
s=No Name
c=IN IP4 127.0.0.1
t=0 0
a=tool:libavformat 59.27.100
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z2QAHqzZQKAv+XARAAADAAEAAAMAMg8WLZY=,aOvjyyLA; profile-level-id=64001E
a=control:streamid=0
m=audio 0 RTP/AVP 97
b=AS:128
a=rtpmap:97 MPEG4-GENERIC/44100/1
a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3; config=120856E500
a=control:streamid=1
`,
	"gstreamer": `v=0
o=- 1188340656180883 1 IN IP4 127.0.0.1
s=Session streamed with GStreamer
i=rtsp-server
t=0 0
a=tool:GStreamer
a=type:broadcast
a=control:*
a=range:npt=now-
m=video 0 RTP/AVP 96 97
c=IN IP4 127.0.0.1
a=rtpmap:97 X-UNKNOWN/90000
a=rtpmap:96 H264/90000
a=framerate:25
a=fmtp:96 packetization-mode=1;profile-level-id=42c01e;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==
a=control:rtsp://127.0.0.1:8554/live/cam/stream=0
`,
	"encrypted": `v=0
o=- 0 0 IN IP4 127.0.0.1
s=-
t=0 0
m=video 0 RTP/SAVP 96
a=rtpmap:96 H264/90000
a=control:trackID=0
m=audio 0 RTP/AVP 0
a=control:trackID=1
`,
	"unusable": `v=0
o=- 0 0 IN IP4 127.0.0.1
s=-
t=0 0
m=video 0 RTP/SAVP 96
a=rtpmap:96 H264/90000
`,
	"nonsense": "this is no SDP\n",
	"ping":     "position\n",
}

func testTrack(t testing.TB, name string) *media.Track {
	var f format.Format
	switch name {
	case "h264":
		f = &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	case "pcmu":
		f = &format.G711{PayloadTyp: 0, MULaw: true, SampleRate: 8000, ChannelCount: 1}
	case "opus":
		f = &format.Opus{PayloadTyp: 97, ChannelCount: 2}
	default:
		t.Fatalf("no track %s", name)
	}
	track, err := media.NewTrack(f)
	require.NoError(t, err)
	return track
}

// render writes an action on one line, and the rest of a response indented below.
func render(action Action) string {
	switch a := action.(type) {
	case Respond:
		return renderResponse(a)
	case Subscribe:
		return fmt.Sprintf("subscribe %s params=%q", a.Key, a.Params)
	case OpenUDP:
		return fmt.Sprintf("open-udp track=%d client=%v", a.Track, a.ClientPort)
	case PreparePlay:
		s := "prepare-play"
		for _, t := range a.Tracks {
			s += fmt.Sprintf(" [track=%d %s channels=%v client=%v]", t.Track, t.Transport, t.Channels, t.ClientPort)
		}
		return s
	case Publish:
		s := fmt.Sprintf("publish %s params=%q", a.Key, a.Params)
		for _, t := range a.Tracks {
			s += " " + t.Codec.String()
		}
		return s
	case LeasePair:
		return fmt.Sprintf("lease-pair track=%d client=%v", a.Track, a.ClientPort)
	case ReleasePair:
		return fmt.Sprintf("release-pair track=%d", a.Track)
	case MapChannels:
		return fmt.Sprintf("map-channels track=%d channels=%v", a.Track, a.Channels)
	case Leave:
		return "leave " + string(a.Cause)
	case Close:
		return strings.TrimSpace("close " + string(a.Cause) + " " + a.Detail)
	}
	return map[string]string{
		"rtsp.Join": "join", "rtsp.StartPlay": "start-play", "rtsp.PausePlay": "pause-play",
		"rtsp.StartRecord": "start-record", "rtsp.StopRecord": "stop-record",
	}[fmt.Sprintf("%T", action)]
}

func renderResponse(a Respond) string {
	raw, err := a.Response.Marshal()
	if err != nil {
		return "respond with an error: " + err.Error()
	}
	var lines []string
	for scan := bufio.NewScanner(bytes.NewReader(raw)); scan.Scan(); {
		line := strings.TrimSuffix(scan.Text(), "\r")
		if line == "" || strings.HasPrefix(line, "Server: ") {
			continue
		}
		lines = append(lines, "  "+line)
	}
	lines[0] = "respond " + strings.TrimPrefix(lines[0], "  RTSP/1.0 ")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "  Content-Length") }), "\n")
}
