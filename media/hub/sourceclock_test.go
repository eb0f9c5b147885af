package hub

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// carry sends pictures and sound for a while, with the source's reports, each at an instant of the source and an arrival of ours.
func (a *av) carry(from, to time.Duration, arrival func(at time.Duration) time.Time, ntp func(at time.Duration) time.Time, each func(now time.Time)) {
	for at := from; at < to; at += 40 * time.Millisecond {
		now := arrival(at)
		a.video.ts, a.audio.ts = 1000+uint32(at*9/100_000), 5000+uint32(at*6/125_000)
		payload := slice
		if at%(1200*time.Millisecond) == 0 {
			payload = idr
			a.video.w.WriteRTCP(0, now, senderReport(11, ntp(at), a.video.ts))
			a.audio.w.WriteRTCP(1, now, senderReport(22, ntp(at), a.audio.ts))
		}
		a.video.send(now, true, payload)
		a.audio.send(now, true, sound)
		each(now)
	}
}

// A source that is another instance of ours begins with the pictures since its last key frame, all at once; what comes later is delayed now and then. Neither may make
// viewers' time run faster or slower than the source's.
func TestDelayedReportsDoNotBendTime(t *testing.T) {
	a := newAV(t, Options{})
	r := a.NewReader(ReaderOptions{})
	noise := rand.New(rand.NewPCG(1, 2))
	var ntp []time.Time
	var rtp []uint32
	a.carry(0, 3*time.Minute, func(at time.Duration) time.Time {
		if at < 900*time.Millisecond {
			return epoch.Add(900 * time.Millisecond)
		}
		return epoch.Add(at + time.Duration(noise.IntN(30))*time.Millisecond)
	}, func(at time.Duration) time.Time { return epoch.Add(at) }, func(time.Time) {
		n, ts := reports(t, r, 0)
		ntp, rtp = append(ntp, n...), append(rtp, ts...)
	})
	require.Greater(t, len(ntp), 100)
	for i := range ntp {
		require.InDelta(t, ntp[i].Sub(ntp[0]).Seconds()*90000, float64(rtp[i]-rtp[0]), 30, "report %d, %v after the first", i, ntp[i].Sub(ntp[0]))
	}
}

// A source whose clock is fast by 300 ppm is followed, slowly, and picture and sound together.
func TestSpeedOfTheSourcesClockIsFollowed(t *testing.T) {
	a := newAV(t, Options{})
	const end = 20 * time.Minute
	ours := func(at time.Duration) time.Time { return epoch.Add(at - at*3/10_000) }
	a.carry(0, end, ours, func(at time.Duration) time.Time { return epoch.Add(at) }, func(now time.Time) {
		video, audio := a.state[0].time, a.state[1].time
		require.InDelta(t, 0, video.at(a.video.ts+a.state[0].source.tsOffset).Sub(now).Seconds(), 0.05)
		require.InDelta(t, 0, audio.at(a.audio.ts+a.state[1].source.tsOffset).Sub(video.at(a.video.ts+a.state[0].source.tsOffset)).Seconds(), 0.004)
	})
}

func TestSourceClockSetAnew(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, 6 * time.Second} {
		a := newAV(t, Options{})
		at := func(d time.Duration) time.Time { return epoch.Add(d) }
		a.carry(0, 12*time.Second, at, at, func(time.Time) {})
		a.carry(12*time.Second, time.Minute, at, func(d time.Duration) time.Time { return epoch.Add(d + by) }, func(now time.Time) {
			for i, ts := range []uint32{a.video.ts, a.audio.ts} {
				require.InDelta(t, 0, a.state[i].time.at(ts+a.state[i].source.tsOffset).Sub(now).Seconds(), 0.005, "time is what it was")
			}
		})
	}
}
