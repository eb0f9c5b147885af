package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/config"
)

// atOnce is how many players of one step run beside each other: enough to be quick, few enough for two slow cores.
const atOnce = 6

// newInteropDaemon is newDaemon with room for many players. It listens on host.
func newInteropDaemon(t *testing.T, host string) *daemon {
	t.Helper()
	d := newDaemon(t, 60)
	_, port, err := net.SplitHostPort(d.rtsp)
	require.NoError(t, err)
	d.keys["general.listen_ip"] = fmt.Sprintf("%q", host)
	d.rtsp = net.JoinHostPort(host, port)
	d.base = "http://" + net.JoinHostPort(host, d.keys["http.port"])
	d.write()
	return d
}

// configRange is the range of a daemon's pool.
func configRange(t *testing.T, d *daemon) config.PortRange {
	t.Helper()
	var low, high uint16
	_, err := fmt.Sscanf(strings.Trim(d.keys["rtp_proxy.port_range"], `"`), "%d-%d", &low, &high)
	require.NoError(t, err)
	return config.PortRange{Low: low, High: high}
}

// url is the address of a stream of app live.
func (d *daemon) url(stream string) string { return "rtsp://" + d.rtsp + "/live/" + stream }

// peer is a run of a program that is not ours.
type peer struct {
	cmd  *exec.Cmd
	out  lockedBuffer // both outputs
	done chan struct{}
	err  error // read after done
}

// startPeer runs a program until it ends, the context does, or stop is called.
func startPeer(ctx context.Context, name string, args ...string) (*peer, error) {
	p := &peer{cmd: exec.CommandContext(ctx, name, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
	}()
	return p, nil
}

// runPeer returns what a program printed when it has ended; ending with another code than 0, or never, is an error that says what it printed.
func runPeer(name string, args ...string) (string, error) { return runPeerFor(patience, name, args...) }

func runPeerFor(most time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	p, err := startPeer(ctx, name, args...)
	if err != nil {
		return "", err
	}
	<-p.done
	out := p.out.String()
	if p.err != nil {
		return out, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), p.err, out)
	}
	return out, nil
}

// background runs a program for the length of the test.
func background(t *testing.T, name string, args ...string) *peer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p, err := startPeer(ctx, name, args...)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		<-p.done
		if t.Failed() {
			t.Logf("%s %s\n%s", name, strings.Join(args, " "), p.out.String())
		}
	})
	return p
}

func (p *peer) stop() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// step is one of several things done beside each other.
type step struct {
	name string
	do   func() error
}

// together does them, a few at a time, and reports every one that failed.
func together(t *testing.T, steps ...step) {
	t.Helper()
	turn := make(chan struct{}, atOnce)
	results := make(chan error, len(steps))
	for _, s := range steps {
		go func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			err := s.do()
			if err != nil {
				err = fmt.Errorf("%s: %w", s.name, err)
			}
			results <- err
		}()
	}
	var all error
	for range steps {
		all = errors.Join(all, <-results)
	}
	require.NoError(t, all)
}

// content is what a publisher sends and a player must find. Picture and sound come and go together, half of every second, so that a player can tell how far
// they are apart.
type content struct {
	video, audio string // as ffprobe names the codecs, "" without that track
	rate         int    // Hz of the sound
	samples      int    // in an audio packet of ffprobe, 0 when it depends
	videoArgs    string // of ffmpeg's encoder
	audioArgs    string
	videoName    string // as the API names the codecs
	audioName    string
	opaque       bool    // the server passes the picture on without knowing it
	packing      string  // of the sound: "" or "latm "
	apart        float64 // seconds at most between the beginnings of picture and sound, when not 1
}

const (
	pictures = "testsrc2=size=320x180:rate=25,drawbox=t=fill:color=black:enable='gte(mod(t,1),0.5)'"
	sounds   = "aevalsrc=exprs='0.4*sin(2*PI*440*t)*lt(mod(t\\,1)\\,0.5)':s=44100"
	h264Args = "-c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p"
)

// usual is H.264 with AAC.
var usual = content{
	video: "h264", audio: "aac", rate: 44100, samples: 1024, videoArgs: h264Args, audioArgs: "-c:a aac", videoName: "H264", audioName: "mpeg4-generic",
}

// publish has ffmpeg publish to an RTSP URL over tcp or udp, in real time, until the test ends.
func publish(t *testing.T, c content, transport, url string) *peer {
	t.Helper()
	args := []string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning"}
	if c.video != "" {
		args = append(args, "-re", "-f", "lavfi", "-i", pictures)
	}
	if c.audio != "" {
		args = append(args, "-re", "-f", "lavfi", "-i", sounds)
	}
	args = append(args, strings.Fields(c.videoArgs+" "+c.audioArgs)...)
	return background(t, "ffmpeg", append(args, "-f", "rtsp", "-rtsp_transport", transport, url)...)
}

// pullFrom adds a proxy that must succeed; rtpType is 0 for TCP and 1 for UDP.
func (d *daemon) pullFrom(source, stream string, rtpType int) {
	d.t.Helper()
	d.must("addStreamProxy", "vhost", "__defaultVhost__", "app", "live", "stream", stream, "url", source, "rtp_type", fmt.Sprint(rtpType))
}

// tracks returns what the API says of the tracks of a stream, nil when there is no such stream.
func (d *daemon) tracks(stream string) []map[string]any {
	r, err := d.api("getMediaInfo", "schema", "rtsp", "vhost", "__defaultVhost__", "app", "live", "stream", stream)
	if err != nil || r.code() != 0 {
		return nil
	}
	list, _ := r["tracks"].([]any)
	var out []map[string]any
	for _, item := range list {
		if track, ok := item.(map[string]any); ok {
			out = append(out, track)
		}
	}
	return out
}

// number returns a number of the API's reply, -1 when it is none.
func number(item map[string]any, key string) int {
	if v, ok := item[key].(float64); ok {
		return int(v)
	}
	return -1
}

// waitFlows waits until a stream has so many tracks that all carry media, and pictures to begin at.
func (d *daemon) waitFlows(stream string, tracks int) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("%s flows with %d tracks", stream, tracks), func() bool {
		found := d.tracks(stream)
		for _, track := range found {
			if number(track, "packets") < 10 || number(track, "codec_type") == 0 && number(track, "key_frames") < 2 {
				return false
			}
		}
		return len(found) == tracks
	})
}

// gstServer is a real RTSP server that is not ours. Its arguments are PATH=PIPELINE; it prints its port and runs until its input ends.
const gstServer = `
import sys, threading, gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service("0")
for argument in sys.argv[1:]:
    path, launch = argument.split("=", 1)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch("( " + launch + " )")
    factory.set_shared(True)
    server.get_mount_points().add_factory(path, factory)
server.attach(None)
print("port", server.get_bound_port(), flush=True)
loop = GLib.MainLoop()
threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
loop.run()
`

// startGstServer runs GStreamer's RTSP server for the length of the test and returns its host and port. Without its Python binding the test is skipped as by actortest.NeedPeer.
func startGstServer(t *testing.T, mounts ...string) string {
	t.Helper()
	python := ""
	for _, candidate := range []string{"/usr/bin/python3", "python3"} {
		if _, err := runPeer(candidate, "-c", `import gi; gi.require_version("GstRtspServer", "1.0"); from gi.repository import GstRtspServer`); err == nil {
			python = candidate
			break
		}
	}
	if python == "" {
		actortest.NeedPeer(t, "python3 with gir1.2-gst-rtsp-server-1.0")
	}
	script := filepath.Join(t.TempDir(), "server.py")
	require.NoError(t, os.WriteFile(script, []byte(gstServer), 0o600))
	cmd := exec.Command(python, append([]string{script}, mounts...)...)
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	p := &peer{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	require.NoError(t, cmd.Start())
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = input.Close()
		p.stop()
		if t.Failed() {
			t.Logf("GStreamer's server\n%s", p.out.String())
		}
	})
	port := 0
	require.Eventually(t, func() bool {
		_, after, found := strings.Cut(p.out.String(), "port ")
		if !found || !strings.Contains(after, "\n") {
			return false
		}
		_, err := fmt.Sscan(after, &port)
		return err == nil && port > 0
	}, patience, patience/1000)
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
}
