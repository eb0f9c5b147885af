package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// pairOfDaemons starts one that is published to and one that pulls from it.
func pairOfDaemons(t *testing.T) (source, relay *daemon) {
	t.Helper()
	source, relay = newInteropDaemon(t, "127.0.0.1"), newInteropDaemon(t, "127.0.0.1")
	source.start(t)
	relay.start(t)
	return source, relay
}

// ffmpeg publishes to one instance over both transports, another one pulls that over both, and everybody plays it over both.
func TestInteropChain(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "ffprobe", "gst-launch-1.0")
	source, relay := pairOfDaemons(t)
	for _, in := range []string{"tcp", "udp"} {
		publish(t, usual, in, source.url(in))
	}
	var steps []step
	for _, in := range []string{"tcp", "udp"} {
		source.waitFlows(in, 2)
		for rtpType, over := range []string{"tcp", "udp"} {
			stream := in + "-" + over
			relay.pullFrom(source.url(in), stream, rtpType)
			steps = append(steps, players(usual, stream, relay.url(stream))...)
		}
	}
	for _, in := range []string{"tcp", "udp"} {
		for _, over := range []string{"tcp", "udp"} {
			relay.waitFlows(in+"-"+over, 2)
		}
	}
	together(t, steps...)
	for _, in := range []string{"tcp", "udp"} {
		source.checkTracks(t, in, usual)
		for _, over := range []string{"tcp", "udp"} {
			relay.checkTracks(t, in+"-"+over, usual)
		}
	}
}

// The same with a server and a publisher of GStreamer.
func TestInteropGStreamerSource(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "ffprobe", "gst-launch-1.0")
	const (
		picture = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 ! openh264enc gop-size=25 complexity=low ! "
		sound   = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! "
	)
	address := startGstServer(t, "/cam="+picture+"rtph264pay name=pay0 pt=96 config-interval=-1 "+sound+"rtpmp4gpay name=pay1 pt=97")
	d := newInteropDaemon(t, "127.0.0.1")
	d.start(t)
	var steps []step
	add := func(stream, packing string) {
		url, steady := d.url(stream), steady
		steady.packing = packing
		for _, transport := range []string{"tcp", "udp"} {
			steps = append(
				steps,
				step{stream + ", ffmpeg over " + transport, func() error { return decodeOnly(transport, url) }},
				step{stream + ", ffprobe over " + transport, func() error { return playFFprobe(steady, transport, url) }},
				step{stream + ", GStreamer over " + transport, func() error { return playGStreamer(steady, transport, url) }},
			)
		}
	}
	for rtpType, over := range []string{"tcp", "udp"} {
		d.pullFrom("rtsp://"+address+"/cam", "pulled-"+over, rtpType)
		add("pulled-"+over, "")
		line := fmt.Sprintf("-q rtspclientsink name=out location=%s protocols=%s %sh264parse ! out. %saacparse ! out.", d.url("pushed-"+over), over, picture, sound)
		background(t, "gst-launch-1.0", strings.Fields(line)...)
		add("pushed-"+over, "latm ") // RFC 6416
	}
	for _, stream := range []string{"pulled-tcp", "pulled-udp", "pushed-tcp", "pushed-udp"} {
		d.waitFlows(stream, 2)
	}
	together(t, steps...)
	for _, stream := range []string{"pulled-tcp", "pulled-udp", "pushed-tcp", "pushed-udp"} {
		d.checkTracks(t, stream, steady)
	}
}

// steady is what GStreamer sends: picture and sound without pauses. On a busy machine its encoders fall behind each other by more than a second.
var steady = content{video: "h264", audio: "aac", rate: 48000, samples: 1024, videoName: "H264", audioName: "mpeg4-generic", apart: 4}

// Everything that ffmpeg can publish and that cameras send, through two instances.
func TestInteropCodecs(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "ffprobe", "gst-launch-1.0")
	opus := content{
		video: "hevc", audio: "opus", rate: 48000, samples: 960, videoName: "H265", audioName: "opus",
		videoArgs: "-c:v libx265 -preset ultrafast -tune zerolatency -x265-params log-level=none:keyint=30:bframes=0", audioArgs: "-c:a libopus -ar 48000 -b:a 64k",
	}
	alaw := content{
		video: "mpeg4", audio: "pcm_alaw", rate: 8000, videoArgs: "-c:v mpeg4 -g 15", audioArgs: "-c:a pcm_alaw -ar 8000",
		videoName: "invalid", audioName: "PCMA", opaque: true,
	}
	mulaw := content{video: "h264", audio: "pcm_mulaw", rate: 8000, videoArgs: h264Args, audioArgs: "-c:a pcm_mulaw -ar 8000", videoName: "H264", audioName: "PCMU"}
	mp3 := content{video: "h264", audio: "mp3", rate: 44100, samples: 1152, videoArgs: h264Args, audioArgs: "-c:a libmp3lame", videoName: "H264", audioName: "MPA"}
	silent := content{video: "h264", videoArgs: h264Args, videoName: "H264"}
	blind := content{audio: "aac", rate: 44100, samples: 1024, audioArgs: "-c:a aac", audioName: "mpeg4-generic"}
	cases := []struct {
		name   string
		tracks int
		content
	}{{"hevc-opus", 2, opus}, {"mpeg4-alaw", 2, alaw}, {"h264-mulaw", 2, mulaw}, {"h264-mp3", 2, mp3}, {"video-only", 1, silent}, {"audio-only", 1, blind}}

	source, relay := pairOfDaemons(t)
	for _, c := range cases {
		publish(t, c.content, "tcp", source.url(c.name))
	}
	// Two languages: players take the first, and the second is there.
	background(t, "ffmpeg", append(
		[]string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-re", "-f", "lavfi", "-i", pictures, "-re", "-f", "lavfi", "-i", sounds},
		strings.Fields("-map 0:v -map 1:a -map 1:a "+h264Args+" -c:a:0 aac -c:a:1 pcm_alaw -ar:a:1 8000 -f rtsp -rtsp_transport tcp "+source.url("languages"))...,
	)...)

	var steps []step
	for i, c := range cases {
		source.waitFlows(c.name, c.tracks)
		relay.pullFrom(source.url(c.name), c.name, i%2)
		url := relay.url(c.name)
		// Each over one transport: TestInteropChain crosses them.
		transport := []string{"udp", "tcp"}[i%2]
		steps = append(
			steps,
			step{c.name + ", ffmpeg over " + transport, func() error { return playFFmpeg(c.content, transport, url) }},
			step{c.name + ", ffprobe over " + transport, func() error { return playFFprobe(c.content, transport, url) }},
			step{c.name + ", GStreamer over " + transport, func() error { return playGStreamer(c.content, transport, url) }},
		)
	}
	source.waitFlows("languages", 3)
	relay.pullFrom(source.url("languages"), "languages", 1)
	steps = append(steps, step{"languages, ffprobe", func() error { return findsThree(relay.url("languages")) }})
	for _, c := range cases {
		relay.waitFlows(c.name, c.tracks)
	}
	relay.waitFlows("languages", 3)
	together(t, steps...)
	for _, c := range cases {
		relay.checkTracks(t, c.name, c.content)
	}
	names := []any{}
	for _, track := range relay.tracks("languages") {
		names = append(names, track["codec_id_name"])
	}
	require.Equal(t, []any{"H264", "mpeg4-generic", "PCMA"}, names)
}

func findsThree(url string) error {
	for _, transport := range []string{"tcp", "udp"} {
		p, err := probe(transport, url)
		if err != nil {
			return err
		}
		var names []string
		for _, s := range p.Streams {
			names = append(names, s.CodecName)
		}
		if fmt.Sprint(names) != "[h264 aac pcm_alaw]" {
			return fmt.Errorf("over %s the codecs are %v", transport, names)
		}
	}
	return nil
}
