package api_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/portpool"
	"berth/actors/receiver"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/netio/gb28181"
	"berth/netio/ports"
)

func TestOpenRtpServerKeepsEveryArgument(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) { w.opened.Port = 30000 })
	for _, tc := range []struct {
		name, call string
		args       []string
		want       store.Receiver
	}{
		{"defaults", "openRtpServer", nil, store.Receiver{Key: key("rtp", "0BEBC201")}},
		{
			"everything", "openRtpServer",
			[]string{
				"port", "30010", "app", "gb", "vhost", "v", "tcp_mode", "2", "re_use_port", "true", "ssrc", "0200000001", "only_track", "2", "local_ip", "::1",
			},
			store.Receiver{Key: key("gb", "0BEBC201"), Port: 30010, TCPMode: 2, ReusePort: true, SSRC: 200000001, OnlyTrack: 2, LocalIP: netip.MustParseAddr("::1")},
		},
		{"as older clients write it", "openRtpServer", []string{"enable_tcp", "1", "only_audio", "1"}, store.Receiver{Key: key("rtp", "0BEBC201"), TCPMode: 1, OnlyTrack: 1}},
		{"the newer argument counts more", "openRtpServer", []string{"enable_tcp", "1", "tcp_mode", "2"}, store.Receiver{Key: key("rtp", "0BEBC201"), TCPMode: 2}},
		{
			"many streams", "openRtpServerMultiplex",
			[]string{"tcp_mode", "1", "ssrc", "5", "re_use_port", "0"},
			store.Receiver{Key: key("rtp", "0BEBC201"), TCPMode: 1, ReusePort: true, Multiplex: true},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"stream_id", "0BEBC201"}, tc.args...)
			if len(tc.args) == 0 || tc.args[0] != "port" {
				args = append(args, "port", "0")
			}
			w.call(tc.call, args...).requireJSON(t, `{"code":0,"port":30000}`)
			got := w.heard()[0].(store.Receiver)
			require.WithinDuration(t, time.Now(), got.Created, time.Hour)
			got.Created = time.Time{}
			require.Equal(t, tc.want, got)
		})
	}
}

func TestVhostCountsForReceiversWhereItIsOn(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { c.General.EnableVhost = true })
	w.call("closeRtpServer", "vhost", "v", "stream_id", "a")
	require.Equal(t, []any{receiver.Close{Key: media.StreamKey{VHost: "v", App: "rtp", Stream: "a"}}}, w.heard())
}

func TestReceiverArgumentsThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	open := func(args ...string) []string {
		return append([]string{"openRtpServer", "port", "0", "stream_id", "a"}, args...)
	}
	connect := func(args ...string) []string {
		return append([]string{"connectRtpServer", "stream_id", "a", "dst_url", "10.0.0.1", "dst_port", "1"}, args...)
	}
	for _, tc := range []struct {
		name string
		call []string
		msg  string
	}{
		{"no port", []string{"openRtpServer", "stream_id", "a"}, `Required parameter missed: "port","stream_id"`},
		{"no stream", []string{"openRtpServer", "port", "0"}, `Required parameter missed: "port","stream_id"`},
		{"port too large", open("port", "70000"), "port = \"70000\" is not a whole number from 0 to 65535"},
		{"negative port", open("port", "-1"), "port"},
		{"unknown mode", open("tcp_mode", "3"), "tcp_mode"},
		{"bad flag", open("enable_tcp", "2"), "enable_tcp"},
		{"bad reuse", open("re_use_port", "maybe"), "re_use_port"},
		{"bad audio", open("only_audio", "x"), "only_audio"},
		{"unknown track", open("only_track", "3"), "only_track"},
		{"ssrc too large", open("ssrc", "4294967296"), "ssrc"},
		{"hexadecimal ssrc", open("ssrc", "0x10"), "ssrc"},
		{"no address", open("local_ip", "eth0"), "local_ip"},
		{"bad name", open("stream_id", "a b"), "no stream name may have"},
		{"bad app", open("app", "a/b"), "name no stream"},
		{"multiplex", []string{"openRtpServerMultiplex", "port", "99999", "stream_id", "a"}, "port"},
		{"no target", []string{"connectRtpServer", "stream_id", "a"}, `Required parameter missed: "stream_id","dst_url","dst_port"`},
		{"url as host", connect("dst_url", "rtsp://10.0.0.1"), "neither a host name nor an IP address"},
		{"port 0", connect("dst_port", "0"), "dst_port"},
		{"bad target port", connect("dst_port", "x"), "dst_port"},
		{"bad receiver", connect("stream_id", "a?"), "no stream name may have"},
		{"no ssrc", []string{"updateRtpServerSSRC", "stream_id", "a"}, `Required parameter missed: "stream_id","ssrc"`},
		{"bad ssrc", []string{"updateRtpServerSSRC", "stream_id", "a", "ssrc", "-1"}, "ssrc"},
		{"bad pause", []string{"pauseRtpCheck", "stream_id", "a", "pause_seconds", "-1"}, "pause_seconds"},
		{"endless pause", []string{"pauseRtpCheck", "stream_id", "a", "pause_seconds", "1e12"}, "pause_seconds"},
		{"bad all", []string{"listRtpServer", "all", "x"}, "all"},
		{"no receiver", []string{"closeRtpServer"}, `Required parameter missed: "stream_id"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := w.call(tc.call[0], lastOfEach(tc.call[1:])...)
			require.Equal(t, -300, r.code(), r.text)
			require.Equal(t, http.StatusOK, r.status)
			require.Contains(t, r.body["msg"], tc.msg)
			require.Empty(t, w.heard(), "nothing may have been asked for")
		})
	}
}

// lastOfEach keeps the last value of each name.
func lastOfEach(args []string) []string {
	values := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		values[args[i]] = args[i+1]
	}
	var out []string
	for name, value := range values {
		out = append(out, name, value)
	}
	return out
}

func TestWhatReceiversRefuseIsAnswered(t *testing.T) {
	w := newWorld(t, nil)
	open := []string{"port", "0", "stream_id", "a"}
	w.set(func(w *world) { w.opened = receiver.Opened{Err: receiver.ErrExists} })
	w.call("openRtpServer", open...).requireJSON(t, `{"code":-300,"msg":"This stream already exists"}`)
	refused := &portpool.RefusedError{Reason: portpool.ReasonExhausted, Range: ports.Range{Low: 30000, High: 30071}}
	w.set(func(w *world) { w.opened = receiver.Opened{Err: refused} })
	r := w.call("openRtpServerMultiplex", open...)
	require.Equal(t, -400, r.code())
	require.Regexp(t, "^none reserved port in pool", r.body["msg"])
	w.set(func(w *world) { w.opened = receiver.Opened{Err: receiver.ErrInterrupted} })
	require.Equal(t, http.StatusServiceUnavailable, w.call("openRtpServer", open...).status)

	connect := []string{"stream_id", "a", "app", "gb", "dst_url", "[2001:db8::1]", "dst_port", "15060"}
	w.heard()
	w.call("connectRtpServer", connect...).requireJSON(t, `{"code":0}`)
	require.Equal(t, []any{receiver.Connect{Key: key("gb", "a"), Host: "2001:db8::1", Port: 15060}}, w.heard())
	for _, tc := range []struct {
		err  error
		want string
	}{
		{receiver.ErrNotFound, `{"code":-1,"msg":"can not find the stream"}`},
		{receiver.ErrNotActive, `{"code":-1,"msg":"the receiver was not opened with tcp_mode = 2 (TCP active)"}`},
		{errors.New("connection refused"), `{"code":-1,"msg":"connection refused"}`},
	} {
		w.set(func(w *world) { w.rtpErr = tc.err })
		w.call("connectRtpServer", connect...).requireJSON(t, tc.want)
	}
	w.set(func(w *world) { w.rtpErr = receiver.ErrNotFound })
	for _, call := range [][]string{{"updateRtpServerSSRC", "ssrc", "7"}, {"pauseRtpCheck"}, {"resumeRtpCheck"}} {
		w.call(call[0], append(call[1:], "stream_id", "a")...).requireJSON(t, `{"code":-500,"msg":"RtpServer not found by stream_id"}`)
	}
	w.set(func(w *world) { w.rtpErr = receiver.ErrInterrupted })
	for _, call := range [][]string{{"updateRtpServerSSRC", "ssrc", "7"}, {"connectRtpServer", "dst_url", "h", "dst_port", "1"}} {
		require.Equal(t, http.StatusServiceUnavailable, w.call(call[0], append(call[1:], "stream_id", "a")...).status)
	}
}

func TestReceiversAreChangedAndClosed(t *testing.T) {
	w := newWorld(t, nil)
	w.call("closeRtpServer", "stream_id", "known").requireJSON(t, `{"code":0,"hit":1}`)
	w.call("closeRtpServer", "stream_id", "other", "app", "gb").requireJSON(t, `{"code":0,"hit":0}`)
	w.call("updateRtpServerSSRC", "stream_id", "a", "ssrc", "0").requireJSON(t, `{"code":0}`)
	w.call("pauseRtpCheck", "stream_id", "a").requireJSON(t, `{"code":0}`)
	w.call("pauseRtpCheck", "stream_id", "a", "pause_seconds", "20").requireJSON(t, `{"code":0}`)
	w.call("resumeRtpCheck", "stream_id", "a").requireJSON(t, `{"code":0}`)
	require.Equal(t, []any{
		receiver.Close{Key: key("rtp", "known")},
		receiver.Close{Key: key("gb", "other")},
		receiver.SetSSRC{Key: key("rtp", "a")},
		receiver.PauseCheck{Key: key("rtp", "a"), For: 5 * time.Minute},
		receiver.PauseCheck{Key: key("rtp", "a"), For: 20 * time.Second},
		receiver.PauseCheck{Key: key("rtp", "a")},
	}, w.heard())
}

// device is a receiver that is being fed.
func device(name string, now time.Time) receiver.Snapshot {
	return receiver.Snapshot{
		Definition: store.Receiver{Key: key("rtp", name), TCPMode: 1, SSRC: 77, OnlyTrack: 2},
		Key:        key("rtp", name), Stream: key("rtp", name+"_new"), Port: 30002, Since: now.Add(-time.Minute), Transport: "udp",
		Local: netip.MustParseAddrPort("192.0.2.1:30002"), Peer: netip.MustParseAddrPort("192.0.2.9:15060"), Paused: now.Add(90 * time.Second),
		Stats: gb28181.SourceStats{
			Packets: 1000, Bytes: 1_000_000, Lost: 3, Strangers: 4, OtherSSRC: 5, Invalid: 6, Late: 7, Damaged: 8, Payload: "ps", SSRC: 77,
			LastPacket: now.Add(-2 * time.Second), Jitter: 1500 * time.Microsecond,
		},
	}
}

func TestReceiversAreListed(t *testing.T) {
	w := newWorld(t, nil)
	w.call("listRtpServer").requireJSON(t, `{"code":0}`)
	now := time.Now()
	shared := device("0BEBC202", now)
	shared.Shared = true
	idle := receiver.Snapshot{Definition: store.Receiver{Key: key("rtp", "a/b")}, Key: key("rtp", "a/b"), Port: 30004, Since: now, Restored: true}
	w.set(func(w *world) { w.receivers = []receiver.Snapshot{device("0BEBC201", now), shared, idle} })
	list := w.call("listRtpServer").body["data"].([]any)
	require.Len(t, list, 2, "what clients close again is what they opened")
	first, second := list[0].(map[string]any), list[1].(map[string]any)
	for name, want := range map[string]any{
		"vhost": "__defaultVhost__", "app": "rtp", "stream_id": "0BEBC201", "port": 30002.0, "ssrc": 77.0, "tcp_mode": 1.0, "only_track": 2.0,
		"published": "__defaultVhost__/rtp/0BEBC201_new", "peer_ip": "192.0.2.9", "peer_port": 15060.0, "local_port": 30002.0, "transport": "udp",
		"packets": 1000.0, "lost": 3.0, "strangers": 4.0, "damaged": 8.0, "jitter_ms": 1.5, "payload": "ps", "check_paused_sec": 90.0, "restored": false,
	} {
		require.Equal(t, want, first[name], name)
	}
	require.GreaterOrEqual(t, first["silent_ms"], 2000.0)
	for name, want := range map[string]any{"stream_id": "a/b", "published": "", "peer_ip": "", "silent_ms": nil, "restored": true, "check_paused_sec": 0.0} {
		require.Equal(t, want, second[name], name)
	}
	require.Len(t, w.call("listRtpServer", "all", "1").body["data"], 3)
}

func TestGetRtpInfoKnowsWhatHasMedia(t *testing.T) {
	w := newWorld(t, nil)
	w.call("getRtpInfo", "stream_id", "a").requireJSON(t, `{"code":0,"exist":false}`)
	now := time.Now()
	pushed, waiting := liveStream(t, "rtp", "b", stream.OriginRTPPush, 0, time.Minute), liveStream(t, "rtp", "c", stream.OriginRTPPush, 0, time.Minute)
	waiting.Online = false
	w.set(func(w *world) {
		w.receivers = []receiver.Snapshot{device("a", now), {Key: key("rtp", "idle"), Port: 30004}}
		w.streams = []stream.Snapshot{pushed, waiting, liveStream(t, "rtp", "d", stream.OriginPull, 0, time.Minute)}
	})
	w.call("getRtpInfo", "stream_id", "a").requireJSON(t, `{"code":0,"exist":true,"identifier":"a_new","peer_ip":"192.0.2.9","peer_port":15060,"local_ip":"192.0.2.1","local_port":30002}`)
	w.call("getRtpInfo", "stream_id", "b").requireJSON(t, `{"code":0,"exist":true,"identifier":"__defaultVhost__/rtp/b","peer_ip":"192.0.2.7","peer_port":554,"local_ip":"192.0.2.1","local_port":40000}`)
	for _, name := range []string{"idle", "c", "d"} {
		w.call("getRtpInfo", "stream_id", name).requireJSON(t, `{"code":0,"exist":false}`)
	}
	require.Equal(t, -300, w.call("getRtpInfo").code())
}

func TestClosingStreamsOfDevicesEndsTheirReceivers(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) {
		w.streams = []stream.Snapshot{liveStream(t, "rtp", "a", stream.OriginRTPPush, 1, time.Minute)}
	})
	one := []string{"schema", "rtsp", "vhost", "v", "app", "rtp", "stream", "a"}
	w.call("close_stream", one...).requireJSON(t, `{"code":-1,"result":-1,"msg":"close failed"}`)
	require.Len(t, w.heard(), 1, "the receiver of a stream that stays is left alone")
	w.call("close_streams", "app", "rtp", "force", "1").requireJSON(t, `{"code":0,"count_hit":1,"count_closed":1}`)
	require.Equal(t, []any{
		streams.CloseStreams{Filter: streams.Filter{VHost: media.DefaultVHost, App: "rtp", Stream: "a"}, Force: true, Reason: actors.ReasonKicked},
		receiver.CloseStreams{VHost: media.DefaultVHost, App: "rtp", Stream: "a"},
	}, w.heard())
	w.call("close_stream", append(one, "force", "1")...).requireJSON(t, `{"code":0,"result":0,"msg":"success"}`)

	item := w.call("getMediaInfo", one...).body
	require.EqualValues(t, 3, item["originType"])
	require.Equal(t, "rtp_push", item["originTypeStr"])
	require.Equal(t, "192.0.2.7", item["originSock"].(map[string]any)["peer_ip"])
}
