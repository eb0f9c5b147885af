package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/api"
	"berth/actors/portpool"
	"berth/actors/proxy"
	"berth/actors/reload"
	"berth/actors/rtspd"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/netio/ports"
)

func TestAddStreamProxyKeepsEveryArgument(t *testing.T) {
	w := newWorld(t, nil)
	on, off := true, false
	for _, tc := range []struct {
		name string
		args []string
		want store.Proxy
	}{
		{"defaults", nil, store.Proxy{RetryCount: -1}},
		{
			"everything",
			[]string{
				"retry_count", "3", "force", "1", "timeout_sec", "2.5", "rtp_type", "1", "rtsp_user", "admin", "rtsp_pwd", "p&ss",
				"enable_audio", "0", "auto_close", "true", "enable_mp4", "1", "Custom_Header", "x",
			},
			store.Proxy{
				RetryCount: 3, Force: true, Timeout: 2500 * time.Millisecond, RTPType: 1, User: "admin", Password: "p&ss",
				EnableAudio: &off, AutoClose: &on, Params: map[string]string{"enable_mp4": "1", "Custom_Header": "x"},
			},
		},
		{"UDP first", []string{"rtp_type", "-1", "timeout_sec", "0"}, store.Proxy{RetryCount: -1, RTPType: -1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := w.call("addStreamProxy", append([]string{
				"vhost", "__defaultVhost__", "app", "live", "stream", "cam/1", "url", "rtsp://10.0.0.1/a?b=1;c=2",
			}, tc.args...)...)
			r.requireJSON(t, `{"code":0,"data":{"key":"__defaultVhost__/live/cam/1"}}`)
			got := w.heard()[0].(store.Proxy)
			require.WithinDuration(t, time.Now(), got.Created, time.Hour)
			got.Created = time.Time{}
			tc.want.Key, tc.want.URL = key("live", "cam/1"), "rtsp://10.0.0.1/a?b=1;c=2"
			require.Equal(t, tc.want, got)
		})
	}
}

func TestAddStreamProxyRefusesWhatCannotBePulled(t *testing.T) {
	w := newWorld(t, nil)
	for _, tc := range []struct {
		name string
		args []string
		msg  string
	}{
		{"no url", []string{"url", ""}, `Required parameter missed: "vhost","app","stream","url"`},
		{"not served yet", []string{"url", "rtmp://h/a/b"}, "url scheme rtmp is not served by this version; rtsp and rtsps are"},
		{"unknown scheme", []string{"url", "gopher://h"}, "is not known"},
		{"no scheme", []string{"url", "10.0.0.1/a"}, "url is no URL"},
		{"control characters", []string{"url", "rtsp://h/a\r\nb"}, "control characters"},
		{"long url", []string{"url", "rtsp://h/" + strings.Repeat("a", 9000)}, "longer than"},
		{"slash in app", []string{"app", "a/b"}, "name no stream"},
		{"white space", []string{"stream", "a b"}, "no stream name may have"},
		{"query in stream", []string{"stream", "a?b"}, "no stream name may have"},
		{"long name", []string{"stream", strings.Repeat("a", 2000)}, "longer than"},
		{"trailing slash", []string{"stream", "a/"}, "name no stream"},
		{"bad number", []string{"retry_count", "3x"}, "retry_count"},
		{"number too small", []string{"retry_count", "-2"}, "retry_count"},
		{"bad span", []string{"timeout_sec", "NaN"}, "timeout_sec"},
		{"negative span", []string{"timeout_sec", "-1"}, "timeout_sec"},
		{"endless span", []string{"timeout_sec", "1e9"}, "timeout_sec"},
		{"bad bool", []string{"force", "2"}, "force"},
		{"bad optional bool", []string{"enable_audio", "yes"}, "enable_audio"},
		{"multicast", []string{"rtp_type", "2"}, "multicast"},
		{"unknown transport", []string{"rtp_type", "3"}, "rtp_type"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := map[string]string{"vhost": "__defaultVhost__", "app": "live", "stream": "cam", "url": "rtsp://h/a"}
			for i := 0; i < len(tc.args); i += 2 {
				args[tc.args[i]] = tc.args[i+1]
			}
			var list []string
			for name, value := range args {
				list = append(list, name, value)
			}
			r := w.call("addStreamProxy", list...)
			require.Equal(t, -300, r.code(), r.text)
			require.Equal(t, http.StatusOK, r.status)
			require.Contains(t, r.body["msg"], tc.msg)
			require.Empty(t, w.heard(), "nothing may have been asked for")
		})
	}
}

func TestAddStreamProxyAnswersWithTheFirstResult(t *testing.T) {
	w := newWorld(t, nil)
	args := []string{"vhost", "v", "app", "live", "stream", "cam", "url", "rtsp://h/a"}
	w.set(func(w *world) { w.added.Err = proxy.ErrExists })
	w.call("addStreamProxy", args...).requireJSON(t, `{"code":-1,"msg":"This stream already exists"}`)
	refused := &portpool.RefusedError{Reason: portpool.ReasonExhausted, Range: ports.Range{Low: 30000, High: 30071}, Pending: ports.Range{Low: 30000, High: 30999}}
	w.set(func(w *world) { w.added.Err = refused })
	r := w.call("addStreamProxy", args...)
	require.Equal(t, -1, r.code())
	require.True(t, strings.HasPrefix(r.body["msg"].(string), "none reserved port in pool"), r.text)
	require.Contains(t, r.body["msg"], "30000-30999")
	require.Equal(t, media.DefaultVHost, w.heard()[0].(store.Proxy).Key.VHost, "vhost means nothing while general.enableVhost is off")
}

func TestProxies(t *testing.T) {
	w := newWorld(t, nil)
	w.call("listStreamProxy").requireJSON(t, `{"code":0}`)
	live := liveStream(t, "live", "known", stream.OriginPull, 2, time.Minute)
	w.set(func(w *world) {
		w.proxies = []proxy.Snapshot{
			{
				Key: "__defaultVhost__/live/known", Stream: key("live", "known"), Playing: true, Status: "success", Since: time.Now().Add(-90 * time.Second),
				Repulls: 2, Transport: "udp", Live: &live, Definition: store.Proxy{URL: "rtsp://u:p@h/a", RTPType: 1, RetryCount: -1},
			},
			{
				Key: "__defaultVhost__/live/lost", Stream: key("live", "lost"), Status: "connection refused", Failures: 3, RetryAt: time.Now().Add(time.Minute),
				Definition: store.Proxy{URL: "rtsp://h/b"},
			},
		}
	})
	r := w.call("listStreamProxy")
	items := r.body["data"].([]any)
	require.Len(t, items, 2)
	first, second := items[0].(map[string]any), items[1].(map[string]any)
	require.Equal(t, "__defaultVhost__/live/known", first["key"])
	require.EqualValues(t, 0, first["status"])
	require.GreaterOrEqual(t, first["liveSecs"], 90.0)
	require.EqualValues(t, 2, first["rePullCount"])
	require.EqualValues(t, 2, first["totalReaderCount"])
	require.EqualValues(t, 10_000_000, first["totalBytes"])
	require.Positive(t, first["bytesSpeed"])
	require.Equal(t, map[string]any{"vhost": "__defaultVhost__", "app": "live", "stream": "known", "params": ""}, first["src"])
	require.Len(t, first["tracks"], 2)
	require.EqualValues(t, 1, second["status"])
	require.Equal(t, "connection refused", second["status_str"])
	require.Positive(t, second["retry_in_ms"])

	info := w.call("getProxyInfo", "key", "__defaultVhost__/live/known").body["data"].(map[string]any)
	require.Equal(t, "rtsp://u:p@h/a", info["url"])
	require.NotContains(t, info, "key")

	require.Len(t, w.call("listStreamProxy", "key", "__defaultVhost__/live/lost").body["data"], 1)
	w.call("listStreamProxy", "key", "none").requireJSON(t, `{"code":-400,"msg":"key not found: none"}`)
	require.Equal(t, -500, w.call("getProxyInfo", "key", "none").code())
	w.call("delStreamProxy", "key", "__defaultVhost__/live/known").requireJSON(t, `{"code":0,"data":{"flag":true}}`)
	w.call("delStreamProxy", "key", "none").requireJSON(t, `{"code":0,"data":{"flag":false}}`)
	w.call("delStreamProxy").requireJSON(t, `{"code":-300,"msg":"Required parameter missed: \"key\""}`)
	w.set(func(w *world) { w.removeErr = errors.New("no space left on device") })
	r = w.call("delStreamProxy", "key", "__defaultVhost__/live/known")
	require.Equal(t, -1, r.code())
	require.Contains(t, r.body["msg"], "no space left on device")
}

func TestMediaList(t *testing.T) {
	w := newWorld(t, nil)
	w.call("getMediaList").requireJSON(t, `{"code":0}`)
	w.set(func(w *world) {
		w.streams = []stream.Snapshot{
			liveStream(t, "live", "a", stream.OriginPull, 1, 10*time.Second),
			liveStream(t, "live", "b", stream.OriginRTSPPush, 0, 10*time.Second),
		}
	})
	r := w.call("getMediaList")
	require.Len(t, r.body["data"], 2)
	item := r.body["data"].([]any)[0].(map[string]any)
	for name, want := range map[string]any{
		"schema": "rtsp", "vhost": "__defaultVhost__", "app": "live", "stream": "a", "params": "token=1",
		"totalBytes": 1e7, "readerCount": 1.0, "totalReaderCount": 1.0,
		"originType": 4.0, "originTypeStr": "pull", "originUrl": "rtsp://camera/a", "isRecordingMP4": false, "isRecordingHLS": false, "online": true,
		"originSock": map[string]any{
			"identifier": "__defaultVhost__/live/a", "peer_ip": "192.0.2.7", "peer_port": 554.0, "local_ip": "192.0.2.1", "local_port": 40000.0,
		},
	} {
		require.Equal(t, want, item[name], name)
	}
	require.InDelta(t, 1e6, item["bytesSpeed"], 1e6)
	require.GreaterOrEqual(t, item["aliveSecond"], 10.0)
	video, audio := item["tracks"].([]any)[0].(map[string]any), item["tracks"].([]any)[1].(map[string]any)
	for name, want := range map[string]any{
		"codec_id": 0.0, "codec_id_name": "H264", "codec_type": 0.0, "ready": true, "frames": 250.0, "fps": 25.0, "key_frames": 5.0,
		"gop_size": 50.0, "gop_interval_ms": 2000.0, "duration": 10000.0,
	} {
		require.Equal(t, want, video[name], name)
	}
	for name, want := range map[string]any{
		"codec_id": 2.0, "codec_id_name": "mpeg4-generic", "codec_type": 1.0, "sample_rate": 44100.0, "channels": 2.0, "sample_bit": 16.0,
	} {
		require.Equal(t, want, audio[name], name)
	}
	require.NotContains(t, video, "loss", "only for a single item")

	single := w.call("getMediaList", "stream", "b", "schema", "rtsp").body["data"].([]any)
	require.Len(t, single, 1)
	require.EqualValues(t, 1.5, single[0].(map[string]any)["tracks"].([]any)[0].(map[string]any)["loss"])
	w.call("getMediaList", "schema", "rtmp").requireJSON(t, `{"code":0}`)
	w.call("getMediaList", "app", "other").requireJSON(t, `{"code":0}`)
}

func TestOneStream(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) {
		w.streams = []stream.Snapshot{liveStream(t, "live", "a", stream.OriginPull, 2, time.Minute)}
	})
	there := []string{"schema", "rtsp", "vhost", "anything", "app", "live", "stream", "a"}
	gone := []string{"schema", "rtsp", "vhost", "__defaultVhost__", "app", "live", "stream", "b"}
	otherSchema := []string{"schema", "rtmp", "vhost", "__defaultVhost__", "app", "live", "stream", "a"}

	w.call("isMediaOnline", there...).requireJSON(t, `{"code":0,"online":true}`)
	w.call("isMediaOnline", gone...).requireJSON(t, `{"code":0,"online":false}`)
	w.call("isMediaOnline", otherSchema...).requireJSON(t, `{"code":0,"online":false}`)

	r := w.call("getMediaInfo", there...)
	require.Equal(t, 0, r.code())
	require.Equal(t, "live", r.body["app"], "flat, beside code")
	require.EqualValues(t, -1, r.body["tracks"].([]any)[1].(map[string]any)["loss"])
	w.call("getMediaInfo", gone...).requireJSON(t, `{"code":-500,"msg":"can not find the stream"}`)
	require.Equal(t, -300, w.call("getMediaInfo", there[2:]...).code())

	r = w.call("getMediaPlayerList", there...)
	require.Len(t, r.body["data"], 2)
	player := r.body["data"].([]any)[0].(map[string]any)
	require.Equal(t, "session/a", player["identifier"])
	require.Equal(t, "198.51.100.1", player["peer_ip"])
	require.EqualValues(t, 8554, player["local_port"])
	require.Equal(t, "RtspSession", player["typeid"])
	w.set(func(w *world) { w.streams[0].Readers, w.streams[0].ReaderCount = nil, 0 })
	w.call("getMediaPlayerList", there...).requireJSON(t, `{"code":0,"data":[]}`)
	require.Equal(t, -500, w.call("getMediaPlayerList", gone...).code())
}

func TestCloseStream(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) {
		w.streams = []stream.Snapshot{
			liveStream(t, "live", "pulled", stream.OriginPull, 1, time.Minute),
			liveStream(t, "live", "pushed", stream.OriginRTSPPush, 0, time.Minute),
		}
	})
	pulled := []string{"schema", "rtsp", "vhost", "v", "app", "live", "stream", "pulled"}
	w.call("close_stream", pulled...).requireJSON(t, `{"code":-1,"result":-1,"msg":"close failed"}`)
	require.Len(t, w.heard(), 1, "the proxy of a stream that stays is left alone")
	w.call("close_stream", append(pulled, "force", "1")...).requireJSON(t, `{"code":0,"result":0,"msg":"success"}`)
	require.Equal(t, []any{
		streams.CloseStreams{Filter: streams.Filter{VHost: "__defaultVhost__", App: "live", Stream: "pulled"}, Force: true, Reason: actors.ReasonKicked},
		proxy.RemoveProxy{Key: "__defaultVhost__/live/pulled"},
	}, w.heard())
	w.call("close_stream", "schema", "rtsp", "vhost", "v", "app", "live", "stream", "x").requireJSON(t, `{"code":-500,"msg":"can not find the stream"}`)
	require.Equal(t, -300, w.call("close_stream", append(pulled, "force", "maybe")...).code())

	w.call("close_streams").requireJSON(t, `{"code":0,"count_hit":2,"count_closed":1}`)
	w.call("close_streams", "force", "1").requireJSON(t, `{"code":0,"count_hit":2,"count_closed":2}`)
	w.call("close_streams", "vhost", "other", "force", "1").requireJSON(t, `{"code":0,"count_hit":0,"count_closed":0}`)
	w.call("close_streams", "schema", "hls", "force", "1").requireJSON(t, `{"code":0,"count_hit":0,"count_closed":0}`)
	w.set(func(w *world) { w.removeErr = errors.New("disk full") })
	r := w.call("close_streams", "force", "1")
	require.Equal(t, -1, r.code())
	require.Contains(t, r.body["msg"], "disk full")
	require.EqualValues(t, 2, r.body["count_hit"])
}

func TestSessions(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) {
		w.sessions = []rtspd.SessionInfo{
			{
				ID: "1-abc", Protocol: "rtsp", Peer: netip.MustParseAddrPort("198.51.100.1:5000"), Local: netip.MustParseAddrPort("192.0.2.1:8554"),
				Since: time.Now(), State: "playing", Stream: key("live", "a"), Transport: "udp",
			},
			{ID: "2-def", Protocol: "rtsps", Peer: netip.MustParseAddrPort("198.51.100.2:5000"), Local: netip.MustParseAddrPort("192.0.2.1:332"), State: "init"},
		}
	})
	all := w.call("getAllSession").body["data"].([]any)
	require.Len(t, all, 3, "two RTSP connections and this one")
	first, own := all[0].(map[string]any), all[2].(map[string]any)
	require.Equal(t, "1-abc", first["id"])
	require.Equal(t, "tcp", first["type"])
	require.Equal(t, "RtspSession", first["typeid"])
	require.Equal(t, "a", first["stream"])
	require.Equal(t, "HttpSession", own["typeid"])
	require.Equal(t, "127.0.0.1", own["peer_ip"])
	require.Len(t, w.call("getAllSession", "peer_ip", "198.51.100.2").body["data"], 1)
	require.Len(t, w.call("getAllSession", "local_port", "8554").body["data"], 1)
	w.call("getAllSession", "local_port", "1").requireJSON(t, `{"code":0}`)
	require.Equal(t, -300, w.call("getAllSession", "local_port", "70000").code())
	require.Equal(t, -300, w.call("kick_sessions", "peer_ip", "not an address").code())
	require.Empty(t, w.heard(), "a filter that does not parse must not kick everybody")

	w.call("kick_session", "id", "1-abc").requireJSON(t, `{"code":0}`)
	w.call("kick_session", "id", "none").requireJSON(t, `{"code":-1,"msg":"can not find the target"}`)
	w.call("kick_session", "id", "http-99999").requireJSON(t, `{"code":-1,"msg":"can not find the target"}`)
	w.call("kick_session", "id", own["id"].(string)).requireJSON(t, `{"code":0}`)

	// A second connection, from another client, is kicked; the caller's is not.
	w.openIdle()
	actortest.Eventually(t, func() bool {
		open, _ := w.call("getAllSession", "peer_ip", "127.0.0.1").body["data"].([]any)
		return len(open) == 2
	}, "the connection that was kicked is gone")
	w.heard()
	r := w.call("kick_sessions")
	r.requireJSON(t, `{"code":0,"count_hit":3}`)
	require.Equal(t, rtspd.KickSessions{Reason: actors.ReasonKicked}, w.heard()[0])
	require.Equal(t, 0, w.call("getApiList").code())
	// An idle HTTP connection can also be named.
	w.openIdle()
	all = w.call("getAllSession", "peer_ip", "127.0.0.1").body["data"].([]any)
	require.Len(t, all, 2)
	w.call("kick_session", "id", all[1].(map[string]any)["id"].(string)).requireJSON(t, `{"code":0}`)
}

func TestServerConfigShowsWhatIsInForce(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { c.RTSP.Port = 554 })
	w.set(func(w *world) {
		w.state.Pending = []config.Change{{Key: "rtp_proxy.port_range", Old: "20000-29999", New: "20000-30999", Class: config.Restart}}
	})
	r := w.call("getServerConfig")
	data := r.body["data"].([]any)
	require.Len(t, data, 1)
	values := data[0].(map[string]any)
	require.Equal(t, "554", values["rtsp.port"])
	require.Equal(t, "20000-29999", values["rtp_proxy.port_range"])
	require.Equal(t, secret, values["api.secret"])
	require.Equal(t, "server-1", values["general.mediaServerId"])
	for name, v := range values {
		require.IsType(t, "", v, name)
	}
	require.Len(t, r.body["pending"], 1)
	require.Equal(t, "20000-30999", r.body["pending"].([]any)[0].(map[string]any)["new"])

	w.set(func(w *world) {
		w.state.Last = &reload.Verdict{Number: 4, Err: errors.New("berth.toml:3: bad"), At: time.Unix(1700000000, 0)}
		w.state.Results = map[reload.Result]uint64{reload.ResultApplied: 3, reload.ResultPending: 1, reload.ResultRejected: 1}
	})
	pending := w.call("getPendingConfig").body["data"].(map[string]any)
	require.Len(t, pending["pending"], 1)
	require.EqualValues(t, 4, pending["reloads"])
	require.Equal(t, false, pending["last"].(map[string]any)["ok"])
	require.Equal(t, "berth.toml:3: bad", pending["last"].(map[string]any)["error"])
}

func TestGetConfigSources(t *testing.T) {
	w := newWorld(t, nil)
	running, _, err := config.Load(config.Options{
		Set: []string{"state.dir=/nowhere", "api.secret=very-secret"}, Env: []string{"BERTH_HTTP__PORT=8081"},
		Overrides: map[string]string{"log.level": "warn"},
	})
	require.NoError(t, err)
	w.set(func(w *world) {
		w.state = reload.State{
			Running: running, Overrides: map[string]string{"log.level": "warn", "rtsp.port": "9000"}, Generation: 7,
			Pending: []config.Change{{Key: "rtsp.port", Old: "8554", New: "9000", Class: config.Restart, Source: config.Origin{Layer: config.LayerOverride}}},
		}
	})
	r := w.call("getConfigSources")
	require.EqualValues(t, 7, r.body["generation"])
	byKey := map[string]map[string]any{}
	for _, item := range r.body["data"].([]any) {
		byKey[item.(map[string]any)["key"].(string)] = item.(map[string]any)
	}
	require.Len(t, byKey, len(config.Keys()))
	for key, want := range map[string]map[string]any{
		"api.secret": {"value": "******", "layer": "flag", "source": "--set"},
		"http.port":  {"value": "8081", "layer": "env", "source": "environment BERTH_HTTP__PORT", "class": "restart", "default": "8080", "overridden": false},
		"log.level":  {"value": "warn", "layer": "override", "overridden": true, "class": "hot"},
		"rtsp.port":  {"value": "8554", "layer": "default", "overridden": true, "pending": "9000", "pending_source": "runtime override"},
	} {
		for field, value := range want {
			require.Equal(t, value, byKey[key][field], "%s of %s", field, key)
		}
	}
	require.NotContains(t, byKey["http.port"], "pending")
}

func TestSetServerConfig(t *testing.T) {
	w := newWorld(t, nil)
	w.call("setServerConfig").requireJSON(t, `{"code":0,"changed":0}`)
	w.set(func(w *world) {
		w.verdict = reload.Verdict{
			Number: 1, Digest: "d", Unknown: []string{"hook.on_play"},
			Keys: []reload.KeyVerdict{
				{Key: "general.maxStreamWaitMS", Old: "15000", New: "5000", Outcome: reload.Applied, Source: "runtime override"},
				{Key: "proxy.media_timeout", Outcome: reload.AppliedNew},
				{Key: "rtp_proxy.port_range", Old: "a", New: "b", Outcome: reload.Pending},
				{Key: "log.level", Outcome: reload.Rejected, Why: "its owner said no"},
			},
		}
	})
	r := w.call("setServerConfig", "general.maxstreamwaitms", "5000", "rtp_proxy.port_range", "30000-35000", "hook.on_play", "http://x", "unset", "LOG.level, pool.bind")
	require.EqualValues(t, 3, r.body["changed"])
	data := r.body["data"].(map[string]any)
	require.Equal(t, []any{"general.maxStreamWaitMS", "proxy.media_timeout"}, data["applied"])
	require.Equal(t, []any{"rtp_proxy.port_range"}, data["pending"])
	require.Equal(t, []any{"log.level"}, data["rejected"])
	require.Equal(t, []any{"hook.on_play"}, data["unknown"])
	require.Len(t, data["keys"], 4)
	wait, ports, hook := "5000", "30000-35000", "http://x"
	told := w.heard()[0].(reload.Override)
	require.True(t, strings.HasPrefix(told.By, "api 127.0.0.1:"), told.By)
	require.Equal(t, map[string]*string{
		"general.maxStreamWaitMS": &wait, "rtp_proxy.port_range": &ports, "hook.on_play": &hook, "log.level": nil, "pool.bind": nil,
	}, told.Values, "the secret is no key, and keys have the registry's spelling")

	w.set(func(w *world) { w.verdict = reload.Verdict{Err: errors.New("two lines\nof problems")} })
	r = w.call("setServerConfig", "rtp_proxy.port_range", "x")
	require.Equal(t, -300, r.code())
	require.Equal(t, "two lines\nof problems", r.body["msg"])
	require.EqualValues(t, 0, r.body["changed"])
}

func TestReloadConfig(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) {
		w.verdict = reload.Verdict{Number: 7, Digest: "abc", Warnings: []string{"careful"}, Keys: []reload.KeyVerdict{{Key: "log.level", Old: "info", New: "debug", Outcome: reload.Applied, Source: "berth.toml:2"}}}
	})
	r := w.call("reloadConfig", "dry_run", "1")
	data := r.body["data"].(map[string]any)
	require.Equal(t, true, data["dry_run"])
	require.EqualValues(t, 7, data["number"])
	require.Equal(t, "abc", data["digest"])
	require.Equal(t, []any{"careful"}, data["warnings"])
	require.Equal(t, []any{map[string]any{"key": "log.level", "old": "info", "new": "debug", "outcome": "applied", "source": "berth.toml:2", "why": "", "note": "", "trouble": false}}, data["keys"])
	require.True(t, w.heard()[0].(reload.Reload).DryRun)
	require.Equal(t, 0, w.call("reloadConfig").code())
	plain := w.heard()[0].(reload.Reload)
	require.False(t, plain.DryRun)
	require.False(t, plain.Strict)
	w.call("reloadConfig", "strict", "1")
	require.True(t, w.heard()[0].(reload.Reload).Strict)
	w.set(func(w *world) { w.verdict.Err = errors.New("bad file") })
	r = w.call("reloadConfig")
	require.Equal(t, -1, r.code())
	require.Equal(t, []any{"careful"}, r.body["data"].(map[string]any)["warnings"])
	require.Equal(t, -300, w.call("reloadConfig", "dry_run", "perhaps").code())
}

func TestRestartServer(t *testing.T) {
	w := newWorld(t, nil)
	var restarts calls
	release := make(chan struct{})
	w.set(func(w *world) {
		w.restart = func(ctx context.Context, by string) (api.RestartResult, error) {
			restarts.Add(1)
			select {
			case <-release:
			case <-ctx.Done():
				return api.RestartResult{}, ctx.Err()
			}
			return api.RestartResult{
				Generation: 2, Duration: 123400 * time.Microsecond, Restored: 3, Failed: 1,
				Applied: []config.Change{{Key: "rtp_proxy.port_range", Old: "a", New: "b"}},
			}, nil
		}
	})
	require.Equal(t, 0, w.call("restartServer").code(), "answered while the restart is under way")
	for range 3 {
		require.Equal(t, 0, w.call("restartServer").code())
	}
	r := w.call("restartServer")
	require.Equal(t, http.StatusServiceUnavailable, r.status, "the number of restarts that wait is bounded")
	close(release)
	r = w.call("restartServer", "wait", "1")
	data := r.body["data"].(map[string]any)
	require.EqualValues(t, 2, data["generation"])
	require.EqualValues(t, 123.4, data["duration_ms"])
	require.EqualValues(t, 3, data["restored"])
	require.EqualValues(t, 1, data["failed"])
	require.Equal(t, "rtp_proxy.port_range", data["applied"].([]any)[0].(map[string]any)["key"])
	actortest.Eventually(t, func() bool { return restarts.Load() == 5 }, "five restarts")

	w.set(func(w *world) {
		w.restart = func(context.Context, string) (api.RestartResult, error) {
			return api.RestartResult{Generation: 2}, errors.New("no free port")
		}
	})
	r = w.call("restartServer", "wait", "1")
	require.Equal(t, -1, r.code())
	require.Equal(t, "no free port", r.body["msg"])
	w.heard()
	w.set(func(w *world) { w.verdict.Err = errors.New("bad file") })
	r = w.call("restartServer")
	require.Equal(t, -1, r.code())
	require.Contains(t, r.body["msg"], "nothing was touched: bad file")
	require.True(t, w.heard()[0].(reload.Reload).DryRun)
}

func TestPortPool(t *testing.T) {
	w := newWorld(t, nil)
	var counts ports.Counts
	counts[ports.Free], counts[ports.Leased], counts[ports.Foreign] = 3, 32, 1
	since := time.Unix(1700000000, 0)
	w.set(func(w *world) {
		w.pool = portpool.Pool{
			Range: ports.Range{Low: 30000, High: 30071}, Pending: ports.Range{Low: 30000, High: 30999}, Bind: netip.MustParseAddr("::"), Counts: counts,
			HighWater: 33, Granted: 40, Refused: map[string]uint64{"exhausted": 2}, Level: portpool.LevelHigh, Conflicts: 4, Late: 5, Drift: 1, Audits: 3,
			Forecast: ports.Forecast{Window: 10 * time.Minute, PerHour: 30, Growing: true, In: 8 * time.Minute},
			History:  []ports.Bucket{{Start: since, Peak: 9, Leased: 8, Granted: 7, Ended: 6, Refused: 5}},
			Slots:    []portpool.Slot{{Port: 30000, State: ports.Leased, Owner: "engine-1/x", Stream: key("live", "a"), Purpose: portpool.PurposeRTSPPull, Peer: "192.0.2.7", Since: since, Late: 1}},
		}
	})
	w.call("getPortPool").requireJSON(t, `{"code":0,"data":{"range":"30000-30071","pending_range":"30000-30999","bind":"::","pairs":36,"generation":1,
		"states":{"free":3,"leased":32,"draining":0,"cooling":0,"foreign":1,"excluded":0},"high_water":33,"granted":40,"refused":{"exhausted":2},
		"level":"high","conflicts":4,"late":5,"drift":1,"audits":3,"forecast":{"window_sec":600,"pairs_per_hour":30,"exhausted_in_sec":480},"audit":null}}`)
	data := w.call("getPortPool", "detail", "1").body["data"].(map[string]any)
	require.Equal(t, []any{map[string]any{
		"port": 30000.0, "state": "leased", "owner": "engine-1/x", "stream": "__defaultVhost__/live/a", "purpose": "rtsp_pull", "peer": "192.0.2.7",
		"since": 1.7e9, "late": 1.0,
	}}, data["slots"])
	require.Equal(t, []any{map[string]any{"start": 1.7e9, "peak": 9.0, "leased": 8.0, "granted": 7.0, "ended": 6.0, "refused": 5.0}}, data["history"])
	require.Zero(t, w.audits.Load())
	w.set(func(w *world) {
		other := netip.MustParseAddr("192.0.2.1")
		w.pool.Others = []portpool.AddressUse{{Bind: other, Counts: ports.Counts{ports.Free: 35, ports.Leased: 1}, HighWater: 2, Level: portpool.LevelNormal}}
		w.pool.Slots = []portpool.Slot{{Port: 30000, Bind: other, State: ports.Leased, Since: since}}
	})
	data = w.call("getPortPool", "detail", "1").body["data"].(map[string]any)
	require.Equal(t, []any{map[string]any{
		"bind": "192.0.2.1", "pairs": 36.0, "high_water": 2.0, "level": "normal", "forecast": map[string]any{"window_sec": 0.0, "pairs_per_hour": 0.0, "exhausted_in_sec": nil},
		"states": map[string]any{"free": 35.0, "leased": 1.0, "draining": 0.0, "cooling": 0.0, "foreign": 0.0, "excluded": 0.0},
	}}, data["others"])
	require.Equal(t, "192.0.2.1", data["slots"].([]any)[0].(map[string]any)["bind"])
	require.Contains(t, w.get("/metrics?secret="+secret).text, `berth_pool_address_pairs{bind="192.0.2.1",state="leased"} 1`)
	w.set(func(w *world) {
		w.pool.Forecast = ports.Forecast{}
		w.pool.Audit = &portpool.Audited{At: since, Took: 1500 * time.Microsecond, Slots: 36, Err: errors.New("no table"), Drift: []portpool.Drift{
			{Port: 30002, Kind: portpool.DriftDeadOwner, State: ports.Leased, Owner: "engine-1/y", Stream: key("live", "b"), Detail: "why", Repaired: true},
		}}
	})
	data = w.call("getPortPool", "audit", "1").body["data"].(map[string]any)
	require.EqualValues(t, 1, w.audits.Load())
	require.Nil(t, data["forecast"].(map[string]any)["exhausted_in_sec"])
	require.Equal(t, map[string]any{"at": 1.7e9, "took_ms": 1.5, "slots": 36.0, "error": "no table", "drift": []any{map[string]any{
		"port": 30002.0, "kind": "dead_owner", "state": "leased", "owner": "engine-1/y", "stream": "__defaultVhost__/live/b", "detail": "why", "repaired": true,
	}}}, data["audit"])
}

func TestServerFacts(t *testing.T) {
	w := newWorld(t, nil)
	data := w.call("version").body["data"].(map[string]any)
	require.Equal(t, "1.2.3", data["version"])
	for _, name := range []string{"branchName", "buildTime", "commitHash"} {
		require.Contains(t, data, name)
	}
	list := w.call("getApiList").body["data"].([]any)
	require.Contains(t, list, "/index/api/addStreamProxy")
	require.IsNonDecreasing(t, texts(list))
	require.Equal(t, list, w.get("/index/?secret=" + secret).body["data"])
	require.Contains(t, w.call("getStatistic").body["data"], "MediaSource")
}

// The manual names every endpoint, and nothing that does not exist.
func TestManualListsEveryEndpoint(t *testing.T) {
	w := newWorld(t, nil)
	manual, err := os.ReadFile("../../docs/http-api.md")
	require.NoError(t, err)
	for _, path := range texts(w.call("getApiList").body["data"].([]any)) {
		name := strings.TrimPrefix(path, "/index/api/")
		require.Contains(t, string(manual), "`"+name+"`", "docs/http-api.md says nothing of %s", name)
	}
}

func TestEngineDown(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) { w.engine = nil })
	for _, name := range []string{
		"addStreamProxy?vhost=v&app=a&stream=s&url=rtsp://h/", "getMediaList", "getPortPool", "getAllSession", "kick_session?id=1", "listStreamProxy",
	} {
		separator := "?"
		if strings.Contains(name, "?") {
			separator = "&"
		}
		r := w.get("/index/api/" + name + separator + "secret=" + secret)
		require.Equal(t, http.StatusServiceUnavailable, r.status, name)
		require.Equal(t, "1", r.header.Get("Retry-After"), name)
		require.Equal(t, -1, r.code(), name)
		require.NotEmpty(t, r.body["msg"])
	}
	for _, name := range []string{"getServerConfig", "version", "getPendingConfig", "getApiList", "reloadConfig", "getStatistic"} {
		require.Equal(t, 0, w.call(name).code(), name)
	}
	require.Equal(t, http.StatusOK, w.get("/healthz").status)
	r := w.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, r.status)
	require.Contains(t, r.text, "full restart")
	require.Contains(t, w.get("/metrics").text, "berth_engine_up 0")
	require.Equal(t, -100, w.do(w.request(http.MethodGet, "/index/api/getMediaList", "", "")).code(), "the secret is asked for first")
}

// Between two generations an asked part may be gone although the front still knows its PID.
func TestAPartThatIsGoneIsAnEngineThatIsDown(t *testing.T) {
	w := newWorld(t, nil)
	gone := actortest.NewProbe(t, w.rt, "gone")
	gone.Stop(t)
	w.set(func(w *world) { w.engine.Streams = gone.PID })
	r := w.call("getMediaList")
	require.Equal(t, http.StatusServiceUnavailable, r.status)
	require.Equal(t, "1", r.header.Get("Retry-After"))
}

func TestClosingTheFrontEndsCallsThatWait(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) { w.mute = true })
	answered := make(chan string, 1)
	go func() {
		resp, err := w.http.Get(w.base + "/index/api/getMediaList?secret=" + secret)
		if err != nil {
			answered <- err.Error()
			return
		}
		_ = resp.Body.Close()
		answered <- resp.Status
	}()
	w.waitForCalls(1)
	actortest.Stop(t, w.rt, w.api)
	require.Equal(t, "503 Service Unavailable", <-answered)
}

func TestManyCallsAtOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) {
		for i := range 20 {
			w.streams = append(w.streams, liveStream(t, "live", strconv.Itoa(i), stream.OriginPull, 1, time.Minute))
		}
	})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			c := newClient(t)
			for _, name := range []string{"getMediaList", "getServerConfig", "getPortPool", "getAllSession", "close_streams", "kick_session?id=x"} {
				sep := "?"
				if strings.Contains(name, "?") {
					sep = "&"
				}
				resp, err := c.Get(w.base + "/index/api/" + name + sep + "secret=" + secret)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				_ = resp.Body.Close()
			}
			if i%4 == 0 {
				resp, err := c.Get(w.base + "/metrics")
				if err == nil {
					_ = resp.Body.Close()
				}
			}
		})
	}
	wg.Wait()
}
