package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// A viewer that comes first waits for the publisher, and then plays both tracks in step.
func TestInteropViewerComesFirst(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg")
	d := newInteropDaemon(t, "127.0.0.1")
	d.set("general.maxStreamWaitMS", "45000")
	d.start(t)
	results := make(chan error, 2)
	for _, transport := range []string{"tcp", "udp"} {
		go func() { results <- playFFmpeg(usual, transport, d.url("late")) }()
	}
	d.eventually("both viewers wait", func() bool {
		waiting := 0
		for _, s := range d.list("getAllSession") {
			if s["stream"] == "late" {
				waiting++
			}
		}
		return waiting == 2
	})
	publish(t, usual, "tcp", d.url("late"))
	for range cap(results) {
		require.NoError(t, <-results)
	}
}

// decodedAt matches the lines of ffmpeg's showinfo filter.
var decodedAt = regexp.MustCompile(`showinfo.* n: *(\d+) .*pts_time:([\d.-]+)`)

// times returns the presentation times of the pictures that a viewer with the showinfo filter has decoded.
func (p *peer) times() []float64 {
	var out []float64
	for _, m := range decodedAt.FindAllStringSubmatch(p.out.String(), -1) {
		if at, err := strconv.ParseFloat(m[2], 64); err == nil {
			out = append(out, at)
		}
	}
	return out
}

// A publisher is killed and comes back: its viewers stay, go on, and never see time run backwards.
func TestInteropPublisherComesBack(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg")
	d := newInteropDaemon(t, "127.0.0.1")
	d.set("protocol.continue_push_ms", "45000")
	d.start(t)
	first := publish(t, usual, "tcp", d.url("back"))
	d.waitFlows("back", 2)
	viewers := map[string]*peer{}
	for _, transport := range []string{"tcp", "udp"} {
		viewers[transport] = background(t, "ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info",
			"-rtsp_transport", transport, "-timeout", "60000000", "-i", d.url("back"), "-vf", "showinfo", "-f", "null", "-")
	}
	seen := map[string]int{}
	reach := func(what string, more int) {
		for transport, v := range viewers {
			d.eventually(fmt.Sprintf("%s, the viewer over %s decodes %d more pictures", what, transport, more), func() bool {
				select {
				case <-v.done:
					t.Fatalf("the viewer over %s ended: %s", transport, v.out.String())
				default:
				}
				return len(v.times()) >= seen[transport]+more
			})
		}
	}
	reach("at first", 30)
	first.stop()
	d.eventually("the publisher's end is noticed", func() bool {
		items := d.list("getMediaList", "stream", "back")
		return len(items) == 1 && items[0]["online"] == false
	})
	for transport, v := range viewers {
		seen[transport] = len(v.times())
	}
	publish(t, usual, "udp", d.url("back"))
	reach("with the publisher back", 60)
	for transport, v := range viewers {
		at := v.times()
		for i := 1; i < len(at); i++ {
			require.Greater(t, at[i], at[i-1], "over %s, picture %d", transport, i)
		}
	}
	require.Len(t, d.list("getMediaPlayerList", "schema", "rtsp", "vhost", "__defaultVhost__", "app", "live", "stream", "back"), 2)
}

// With a key frame every ten seconds a viewer gets a picture at once, not after seconds.
func TestInteropFirstPictureComesAtOnce(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg")
	d := newInteropDaemon(t, "127.0.0.1")
	d.start(t)
	long := usual
	long.videoArgs = strings.Replace(h264Args, "-g 30", "-g 10000", 1)
	publish(t, long, "tcp", d.url("long"))
	d.eventually("two seconds after the only key frame", func() bool {
		for _, track := range d.tracks("long") {
			if number(track, "codec_type") == 0 {
				return number(track, "frames") > 50
			}
		}
		return false
	})
	for _, transport := range []string{"tcp", "udp"} {
		// Without the pictures since the key frame this would never end.
		out, err := runPeer("ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", "-rtsp_transport", transport,
			"-i", d.url("long"), "-map", "0:v", "-vf", "showinfo", "-frames:v", "10", "-f", "null", "-")
		require.NoError(t, err)
		require.NoError(t, complaints(out))
		first := regexp.MustCompile(`n: *0 .*iskey:1 type:I`)
		require.Regexp(t, first, out, "it begins with the key frame")
	}
	for _, track := range d.tracks("long") {
		if number(track, "codec_type") == 0 {
			require.Equal(t, 1, number(track, "key_frames"), "the test's premise")
		}
	}
}

// Accounts are asked for and accepted, by Digest and by Basic, from publishers, players and pulls.
func TestInteropAccounts(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "ffprobe", "gst-launch-1.0")
	for _, basic := range []string{"false", "true"} {
		source, relay := newInteropDaemon(t, "127.0.0.1"), newInteropDaemon(t, "127.0.0.1")
		source.set("rtsp.auth_users", `"ann:p@ss"`, "rtsp.authBasic", basic)
		source.start(t)
		relay.start(t)
		known := strings.Replace(source.url("guarded"), "rtsp://", "rtsp://ann:p%40ss@", 1)
		publish(t, usual, "tcp", known)
		source.waitFlows("guarded", 2)

		for _, url := range []string{source.url("guarded"), strings.Replace(source.url("guarded"), "rtsp://", "rtsp://ann:wrong@", 1)} {
			out, err := runPeer("ffprobe", "-hide_banner", "-loglevel", "error", "-rtsp_transport", "tcp", url)
			require.Error(t, err)
			require.Contains(t, out, "401 Unauthorized")
		}
		r, err := relay.api("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", "refused", "url", source.url("guarded"), "retry_count", "0")
		require.NoError(t, err)
		require.Equal(t, codeFailed, r.code(), r.text())
		relay.must("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", "guarded", "url", source.url("guarded"), "rtp_type", "1",
			"rtsp_user", "ann", "rtsp_pwd", "p@ss")
		relay.waitFlows("guarded", 2)
		together(
			t,
			step{"ffmpeg over tcp", func() error { return playFFmpeg(usual, "tcp", known) }},
			step{"ffmpeg over udp", func() error { return playFFmpeg(usual, "udp", known) }},
			step{"GStreamer over udp", func() error { return playGStreamer(usual, "udp", source.url("guarded"), "user-id=ann", "user-pw=p@ss") }},
			step{"ffmpeg on the pull", func() error { return playFFmpeg(usual, "tcp", relay.url("guarded")) }},
		)
	}
}

// codeFailed is what the API answers when something was tried and did not work.
const codeFailed = -1

// selfSigned writes a certificate for 127.0.0.1 and ::1 that nobody has reason to trust.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "berth"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}

// Publishing, pulling and playing over TLS, with a certificate of one's own.
func TestInteropTLS(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "gst-launch-1.0")
	certFile, keyFile := selfSigned(t)
	source, relay := newInteropDaemon(t, "127.0.0.1"), newInteropDaemon(t, "127.0.0.1")
	port, err := freePort(0, configRange(t, source))
	require.NoError(t, err)
	source.set("rtsp.sslport", fmt.Sprint(port), "tls.cert_file", fmt.Sprintf("%q", certFile), "tls.key_file", fmt.Sprintf("%q", keyFile))
	source.start(t)
	relay.start(t)
	secure := fmt.Sprintf("rtsps://127.0.0.1:%d/live/secure", port)
	publish(t, usual, "tcp", secure)
	source.waitFlows("secure", 2)
	relay.pullFrom(secure, "secure", 0)
	relay.waitFlows("secure", 2)
	together(
		t,
		step{"ffmpeg over TLS", func() error { return playFFmpeg(usual, "tcp", secure) }},
		step{"GStreamer over TLS", func() error { return playGStreamer(usual, "tcp", secure, "tls-validation-flags=0") }},
		step{"ffmpeg on the pull", func() error { return playFFmpeg(usual, "udp", relay.url("secure")) }},
	)
	protocols := map[any]bool{}
	for _, s := range source.list("getAllSession") {
		protocols[s["protocol"]] = true
	}
	require.True(t, protocols["rtsps"], "%v", protocols)
}

// Everything over IPv6: publishing, pulling and playing, over TCP and UDP.
func TestInteropIPv6(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "gst-launch-1.0")
	if c, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	} else {
		require.NoError(t, c.Close())
	}
	source, relay := newInteropDaemon(t, "::1"), newInteropDaemon(t, "::1")
	source.start(t)
	relay.start(t)
	publish(t, usual, "udp", source.url("six"))
	source.waitFlows("six", 2)
	relay.pullFrom(source.url("six"), "six", 1)
	relay.waitFlows("six", 2)
	var steps []step
	for _, transport := range []string{"tcp", "udp"} {
		steps = append(steps, step{"ffmpeg over " + transport, func() error { return playFFmpeg(usual, transport, relay.url("six")) }})
	}
	steps = append(steps, step{"GStreamer over udp", func() error { return playGStreamer(usual, "udp", relay.url("six")) }})
	together(t, steps...)
}

// A viewer pauses and goes on; nothing comes meanwhile, and sequence numbers and times go forward.
func TestInteropPause(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg")
	d := newInteropDaemon(t, "127.0.0.1")
	d.start(t)
	publish(t, usual, "tcp", d.url("paused"))
	d.waitFlows("paused", 2)
	for _, over := range []gortsplib.Protocol{gortsplib.ProtocolTCP, gortsplib.ProtocolUDP} {
		pauseAndGoOn(t, d, over)
	}
}

func pauseAndGoOn(t *testing.T, d *daemon, over gortsplib.Protocol) {
	t.Helper()
	u, err := base.ParseURL(d.url("paused"))
	require.NoError(t, err)
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host, Protocol: &over, ReadTimeout: patience, WriteTimeout: patience}
	require.NoError(t, c.Start())
	defer c.Close()
	described, _, err := c.Describe(u)
	require.NoError(t, err)
	require.NoError(t, c.SetupAll(described.BaseURL, described.Medias))
	var packets, backwards atomic.Int64
	var lastSeq uint16 // owned by the client's goroutine, with lastTime
	var lastTime uint32
	var begun bool
	c.OnPacketRTPAny(func(m *description.Media, _ format.Format, p *rtp.Packet) {
		if m.Type != description.MediaTypeVideo {
			return
		}
		if begun && (int16(p.SequenceNumber-lastSeq) <= 0 || int32(p.Timestamp-lastTime) < 0) {
			backwards.Add(1)
		}
		begun, lastSeq, lastTime = true, p.SequenceNumber, p.Timestamp
		packets.Add(1)
	})
	_, err = c.Play(nil)
	require.NoError(t, err)
	d.eventually("pictures come", func() bool { return packets.Load() > 100 })
	for range 2 {
		_, err = c.Pause()
		require.NoError(t, err)
		// The server knows of the pause: what it has sent stays the same while the stream goes on.
		sent := func() (sum float64) {
			for _, p := range d.list("getMediaPlayerList", "schema", "rtsp", "vhost", "__defaultVhost__", "app", "live", "stream", "paused") {
				n, _ := p["packets"].(float64)
				sum += n
			}
			return sum
		}
		before, published := sent(), d.tracks("paused")
		d.eventually("the stream goes on", func() bool { return number(d.tracks("paused")[0], "frames") > number(published[0], "frames")+20 })
		require.InDelta(t, before, sent(), 0, "nothing is sent to a viewer that has paused")
		at := packets.Load()
		_, err = c.Play(nil)
		require.NoError(t, err)
		d.eventually("pictures come again", func() bool { return packets.Load() > at+100 })
	}
	require.Zero(t, backwards.Load())
}
