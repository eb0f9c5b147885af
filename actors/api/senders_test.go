package api_test

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/portpool"
	"berth/actors/receiver"
	"berth/actors/sender"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/netio/gb28181"
	"berth/netio/ports"
)

func TestStartSendRtpKeepsEveryArgument(t *testing.T) {
	w := newWorld(t, nil)
	w.set(func(w *world) { w.started.LocalPort = 30006 })
	plain := func(mode store.SenderMode) store.Sender {
		return store.Sender{Stream: key("live", "cam"), SSRC: "0100000001", Mode: mode, PayloadType: 96, Form: 1, CloseDelay: 5 * time.Second}
	}
	with := func(d store.Sender, change func(*store.Sender)) store.Sender {
		change(&d)
		return d
	}
	target := []string{"dst_url", "media.example", "dst_port", "30100"}
	for _, tc := range []struct {
		name, call string
		args       []string
		want       store.Sender
	}{
		{
			"defaults", "startSendRtp", append(target, "is_udp", "0"),
			with(plain(store.SendActive), func(d *store.Sender) { d.Host, d.Port = "media.example", 30100 }),
		},
		{
			"everything", "startSendRtp", append(target, "is_udp", "1", "src_port", "30008", "pt", "98", "type", "2", "only_audio", "1", "udp_rtcp_timeout", "1",
				"recv_stream_id", "back", "ssrc_multi_send", "1", "close_delay_ms", "2500", "enable_origin_recv_limit", "true"),
			with(plain(store.SendActive), func(d *store.Sender) {
				d.Host, d.Port, d.UDP, d.LocalPort, d.PayloadType, d.Form, d.OnlyAudio, d.RTCPTimeout = "media.example", 30100, true, 30008, 98, 2, true, true
				d.Receive, d.Several, d.CloseDelay, d.HoldSource = "back", true, 2500*time.Millisecond, true
			}),
		},
		{
			"as management platforms write it", "startSendRtp", append(target, "is_udp", "1", "use_ps", "1", "only_audio", "0", "pt", "96", "src_port", "0", "udp_rtcp_timeout", "500", "from_mp4", "0"),
			with(plain(store.SendActive), func(d *store.Sender) { d.Host, d.Port, d.UDP = "media.example", 30100, true }),
		},
		{"elementary stream of old", "startSendRtpPassive", []string{"use_ps", "0", "type", "2"}, with(plain(store.SendPassive), func(d *store.Sender) { d.Form = 0 })},
		{"passive", "startSendRtpPassive", []string{"is_udp", "1", "close_delay_ms", "0"}, with(plain(store.SendPassive), func(d *store.Sender) { d.UDP = true })},
		{
			"talk", "startSendRtpTalk",
			[]string{"recv_stream_id", "device", "pt", "8", "type", "0", "only_audio", "1"},
			with(plain(store.SendTalk), func(d *store.Sender) { d.Receive, d.PayloadType, d.Form, d.OnlyAudio = "device", 8, 0, true }),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.call(tc.call, append([]string{"vhost", "v", "app", "live", "stream", "cam", "ssrc", "0100000001"}, tc.args...)...).requireJSON(t, `{"code":0,"local_port":30006}`)
			got := w.heard()[0].(store.Sender)
			require.WithinDuration(t, time.Now(), got.Created, time.Hour)
			got.Created = time.Time{}
			require.Equal(t, tc.want, got)
		})
	}
}

func TestSenderArgumentsThatMakeNoSenseAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	active := []string{"vhost", "v", "app", "live", "stream", "cam", "ssrc", "1", "dst_url", "10.0.0.1", "dst_port", "1", "is_udp", "1"}
	for _, tc := range []struct {
		name, call string
		args       []string
		msg        string
	}{
		{"nothing", "startSendRtp", []string{"is_udp", ""}, `Required parameter missed: "vhost","app","stream","ssrc","dst_url","dst_port","is_udp"`},
		{"no ssrc", "startSendRtpPassive", []string{"ssrc", ""}, `Required parameter missed: "vhost","app","stream","ssrc"`},
		{"no device", "startSendRtpTalk", nil, `Required parameter missed: "vhost","app","stream","ssrc","recv_stream_id"`},
		{"no stream to stop", "stopSendRtp", []string{"stream", ""}, `Required parameter missed: "vhost","app","stream"`},
		{"no stream to list", "listRtpSender", []string{"app", ""}, `Required parameter missed: "vhost","app","stream"`},
		{"ssrc", "startSendRtp", []string{"ssrc", "abc"}, "ssrc"},
		{"ssrc to stop", "stopSendRtp", []string{"ssrc", "abc"}, "ssrc"},
		{"payload type", "startSendRtp", []string{"pt", "128"}, "pt"},
		{"form", "startSendRtp", []string{"type", "3"}, "type"},
		{"old form", "startSendRtp", []string{"use_ps", "2"}, "use_ps"},
		{"udp", "startSendRtp", []string{"is_udp", "2"}, "is_udp"},
		{"rtcp", "startSendRtp", []string{"udp_rtcp_timeout", "long"}, "udp_rtcp_timeout"},
		{"port", "startSendRtp", []string{"dst_port", "65536"}, "dst_port"},
		{"no port", "startSendRtp", []string{"dst_port", "0"}, "dst_port"},
		{"host", "startSendRtp", []string{"dst_url", "10.0.0.1:80"}, "dst_url"},
		{"local port", "startSendRtp", []string{"src_port", "x"}, "src_port"},
		{"delay", "startSendRtp", []string{"close_delay_ms", "600001"}, "close_delay_ms"},
		{"name", "startSendRtpTalk", []string{"recv_stream_id", "a b"}, "no stream name may have"},
		{"source", "startSendRtp", []string{"app", "a/b"}, "name no stream"},
		{"record", "startSendRtp", []string{"from_mp4", "x"}, "from_mp4"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := w.call(tc.call, lastOfEach(append(append([]string(nil), active...), tc.args...))...)
			require.Equal(t, -300, r.code(), r.text)
			require.Contains(t, r.body["msg"], tc.msg)
			require.Empty(t, w.heard(), "nothing may have been asked for")
		})
	}
}

func TestWhatSendersRefuseIsAnswered(t *testing.T) {
	w := newWorld(t, nil)
	passive := []string{"vhost", "v", "app", "live", "stream", "cam", "ssrc", "1"}
	refused := &portpool.RefusedError{Reason: portpool.ReasonExhausted, Range: ports.Range{Low: 30000, High: 30071}}
	for _, tc := range []struct {
		started sender.Started
		code    int
		msg     string
	}{
		{sender.Started{Err: sender.ErrNoSource}, -500, "^can not find the source stream$"},
		{sender.Started{Err: sender.ErrNoTarget}, -1, "^can not find the target stream$"},
		{sender.Started{Err: refused}, -1, "^none reserved port in pool"},
		{sender.Started{LocalPort: 5, Err: errors.New("connection refused")}, -1, "^connection refused$"},
	} {
		w.set(func(w *world) { w.started = tc.started })
		r := w.call("startSendRtpPassive", passive...)
		require.Equal(t, tc.code, r.code(), r.text)
		require.Regexp(t, tc.msg, r.body["msg"])
		if tc.code == -1 {
			require.EqualValues(t, tc.started.LocalPort, r.body["local_port"])
		}
	}
	w.set(func(w *world) { w.started = sender.Started{Err: sender.ErrNoSource} })
	r := w.call("startSendRtpPassive", append(passive, "from_mp4", "1")...)
	require.Equal(t, -500, r.code())
	require.Contains(t, r.body["msg"], "this version records nothing")
	w.set(func(w *world) { w.started = sender.Started{LocalPort: 7} })
	w.call("startSendRtpPassive", append(passive, "from_mp4", "1")...).requireJSON(t, `{"code":0,"local_port":7}`)
	w.set(func(w *world) { w.started = sender.Started{Err: sender.ErrInterrupted} })
	require.Equal(t, http.StatusServiceUnavailable, w.call("startSendRtpPassive", passive...).status)

	w.heard()
	w.call("stopSendRtp", passive[:6]...).requireJSON(t, `{"code":0}`)
	w.call("stopSendRtp", passive...).requireJSON(t, `{"code":0}`)
	require.Equal(t, []any{sender.Stop{Stream: key("live", "cam")}, sender.Stop{Stream: key("live", "cam"), SSRC: "1"}}, w.heard())
	for err, want := range map[error]string{
		sender.ErrNothing: `{"code":-1,"msg":"stopSendRtp failed"}`, sender.ErrNoSource: `{"code":-500,"msg":"can not find the source stream"}`,
	} {
		w.set(func(w *world) { w.stopped.Err = err })
		w.call("stopSendRtp", passive...).requireJSON(t, want)
	}
}

// toPlatform is a sender.
func toPlatform(ssrc string, mode store.SenderMode, since time.Time) sender.Snapshot {
	return sender.Snapshot{
		Definition: store.Sender{Stream: key("live", "cam"), SSRC: ssrc, Mode: mode, UDP: true, PayloadType: 96, Form: 1},
		Stream:     key("live", "cam"), SSRC: ssrc, Since: since,
		Local: netip.MustParseAddrPort("192.0.2.1:30010"), Peer: netip.MustParseAddrPort("192.0.2.20:40000"),
		Stats: gb28181.SenderStats{Packets: 100, Bytes: 100_000, Dropped: 2, Jumps: 1, LastReport: since},
	}
}

func TestSendersAreListed(t *testing.T) {
	w := newWorld(t, nil)
	cam := []string{"vhost", "v", "app", "live", "stream", "cam"}
	w.call("listRtpSender", cam...).requireJSON(t, `{"code":-500,"msg":"can not find the source stream"}`)
	w.set(func(w *world) {
		w.streams = []stream.Snapshot{liveStream(t, "live", "cam", stream.OriginPull, 0, time.Minute)}
	})
	w.call("listRtpSender", cam...).requireJSON(t, `{"code":0,"bytesSpeed":0,"totalBytes":0}`)
	since := time.Now().Add(-100 * time.Second)
	w.set(func(w *world) {
		w.senders = []sender.Snapshot{toPlatform("1", store.SendActive, since), toPlatform("2", store.SendTalk, since)}
	})
	r := w.call("listRtpSender", cam...)
	require.Equal(t, []any{"1", "2"}, r.body["data"])
	require.EqualValues(t, 200_000, r.body["totalBytes"])
	require.InDelta(t, 2000, r.body["bytesSpeed"], 1000)
	first := r.body["senders"].([]any)[0].(map[string]any)
	for name, want := range map[string]any{
		"ssrc": "1", "mode": "active", "transport": "udp", "form": "ps", "payload_type": 96.0, "peer_ip": "192.0.2.20", "local_port": 30010.0,
		"packets": 100.0, "totalBytes": 100_000.0, "packets_dropped": 2.0, "jumps": 1.0, "errors": 0.0,
	} {
		require.Equal(t, want, first[name], name)
	}
}

func TestMetricsOfReceiversAndSenders(t *testing.T) {
	w := newWorld(t, nil)
	now := time.Now()
	shared := device("c", now)
	shared.Shared = true
	w.set(func(w *world) {
		w.receivers = []receiver.Snapshot{device("a", now), device("b", now), shared, {Key: key("rtp", "idle")}}
		w.senders = []sender.Snapshot{toPlatform("1", store.SendActive, now), toPlatform("2", store.SendTalk, now)}
	})
	text := w.get("/metrics").text
	for _, line := range []string{
		`berth_rtp_receivers{state="receiving"} 2`, `berth_rtp_receivers{state="waiting"} 1`, `berth_rtp_receivers{state="shared"} 1`,
		`berth_rtp_received_packets_total 3000`, `berth_rtp_lost_packets_total 9`, `berth_rtp_damaged_frames_total 24`,
		`berth_rtp_dropped_packets_total{reason="stranger"} 12`, `berth_rtp_dropped_packets_total{reason="ssrc"} 15`,
		`berth_rtp_dropped_packets_total{reason="invalid"} 18`, `berth_rtp_dropped_packets_total{reason="late"} 21`,
		`berth_rtp_senders{mode="active"} 1`, `berth_rtp_senders{mode="passive"} 0`, `berth_rtp_senders{mode="talk"} 1`,
		`berth_rtp_sent_packets_total 200`, `berth_rtp_unsent_packets_total 4`,
	} {
		require.Contains(t, text, line+"\n")
	}
	w.set(func(w *world) {
		w.receivers = w.receivers[:1]
		w.receivers[0].Stats.Packets += 5
		w.receivers[0].Peer = netip.MustParseAddrPort("192.0.2.9:15062") // came back from another port
		w.senders = nil
	})
	text = w.get("/metrics").text
	require.Contains(t, text, "berth_rtp_received_packets_total 3005\n", "counters never fall")
	require.Contains(t, text, "berth_rtp_sent_packets_total 200\n")
	require.Contains(t, text, `berth_rtp_receivers{state="waiting"} 0`)
}
