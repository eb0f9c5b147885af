package main

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// Program streams of ffmpeg carry no AAC.
var (
	psOfFFmpeg = content{
		video: "h264", audio: "mp3", rate: 44100, samples: 1152, videoArgs: h264Args, audioArgs: "-c:a libmp3lame", videoName: "H264", audioName: "MPA",
	}
	psOfFFmpeg265 = content{
		video: "hevc", videoArgs: "-c:v libx265 -preset ultrafast -tune zerolatency -x265-params log-level=none:keyint=30:bframes=0", videoName: "H265",
	}
)

// ffmpegTo is ffmpeg's command line for a content in real time.
func ffmpegTo(c content, output string) []string {
	args := []string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning"}
	if c.video != "" {
		args = append(args, "-re", "-f", "lavfi", "-i", pictures)
	}
	if c.audio != "" {
		args = append(args, "-re", "-f", "lavfi", "-i", sounds)
	}
	args = append(args, strings.Fields(c.videoArgs+" "+c.audioArgs)...)
	return append(args, strings.Fields(output)...)
}

const (
	toPS       = "-flush_packets 1 -f vob pipe:1"
	toMPEG1    = "-flush_packets 1 -f mpeg pipe:1"
	gstPicture = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 ! openh264enc gop-size=25 complexity=low ! h264parse"
	gstSound   = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! aacparse"
)

// Program streams that are not ours come in over UDP and over TCP in both directions, and play.
func TestInteropGB28181ProgramStreams(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "ffprobe", "gst-launch-1.0")
	d := newInteropDaemon(t, "127.0.0.1")
	d.start(t)
	var steps []step
	modes := []string{"udp", "passive", "active"}
	for mode, way := range modes {
		pushPS(t, d.connectDevice("ps-"+way, mode), uint32(1000+mode), "ffmpeg", ffmpegTo(psOfFFmpeg, toPS)...)
		pushPS(t, d.connectDevice("gst-"+way, mode, "ssrc", fmt.Sprint(2000+mode)), uint32(2000+mode), "gst-launch-1.0",
			strings.Fields("-q mpegpsmux name=m ! fdsink fd=1 "+gstPicture+" ! m. "+gstSound+" ! m.")...)
	}
	pushPS(t, d.connectDevice("hevc", 0), 3000, "ffmpeg", ffmpegTo(psOfFFmpeg265, toPS)...)
	pushPS(t, d.connectDevice("mpeg1", 1), 3001, "ffmpeg", ffmpegTo(psOfFFmpeg, toMPEG1)...)
	add := func(stream string, c content, transport string, decodes bool) {
		url := d.url(stream)
		steps = append(steps, step{stream + ", ffprobe over " + transport, func() error { return playFFprobe(c, transport, url) }})
		if decodes {
			steps = append(steps, step{stream + ", ffmpeg over " + transport, func() error { return playFFmpeg(c, transport, url) }})
		} else {
			steps = append(steps, step{stream + ", ffmpeg over " + transport, func() error { return decodeOnly(transport, url) }})
		}
	}
	for i, way := range modes {
		add("ps-"+way, psOfFFmpeg, []string{"tcp", "udp"}[i%2], true)
		add("gst-"+way, steady, []string{"udp", "tcp"}[i%2], false)
	}
	add("hevc", psOfFFmpeg265, "tcp", true)
	add("mpeg1", psOfFFmpeg, "tcp", true)
	for _, way := range modes {
		d.waitFlows("ps-"+way, 2)
		d.waitFlows("gst-"+way, 2)
	}
	d.waitFlows("hevc", 1)
	d.waitFlows("mpeg1", 2)
	together(t, steps...)
	for _, way := range modes {
		d.checkDevice(t, "ps-"+way, psOfFFmpeg)
		d.checkDevice(t, "gst-"+way, steady)
	}
	d.checkReceived(t, 8, "ps")
}

// checkDevice is checkTracks as soon as pictures come evenly again: while the players run, an encoder may fall behind and catch up.
func (d *daemon) checkDevice(t *testing.T, stream string, c content) {
	t.Helper()
	d.eventually("the pictures of "+stream+" come evenly", func() bool {
		for _, track := range d.tracks(stream) {
			if fps := number(track, "fps"); number(track, "codec_type") == 0 && (fps < 15 || fps > 35) {
				return false
			}
		}
		return true
	})
	d.checkTracks(t, stream, c)
}

// checkReceived wants that many receivers that lost, dropped and tore nothing.
func (d *daemon) checkReceived(t *testing.T, n int, payloads ...string) {
	t.Helper()
	list := d.list("listRtpServer")
	require.Len(t, list, n)
	for _, r := range list {
		require.Contains(t, payloads, r["payload"], "%v", r)
		for _, counter := range []string{"strangers", "other_ssrc", "invalid", "damaged", "restarts", "relocks", "lost"} {
			require.EqualValues(t, 0, r[counter], "%s: %v", counter, r)
		}
	}
}

// What else devices send: transport streams, and pictures without a container.
func TestInteropGB28181OtherPayloads(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "ffprobe", "gst-launch-1.0")
	d := newInteropDaemon(t, "127.0.0.1")
	d.start(t)
	silent := content{video: "h264", videoArgs: h264Args, videoName: "H264"}
	hevc := psOfFFmpeg265
	target := func(stream string) string { return "rtp://127.0.0.1:" + d.openReceiver(stream, 0) + "?pkt_size=1316" }
	background(t, "ffmpeg", ffmpegTo(usual, "-f rtp_mpegts "+target("ts"))...)
	background(t, "ffmpeg", ffmpegTo(silent, "-f rtp "+target("raw264"))...)
	background(t, "ffmpeg", ffmpegTo(hevc, "-f rtp "+target("raw265"))...)
	gst := "-q mpegtsmux name=m ! rtpmp2tpay ! udpsink host=127.0.0.1 port=" + d.openReceiver("gst-ts", 0) + " " + gstPicture + " ! m. " + gstSound + " ! m."
	background(t, "gst-launch-1.0", strings.Fields(gst)...)
	cases := []struct {
		stream string
		tracks int
		content
		decode bool
	}{{"ts", 2, usual, true}, {"raw264", 1, silent, true}, {"raw265", 1, hevc, true}, {"gst-ts", 2, steady, false}}
	var steps []step
	for _, c := range cases {
		url := d.url(c.stream)
		steps = append(steps, step{c.stream + ", ffprobe", func() error { return playFFprobe(c.content, "tcp", url) }})
		if c.decode {
			steps = append(steps, step{c.stream + ", ffmpeg", func() error { return playFFmpeg(c.content, "udp", url) }})
		} else {
			steps = append(steps, step{c.stream + ", ffmpeg", func() error { return decodeOnly("udp", url) }})
		}
	}
	for _, c := range cases {
		d.waitFlows(c.stream, c.tracks)
	}
	together(t, steps...)
	for _, c := range cases {
		d.checkDevice(t, c.stream, c.content)
	}
	d.checkReceived(t, 4, "ts", "h264", "h265")
}

// The port that devices share takes a device of another maker too.
func TestInteropGB28181SharedPort(t *testing.T) {
	t.Parallel()
	actortest.NeedPeer(t, "ffmpeg", "ffprobe")
	d := newInteropDaemon(t, "127.0.0.1")
	port, err := freePort(0, configRange(t, d))
	require.NoError(t, err)
	d.set("rtp_proxy.port", fmt.Sprint(port))
	d.start(t)
	for i, network := range []string{"udp", "tcp"} {
		conn, err := net.Dial(network, fmt.Sprintf("127.0.0.1:%d", port))
		require.NoError(t, err)
		pushPS(t, conn, 0x0BEBC201+uint32(i), "ffmpeg", ffmpegTo(psOfFFmpeg, toPS)...)
	}
	for _, stream := range []string{"0BEBC201", "0BEBC202"} {
		url := "rtsp://" + d.rtsp + "/rtp/" + stream
		d.eventually(stream+" flows", func() bool {
			r, err := d.api("getMediaInfo", "schema", "rtsp", "vhost", "v", "app", "rtp", "stream", stream)
			return err == nil && r.code() == 0
		})
		require.NoError(t, playFFprobe(psOfFFmpeg, "tcp", url))
	}
}
