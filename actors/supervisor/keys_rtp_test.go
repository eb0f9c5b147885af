package supervisor

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/stream"
	"berth/actors/streams"
)

// rawDevice sends RTP of whatever payload. It belongs to one goroutine.
type rawDevice struct {
	conn        net.Conn
	payloadType byte
	ssrc        uint32
	seq         uint16
	time        uint32
	sent        int
}

func newRawDevice(t *testing.T, port int, payloadType byte) *rawDevice {
	t.Helper()
	conn, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", port))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &rawDevice{conn: conn, payloadType: payloadType, ssrc: 0x1000 + uint32(payloadType)}
}

// send sends one packet whose time is so many ticks after the one before. A port that is closed is nothing to a device.
func (d *rawDevice) send(ticks int, payload []byte) {
	packet := make([]byte, 12, 12+len(payload))
	packet[0], packet[1] = 0x80, 0x80|d.payloadType
	binary.BigEndian.PutUint16(packet[2:], d.seq)
	binary.BigEndian.PutUint32(packet[4:], d.time)
	binary.BigEndian.PutUint32(packet[8:], d.ssrc)
	d.seq++
	d.time += uint32(ticks) //nolint:gosec // small
	d.sent++
	_, _ = d.conn.Write(append(packet, payload...))
}

// keepOn repeats f every few milliseconds until the test, or stop, ends it.
func keepOn(t *testing.T, f func()) (stop func()) {
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f()
			}
		}
	}()
	stop = func() { end(); <-done }
	t.Cleanup(stop)
	return stop
}

// sound opens a receiver and sends G.711 to it.
func (r *keyRig) sound(name string, frameBytes int) (d *rawDevice, stop func()) {
	r.t.Helper()
	d = newRawDevice(r.t, r.open(name), 8)
	frame := bytes.Repeat([]byte{0xd5}, frameBytes)
	return d, keepOn(r.t, func() { d.send(frameBytes, frame) })
}

// film opens a receiver and sends pictures in PS to it.
func (r *keyRig) film(name string, args ...string) (stop func()) {
	r.t.Helper()
	d := dialDevice(r.t, name, 77, "udp", r.open(name, args...))
	return keepOn(r.t, func() { _ = d.send(d.next()...) })
}

// rtpStream returns the picture of a stream that is received.
func (r *keyRig) rtpStream(name string) (stream.Snapshot, bool) {
	found, err := actors.Ask[*streams.Streams](r.t.Context(), r.process.runtime.System, r.process.engine.Load().Streams, &streams.ListStreams{
		Filter: streams.Filter{App: "rtp", Stream: name},
	})
	if err != nil || len(found.Streams) != 1 {
		return stream.Snapshot{}, false
	}
	return found.Streams[0], true
}

// packetSize waits for some packets of a stream and returns how large they are on the average.
func (r *keyRig) packetSize(name string) (size int) {
	r.t.Helper()
	r.eventually("packets of "+name, func() bool {
		s, ok := r.rtpStream(name)
		if ok && s.Stats.Packets >= 50 {
			size = int(s.Stats.Bytes / s.Stats.Packets) //nolint:gosec // small
		}
		return size > 0
	})
	return size
}

// programMap announces streams in a program stream map (ISO/IEC 13818-1 section 2.5.4); each is a pair of stream type and id.
func programMap(pairs ...byte) []byte {
	m := []byte{0, 0, 1, 0xbc, 0, byte(10 + 2*len(pairs)), 0xe1, 0xff, 0, 0, 0, byte(2 * len(pairs))}
	for i := 0; i < len(pairs); i += 2 {
		m = append(m, pairs[i], pairs[i+1], 0, 0)
	}
	sum := uint32(0xffffffff)
	for _, b := range m {
		sum ^= uint32(b) << 24
		for range 8 {
			if sum&(1<<31) != 0 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return binary.BigEndian.AppendUint32(m, sum)
}

// pes is a packet of an elementary stream at a time in 90 kHz.
func pes(id byte, at uint32, payload []byte) []byte {
	stamp := uint64(at)
	p := []byte{
		0, 0, 1, id, 0, 0, 0x80, 0x80, 5,
		0x21 | byte(stamp>>29&0x0e), byte(stamp >> 22), 0x01 | byte(stamp>>14&0xfe), byte(stamp >> 7), 0x01 | byte(stamp<<1),
	}
	binary.BigEndian.PutUint16(p[4:], uint16(len(payload)+8)) //nolint:gosec // small
	return append(p, payload...)
}

// half opens a receiver whose device announces pictures and G.711, and sends parts of it.
func (r *keyRig) half(name string, picture []byte, withSound bool) {
	r.t.Helper()
	d := newRawDevice(r.t, r.open(name), 96)
	pack := []byte{0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1, 0, 0x1a, 0x8b, 0xf8}
	keepOn(r.t, func() {
		ps := append(append([]byte(nil), pack...), programMap(0x1b, 0xe0, 0x90, 0xc0)...)
		ps = append(ps, pes(0xe0, d.time, picture)...)
		if withSound {
			ps = append(ps, pes(0xc0, d.time, bytes.Repeat([]byte{0xd5}, 320))...)
		}
		d.send(3600, ps)
	})
}

func (r *keyRig) published(name string) {
	r.t.Helper()
	r.eventually(name+" is published", func() bool { _, ok := r.rtpStream(name); return ok })
}

// rtpWaitRows are the keys that say when a pushed stream begins. The waits before the reload are longer than any test.
func rtpWaitRows() map[string]keyRow {
	const forEver, tracks, second, audio = "600000", "general.wait_track_ready_ms", "general.wait_add_track_ms", "general.wait_audio_track_data_ms"
	key := append(append([]byte{0, 0, 0, 1}, testSPS...), append(append([]byte{0, 0, 0, 1}, testPPS...), 0, 0, 0, 1, 0x65, 0x88, 0x80, 0x40)...)
	blind := []byte{0, 0, 0, 1, 0x41, 0x9a, 0x80, 0x40}
	// kept sends a burst while the stream waits, and returns how many packets of it are missing in the stream.
	kept := func(r *keyRig, name string) (missing int) {
		d := newRawDevice(r.t, r.open(name), 8)
		frame := bytes.Repeat([]byte{0xd5}, 160)
		for range 60 {
			d.send(160, frame)
		}
		stop := keepOn(r.t, func() { d.send(160, frame) })
		r.published(name)
		stop()
		last := -1
		r.eventually("all packets have been counted", func() bool { return r.count(name, "packets") == d.sent })
		r.eventually("nothing more comes", func() bool {
			s, ok := r.rtpStream(name)
			now := int(s.Stats.Packets) //nolint:gosec // small
			settled := ok && now == last
			last = now
			return settled
		})
		return d.sent - last
	}
	return map[string]keyRow{
		tracks: {
			base: map[string]string{tracks: forEver, second: "50", audio: "50"}, to: "50",
			before: func(r *keyRig) { r.half("waits", blind, true) },
			after: func(r *keyRig) {
				r.half("a", blind, true)
				r.published("a")
				_, waits := r.rtpStream("waits")
				require.False(r.t, waits, "a receiver keeps what was so when it was opened")
			},
		},
		second: {
			base: map[string]string{second: forEver}, to: "0",
			before: func(r *keyRig) { r.sound("waits", 160) },
			after: func(r *keyRig) {
				r.sound("a", 160)
				r.published("a")
				_, waits := r.rtpStream("waits")
				require.False(r.t, waits)
			},
		},
		audio: {
			base: map[string]string{audio: forEver, second: forEver}, to: "0",
			before: func(r *keyRig) { r.half("waits", key, false) },
			after: func(r *keyRig) {
				r.half("a", key, false)
				r.published("a")
				_, waits := r.rtpStream("waits")
				require.False(r.t, waits)
			},
		},
		"general.unready_frame_cache": {
			base: map[string]string{"general.unready_frame_cache": "10000", second: "400"}, to: "2",
			before: func(r *keyRig) { require.Zero(r.t, kept(r, "all")) },
			after:  func(r *keyRig) { require.GreaterOrEqual(r.t, kept(r, "few"), 58) },
		},
	}
}

// rtpRows are the keys of receiving and sending RTP.
func rtpRows() map[string]keyRow {
	quick := map[string]string{"general.wait_add_track_ms": "0", "general.wait_audio_track_data_ms": "0"}
	base := func(more ...string) map[string]string {
		out := map[string]string{}
		for k, v := range quick {
			out[k] = v
		}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	out := map[string]keyRow{
		"rtp.videoMtuSize": {
			base: base(), to: "200",
			before: func(r *keyRig) { r.film("large"); require.Greater(r.t, r.packetSize("large"), 600) },
			after:  func(r *keyRig) { r.film("small"); require.LessOrEqual(r.t, r.packetSize("small"), 212) },
		},
		"rtp.audioMtuSize": {
			base: base("rtp.audioMtuSize", "1400"), to: "200",
			before: func(r *keyRig) { r.sound("large", 800); require.Equal(r.t, 812, r.packetSize("large")) },
			after:  func(r *keyRig) { r.sound("small", 800); require.LessOrEqual(r.t, r.packetSize("small"), 212) },
		},
		"rtp_proxy.timeoutSec": {
			base: base("rtp_proxy.timeoutSec", "86400"), to: "1",
			before: func(r *keyRig) { r.open("silent") },
			after: func(r *keyRig) {
				r.eventually("the silent receiver is closed", func() bool { return len(r.receivers()) == 0 })
			},
		},
		"rtp_proxy.relearn_after": {
			base: base("rtp_proxy.relearn_after", `"10m"`), to: `"500ms"`,
			after: func(r *keyRig) {
				port := r.open("a")
				first, next := newRawDevice(r.t, port, 8), newRawDevice(r.t, port, 8)
				frame := bytes.Repeat([]byte{0xd5}, 160)
				stop := keepOn(r.t, func() { first.send(160, frame) })
				r.published("a")
				stop()
				next.ssrc++
				keepOn(r.t, func() { next.send(160, frame) })
				r.eventually("another device takes the place of the silent one", func() bool { return r.count("a", "relocks") > 0 })
			},
		},
		"rtp_proxy.max_devices":      maxDevicesRow(base),
		"rtp_proxy.parse_on_demand":  parseOnDemandRow(base),
		"rtp_proxy.rtp_g711_dur_ms":  g711Row(base),
		"hook.on_rtp_server_timeout": rtpHookRow("hook.on_rtp_server_timeout", base("rtp_proxy.timeoutSec", "1"), func(r *keyRig) { r.open("a") }),
		"hook.on_send_rtp_stopped":   sendStoppedRow(base),
		"rtp_proxy.udp_recv_socket_buffer": {
			base: base("rtp_proxy.udp_recv_socket_buffer", "65536"), to: "131072",
			before: func(r *keyRig) { require.Equal(r.t, 2*65536, r.readBuffer(r.open("small"))) },
			after:  func(r *keyRig) { require.Equal(r.t, 2*131072, r.readBuffer(r.open("large"))) },
		},
	}
	for key, name := range map[string]string{"h264_pt": "h264", "h265_pt": "h265", "ps_pt": "ps", "opus_pt": "opus"} {
		out["rtp_proxy."+key] = payloadTypeRow(base, name)
	}
	return out
}

// payloadTypeRow sends what cannot be told from its bytes, under a payload type that has a meaning after the reload only.
func payloadTypeRow(base func(...string) map[string]string, payload string) keyRow {
	send := func(r *keyRig, name string) *rawDevice {
		d := newRawDevice(r.t, r.open(name), 120)
		nothing := bytes.Repeat([]byte{0xff}, 100)
		keepOn(r.t, func() {
			for range 20 {
				d.send(160, nothing)
			}
		})
		return d
	}
	return keyRow{
		base: base(), to: "120",
		before: func(r *keyRig) {
			send(r, "before")
			r.eventually("it has been looked at long enough", func() bool { return r.count("before", "packets") > 400 })
			require.Equal(r.t, "", r.receivers()["before"]["payload"])
		},
		after: func(r *keyRig) {
			send(r, "after")
			r.eventually("the payload type counts", func() bool { return r.receivers()["after"]["payload"] == payload })
		},
	}
}

func maxDevicesRow(base func(...string) map[string]string) keyRow {
	shared := func(r *keyRig) (heard int) {
		for _, one := range r.receivers() {
			if one["shared"] == true {
				heard++
			}
		}
		return heard
	}
	return keyRow{
		to: "3",
		prepare: func(t *testing.T, row *keyRow) {
			row.base = base("rtp_proxy.max_devices", "1", "rtp_proxy.port", strconv.Itoa(freeSharedPort(t)))
		},
		before: func(r *keyRig) {
			port, err := strconv.Atoi(r.keys["rtp_proxy.port"])
			require.NoError(r.t, err)
			frame := bytes.Repeat([]byte{0xd5}, 160)
			for i := range 3 {
				d := newRawDevice(r.t, port, 8)
				d.ssrc = uint32(100 + i) //nolint:gosec // small
				keepOn(r.t, func() { d.send(160, frame) })
			}
			r.eventually("one is heard", func() bool { return shared(r) == 1 })
		},
		after: func(r *keyRig) { r.eventually("all are heard", func() bool { return shared(r) == 3 }) },
	}
}

func parseOnDemandRow(base func(...string) map[string]string) keyRow {
	return keyRow{
		base: base(), to: "true",
		before: func(r *keyRig) {
			r.film("a")
			r.published("a")
			r.eventually("it is parsed", func() bool { return r.count("a", "frames") > 20 })
			require.Zero(r.t, r.count("a", "unwatched"))
		},
		after: func(r *keyRig) {
			r.eventually("what nobody watches is not looked into", func() bool { return r.count("a", "unwatched") > 20 })
		},
	}
}

// g711Row sends a stream of sound on, to a peer that measures the packets.
func g711Row(base func(...string) map[string]string) keyRow {
	measure := func(r *keyRig, ssrc string) int {
		peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(r.t, err)
		r.t.Cleanup(func() { _ = peer.Close() })
		require.EqualValues(r.t, 0, r.code("startSendRtp", "vhost", "__defaultVhost__", "app", "rtp", "stream", "a", "ssrc", ssrc, "dst_url", "127.0.0.1",
			"dst_port", fmt.Sprint(peer.LocalAddr().(*net.UDPAddr).Port), "is_udp", "1", "type", "0", "pt", "8", "only_audio", "1"))
		buf := make([]byte, 2000)
		require.NoError(r.t, peer.SetReadDeadline(time.Now().Add(actortest.Wait)))
		n := 0
		for range 3 { // what was cached may begin with an odd one
			n, err = peer.Read(buf)
			require.NoError(r.t, err)
		}
		return n - 12
	}
	return keyRow{
		base: base("rtp_proxy.rtp_g711_dur_ms", "100"), to: "40",
		before: func(r *keyRig) {
			r.sound("a", 160)
			r.published("a")
			require.Equal(r.t, 800, measure(r, "1"))
		},
		after: func(r *keyRig) { require.Equal(r.t, 320, measure(r, "2")) },
	}
}

// rtpHookRow is a hook that is posted to the server of the row once its key names it.
func rtpHookRow(key string, base map[string]string, cause func(*keyRig)) keyRow {
	var h *hookServer
	return keyRow{
		prepare: func(t *testing.T, row *keyRow) {
			h = newHookServer(t)
			row.to = strconv.Quote(h.URL)
			row.base = base
			row.base["hook.enable"] = "true"
		},
		after: func(r *keyRig) {
			cause(r)
			r.eventually(key+" arrives", func() bool { return len(h.heard()) > 0 })
			require.Equal(r.t, "rtp", h.heard()[0]["app"])
		},
	}
}

// sendStoppedRow waits for a peer that never connects.
func sendStoppedRow(base func(...string) map[string]string) keyRow {
	return rtpHookRow("hook.on_send_rtp_stopped", base(), func(r *keyRig) {
		r.sound("a", 160)
		r.published("a")
		require.EqualValues(r.t, 0, r.code("startSendRtpPassive", "vhost", "__defaultVhost__", "app", "rtp", "stream", "a", "ssrc", "1", "is_udp", "0",
			"close_delay_ms", "100", "type", "0", "pt", "8", "only_audio", "1"))
	})
}

// readBuffer returns the receive buffer of this process's UDP socket on a port, as the kernel counts it: twice what was asked for.
func (r *keyRig) readBuffer(port int) int {
	r.t.Helper()
	links, err := os.ReadDir("/proc/self/fd")
	require.NoError(r.t, err)
	for _, link := range links {
		fd, err := strconv.Atoi(link.Name())
		require.NoError(r.t, err)
		kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
		if err != nil || kind != unix.SOCK_DGRAM {
			continue
		}
		local, err := unix.Getsockname(fd)
		if v4, ok := local.(*unix.SockaddrInet4); err == nil && ok && v4.Port == port {
			size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
			require.NoError(r.t, err)
			return size
		}
	}
	r.t.Fatalf("no UDP socket on port %d", port)
	return 0
}
