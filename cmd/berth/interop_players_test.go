package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	playSeconds  = 4
	maxSkew      = 80 * time.Millisecond // between picture and sound; an encoder alone makes 23 ms
	maxRateError = 100 * time.Millisecond
)

// harmless are warnings of ffmpeg about itself, not about what it is sent.
var harmless = []string{
	"Guessed Channel Layout", "deprecated pixel format", "Queue input is backward in time",
	"bind failed: Address already in use", // of the UDP ports that it chooses at random it takes the next ones then
	"first frame is no keyframe",          // MPEG-4 video is passed on without being looked into: a viewer begins where it comes
}

// complaints returns the warnings and errors among ffmpeg's lines, which -loglevel level+... marks.
func complaints(out string) error {
	var found []string
	for _, line := range strings.Split(out, "\n") {
		if !strings.Contains(line, "[warning]") && !strings.Contains(line, "[error]") && !strings.Contains(line, "[fatal]") {
			continue
		}
		ours := true
		for _, phrase := range harmless {
			ours = ours && !strings.Contains(line, phrase)
		}
		if ours {
			found = append(found, line)
		}
	}
	if len(found) > 0 {
		return errors.New("ffmpeg complains:\n" + strings.Join(found, "\n"))
	}
	return nil
}

var (
	pictureReturns = regexp.MustCompile(`black_start:\S+ black_end:([\d.]+)`)
	sameTime       = regexp.MustCompile(`(?m)^.* dts to muxer in stream 1: (\d+) >= (\d+)$`)
	soundReturns   = regexp.MustCompile(`silence_end: ([\d.]+)`)
)

func instants(out string, what *regexp.Regexp) []float64 {
	var found []float64
	for _, m := range what.FindAllStringSubmatch(out, -1) {
		if at, err := strconv.ParseFloat(m[1], 64); err == nil {
			found = append(found, at)
		}
	}
	return found
}

// ofStrangers matches what ffmpeg says when another sender of this machine hits the UDP port that it chose at random: it looks at no address.
var ofStrangers = regexp.MustCompile(`RTP: missed \d{4,} packets`)

// unlessDisturbed tries again what strangers have disturbed.
func unlessDisturbed(play func() error) error {
	err := play()
	if err != nil && ofStrangers.MatchString(err.Error()) {
		return play()
	}
	return err
}

// playFFmpeg decodes a stream for some seconds. ffmpeg must say nothing against it, and picture and sound must return together each second.
func playFFmpeg(c content, transport, url string) error {
	return unlessDisturbed(func() error { return playFFmpegOnce(c, transport, url) })
}

func playFFmpegOnce(c content, transport, url string) error {
	args := []string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", "-rtsp_transport", transport, "-i", url, "-t", fmt.Sprint(playSeconds)}
	if c.video != "" {
		args = append(args, "-vf", "blackdetect=d=0.2")
	}
	if c.audio != "" {
		args = append(args, "-af", "silencedetect=n=-40dB:d=0.2")
	}
	out, err := runPeer("ffmpeg", append(args, "-f", "null", "-")...)
	if err != nil {
		return err
	}
	if c.audio != "" {
		// The first packet of sound has no length that ffmpeg knows, so that the second gets the same time.
		if m := sameTime.FindStringSubmatch(out); m != nil && m[1] == m[2] {
			out = strings.Replace(out, m[0], "", 1)
		}
	}
	if err := complaints(out); err != nil {
		return fmt.Errorf("%w\nall it said:\n%s", err, out)
	}
	return checkSkew(c, out)
}

func checkSkew(c content, out string) error {
	seen, heard := instants(out, pictureReturns), instants(out, soundReturns)
	if c.video != "" && len(seen) < 2 || c.audio != "" && len(heard) < 2 {
		return fmt.Errorf("pictures returned at %v and sounds at %v:\n%s", seen, heard, out)
	}
	if c.video == "" || c.audio == "" {
		return nil
	}
	pairs := 0
	for _, v := range seen {
		for _, a := range heard {
			// The last one of each ends with the recording, not with the dark or the silence.
			if math.Abs(v-a) < 0.5 && v < playSeconds-0.2 && a < playSeconds-0.2 {
				pairs++
				if skew := time.Duration((a - v) * float64(time.Second)); skew.Abs() > maxSkew {
					return fmt.Errorf("sound is %v behind the picture: pictures returned at %v, sounds at %v", skew, seen, heard)
				}
			}
		}
	}
	if pairs < 2 {
		return fmt.Errorf("pictures returned at %v and sounds at %v", seen, heard)
	}
	return nil
}

// probed is what ffprobe tells.
type probed struct {
	Streams []struct {
		CodecName     string `json:"codec_name"`
		CodecType     string `json:"codec_type"`
		Width, Height int
		SampleRate    string `json:"sample_rate"`
		Channels      int
	}
	Packets []struct {
		CodecType string `json:"codec_type"`
		PTS       string `json:"pts_time"`
	}
}

// probe reads packets for some seconds.
func probe(transport, url string) (*probed, error) {
	out, err := runPeer("ffprobe", "-hide_banner", "-loglevel", "level+warning", "-rtsp_transport", transport, "-read_intervals", fmt.Sprintf("%%+%d", playSeconds),
		"-show_entries", "stream=codec_name,codec_type,width,height,sample_rate,channels:packet=codec_type,pts_time", "-of", "json", url)
	if err != nil {
		return nil, err
	}
	if err := complaints(out); err != nil {
		return nil, err
	}
	start := strings.IndexByte(out, '{')
	if start < 0 {
		return nil, fmt.Errorf("ffprobe: no JSON in %s", out)
	}
	p := &probed{}
	if err := json.NewDecoder(strings.NewReader(out[start:])).Decode(p); err != nil {
		return nil, fmt.Errorf("ffprobe: %w: %s", err, out)
	}
	return p, nil
}

// playFFprobe checks codecs, sizes and the timestamps of every packet.
func playFFprobe(c content, transport, url string) error {
	return unlessDisturbed(func() error { return playFFprobeOnce(c, transport, url) })
}

func playFFprobeOnce(c content, transport, url string) error {
	p, err := probe(transport, url)
	if err != nil {
		return err
	}
	var faults []error
	found := map[string]string{}
	for _, s := range p.Streams {
		found[s.CodecType] = s.CodecName
		if s.CodecType == "video" && (s.Width != 320 || s.Height != 180) {
			faults = append(faults, fmt.Errorf("the picture is %d x %d", s.Width, s.Height))
		}
		if s.CodecType == "audio" && s.SampleRate != fmt.Sprint(c.rate) {
			faults = append(faults, fmt.Errorf("the sound has %s Hz", s.SampleRate))
		}
	}
	if found["video"] != c.video || found["audio"] != c.audio {
		faults = append(faults, fmt.Errorf("the codecs are %v", found))
	}
	video, audio := p.times("video"), p.times("audio")
	if c.video != "" {
		faults = append(faults, checkTimes("video", video, 1.0/25))
	}
	if c.audio != "" {
		faults = append(faults, checkTimes("audio", audio, float64(c.samples)/float64(c.rate)))
	}
	if len(video) > 0 && len(audio) > 0 && math.Abs(video[0]-audio[0]) > max(c.apart, 1) {
		faults = append(faults, fmt.Errorf("the picture begins at %v and the sound at %v", video[0], audio[0]))
	}
	return errors.Join(faults...)
}

// times returns the presentation times of a kind of packets. ffmpeg's parser withholds that of the first picture.
func (p *probed) times(kind string) []float64 {
	var out []float64
	for _, packet := range p.Packets {
		if at, err := strconv.ParseFloat(packet.PTS, 64); err == nil && packet.CodecType == kind {
			out = append(out, at)
		}
	}
	return out
}

// checkTimes wants timestamps that go forward as fast as media does. distance is that of packets in seconds, 0 when it varies.
func checkTimes(kind string, at []float64, distance float64) error {
	if len(at) < 2*playSeconds || at[len(at)-1]-at[0] < playSeconds/2 {
		return fmt.Errorf("%s: only %d packets: %v", kind, len(at), at)
	}
	if kind == "audio" && at[0] == at[1] {
		at = at[1:] // ffmpeg does not know yet how long the first packet is
	}
	for i := 1; i < len(at); i++ {
		if at[i] <= at[i-1] {
			return fmt.Errorf("%s: time goes from %v to %v", kind, at[i-1], at[i])
		}
	}
	if distance > 0 {
		span, want := at[len(at)-1]-at[0], float64(len(at)-1)*distance
		if off := time.Duration((span - want) * float64(time.Second)); off.Abs() > maxRateError {
			return fmt.Errorf("%s: %d packets of %v s span %v s", kind, len(at), distance, span)
		}
	}
	return nil
}

// gstDecoders are GStreamer's elements for the codecs.
var gstDecoders = map[string]string{
	"h264": "rtph264depay ! h264parse ! avdec_h264", "hevc": "rtph265depay ! h265parse ! avdec_h265", "mpeg4": "rtpmp4vdepay ! mpeg4videoparse ! avdec_mpeg4",
	"aac": "rtpmp4gdepay ! aacparse ! avdec_aac", "opus": "rtpopusdepay ! opusdec", "pcm_alaw": "rtppcmadepay ! alawdec",
	"latm aac": "rtpmp4adepay ! aacparse ! avdec_aac", "pcm_mulaw": "rtppcmudepay ! mulawdec", "mp3": "rtpmpadepay ! mpegaudioparse ! avdec_mp3float",
}

// playGStreamer decodes a stream until so many pictures and buffers of sound have come. GStreamer loses a track now and then on a busy machine, with servers of
// its own too: what its source pushes while the pipeline is being put together is lost, and so is the track. It is started again then.
func playGStreamer(c content, transport, url string, properties ...string) error {
	const starts = 4
	var all error
	for range starts {
		err := playGStreamerOnce(c, transport, url, properties...)
		if err == nil {
			return nil
		}
		all = errors.Join(all, err)
	}
	return all
}

func playGStreamerOnce(c content, transport, url string, properties ...string) error {
	// At its end it waits 100 ms for the answer to TEARDOWN unless told otherwise, and complains.
	args := append([]string{"-q", "rtspsrc", "name=in", "location=" + url, "protocols=" + transport, "teardown-timeout=20000000000"}, properties...)
	if c.video != "" {
		args = append(args, strings.Fields("in. ! application/x-rtp,media=video ! "+gstDecoders[c.video]+" ! fakesink num-buffers=60")...)
	}
	if c.audio != "" {
		args = append(args, strings.Fields("in. ! application/x-rtp,media=audio ! "+gstDecoders[c.packing+c.audio]+" ! fakesink async=false num-buffers=40")...)
	}
	out, err := runPeerFor(patience/3, "gst-launch-1.0", args...)
	if err != nil {
		return err
	}
	if strings.Contains(out, "ERROR") || strings.Contains(out, "WARNING") {
		return fmt.Errorf("GStreamer complains:\n%s", out)
	}
	return nil
}

// players are all the ways of playing a stream, over both transports.
func players(c content, what, url string) []step {
	var steps []step
	for _, transport := range []string{"tcp", "udp"} {
		steps = append(
			steps,
			step{what + ", ffmpeg over " + transport, func() error { return playFFmpeg(c, transport, url) }},
			step{what + ", ffprobe over " + transport, func() error { return playFFprobe(c, transport, url) }},
			step{what + ", GStreamer over " + transport, func() error { return playGStreamer(c, transport, url) }},
		)
	}
	return steps
}

// checkTracks wants the API to show what the players find.
func (d *daemon) checkTracks(t *testing.T, stream string, c content) {
	t.Helper()
	items := d.list("getMediaList", "app", "live", "stream", stream)
	require.Len(t, items, 1)
	require.Equal(t, true, items[0]["online"])
	listed, _ := items[0]["tracks"].([]any)
	found := d.tracks(stream)
	require.Len(t, listed, len(found))
	names := map[int]any{}
	for _, track := range found {
		names[number(track, "codec_type")] = track["codec_id_name"]
		require.Equal(t, true, track["ready"], "%v", track)
		require.LessOrEqual(t, number(track, "packets_lost"), number(track, "packets")/100, "%s: %v", stream, track)
		switch {
		case number(track, "codec_type") == 0 && !c.opaque:
			require.Equal(t, []int{320, 180}, []int{number(track, "width"), number(track, "height")}, "%v", track)
			// By arrival, and an encoder that was held up catches up at many times the rate.
			require.Positive(t, number(track, "fps"), "%v", track)
		case number(track, "codec_type") == 1 && c.audio != "mp3":
			require.Equal(t, c.rate, number(track, "sample_rate"), "%v", track)
		}
	}
	if c.video != "" {
		require.Equal(t, c.videoName, names[0])
	}
	if c.audio != "" {
		require.Equal(t, c.audioName, names[1])
	}
}

// decodeOnly decodes a stream that does not come and go.
func decodeOnly(transport, url string) error {
	return unlessDisturbed(func() error {
		out, err := runPeer("ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+warning", "-rtsp_transport", transport,
			"-i", url, "-t", fmt.Sprint(playSeconds), "-f", "null", "-")
		return errors.Join(err, complaints(out))
	})
}
