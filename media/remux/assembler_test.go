package remux

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
)

const (
	videoID = 0xe0
	audioID = 0xc0
)

// rig is an Assembler with a device before it and a hub behind it.
type rig struct {
	t       *testing.T
	a       *Assembler
	now     time.Time
	hold    bool // do not answer Ready
	ready   [][]*media.Track
	packets []rigPacket
	reports []rigPacket
}

type rigPacket struct {
	track int
	at    time.Duration // since the start
	pkt   []byte
}

func (p rigPacket) timestamp() uint32 { return binary.BigEndian.Uint32(p.pkt[4:]) }

func start() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func newRig(t *testing.T, o AssemblerOptions) *rig {
	r := &rig{t: t, now: start()}
	o.Ready = func(tracks []*media.Track) {
		r.ready = append(r.ready, tracks)
		if !r.hold {
			r.attach()
		}
	}
	o.Write = func(track int, now time.Time, pkt []byte) {
		r.packets = append(r.packets, rigPacket{track, now.Sub(start()), bytes.Clone(pkt)})
	}
	o.WriteRTCP = func(track int, now time.Time, pkt []byte) {
		r.reports = append(r.reports, rigPacket{track, now.Sub(start()), bytes.Clone(pkt)})
	}
	o.Rand = func() uint32 { return 0 }
	r.a = NewAssembler(o)
	return r
}

// attach gives the tracks the numbers 0, 1, ...
func (r *rig) attach() {
	var numbers []int
	for i := range r.ready[len(r.ready)-1] {
		numbers = append(numbers, i)
	}
	r.a.Attached(numbers)
}

func (r *rig) pass(d time.Duration) { r.now = r.now.Add(d) }

func (r *rig) frame(id int, f media.Frame) { r.a.Frame(r.now, id, &f) }

// codecs lists what the last Ready named.
func (r *rig) codecs() (out []media.Codec) {
	for _, t := range r.ready[len(r.ready)-1] {
		out = append(out, t.Codec)
	}
	return out
}

// timestamps of the frames of a track: those of packets that differ from the one before.
func (r *rig) timestamps(track int) (out []uint32) {
	for _, p := range r.packets {
		if p.track == track && (len(out) == 0 || out[len(out)-1] != p.timestamp()) {
			out = append(out, p.timestamp())
		}
	}
	return out
}

func keyFrame(pts media.Ticks) media.Frame {
	return media.Frame{Codec: media.CodecH264, PTS: pts, DTS: pts, Key: true, Payload: stream(testSPS, testPPS, []byte{0x65, 0x88, 1, 2})}
}

// idr is a key frame without parameter sets.
func idr(pts media.Ticks) media.Frame {
	return media.Frame{Codec: media.CodecH264, PTS: pts, DTS: pts, Key: true, Payload: stream([]byte{0x65, 0x88, 1, 2})}
}

func interFrame(pts media.Ticks) media.Frame {
	return media.Frame{Codec: media.CodecH264, PTS: pts, DTS: pts, Payload: stream([]byte{0x41, 0x9a, 1, 2})}
}

func hevcKey(pts media.Ticks) media.Frame {
	return media.Frame{Codec: media.CodecH265, PTS: pts, DTS: pts, Key: true, Payload: stream(testVPS, hevcSPS, hevcPPS, []byte{19 << 1, 1, 0x80, 1})}
}

// g711 is 20 ms of sound.
func g711(pts media.Ticks) media.Frame {
	return media.Frame{Codec: media.CodecPCMA, PTS: pts, DTS: pts, Key: true, Payload: bytes.Repeat([]byte{0xd5}, 160)}
}

func aac(c *mpeg4audio.AudioSpecificConfig, pts media.Ticks) media.Frame {
	return media.Frame{Codec: media.CodecAAC, PTS: pts, DTS: pts, Key: true, Config: c, Payload: []byte{1, 2, 3}}
}

func TestTracksAreOfferedWhenAllIsKnown(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	r.frame(videoID, keyFrame(90000))
	require.Empty(t, r.ready, "sound may follow")
	r.pass(40 * time.Millisecond)
	r.frame(videoID, interFrame(93600))
	r.frame(audioID, g711(93600))
	require.Len(t, r.ready, 1)
	require.Equal(t, []media.Codec{media.CodecH264, media.CodecPCMA}, r.codecs())
	video := r.ready[0][0].Format.(*format.H264)
	require.Equal(t, testSPS, video.SPS)
	require.Equal(t, testPPS, video.PPS)
	require.Positive(t, r.ready[0][0].Width, "the picture size is known")

	require.Equal(t, []uint32{0, 3600}, r.timestamps(0))
	require.Equal(t, []uint32{320}, r.timestamps(1), "40 ms after the first picture")
	require.Equal(t, time.Duration(0), r.packets[0].at, "kept frames have their own times")
	require.Equal(t, 40*time.Millisecond, r.packets[1].at)
	r.pass(20 * time.Millisecond)
	r.frame(audioID, g711(95400))
	require.Equal(t, []uint32{320, 480}, r.timestamps(1))
	require.EqualValues(t, 4, r.a.Stats().Frames)
	require.True(t, r.a.Running())
}

func TestWaitsEnd(t *testing.T) {
	both := []Elementary{{videoID, media.CodecH264}, {audioID, media.CodecPCMA}}
	video := []Elementary{{videoID, media.CodecH264}, {0xbd, media.CodecUnknown}}
	for _, c := range []struct {
		name      string
		options   AssemblerOptions
		announced []Elementary
		frame     media.Frame
		at        time.Duration // of Ready
	}{
		{"nothing announced", AssemblerOptions{}, nil, keyFrame(0), 3 * time.Second},
		{"audio announced that does not come", AssemblerOptions{}, both, keyFrame(0), time.Second},
		{"video announced that does not come", AssemblerOptions{}, both, g711(0), 3 * time.Second},
		{"no audio announced", AssemblerOptions{}, video, keyFrame(0), time.Second},
		{"only video wanted", AssemblerOptions{OnlyTrack: 2}, both, keyFrame(0), 0},
		{"no audio wanted", AssemblerOptions{NoAudio: true}, both, keyFrame(0), 0},
		{"only audio wanted", AssemblerOptions{OnlyTrack: 1}, both, g711(0), 0},
		{"other waits", AssemblerOptions{WaitAudioData: 200 * time.Millisecond}, both, keyFrame(0), 200 * time.Millisecond},
		{"no waits", AssemblerOptions{WaitAudioData: -1}, both, keyFrame(0), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.options)
			if c.announced != nil {
				r.a.Announce(c.announced)
			}
			id := videoID
			if c.frame.Codec == media.CodecPCMA {
				id = audioID
			}
			r.frame(id, c.frame)
			if c.at > 0 {
				r.pass(c.at - time.Millisecond)
				r.a.Tick(r.now)
				require.Empty(t, r.ready)
				r.pass(time.Millisecond)
				r.a.Tick(r.now)
			}
			require.Len(t, r.ready, 1)
			require.Len(t, r.ready[0], 1)
			require.Len(t, r.packets, 1)
		})
	}
}

func TestUnwantedKindsAreIgnored(t *testing.T) {
	r := newRig(t, AssemblerOptions{OnlyTrack: 1})
	r.frame(videoID, keyFrame(0))
	r.frame(audioID, g711(0))
	require.Equal(t, []media.Codec{media.CodecPCMA}, r.codecs())
	r.frame(videoID, keyFrame(3600))
	r.frame(0xbf, media.Frame{Codec: media.CodecUnknown, Payload: []byte{1}})
	r.frame(0xe1, media.Frame{Codec: media.CodecSVACV, Payload: []byte{1}})
	require.EqualValues(t, 4, r.a.Stats().Ignored)
	require.Len(t, r.packets, 1)
}

func TestParameterSetsMayComeLate(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	r.frame(audioID, g711(0))
	r.frame(videoID, idr(0))
	for i := range 5 {
		r.pass(40 * time.Millisecond)
		r.frame(videoID, interFrame(media.Ticks(3600*i+3600)))
	}
	require.Empty(t, r.ready)
	r.pass(40 * time.Millisecond)
	r.frame(videoID, media.Frame{Codec: media.CodecH264, PTS: 21600, DTS: 21600, Payload: stream(testSPS)})
	require.Empty(t, r.ready)
	r.frame(videoID, media.Frame{Codec: media.CodecH264, PTS: 21600, DTS: 21600, Payload: stream(testPPS)})
	require.Len(t, r.ready, 1)
	require.Len(t, r.packets, 9, "all pictures, which begin with a key frame")
}

func TestUnreadyTracksAreGivenUp(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	r.frame(audioID, g711(0))
	r.frame(videoID, idr(0))
	for i := range 500 {
		r.pass(20 * time.Millisecond)
		r.frame(audioID, g711(media.Ticks(1800*i+1800)))
		if i == 498 {
			require.Empty(t, r.ready)
		}
	}
	require.Len(t, r.ready, 1)
	require.Equal(t, []media.Codec{media.CodecPCMA}, r.codecs())
	require.Len(t, r.packets, 100, "as many as may be kept")
	require.EqualValues(t, 401, r.a.Stats().Dropped)

	r.pass(6 * time.Second)
	r.frame(videoID, keyFrame(16*90000))
	require.Len(t, r.ready, 2, "a picture is worth beginning anew")
	require.Equal(t, []media.Codec{media.CodecH264, media.CodecPCMA}, r.codecs())
}

func TestLateSoundDoesNotCostThePicture(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	r.frame(videoID, keyFrame(0))
	r.pass(4 * time.Second)
	r.frame(videoID, interFrame(360000))
	require.Len(t, r.ready, 1)
	r.pass(10 * time.Second)
	r.frame(audioID, g711(0))
	require.Len(t, r.ready, 1)
	require.EqualValues(t, 1, r.a.Stats().Ignored)
}

func TestKeptFramesAreBounded(t *testing.T) {
	t.Run("video goes up to its latest key frame", func(t *testing.T) {
		r := newRig(t, AssemblerOptions{UnreadyFrames: 10, WaitAddTrack: time.Hour})
		for i := range 15 {
			f := interFrame(media.Ticks(i))
			if i%6 == 0 {
				f = keyFrame(media.Ticks(i))
			}
			r.frame(videoID, f)
		}
		require.EqualValues(t, 6, r.a.Stats().Dropped)
		require.Len(t, r.a.kept.frames, 9)
		require.True(t, r.a.kept.frames[0].opens)
	})
	t.Run("or all of it when that is too long ago", func(t *testing.T) {
		r := newRig(t, AssemblerOptions{UnreadyFrames: 10, WaitAddTrack: time.Hour})
		r.frame(videoID, keyFrame(0))
		for i := range 20 {
			r.frame(videoID, interFrame(media.Ticks(i)))
		}
		require.EqualValues(t, 11, r.a.Stats().Dropped)
		require.EqualValues(t, 10, r.a.Stats().Waited)
		require.Empty(t, r.a.kept.frames)
		require.Zero(t, r.a.kept.bytes)
	})
	t.Run("bytes", func(t *testing.T) {
		r := newRig(t, AssemblerOptions{KeepBytes: 1000, WaitTrackReady: time.Hour})
		r.frame(videoID, idr(0))
		for i := range 50 {
			r.frame(audioID, g711(media.Ticks(i)))
			require.LessOrEqual(t, r.a.kept.bytes, 1000)
		}
		require.NotEmpty(t, r.a.kept.frames)
	})
}

func TestAttachmentMayTakeTime(t *testing.T) {
	r := newRig(t, AssemblerOptions{OnlyTrack: 2})
	r.hold = true
	r.frame(videoID, keyFrame(0))
	r.pass(40 * time.Millisecond)
	r.frame(videoID, interFrame(3600))
	require.Len(t, r.ready, 1)
	require.Empty(t, r.packets)
	r.attach()
	require.Equal(t, []uint32{0, 3600}, r.timestamps(0))
	r.attach()
	require.Len(t, r.packets, 2, "a second answer means nothing")
}

func TestTracksMayBeLeftOut(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	r.hold = true
	r.frame(videoID, keyFrame(0))
	r.frame(audioID, g711(0))
	r.a.Attached([]int{3, -1})
	r.frame(audioID, g711(1800))
	require.Len(t, r.packets, 1)
	require.Equal(t, 3, r.packets[0].track)
}

func TestChangesThatTheTracksCannotCarryAreOfferedAnew(t *testing.T) {
	small := []byte{0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20}
	first := &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 8000, ChannelConfig: 1}
	second := &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 16000, ChannelConfig: 1}
	for _, c := range []struct {
		name  string
		id    int
		frame media.Frame
		want  []media.Codec // nil: goes on
	}{
		{"another sps", videoID, media.Frame{Codec: media.CodecH264, Key: true, Payload: stream(small, testPPS, []byte{0x65, 0x88})}, []media.Codec{media.CodecH264, media.CodecAAC}},
		{"another sps that comes alone", videoID, media.Frame{Codec: media.CodecH264, Payload: stream(small)}, []media.Codec{media.CodecH264, media.CodecAAC}},
		{"another pps", videoID, media.Frame{Codec: media.CodecH264, Key: true, Payload: stream(testSPS, []byte{0x68, 1, 2}, []byte{0x65, 0x88})}, nil},
		{"another codec", videoID, hevcKey(0), []media.Codec{media.CodecH265, media.CodecAAC}},
		{"another rate", audioID, aac(second, 0), []media.Codec{media.CodecH264, media.CodecAAC}},
		{"the same rate", audioID, aac(&mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 8000, ChannelConfig: 1}, 0), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, AssemblerOptions{})
			r.frame(videoID, keyFrame(0))
			r.frame(audioID, aac(first, 0))
			require.Len(t, r.ready, 1)
			r.pass(10 * time.Second)
			// the other track goes on, so that it need not be waited for
			r.frame(videoID, interFrame(900000))
			r.frame(audioID, aac(first, 900000))
			before := len(r.packets)
			c.frame.PTS, c.frame.DTS = 903600, 903600
			r.frame(c.id, c.frame)
			if c.want == nil {
				require.Len(t, r.ready, 1)
				require.Len(t, r.packets, before+1)
				return
			}
			if c.frame.Codec == media.CodecH265 {
				r.frame(audioID, aac(first, 905000))
			}
			require.Len(t, r.ready, 2)
			require.Equal(t, c.want, r.codecs())
			require.Greater(t, len(r.packets), before, "the frame itself is not lost")
		})
	}
}

func TestAnotherStreamOfTheSameKindTakesOverFromASilentOne(t *testing.T) {
	r := newRig(t, AssemblerOptions{OnlyTrack: 2})
	r.frame(videoID, keyFrame(0))
	r.pass(time.Second)
	r.frame(0xe1, keyFrame(90000))
	require.EqualValues(t, 1, r.a.Stats().Ignored, "a second picture")
	r.pass(3 * time.Second)
	r.frame(0xe1, keyFrame(4*90000))
	require.Len(t, r.ready, 1, "the same description: the track goes on")
	require.Equal(t, []uint32{0, 4 * 90000}, r.timestamps(0))
}

func TestTheMapMayLie(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	r.a.Announce([]Elementary{{videoID, media.CodecH265}, {audioID, media.CodecAAC}})
	r.frame(videoID, keyFrame(0))
	r.frame(audioID, g711(0))
	require.Equal(t, []media.Codec{media.CodecH264, media.CodecPCMA}, r.codecs())
}

func TestVideoWaitsForAKeyFrameBehindAHole(t *testing.T) {
	for _, pass := range []bool{false, true} {
		r := newRig(t, AssemblerOptions{OnlyTrack: 2, PassDamage: pass})
		r.frame(videoID, keyFrame(0))
		r.a.Gap(r.now)
		r.frame(videoID, interFrame(3600))
		r.frame(videoID, keyFrame(7200))
		r.frame(videoID, interFrame(10800))
		if pass {
			require.Len(t, r.packets, 4)
			continue
		}
		require.Len(t, r.packets, 3)
		require.EqualValues(t, 1, r.a.Stats().Waited)
	}
}

func TestStreamsWithoutKeyFramesGoOnInTheEnd(t *testing.T) {
	r := newRig(t, AssemblerOptions{OnlyTrack: 2})
	r.frame(videoID, keyFrame(0))
	r.a.Gap(r.now)
	refresh := interFrame(0)
	refresh.Payload = stream(testSPS, testPPS, []byte{0x41, 0x9a})
	for i := range 11 {
		r.pass(time.Second)
		r.a.Gap(r.now) // more holes do not make the wait longer
		refresh.PTS, refresh.DTS = media.Ticks(90000*(i+1)), media.Ticks(90000*(i+1))
		r.frame(videoID, refresh)
	}
	require.EqualValues(t, 9, r.a.Stats().Waited)
	require.EqualValues(t, 3, r.a.Stats().Frames, "once it is known that there are none, holes are not waited out")
}

func TestReportsLineTracksUp(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	for i := range 600 {
		f := interFrame(media.Ticks(3600 * i))
		if i%50 == 0 {
			f = keyFrame(media.Ticks(3600 * i))
		}
		r.frame(videoID, f)
		r.frame(audioID, g711(media.Ticks(3600*i)))
		r.pass(20 * time.Millisecond)
		r.frame(audioID, g711(media.Ticks(3600*i+1800)))
		r.pass(20 * time.Millisecond)
	}
	require.Len(t, r.reports, 10, "at the start and every 5 s of 24 s, for both tracks")
	for _, p := range r.reports {
		at, rtp, ok := ParseReport(p.pkt)
		require.True(t, ok)
		clock := r.ready[0][p.track].ClockRate
		require.WithinDuration(t, start().Add(clock.Duration(media.Ticks(rtp))), at, time.Microsecond)
		require.WithinDuration(t, start().Add(p.at), at, time.Microsecond)
	}
}

func TestNothingComesAfterTheEnd(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	r.frame(videoID, keyFrame(0))
	r.a.Close()
	r.frame(audioID, g711(0))
	r.pass(time.Hour)
	r.a.Tick(r.now)
	r.a.Gap(r.now)
	r.a.Announce([]Elementary{{videoID, media.CodecH264}})
	r.a.Attached([]int{0})
	require.Empty(t, r.ready)
	require.Empty(t, r.packets)
}

func TestSteadyStateOfTheAssemblerAllocatesNothing(t *testing.T) {
	packets := 0
	a := NewAssembler(AssemblerOptions{
		Write:     func(int, time.Time, []byte) { packets++ },
		WriteRTCP: func(int, time.Time, []byte) { packets++ },
	})
	a.opts.Ready = func([]*media.Track) { a.Attached([]int{0, 1}) }
	now, pts := start(), media.Ticks(0)
	key, inter, sound := keyFrame(0), interFrame(0), g711(0)
	key.Payload = append(key.Payload, bytes.Repeat([]byte{7}, 5000)...)
	step := func() {
		for _, f := range []*media.Frame{&key, &inter, &inter} {
			f.PTS, f.DTS = pts, pts
			a.Frame(now, videoID, f)
			sound.PTS, sound.DTS = pts, pts
			a.Frame(now, audioID, &sound)
			pts += 1800
			now = now.Add(20 * time.Millisecond)
		}
	}
	step()
	require.Zero(t, testing.AllocsPerRun(500, step))
}

func TestEveryCodecThatContainersCarryHasATrack(t *testing.T) {
	conf := &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: 16000, ChannelConfig: 1}
	mp3 := append([]byte{0xff, 0xfb, 0x90, 0x00}, make([]byte, 413)...)
	for _, c := range []struct {
		codec   media.Codec
		payload []byte
		as      media.Codec
		static  uint8
		ticks   uint32 // from one to the next
	}{
		{media.CodecAAC, []byte{1}, media.CodecAAC, 97, 1024},
		{media.CodecPCMA, make([]byte, 160), media.CodecPCMA, 8, 160},
		{media.CodecPCMU, make([]byte, 160), media.CodecPCMU, 0, 160},
		{media.CodecOpus, []byte{0x78, 1}, media.CodecOpus, 97, 960},
		{media.CodecMP3, mp3, media.CodecMPA, 14, 2351},
		{media.CodecMPA, mp3, media.CodecMPA, 14, 2351},
		{media.CodecMPA, mp3[:100], media.CodecMPA, 14, 1800}, // not a whole frame: by its times
		{media.CodecG722, make([]byte, 160), media.CodecG722, 9, 160},
		{media.CodecG723, make([]byte, 24), media.CodecG723, 4, 240},
		{media.CodecG728, make([]byte, 20), media.CodecG728, 15, 80},
		{media.CodecG729, make([]byte, 20), media.CodecG729, 18, 160},
	} {
		t.Run(c.codec.String(), func(t *testing.T) {
			r := newRig(t, AssemblerOptions{OnlyTrack: 1})
			for i := range 3 {
				f := media.Frame{Codec: c.codec, PTS: media.Ticks(1800 * i), Key: true, Payload: c.payload}
				if c.codec == media.CodecAAC {
					f.Config = conf
				}
				if c.ticks != 1800 {
					f.PTS = 0 // nothing but the length of frames to go by
				}
				f.DTS = f.PTS
				r.frame(audioID, f)
				r.pass(20 * time.Millisecond)
			}
			track := r.ready[0][0]
			require.Equal(t, c.as, track.Codec)
			require.Equal(t, c.static, track.PayloadType())
			require.Equal(t, []uint32{0, c.ticks, 2 * c.ticks}, r.timestamps(0))
		})
	}
	r := newRig(t, AssemblerOptions{OnlyTrack: 2})
	r.frame(videoID, hevcKey(0))
	require.Equal(t, []media.Codec{media.CodecH265}, r.codecs())
}

func TestThereIsAnEndToStreamsThatAreToldApart(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	var many []Elementary
	for i := range 100 {
		many = append(many, Elementary{ID: i, Codec: media.CodecPCMA})
	}
	r.a.Announce(many)
	require.Len(t, r.a.streams, maxElementaries)
	r.frame(videoID, keyFrame(0))
	require.EqualValues(t, 1, r.a.Stats().Ignored)
}

// TestADeviceMayUseAnotherIDEachTimeItBegins: as devices with a transport stream do, which number their streams anew.
func TestADeviceMayUseAnotherIDEachTimeItBegins(t *testing.T) {
	r := newRig(t, AssemblerOptions{OnlyTrack: 2})
	for i := range 5 * maxElementaries {
		r.frame(videoID+i, keyFrame(media.Ticks(i)*4*90000))
		require.Len(t, r.timestamps(0), i+1)
		r.pass(4 * time.Second)
	}
	require.Len(t, r.ready, 1)
	require.Len(t, r.a.streams, maxElementaries)
	require.Zero(t, r.a.Stats().Ignored)
}

func TestAnotherStreamTakesOverSoonWhenTheSourceBeginsAnew(t *testing.T) {
	r := newRig(t, AssemblerOptions{OnlyTrack: 2})
	r.frame(videoID, keyFrame(0))
	r.pass(time.Second)
	r.frame(videoID, keyFrame(90000))
	r.a.Anew(r.now)
	r.frame(0xe1, keyFrame(90000))
	require.Equal(t, []uint32{0, 90000}, r.timestamps(0), "the former one may come again")
	r.pass(time.Second / 2)
	r.frame(0xe1, keyFrame(135000))
	require.Equal(t, []uint32{0, 90000, 135000}, r.timestamps(0))
	r.pass(time.Second / 2)
	r.frame(videoID, keyFrame(180000))
	require.Equal(t, []uint32{0, 90000, 135000}, r.timestamps(0))
	require.Len(t, r.ready, 1)
}

// TestAStreamMayTurnIntoAnotherKind: an id that is used anew.
func TestAStreamMayTurnIntoAnotherKind(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	r.frame(videoID, keyFrame(0))
	r.frame(audioID, g711(0))
	r.pass(4 * time.Second)
	r.frame(audioID, keyFrame(360000))
	r.frame(videoID, g711(360000))
	require.Equal(t, []media.Codec{media.CodecH264, media.CodecPCMA}, r.codecs())
	require.Equal(t, []uint32{0, 360000}, r.timestamps(0))
	require.Equal(t, []uint32{0, 32000}, r.timestamps(1))
}
