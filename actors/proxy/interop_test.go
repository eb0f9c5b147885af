package proxy

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/actors/store"
	"berth/media"
)

// gstServer is an RTSP server on GStreamer's library: a source that shares no code with this one. It prints its port and ends with its input.
const gstServer = `
import sys, threading, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtsp", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1"); server.set_service("0")
video = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 ! "
h264 = video + "openh264enc gop-size=25 ! rtph264pay name=pay0 pt=96 config-interval=-1 "
h265 = video + "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph265pay name=pay0 pt=96 config-interval=-1 "
aac = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! rtpmp4gpay name=pay1 pt=97 "
latm = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! rtpmp4apay name=pay1 pt=97 "
opus = "audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay name=pay1 pt=97 "
pcmu = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 "
mounts = server.get_mount_points()
def mount(path, launch, tcp_only=False, role=None):
    f = GstRtspServer.RTSPMediaFactory()
    f.set_launch("( " + launch + " )"); f.set_shared(True)
    if tcp_only: f.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
    if role:
        p = GstRtspServer.RTSPPermissions(); p.add_permission_for_role(role, "media.factory.access", True)
        p.add_permission_for_role(role, "media.factory.construct", True); f.set_permissions(p)
    mounts.add_factory(path, f)
for path, launch in {"/aac": h264 + aac, "/latm": h264 + latm, "/opus": h265 + opus, "/pcmu": h264 + pcmu}.items():
    mount(path, launch, role="user")
mount("/tcp", h264 + aac, tcp_only=True, role="user")
auth = GstRtspServer.RTSPAuth(); auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
token = GstRtspServer.RTSPToken(); token.set_string("media.factory.role", "user")
auth.add_digest("user", "p@ss", token)
server.set_auth(auth)
server.attach(None)
print(server.get_bound_port(), flush=True)
loop = GLib.MainLoop()
threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
loop.run()
`

// startGStreamer returns the server's address, or skips the test as actortest.NeedPeer does.
func startGStreamer(t *testing.T) string {
	t.Helper()
	python := ""
	for _, candidate := range []string{"python3", "/usr/bin/python3"} {
		probe := exec.Command(candidate, "-c", `import gi; gi.require_version("GstRtspServer", "1.0"); from gi.repository import GstRtspServer`)
		if probe.Run() == nil {
			python = candidate
			break
		}
	}
	if python == "" {
		const missing = "python3-gi with gir1.2-gst-rtsp-server-1.0 is not installed"
		if os.Getenv(actortest.InteropVariable) == "require" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	cmd := exec.Command(python, "-c", gstServer)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait() // however it ends
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "the server does not start")
	return "127.0.0.1:" + strings.TrimSpace(port)
}

func TestInteropGStreamerServer(t *testing.T) {
	address := startGStreamer(t)
	for _, tc := range []struct {
		path      string
		rtpType   int
		transport string
		codecs    []media.Codec
	}{
		{"aac", rtpTCP, "tcp", []media.Codec{media.CodecH264, media.CodecAAC}},
		{"aac", rtpUDP, "udp", []media.Codec{media.CodecH264, media.CodecAAC}},
		{"latm", rtpUDP, "udp", []media.Codec{media.CodecH264, media.CodecAAC}},
		{"opus", rtpUDP, "udp", []media.Codec{media.CodecH265, media.CodecOpus}},
		{"opus", rtpTCP, "tcp", []media.Codec{media.CodecH265, media.CodecOpus}},
		{"pcmu", rtpAuto, "udp", []media.Codec{media.CodecH264, media.CodecPCMU}},
		{"tcp", rtpAuto, "tcp", []media.Codec{media.CodecH264, media.CodecAAC}}, // it answers SETUP over UDP with 461
	} {
		t.Run(fmt.Sprint(tc.path, tc.rtpType), func(t *testing.T) {
			f := newFixture(t, nil)
			f.config.Proxy.MediaTimeout, f.config.Proxy.UDPFallbackTimeout = actortest.Wait, actortest.Wait
			require.NoError(t, f.add(definition(nil, func(d *store.Proxy) {
				d.URL, d.RTPType, d.Timeout = "rtsp://user:p@ss@"+address+"/"+tc.path, tc.rtpType, actortest.Wait
			})))
			snap := f.await("playing", playing)
			require.Equal(t, tc.transport, snap.Transport)
			var codecs []media.Codec
			for _, track := range snap.Live.Tracks {
				codecs = append(codecs, track.Track.Codec)
			}
			require.Equal(t, tc.codecs, codecs)
			// Both tracks flow, and the hub finds whole frames in them.
			snap = f.await("frames", func(s Snapshot) bool {
				return playing(s) && s.Live.Tracks[0].Stats.KeyFrames > 1 && s.Live.Tracks[1].Stats.Frames > 20
			})
			require.Zero(t, snap.Live.Stats.Lost)
			require.True(t, f.remove("x").Found)
			f.requireNothing()
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		f := newFixture(t, nil)
		require.ErrorContains(t, f.add(definition(nil, func(d *store.Proxy) { d.URL = "rtsp://user:wrong@" + address + "/aac" })), "not authorized")
	})
}
