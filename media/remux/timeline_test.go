package remux

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/stretchr/testify/require"

	"berth/media"
)

// step is a frame: ms after the former one, with its times in ms.
type step struct{ after, pts, dts int }

func msTicks(ms int) media.Ticks { return media.Ticks(ms) * 90 }

func TestOddTimesOfVideoArePutInOrder(t *testing.T) {
	plain := func(pts ...int) (out []step) {
		for i, p := range pts {
			after := 40
			if i == 0 {
				after = 0
			}
			out = append(out, step{after, p, p})
		}
		return out
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  []int // ms since the first frame
	}{
		{"regular", plain(1000, 1040, 1080), []int{0, 40, 80}},
		{"unsteady", plain(1000, 1035, 1090, 1120), []int{0, 35, 90, 120}},
		{"a jump ahead", plain(1000, 1040, 50000, 50040), []int{0, 40, 80, 120}},
		{"a jump back", plain(50000, 50040, 10, 50), []int{0, 40, 80, 120}},
		{"a clock that begins anew every picture", plain(50000, 0, 50000, 0), []int{0, 40, 80, 120}},
		{"a step that is no jump", plain(1000, 1040, 3040, 3080), []int{0, 40, 2040, 2080}},
		{"a pause", []step{{0, 1000, 1000}, {40, 1040, 1040}, {60000, 61040, 61040}}, []int{0, 40, 60040}},
		{"a pause while the device's clock stood", []step{{0, 1000, 1000}, {40, 1040, 1040}, {60000, 1080, 1080}}, []int{0, 40, 80}},
		{"a pause and a clock that begins anew", []step{{0, 10000, 10000}, {40, 10040, 10040}, {60000, 0, 0}, {40, 40, 40}}, []int{0, 40, 60040, 60080}},
		{"a burst", []step{{0, 1000, 1000}, {1, 1040, 1040}, {1, 1080, 1080}, {1, 1120, 1120}}, []int{0, 40, 80, 120}},
		{"no times", plain(0, 0, 0, 0), []int{0, 40, 80, 120}},
		{"no times at first", plain(0, 0, 0, 90000, 90040), []int{0, 40, 80, 120, 160}},
		{"reordered", []step{{0, 1080, 1000}, {40, 1200, 1040}, {40, 1120, 1080}, {40, 1160, 1120}}, []int{80, 200, 120, 160}},
		{"reordered, without decoding times", plain(1000, 1120, 1040, 1080, 1240), []int{0, 120, 40, 80, 240}},
		{"decoding times behind output", []step{{0, 1000, 5000}, {40, 1040, 9000}, {40, 1080, 5000}}, []int{0, 40, 80}},
		{"decoding times long before output", []step{{0, 9000, 0}, {40, 9040, 40}}, []int{0, 40}},
		{"decoding times that stand", []step{{0, 1000, 1000}, {40, 1040, 1000}, {40, 1080, 1000}}, []int{0, 40, 80}},
		{"small steps back of the clock", plain(10000, 10040, 9500, 9540), []int{0, 40, -500, -460}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, AssemblerOptions{OnlyTrack: 2})
			for _, s := range c.steps {
				r.pass(time.Duration(s.after) * time.Millisecond)
				f := keyFrame(msTicks(s.pts))
				f.DTS = msTicks(s.dts)
				r.frame(videoID, f)
			}
			require.Len(t, r.packets, len(c.want))
			for i, p := range r.packets {
				require.InDelta(t, c.want[i], int(int32(p.timestamp()))/90, 1, "picture %d", i)
			}
		})
	}
}

// TestNoTwoPicturesShareATime: players would take them for one.
func TestNoTwoPicturesShareATime(t *testing.T) {
	r := newRig(t, AssemblerOptions{OnlyTrack: 2})
	for range 5 {
		r.frame(videoID, keyFrame(0)) // all at once
	}
	require.Len(t, r.timestamps(0), 5)
}

func TestOddTimesOfAudioArePutInOrder(t *testing.T) {
	regular := func(n int, at func(i int) step) (out []step) {
		for i := range n {
			out = append(out, at(i))
		}
		return out
	}
	every := func(i, ms int) int { // no time before the first
		if i == 0 {
			return 0
		}
		return ms
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  func(i int) int // samples of 8 kHz
	}{
		{"regular", regular(50, func(i int) step { return step{every(i, 20), 1000 + 20*i, 1000 + 20*i} }), func(i int) int { return 160 * i }},
		{"none", regular(50, func(i int) step { return step{every(i, 20), 0, 0} }), func(i int) int { return 160 * i }},
		{"none, in bursts", regular(50, func(i int) step { return step{every(i%5, 0) + every(i, 20*(1-min(i%5, 1))*5), 0, 0} }), func(i int) int { return 160 * i }},
		{"one for two frames", regular(50, func(i int) step { return step{every(i, 20), 1000 + 40*(i/2), 1000 + 40*(i/2)} }), func(i int) int { return 160 * i }},
		{"a lost frame", regular(50, func(i int) step { return step{every(i, 20), 1000 + 20*(i+i/25), 1000 + 20*(i+i/25)} }), func(i int) int { return 160 * (i + i/25) }},
		{"a second of silence", regular(50, func(i int) step {
			return step{every(i, 20) + i/25*(1-min(i%25, 1))*1000, 20*i + 1000*(i/25), 20*i + 1000*(i/25)}
		}), func(i int) int { return 160*i + 8000*(i/25) }},
		{"a jump", regular(50, func(i int) step { return step{every(i, 20), 20*i + 500000*(i/25), 20*i + 500000*(i/25)} }), func(i int) int { return 160 * i }},
		{"a jump back", regular(50, func(i int) step {
			return step{every(i, 20), 900000 + 20*i - 800000*(i/25), 900000 + 20*i - 800000*(i/25)}
		}), func(i int) int { return 160 * i }},
		{"a step back", regular(50, func(i int) step { return step{every(i, 20), 900000 + 20*i - 700*(i/25), 900000 + 20*i - 700*(i/25)} }), func(i int) int { return 160 * i }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, AssemblerOptions{OnlyTrack: 1})
			for _, s := range c.steps {
				r.pass(time.Duration(s.after) * time.Millisecond)
				f := g711(msTicks(s.pts))
				r.frame(audioID, f)
			}
			require.Len(t, r.packets, len(c.steps))
			for i, p := range r.packets {
				require.Equal(t, c.want(i), int(int32(p.timestamp())), "frame %d", i)
			}
		})
	}
}

// TestUnsteadyTimesOfAudioAreSmoothed: a device that stamps frames when its software gets to it.
func TestUnsteadyTimesOfAudioAreSmoothed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	r := newRig(t, AssemblerOptions{OnlyTrack: 1})
	for i := range 2000 {
		r.frame(audioID, g711(msTicks(20*i+rnd.IntN(12))))
		r.pass(20 * time.Millisecond)
	}
	for i, p := range r.packets {
		require.EqualValues(t, 160*i, int32(p.timestamp()), "frame %d", i)
	}
}

// TestASlowSampleClockIsFollowed: sound of 8000 Hz that is really 7960 Hz stays with its timestamps.
func TestASlowSampleClockIsFollowed(t *testing.T) {
	for _, rate := range []int{7960, 8040} {
		r := newRig(t, AssemblerOptions{OnlyTrack: 1})
		last := int32(-160)
		for i := range 5000 {
			us := i * 160 * 1_000_000 / rate
			r.now = start().Add(time.Duration(us) * time.Microsecond)
			r.frame(audioID, g711(media.Ticks(us*9/100)))
			got := int32(r.packets[len(r.packets)-1].timestamp())
			require.InDelta(t, float64(us)*8/1000, float64(got), 8*22, "within 22 ms")
			require.Greater(t, got, last)
			require.Less(t, got-last, int32(160+160/16+1), "no holes")
			last = got
		}
	}
}

func TestAudioOfAnyRateIsContiguous(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 22050, 44100, 48000} {
		conf := &mpeg4audio.AudioSpecificConfig{Type: 2, SampleRate: rate, ChannelConfig: 1}
		r := newRig(t, AssemblerOptions{OnlyTrack: 1})
		for i := range 1000 {
			pts := media.Ticks(i * 1024 * 90000 / rate)
			r.now = start().Add(media.FrameClock.Duration(pts))
			r.frame(audioID, aac(conf, 777+pts))
		}
		for i, p := range r.packets {
			require.EqualValues(t, 1024*i, int32(p.timestamp()), "rate %d frame %d", rate, i)
		}
	}
}

// TestTracksStayLinedUp looks at the media times of sound and picture that are made at the same moment.
func TestTracksStayLinedUp(t *testing.T) {
	for _, c := range []struct {
		name         string
		video, audio func(i int) int // ms of the frame that comes at 20*i ms
		within       int             // ms
	}{
		{"one clock", func(i int) int { return 5000 + 20*i }, func(i int) int { return 5000 + 20*i }, 1},
		{"one clock, sound is sent late", func(i int) int { return 5000 + 20*i }, func(i int) int { return 4600 + 20*i }, 401},
		{"another base of audio", func(i int) int { return 5000 + 20*i }, func(i int) int { return 7e8 + 20*i }, 1},
		{"audio without times", func(i int) int { return 5000 + 20*i }, func(int) int { return 0 }, 25},
		{"video without times", func(int) int { return 0 }, func(i int) int { return 5000 + 20*i }, 25},
		{"nothing has times", func(int) int { return 0 }, func(int) int { return 0 }, 25},
		{"both begin anew", func(i int) int { return 90000 - i/500*89000 + 20*i }, func(i int) int { return 90000 - i/503*89000 + 20*i }, 1},
		{"both jump ahead", func(i int) int { return i/500*89000 + 20*i }, func(i int) int { return i/490*89000 + 20*i }, 25},
		{"video jumps alone", func(i int) int { return i/500*89000 + 20*i }, func(i int) int { return 20 * i }, 21},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, AssemblerOptions{})
			for i := range 999 {
				r.now = start().Add(time.Duration(20*i) * time.Millisecond)
				r.frame(videoID, keyFrame(msTicks(c.video(i))))
				r.frame(audioID, g711(msTicks(c.audio(i))))
				n := len(r.packets)
				if n < 2 {
					continue
				}
				video, audio := int32(r.packets[n-2].timestamp())/90, int32(r.packets[n-1].timestamp())/8
				require.InDelta(t, video, audio, float64(c.within), "at %d ms", 20*i)
				require.InDelta(t, 20*i, video, 25, "nothing runs away")
			}
		})
	}
}

// TestLostAudioWithoutTimesIsMadeUpFor: counted samples alone would fall behind the picture for ever.
func TestLostAudioWithoutTimesIsMadeUpFor(t *testing.T) {
	r := newRig(t, AssemblerOptions{})
	for i := range 2000 {
		r.now = start().Add(time.Duration(20*i) * time.Millisecond)
		r.frame(videoID, keyFrame(msTicks(20*i)))
		if i%10 != 9 {
			r.frame(audioID, g711(0))
		}
	}
	last := r.timestamps(1)
	require.InDelta(t, 40000, last[len(last)-1]/8, 600)
}
