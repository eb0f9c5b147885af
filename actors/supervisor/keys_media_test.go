package supervisor

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wire is an RTSP connection without any client.
type wire struct {
	r       *keyRig
	conn    net.Conn
	in      *bufio.Reader
	session string
}

func (r *keyRig) wire() *wire {
	r.t.Helper()
	conn := r.dial(r.ready.RTSP.String())
	return &wire{r: r, conn: conn, in: bufio.NewReader(conn)}
}

func (r *keyRig) rtspURL(name string) string {
	return fmt.Sprintf("rtsp://%s/live/%s", r.ready.RTSP, name)
}

// ask makes a request and returns status and header of its answer; the status is 0 when the connection is closed instead. Frames before the answer are skipped.
func (w *wire) ask(method, target, header, body string) (int, textproto.MIMEHeader) {
	w.r.t.Helper()
	if w.session != "" {
		header += "Session: " + w.session + "\r\n"
	}
	if body != "" {
		header += fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n", len(body))
	}
	if _, err := fmt.Fprintf(w.conn, "%s %s RTSP/1.0\r\nCSeq: 1\r\n%s\r\n%s", method, target, header, body); err != nil {
		return 0, nil
	}
	for {
		first, err := w.in.Peek(1)
		if err != nil {
			return 0, nil
		}
		if first[0] != '$' {
			break
		}
		if !w.frame() {
			return 0, nil
		}
	}
	lines := textproto.NewReader(w.in)
	line, err := lines.ReadLine()
	if err != nil {
		return 0, nil
	}
	answer, err := lines.ReadMIMEHeader()
	require.NoError(w.r.t, err)
	status, err := strconv.Atoi(strings.Fields(line)[1])
	require.NoError(w.r.t, err, line)
	length, _ := strconv.Atoi(answer.Get("Content-Length"))
	_, err = io.CopyN(io.Discard, w.in, int64(length))
	require.NoError(w.r.t, err)
	if id := answer.Get("Session"); id != "" {
		w.session, _, _ = strings.Cut(id, ";")
	}
	return status, answer
}

// frame skips an interleaved frame, and reports whether one came.
func (w *wire) frame() bool {
	var head [4]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil || head[0] != '$' {
		return false
	}
	_, err := io.CopyN(io.Discard, w.in, int64(binary.BigEndian.Uint16(head[2:])))
	return err == nil
}

// over waits until the server has closed the connection.
func (w *wire) over() {
	w.r.t.Helper()
	_, err := io.Copy(io.Discard, w.in)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // of a connection, unwrapped
		w.r.t.Fatal("the server does not close the connection")
	}
}

const soundOnly = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 0 RTP/AVP 8\r\na=control:trackID=0\r\n"

func (w *wire) announce(name string) int {
	w.r.t.Helper()
	status, _ := w.ask("ANNOUNCE", w.r.rtspURL(name), "", soundOnly)
	return status
}

// publish publishes a G.711 stream over TCP, without a packet.
func (w *wire) publish(name string) {
	w.r.t.Helper()
	require.Equal(w.r.t, 200, w.announce(name))
	status, _ := w.ask("SETUP", w.r.rtspURL(name)+"/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n", "")
	require.Equal(w.r.t, 200, status)
	status, _ = w.ask("RECORD", w.r.rtspURL(name), "", "")
	require.Equal(w.r.t, 200, status)
	w.r.eventually("the stream is there", func() bool { return w.r.streams()[name] })
}

// send writes RTP packets of so many bytes of sound, from sequence number first on.
func (w *wire) send(first, packets, bytes int) {
	w.r.t.Helper()
	packet := make([]byte, 4+12+bytes)
	packet[0], packet[4], packet[5] = '$', 0x80, 8
	binary.BigEndian.PutUint16(packet[2:], uint16(12+bytes)) //nolint:gosec // small
	for i := first; i < first+packets; i++ {
		binary.BigEndian.PutUint16(packet[6:], uint16(i))       //nolint:gosec // wraps
		binary.BigEndian.PutUint32(packet[8:], uint32(i*bytes)) //nolint:gosec // wraps
		_, err := w.conn.Write(packet)
		require.NoError(w.r.t, err)
	}
}

func (w *wire) describe(name string) (int, textproto.MIMEHeader) {
	w.r.t.Helper()
	return w.ask("DESCRIBE", w.r.rtspURL(name), "", "")
}

func (w *wire) setup(name, transport string) (int, textproto.MIMEHeader) {
	w.r.t.Helper()
	status, answer := w.ask("DESCRIBE", w.r.rtspURL(name), "", "")
	require.Equal(w.r.t, 200, status)
	base := strings.TrimSuffix(answer.Get("Content-Base"), "/")
	return w.ask("SETUP", base+"/trackID=0", "Transport: "+transport+"\r\n", "")
}

const interleaved = "RTP/AVP/TCP;unicast;interleaved=0-1"

// play makes the connection a viewer over TCP.
func (w *wire) play(name string) {
	w.r.t.Helper()
	status, _ := w.setup(name, interleaved)
	require.Equal(w.r.t, 200, status)
	status, _ = w.ask("PLAY", w.r.rtspURL(name), "", "")
	require.Equal(w.r.t, 200, status)
}

// udpSource publishes name and returns the Transport header that a UDP viewer of it gets.
func udpSource(r *keyRig, name string) string {
	r.t.Helper()
	r.wire().publish(name)
	status, answer := r.wire().setup(name, "RTP/AVP;unicast;client_port=45000-45001")
	require.Equal(r.t, 200, status)
	return answer.Get("Transport")
}

func rtspRows() map[string]keyRow {
	account := map[string]string{"rtsp.auth_users": `"user:password"`, "general.maxStreamWaitMS": "0"}
	challenge := func(r *keyRig) string {
		_, answer := r.wire().describe("nothing")
		return answer.Get("WWW-Authenticate")
	}
	describes := func(want int) func(*keyRig) {
		return func(r *keyRig) { status, _ := r.wire().describe("nothing"); require.Equal(r.t, want, status) }
	}
	options := func(r *keyRig) int {
		status, _ := r.wire().ask("OPTIONS", "*", "", "")
		return status
	}
	crowded := keyRow{
		to: "2",
		before: func(r *keyRig) {
			for range 2 {
				require.Equal(r.t, 200, options(r))
			}
		},
		after: func(r *keyRig) { require.NotEqual(r.t, 200, options(r)) },
	}
	transport := func(name string, want int) func(*keyRig) {
		return func(r *keyRig) {
			if name == "one" {
				r.wire().publish("one")
			}
			status, _ := r.wire().setup("one", interleaved)
			require.Equal(r.t, want, status)
		}
	}
	return map[string]keyRow{
		"rtsp.authBasic": {
			base: account, to: "true",
			before: func(r *keyRig) { require.Contains(r.t, challenge(r), "Digest") },
			after:  func(r *keyRig) { require.Contains(r.t, challenge(r), "Basic") },
		},
		"rtsp.handshakeSecond": {
			base: map[string]string{"rtsp.handshakeSecond": "300"}, to: "1",
			after: func(r *keyRig) { r.wire().over() },
		},
		"rtsp.keepAliveSecond": {
			base: map[string]string{"rtsp.keepAliveSecond": "3600", "protocol.continue_push_ms": "0"}, to: "1",
			after: func(r *keyRig) { w := r.wire(); w.publish("one"); w.over() },
		},
		"rtsp.rtpTransportType": {to: "1", before: transport("one", 200), after: transport("", 461)},
		"rtsp.auth_users": {
			base: map[string]string{"general.maxStreamWaitMS": "0"}, to: account["rtsp.auth_users"], before: describes(404), after: describes(401),
		},
		"rtsp.auth_play": {base: account, to: "false", before: describes(401), after: describes(404)},
		"rtsp.auth_publish": {
			base: account, to: "false",
			before: func(r *keyRig) { require.Equal(r.t, 401, r.wire().announce("one")) },
			after:  func(r *keyRig) { require.Equal(r.t, 200, r.wire().announce("two")) },
		},
		"rtsp.max_connections":     crowded,
		"rtsp.max_sessions_per_ip": crowded,
		"general.maxStreamWaitMS":  {base: map[string]string{"general.maxStreamWaitMS": "600000"}, to: "0", after: describes(404)},
	}
}

func streamRows() map[string]keyRow {
	gone := func(name string) func(*keyRig) {
		return func(r *keyRig) {
			r.eventually("the stream ends", func() bool { s := r.streams(); return s != nil && !s[name] })
		}
	}
	return map[string]keyRow{
		"general.streamNoneReaderDelayMS": {
			base: map[string]string{"general.streamNoneReaderDelayMS": "86400000", "protocol.auto_close": "true"}, to: "0",
			before: func(r *keyRig) { r.wire().publish("one") },
			after:  gone("one"), // which had no viewer before
		},
		"protocol.auto_close": {
			base: map[string]string{"general.streamNoneReaderDelayMS": "300"}, to: "true",
			before: func(r *keyRig) { r.wire().publish("old") },
			after: func(r *keyRig) {
				r.wire().publish("one")
				gone("one")(r)
				require.True(r.t, r.streams()["old"], "a stream from before keeps its options")
			},
		},
		"protocol.continue_push_ms": {
			base: map[string]string{"protocol.continue_push_ms": "3600000"}, to: "0",
			before: func(r *keyRig) {
				w := r.wire()
				w.publish("old")
				r.carries(w, "old")
				require.NoError(r.t, w.conn.Close())
				r.eventually("the stream waits for its publisher", func() bool { return r.metric(`berth_streams{state="waiting"} 1`) })
			},
			after: func(r *keyRig) {
				w := r.wire()
				w.publish("one")
				r.carries(w, "one")
				require.NoError(r.t, w.conn.Close())
				r.eventually("the new one ends, and the one from before keeps its options", func() bool {
					return r.metric(`berth_streams{state="live"} 0`) && r.metric(`berth_streams{state="waiting"} 1`)
				})
			},
		},
		"protocol.enable_audio": {
			to:     "false",
			before: func(r *keyRig) { r.pull(startCamera(r.t), "old", "0"); require.Len(r.t, r.tracks("old"), 2) },
			after:  func(r *keyRig) { r.pull(startCamera(r.t), "one", "0"); require.Len(r.t, r.tracks("one"), 1) },
		},
		"stream.gop_cache_bytes": {
			base: map[string]string{"stream.gop_cache_bytes": "0", "proxy.media_timeout": `"10m"`}, to: `"16MiB"`,
			after: func(r *keyRig) {
				source := startCamera(r.t)
				r.pull(source, "one", "0")
				first := r.wire()
				first.play("one")
				require.True(r.t, first.frame(), "a key frame has come")
				source.Stall()
				late := r.wire()
				late.play("one")
				require.True(r.t, late.frame(), "a viewer gets what is kept, although the source has fallen silent")
			},
		},
		"general.mergeWriteMS": {base: map[string]string{"general.mergeWriteMS": "0"}, to: "1000", after: heldBack},
		"stream.reader_policy": {
			base: map[string]string{"stream.ring_packets": "256", "log.level": `"info"`}, to: `"close"`,
			after: tooSlow,
		},
		"stream.reader_max_bytes": {
			base: map[string]string{"stream.ring_packets": "65536", "stream.reader_max_lag": `"5m"`, "stream.reader_policy": `"close"`, "log.level": `"info"`}, to: `"1MiB"`,
			after: tooSlow,
		},
		"stream.reader_max_lag": {
			base: map[string]string{"stream.ring_packets": "65536", "stream.reader_max_lag": `"5m"`, "stream.reader_policy": `"close"`, "log.level": `"info"`}, to: `"100ms"`,
			after: tooSlow,
		},
		"stream.ring_packets": {
			base: map[string]string{"stream.ring_packets": "65536", "stream.reader_policy": `"close"`, "log.level": `"info"`}, to: "256",
			after: tooSlow,
		},
	}
}

const pictureAndSound = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" +
	"a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==\r\na=control:trackID=0\r\n" +
	"m=audio 0 RTP/AVP 8\r\na=control:trackID=1\r\n"

// heldBack requires that sound waits for the next picture as long as it may. A slow machine only makes the wait longer.
func heldBack(r *keyRig) {
	r.t.Helper()
	source, viewer := r.wire(), r.wire()
	status, _ := source.ask("ANNOUNCE", r.rtspURL("one"), "", pictureAndSound)
	require.Equal(r.t, 200, status)
	for track := range 2 {
		status, _ = source.ask("SETUP", fmt.Sprintf("%s/trackID=%d", r.rtspURL("one"), track),
			fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d;mode=record\r\n", 2*track, 2*track+1), "")
		require.Equal(r.t, 200, status)
	}
	status, _ = source.ask("RECORD", r.rtspURL("one"), "", "")
	require.Equal(r.t, 200, status)
	write := func(channel, kind byte, number uint16, payload ...byte) {
		packet := append([]byte{'$', channel, 0, byte(12 + len(payload)), 0x80, 0x80 | kind, 0, byte(number), 0, 0, 0, byte(number), 0, 0, 0, channel}, payload...)
		_, err := source.conn.Write(packet)
		require.NoError(r.t, err)
	}
	write(0, 96, 1, 0x65, 0x88, 0x84, 0x00)
	write(2, 8, 1, 1, 2, 3, 4)
	status, answer := viewer.ask("DESCRIBE", r.rtspURL("one"), "", "")
	require.Equal(r.t, 200, status)
	for track := range 2 {
		status, _ = viewer.ask("SETUP", fmt.Sprintf("%s/trackID=%d", strings.TrimSuffix(answer.Get("Content-Base"), "/"), track),
			fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d\r\n", 2*track, 2*track+1), "")
		require.Equal(r.t, 200, status)
	}
	status, _ = viewer.ask("PLAY", r.rtspURL("one"), "", "")
	require.Equal(r.t, 200, status)
	sound := func(last byte) { // waits for the sound packet that ends with last
		for {
			head, err := viewer.in.Peek(4)
			require.NoError(r.t, err)
			whole, err := viewer.in.Peek(4 + int(binary.BigEndian.Uint16(head[2:])))
			require.NoError(r.t, err)
			found := whole[1] == 2 && whole[len(whole)-1] == last
			require.True(r.t, viewer.frame())
			if found {
				return
			}
		}
	}
	sound(4)
	for i := byte(2); i < 20; i++ { // one that comes while the viewer is being served rides along at once
		began := time.Now()
		write(2, 8, uint16(i), 5, 6, 7, i)
		sound(i)
		if time.Since(began) >= 900*time.Millisecond {
			return
		}
	}
	r.t.Fatal("no sound has waited for a picture")
}

// tooSlow requires that a viewer which does not read is closed as too slow, long before a write to it counts as stuck.
// tooSlow requires that a viewer is closed because of how far it is behind, and not because it takes nothing at all.
func tooSlow(r *keyRig) {
	r.t.Helper()
	source := r.wire()
	source.publish("one")
	viewer := r.wire()
	viewer.play("one")
	// More than kernel buffers hold, and less than a ring of 65,536 packets.
	const packets = 15_000
	source.send(0, packets, 1400)
	sent, next := time.Now(), packets
	r.eventually("some time is behind the viewer", func() bool {
		source.send(next, 1, 1400)
		next++
		return time.Since(sent) > 300*time.Millisecond
	})
	go func() { _, _ = io.Copy(io.Discard, viewer.in) }()
	r.eventually("the viewer is closed for its slowness", func() bool { return r.log.has("viewer is too slow for the stream") })
}

// carries sends a little on w, and waits until the stream has it.
func (r *keyRig) carries(w *wire, name string) {
	r.t.Helper()
	w.send(0, 10, 160)
	viewer := r.wire()
	viewer.play(name)
	require.True(r.t, viewer.frame())
	require.NoError(r.t, viewer.conn.Close())
}

// metric reports whether /metrics has the line.
func (r *keyRig) metric(line string) bool {
	r.t.Helper()
	_, _, body := r.get("/metrics")
	return strings.Contains(body, "\n"+line+"\n")
}

func (r *keyRig) tracks(name string) []any {
	r.t.Helper()
	reply := r.call("getMediaInfo", "schema", "rtsp", "vhost", "__defaultVhost__", "app", "live", "stream", name)
	data := reply
	if inner, ok := reply["data"].(map[string]any); ok {
		data = inner
	}
	tracks, _ := data["tracks"].([]any)
	return tracks
}

// deadEnd accepts connections and counts them; hold keeps them open and silent.
type deadEnd struct {
	net.Listener
	taken atomic.Int32
}

func newDeadEnd(t *testing.T, hold bool) *deadEnd {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &deadEnd{Listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				break
			}
			d.taken.Add(1)
			if !hold {
				_ = conn.Close()
				continue
			}
			open = append(open, conn)
		}
		for _, conn := range open {
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return d
}

func (d *deadEnd) url() string { return "rtsp://" + d.Addr().String() + "/live/cam" }

func proxyRows() map[string]keyRow {
	attempts := func(n int32) func(*keyRig) {
		return func(r *keyRig) {
			source := newDeadEnd(r.t, false)
			r.add("cam", source.url(), "force", "1")
			r.eventually(fmt.Sprintf("%d attempts are made", n), func() bool { return source.taken.Load() >= n })
		}
	}
	return map[string]keyRow{
		"proxy.connect_timeout": {
			base: map[string]string{"proxy.connect_timeout": `"5m"`}, to: `"100ms"`,
			after: func(r *keyRig) { require.NotEqualValues(r.t, 0, r.add("cam", newDeadEnd(r.t, true).url())["code"]) },
		},
		"proxy.retry_delay_min": {
			base: map[string]string{"proxy.retry_delay_min": `"1h"`, "proxy.retry_delay_max": `"1h"`}, to: `"100ms"`, after: attempts(3),
		},
		"proxy.retry_delay_max": { // doubling from 100 ms, twelve attempts take minutes
			base: map[string]string{"proxy.retry_delay_max": `"24h"`}, to: `"100ms"`, after: attempts(12),
		},
		"proxy.media_timeout": {
			base: map[string]string{"proxy.media_timeout": `"10m"`}, to: `"1s"`,
			after: func(r *keyRig) {
				source := startCamera(r.t)
				r.pull(source, "one", "0")
				source.Stall()
				r.eventually("the silent source counts as lost", func() bool { return r.playing() == 0 })
			},
		},
		"proxy.udp_fallback_timeout": {
			base: map[string]string{"proxy.udp_fallback_timeout": `"1m"`, "proxy.connect_timeout": `"5m"`}, to: `"500ms"`,
			after: func(r *keyRig) {
				source := startCamera(r.t)
				source.SilentUDP(true)
				r.pull(source, "one", "-1")
			},
		},
	}
}
