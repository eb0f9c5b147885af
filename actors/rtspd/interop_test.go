package rtspd

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/config"
)

// run starts a peer program that ends with the test, and returns what it prints and when it has ended.
func run(t *testing.T, name string, args ...string) *peer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &peer{done: make(chan struct{}), cmd: exec.CommandContext(ctx, name, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
		if t.Failed() {
			t.Logf("%s printed: %s", p.cmd, p.out.String())
		}
	})
	return p
}

type peer struct {
	cmd  *exec.Cmd
	out  buffer
	done chan struct{}
	err  error // of the program's end; read after done
}

// end waits for the program and returns what it printed.
func (p *peer) end(t *testing.T) string {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(4 * actortest.Wait):
		t.Fatalf("%s does not end; it printed: %s", p.cmd, p.out.String())
	}
	require.NoError(t, p.err, "%s: %s", p.cmd, p.out.String())
	var told []string
	for _, line := range strings.SplitAfter(p.out.String(), "\n") {
		// ffmpeg chooses UDP ports at random, and takes the next ones when somebody has them.
		if !strings.Contains(line, "bind failed: Address already in use") {
			told = append(told, line)
		}
	}
	return strings.Join(told, "")
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// ffmpegPublish publishes a test picture and a tone until the test ends.
func (f *fixture) ffmpegPublish(transport, codec, path string) *peer {
	args := []string{
		"-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=frequency=440",
		"-c:v", codec, "-preset", "ultrafast", "-g", "25", "-bf", "0", "-pix_fmt", "yuv420p", "-c:a", "aac",
	}
	if codec == "libx265" {
		args = append(args, "-x265-params", "log-level=none")
	}
	p := run(f.t, "ffmpeg", append(args, "-f", "rtsp", "-rtsp_transport", transport, f.url(path))...)
	f.eventually(func() bool {
		select {
		case <-p.done:
			f.t.Fatalf("ffmpeg ended: %s", p.out.String())
		default:
		}
		s := f.list()
		return len(s) == 1 && s[0].State == "recording"
	}, "ffmpeg publishes")
	f.flow(10)
	return p
}

// flow waits until every track has carried so many packets: before that nobody can tell a viewer how the tracks line up.
func (f *fixture) flow(packets uint64) {
	f.t.Helper()
	f.eventually(f.books(func(s *fakeStreams) bool {
		for _, stream := range s.streams {
			for i := range stream.hub.Tracks() {
				if stream.hub.TrackStats(i).Packets < packets {
					return false
				}
			}
		}
		return true
	}), "packets of all tracks")
}

func TestInteropFFmpeg(t *testing.T) {
	actortest.NeedPeer(t, "ffmpeg", "ffprobe")
	for _, codec := range []string{"libx264", "libx265"} {
		for _, in := range []string{"tcp", "udp"} {
			t.Run(codec+" "+in, func(t *testing.T) {
				f := newFixture(t, nil)
				f.ffmpegPublish(in, codec, "/live/cam?sign=a%2Fb")
				for _, out := range []string{"tcp", "udp"} {
					f.ffmpegProbe(out, map[string]string{"libx264": "h264", "libx265": "hevc"}[codec])
					f.ffmpegDecode(out)
				}
			})
		}
	}
}

// ffmpegProbe checks what ffprobe finds.
func (f *fixture) ffmpegProbe(transport, codec string) {
	f.t.Helper()
	out := run(f.t, "ffprobe", "-hide_banner", "-loglevel", "error", "-rtsp_transport", transport, "-show_streams", "-of", "json", f.url("/live/cam?user=x")).end(f.t)
	start := strings.IndexByte(out, '{')
	require.GreaterOrEqual(f.t, start, 0, out)
	var found struct {
		Streams []struct {
			CodecName  string `json:"codec_name"`
			Width      int
			SampleRate string `json:"sample_rate"`
		}
	}
	require.NoError(f.t, json.NewDecoder(strings.NewReader(out[start:])).Decode(&found), out)
	require.Len(f.t, found.Streams, 2)
	require.Equal(f.t, codec, found.Streams[0].CodecName)
	require.Equal(f.t, 320, found.Streams[0].Width)
	require.Equal(f.t, "aac", found.Streams[1].CodecName)
	require.Equal(f.t, "44100", found.Streams[1].SampleRate)
}

// ffmpegDecode plays and decodes four seconds; not one error line, and both tracks run in step.
func (f *fixture) ffmpegDecode(transport string) {
	f.t.Helper()
	out := run(f.t, "ffmpeg", "-hide_banner", "-loglevel", "error", "-rtsp_transport", transport, "-i", f.url("/live/cam"), "-t", "4", "-f", "null", "-").end(f.t)
	require.Empty(f.t, out, "error lines over %s", transport)
	out = run(f.t, "ffprobe", "-hide_banner", "-loglevel", "error", "-rtsp_transport", transport, "-read_intervals", "%+3",
		"-show_entries", "packet=codec_type,pts_time,dts_time", "-of", "csv=p=0", f.url("/live/cam")).end(f.t)
	last := map[string]float64{"video": -1, "audio": -1}
	counts := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if line == "" {
			continue // behind packets with side data
		}
		fields := strings.Split(line, ",")
		require.GreaterOrEqual(f.t, len(fields), 2, line)
		if fields[1] == "N/A" {
			continue // ffmpeg's parser delays the timestamp of the first picture
		}
		var pts float64
		require.NoError(f.t, json.Unmarshal([]byte(fields[1]), &pts), line)
		require.GreaterOrEqual(f.t, pts, last[fields[0]], "timestamps go back: %s", line)
		require.GreaterOrEqual(f.t, pts, -0.2, "sound that belongs to the time before the first picture is short")
		last[fields[0]] = pts
		counts[fields[0]]++
	}
	require.Greater(f.t, counts["video"], 50, out)
	require.Greater(f.t, counts["audio"], 100, out)
	require.InDelta(f.t, last["video"], last["audio"], 0.5, "picture and sound are together")
}

func TestInteropFFmpegRefused(t *testing.T) {
	actortest.NeedPeer(t, "ffmpeg")
	f := newFixture(t, func(c *config.Config) { c.RTSP.Transport = config.RTPOverTCP })
	f.ffmpegPublish("tcp", "libx264", "/live/cam")
	second := run(t, "ffmpeg", "-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2", "-c:v", "libx264", "-f", "rtsp", f.url("/live/cam"))
	<-second.done
	require.Error(t, second.err)
	require.Contains(t, second.out.String(), "406 This stream already exists", "ffmpeg shows why")
	// UDP is its first choice and is refused with 461, which it reports: it goes on over TCP by itself.
	out := run(t, "ffmpeg", "-hide_banner", "-loglevel", "error", "-i", f.url("/live/cam"), "-t", "1", "-f", "null", "-").end(t)
	require.Equal(t, 1, strings.Count(strings.TrimSpace(out), "\n")+1, out)
	require.Contains(t, out, "method SETUP failed: 461 Unsupported Transport")
}

func TestInteropAccounts(t *testing.T) {
	actortest.NeedPeer(t, "ffmpeg", "gst-launch-1.0")
	for _, basic := range []bool{false, true} {
		f := newFixture(t, func(c *config.Config) {
			c.RTSP.AuthBasic = basic
			c.RTSP.AuthUsers = config.Credentials{{User: "ann", Password: "secret"}}
		})
		right := *f
		right.addr = "ann:secret@" + f.addr
		right.ffmpegPublish("tcp", "libx264", "/live/cam?a=b")
		out := run(t, "ffmpeg", "-hide_banner", "-loglevel", "error", "-rtsp_transport", "tcp", "-i", right.url("/live/cam"), "-t", "1", "-f", "null", "-").end(t)
		require.Empty(t, out)
		f.gstreamerPlays(strings.Replace(right.url("/live/cam"), "rtsp", "rtspt", 1))
	}
}

// gstreamerPlays has GStreamer's player decode both tracks. It is a player and no hand-made pipeline, because gst-launch-1.0 links pads that appear late with a
// race of its own. The player too leaves out one of the tracks now and then, with other RTSP servers just as often, and is then started again.
func (f *fixture) gstreamerPlays(url string) {
	f.t.Helper()
	const starts = 6
	for range starts {
		p := run(f.t, "gst-launch-1.0", "-v", "playbin", "uri="+url, "video-sink=fakesink", "audio-sink=fakesink")
		shown := f.gstreamerShows(p, url)
		require.NoError(f.t, p.cmd.Process.Kill())
		<-p.done
		if shown {
			return
		}
	}
	f.t.Fatalf("GStreamer did not decode both tracks of %s in any of %d starts", url, starts)
}

// gstreamerShows waits until both sinks of the player have been told what they get, or long enough.
func (f *fixture) gstreamerShows(p *peer, url string) bool {
	f.t.Helper()
	limit := time.After(actortest.Wait / 3)
	for poll := time.NewTicker(10 * time.Millisecond); ; {
		out := p.out.String()
		require.NotContains(f.t, out, "ERROR", "GStreamer on %s", url)
		if strings.Contains(out, "fakesink0.GstPad:sink: caps = ") && strings.Contains(out, "fakesink1.GstPad:sink: caps = ") {
			poll.Stop()
			return true
		}
		select {
		case <-p.done:
			f.t.Fatalf("gst-launch-1.0 ended: %s", out)
		case <-limit:
			poll.Stop()
			return false
		case <-poll.C:
		}
	}
}

func TestInteropGStreamer(t *testing.T) {
	actortest.NeedPeer(t, "gst-launch-1.0", "ffmpeg")
	for _, in := range []string{"tcp", "udp"} {
		t.Run(in, func(t *testing.T) {
			f := newFixture(t, nil)
			pipeline := "rtspclientsink name=out location=" + f.url("/live/cam") + " protocols=" + in +
				" videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 ! openh264enc gop-size=25 complexity=low ! h264parse ! out." +
				" audiotestsrc is-live=true ! audioconvert ! mulawenc ! out."
			p := run(t, "gst-launch-1.0", append([]string{"-q"}, strings.Fields(pipeline)...)...)
			f.eventually(func() bool {
				select {
				case <-p.done:
					t.Fatalf("gst-launch-1.0 ended: %s", p.out.String())
				default:
				}
				s := f.list()
				return len(s) == 1 && s[0].State == "recording" && s[0].Transport == in
			}, "GStreamer publishes")
			f.flow(10)
			for _, out := range []string{"tcp", "udp"} {
				f.gstreamerPlays(strings.Replace(f.url("/live/cam?x=y"), "rtsp", map[string]string{"tcp": "rtspt", "udp": "rtspu"}[out], 1))
			}
			out := run(t, "ffmpeg", "-hide_banner", "-loglevel", "error", "-rtsp_transport", "udp", "-i", f.url("/live/cam"), "-t", "2", "-f", "null", "-").end(t)
			require.Empty(t, out)
		})
	}
}
