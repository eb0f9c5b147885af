package mpegts

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/media"
)

// made is a file that ffmpeg makes: 2 s of moving picture and a tone, beginning with a key frame each half second.
func made(t *testing.T, name string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	all := append([]string{
		"-hide_banner", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2",
		"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2",
	}, args...)
	out, err := exec.CommandContext(t.Context(), "ffmpeg", append(all, file)...).CombinedOutput()
	if err != nil && bytes.Contains(out, []byte("Unknown encoder")) {
		t.Skipf("this ffmpeg has not the encoder: %s", out)
	}
	require.NoError(t, err, string(out))
	return file
}

// demuxFile takes a file apart in RTP payloads of seven packets.
func demuxFile(t *testing.T, file string) (*Demuxer, []sent) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var got []sent
	d := NewDemuxer(Options{})
	demuxed(d, &got)
	for len(b) > 0 {
		n := min(7*packetSize, len(b))
		d.Write(b[:n])
		b = b[n:]
	}
	d.Flush()
	return d, got
}

// probed is what ffprobe says about a packet of a file.
type probed struct {
	StreamIndex int    `json:"stream_index"`
	PTS         int64  `json:"pts"`
	DTS         int64  `json:"dts"`
	Flags       string `json:"flags"`
	Hash        string `json:"data_hash"`
}

type probedStream struct {
	Codec    string `json:"codec_name"`
	TimeBase string `json:"time_base"`
}

func probe(t *testing.T, file string) (packets []probed, streams []probedStream) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-hide_banner", "-loglevel", "error", "-show_data_hash", "CRC32",
		"-show_packets", "-show_streams", "-of", "json", file).Output()
	require.NoError(t, err)
	var all struct {
		Packets []probed       `json:"packets"`
		Streams []probedStream `json:"streams"`
	}
	require.NoError(t, json.Unmarshal(out, &all))
	return all.Packets, all.Streams
}

func TestWhatFfmpegMuxesIsTakenApart(t *testing.T) {
	actortest.NeedPeer(t, "ffmpeg", "ffprobe")
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "2", "-x264-params", "b-adapt=0"}
	for _, c := range []struct {
		name         string
		args         []string
		video, audio media.Codec
		pictures     int
		atLeast      int // frames of sound
	}{
		{"h264 and aac", append(x264, "-c:a", "aac"), media.CodecH264, media.CodecAAC, 50, 90},
		{"h264 and latm", append(x264, "-c:a", "aac", "-mpegts_flags", "latm"), media.CodecH264, media.CodecAAC, 50, 90},
		{"h264 and opus", append(x264, "-c:a", "libopus"), media.CodecH264, media.CodecOpus, 50, 99},
		{"h264 and mp2", append(x264, "-c:a", "mp2"), media.CodecH264, media.CodecMPA, 50, 80},
		{"h265 and aac", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=12", "-c:a", "aac"}, media.CodecH265, media.CodecAAC, 50, 90},
		{"with lengths", append(x264, "-c:a", "aac", "-omit_video_pes_length", "0"), media.CodecH264, media.CodecAAC, 50, 90},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := made(t, "in.ts", append(c.args, "-f", "mpegts")...)
			d, got := demuxFile(t, file)
			stats := d.Stats()
			require.Zero(t, stats.Damaged+stats.Holes+stats.Skipped+stats.BadTables+stats.Oversize, "%+v", stats)
			require.Equal(t, []media.Codec{c.video, c.audio}, []media.Codec{d.Streams()[0].Codec, d.Streams()[1].Codec})
			pictures, sounds := byTrack(got, 0), byTrack(got, 1)
			require.Equal(t, c.pictures, len(pictures))
			require.GreaterOrEqual(t, len(sounds), c.atLeast)

			packets, _ := probe(t, file)
			keys := 0
			var video []probed
			for _, p := range packets {
				if p.StreamIndex == 0 {
					video = append(video, p)
				}
			}
			require.Equal(t, len(video), len(pictures))
			for i, p := range video {
				require.Equal(t, p.PTS, int64(pictures[i].PTS), "picture %d", i)
				require.Equal(t, p.DTS, int64(pictures[i].DTS), "picture %d", i)
				require.Equal(t, p.Flags[0] == 'K', pictures[i].Key, "picture %d", i)
				if pictures[i].Key {
					keys++
				}
			}
			require.Greater(t, keys, 2)
			for i := 1; i < len(sounds); i++ {
				step := sounds[i].PTS - sounds[i-1].PTS
				require.InDelta(t, float64(sounds[1].PTS-sounds[0].PTS), float64(step), 2, "sound %d", i)
			}
		})
	}
}

func TestFfmpegReadsWhatIsMuxed(t *testing.T) {
	actortest.NeedPeer(t, "ffmpeg", "ffprobe")
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "12", "-bf", "2", "-x264-params", "b-adapt=0"}
	for _, c := range []struct {
		name   string
		args   []string
		codecs []string
	}{
		{"h264 and aac", append(x264, "-c:a", "aac"), []string{"h264", "aac"}},
		{"h264 and opus", append(x264, "-c:a", "libopus"), []string{"h264", "opus"}},
		{"h265 and mp2", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=12", "-c:a", "mp2"}, []string{"hevc", "mp2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := made(t, "in.ts", append(c.args, "-f", "mpegts")...)
			d, got := demuxFile(t, source)
			var tracks []*media.Track
			for _, s := range d.Streams() {
				tr := track(s.Codec)
				tr.SampleRate = 48000
				tracks = append(tracks, tr)
			}
			m, err := NewMuxer(MuxerOptions{Tracks: tracks})
			require.NoError(t, err)
			var out []byte
			for _, f := range got {
				out = m.Append(out, f.track, &f.Frame)
			}
			require.Zero(t, m.Dropped())
			file := filepath.Join(t.TempDir(), "out.ts")
			require.NoError(t, os.WriteFile(file, out, 0o600))

			want, _ := probe(t, source)
			have, streams := probe(t, file)
			for i, s := range streams {
				require.Equal(t, c.codecs[i], s.Codec)
			}
			for k := range tracks {
				require.Equal(t, contents(want, k), contents(have, k), "stream %d", k)
			}
			check, err := exec.CommandContext(t.Context(), "ffmpeg", "-hide_banner", "-loglevel", "warning", "-xerror", "-threads", "1", "-strict", "1", "-i", file, "-f", "null", "-").CombinedOutput()
			require.NoError(t, err, string(check))
			require.Empty(t, string(check))
		})
	}
}

// contents lists the packets of one stream with times and content.
func contents(packets []probed, stream int) (out []string) {
	for _, p := range packets {
		if p.StreamIndex == stream {
			out = append(out, strconv.FormatInt(p.PTS, 10)+" "+strconv.FormatInt(p.DTS, 10)+" "+p.Hash)
		}
	}
	return out
}
