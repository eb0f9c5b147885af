package mpegps

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
	"berth/media"
	"berth/media/pes"
)

// ffmpeg runs one of the programs and returns its output.
func ffmpeg(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	var out, failed bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, append([]string{"-hide_banner", "-loglevel", "error"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &failed
	require.NoError(t, cmd.Run(), "%s %q: %s", program, args, failed.String())
	require.Empty(t, failed.String(), "%s %q", program, args)
	return out.Bytes()
}

// sample makes a file of two seconds of picture and sound.
func sample(t *testing.T, format, rate string, coding ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sample."+format)
	args := []string{
		"-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
		"-t", "2", "-pix_fmt", "yuv420p", "-g", "25", "-b:v", rate, "-preset", "ultrafast", "-threads", "1",
	}
	args = append(args, coding...)
	ffmpeg(t, "ffmpeg", append(args, "-f", format, file)...)
	return file
}

// probed is a packet as ffprobe sees it.
type probed struct {
	PTS   *int64 `json:"pts"` // nil where it does not know
	Size  string `json:"size"`
	Index int    `json:"stream_index"`
}

func probe(t *testing.T, file string) (codecs []string, packets [][]probed) {
	t.Helper()
	var found struct {
		Packets []probed
		Streams []struct {
			Name string `json:"codec_name"`
		}
	}
	out := ffmpeg(t, "ffprobe", "-show_streams", "-show_packets", "-of", "json", file)
	require.NoError(t, json.Unmarshal(out, &found))
	packets = make([][]probed, len(found.Streams))
	for _, s := range found.Streams {
		codecs = append(codecs, s.Name)
	}
	for _, p := range found.Packets {
		packets[p.Index] = append(packets[p.Index], p)
	}
	return codecs, packets
}

// of returns the frames of one kind and their bytes one behind the other.
func (k *sink) of(kind media.Kind) (frames []got, all []byte) {
	for _, f := range k.frames {
		if f.codec.Kind() == kind {
			frames = append(frames, f)
			all = append(all, f.payload...)
		}
	}
	return frames, all
}

func TestProgramStreamsOfFFmpegAreTakenApart(t *testing.T) {
	actortest.NeedPeer(t, "ffmpeg", "ffprobe")
	h264 := []string{"-c:v", "libx264", "-bf", "0"}
	reordered := []string{"-c:v", "libx264", "-bf", "2"}
	h265 := []string{"-c:v", "libx265", "-x265-params", "log-level=error:pools=1:bframes=0"}
	mp3 := []string{"-f", "mp3", "-write_xing", "0", "-id3v2_version", "0", "-"}
	for _, c := range []struct {
		name   string
		format string
		video  []string
		sound  string
		codecs [2]media.Codec
		names  [2]string   // ffprobe's
		raw    [2][]string // how ffmpeg writes the elementary streams as they are
		exact  bool        // every time stamp can be told; not so with pictures out of order of which several begin in one packet
	}{
		{"mpeg-1, h264 and layer II", "mpeg", h264, "mp2", [2]media.Codec{media.CodecH264, media.CodecMPA}, [2]string{"h264", "mp2"}, [2][]string{{"-f", "h264", "-"}, {"-f", "mp2", "-"}}, true},
		{"vob, h264 and layer II", "vob", h264, "mp2", [2]media.Codec{media.CodecH264, media.CodecMPA}, [2]string{"h264", "mp2"}, [2][]string{{"-f", "h264", "-"}, {"-f", "mp2", "-"}}, true},
		{"dvd, h264 out of order and layer III", "dvd", reordered, "libmp3lame", [2]media.Codec{media.CodecH264, media.CodecMP3}, [2]string{"h264", "mp3"}, [2][]string{{"-f", "h264", "-"}, mp3}, false},
		{"vob, h265 and layer III", "vob", h265, "libmp3lame", [2]media.Codec{media.CodecH265, media.CodecMP3}, [2]string{"hevc", "mp3"}, [2][]string{{"-f", "hevc", "-"}, mp3}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := sample(t, c.format, "400k", append(slices.Clone(c.video), "-c:a", c.sound)...)
			input := readAll(t, file)
			codecs, packets := probe(t, file)
			kinds := []media.Kind{media.KindVideo, media.KindAudio}
			var raw [2][]byte
			for n, kind := range kinds {
				raw[n] = ffmpeg(t, "ffmpeg", append([]string{"-i", file, "-map", "0:" + kind.String()[:1], "-c", "copy"}, c.raw[n]...)...)
			}
			for _, piece := range []int{0, 1400, 188} {
				k := demux(piece, input)
				for n, kind := range kinds {
					frames, all := k.of(kind)
					require.True(t, bytes.Equal(raw[n], all), "%d bytes of %s, %d wanted", len(all), kind, len(raw[n]))
					at := slices.Index(codecs, c.names[n])
					require.Len(t, frames, len(packets[at]), "a frame for each picture, or each of sound")
					for i, f := range frames {
						require.Equal(t, c.codecs[n], f.codec)
						if told := packets[at][i].PTS; told != nil && c.exact {
							require.InDelta(t, *told, int64(f.pts), 1, "frame %d of %s", i, kind)
						}
					}
					if kind == media.KindVideo {
						require.Equal(t, 2, keys(frames))
					}
				}
				st := k.d.Stats()
				require.Zero(t, st.Lengths+st.Oversize+st.Unknown+st.BadMaps+st.Skipped)
			}
		})
	}
}

func (k *sink) pictures() []got {
	frames, _ := k.of(media.KindVideo)
	return frames
}

func keys(frames []got) (n int) {
	for _, f := range frames {
		if f.key {
			n++
		}
	}
	return n
}

func TestFFmpegReadsWhatIsMuxed(t *testing.T) {
	actortest.NeedPeer(t, "ffmpeg", "ffprobe")
	for _, c := range []struct {
		name  string
		video media.Codec
		enc   []string
		raw   string
	}{
		{"h264", media.CodecH264, []string{"-c:v", "libx264", "-bf", "2"}, "h264"},
		{"h265", media.CodecH265, []string{"-c:v", "libx265", "-x265-params", "log-level=error:pools=1"}, "hevc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := sample(t, "dvd", "4M", append(c.enc, "-c:a", "mp2")...) // so large that at most one picture begins in a packet: all have times
			source := demux(0, readAll(t, made))
			codecs, packets := probe(t, made)
			told := packets[slices.Index(codecs, c.raw)]
			for i, f := range source.pictures() {
				require.NotNil(t, told[i].PTS, "the sample is of no use")
				require.Equal(t, *told[i].PTS, int64(f.pts))
			}
			m := NewMuxer(MuxerOptions{Tracks: []*media.Track{track(c.video), track(media.CodecAAC), track(media.CodecMPA)}})
			adtsFile := filepath.Join(t.TempDir(), "sound.aac")
			ffmpeg(t, "ffmpeg", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "2", "-c:a", "aac", "-f", "adts", adtsFile)
			sound := splitFile(t, readAll(t, adtsFile))
			pictures, all := source.of(media.KindVideo)
			var out []byte
			for i, f := range pictures {
				out = m.Append(out, 0, &media.Frame{PTS: f.pts, DTS: f.dts, Key: f.key, Payload: f.payload})
				if i < len(sound) {
					at := pictures[0].dts + media.Ticks(i*1920)
					out = m.Append(out, 1, &media.Frame{PTS: at, DTS: at, Key: true, Config: sound[i].config, Payload: sound[i].payload})
				}
			}
			file := filepath.Join(t.TempDir(), "muxed.ps")
			require.NoError(t, os.WriteFile(file, out, 0o600))
			codecs, packets = probe(t, file)
			require.Equal(t, []string{c.raw, "aac"}, codecs)
			require.Len(t, packets[0], len(pictures))
			require.Len(t, packets[1], len(pictures))
			for i, f := range pictures {
				require.Equal(t, int64(f.pts), *packets[0][i].PTS)
			}
			require.True(t, bytes.Equal(all, ffmpeg(t, "ffmpeg", "-i", file, "-map", "0:v", "-c", "copy", "-f", c.raw, "-")))
			// It decodes without a complaint. Strict, because a decoder that guesses how far pictures are out of order may show the first ones too early.
			ffmpeg(t, "ffmpeg", "-xerror", "-threads", "1", "-strict", "1", "-i", file, "-f", "null", "-")
		})
	}
}

func readAll(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return b
}

// splitFile takes a file of ADTS apart.
func splitFile(t *testing.T, b []byte) []got {
	t.Helper()
	k := newSink(Options{})
	k.d.Write(streamMap(pes.TypeADTS, pes.IDAudio))
	for c := range slices.Chunk(b, 60000) {
		k.d.Write(audio(0, c))
	}
	return k.frames
}
