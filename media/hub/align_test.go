package hub

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// skew is how much later the sound of an instant is on viewers' timelines than its picture, as reports tell it.
func (a *av) skew(at time.Duration) time.Duration {
	picture := a.state[0].time.at(1000 + uint32(at*9/100_000) + a.state[0].source.tsOffset)
	sound := a.state[1].time.at(5000 + uint32(at*6/125_000) + a.state[1].source.tsOffset)
	return sound.Sub(picture)
}

// sendAt sends a picture and the sound that belongs to an instant, which come at another.
func (a *av) sendAt(at time.Duration, video, audio time.Time, payload []byte) {
	if !video.IsZero() {
		a.video.ts = 1000 + uint32(at*9/100_000)
		a.video.send(video, true, payload)
	}
	if !audio.IsZero() {
		a.audio.ts = 5000 + uint32(at*6/125_000)
		a.audio.send(audio, true, sound)
	}
}

// A viewer begins before the source has said how its tracks line up, and sound comes 400 ms after its picture: as soon as the source says so it is right.
func TestFirstReportLinesUpForEarlyViewers(t *testing.T) {
	for _, delay := range []time.Duration{400 * time.Millisecond, -400 * time.Millisecond} {
		a := newAV(t, Options{})
		now := epoch.Add(time.Second)
		a.sendAt(0, now, now.Add(delay), idr)
		require.Len(t, a.NewReader(ReaderOptions{}).Start(), 2)
		require.InDelta(t, -delay.Seconds(), -a.skew(0).Seconds(), 0.001)
		a.video.w.WriteRTCP(0, now, senderReport(11, epoch, 1000))
		a.audio.w.WriteRTCP(1, now.Add(delay), senderReport(22, epoch, 5000))
		require.InDelta(t, 0, a.skew(0).Seconds(), 0.001)
	}
}

// A new source of a stream with viewers begins with its sound too late or too early. Its reports put that right at once, and no timestamp goes back.
func TestReturningSourceIsLinedUpWithoutGoingBack(t *testing.T) {
	for _, delay := range []time.Duration{300 * time.Millisecond, -300 * time.Millisecond} {
		for _, soundFirst := range []bool{false, true} {
			a := newAV(t, Options{})
			r := a.NewReader(ReaderOptions{})
			play := func(from time.Time, delay time.Duration) {
				for i := range 50 {
					at := time.Duration(i) * 40 * time.Millisecond
					payload := slice
					if i == 0 {
						payload = idr
					}
					a.sendAt(at, from.Add(at), from.Add(at+delay), payload)
					if i == 5 && soundFirst {
						a.audio.w.WriteRTCP(1, from.Add(at+delay), senderReport(22, epoch.Add(at), a.audio.ts))
					}
					if i == 5 {
						a.video.w.WriteRTCP(0, from.Add(at), senderReport(11, epoch.Add(at), a.video.ts))
						a.audio.w.WriteRTCP(1, from.Add(at+delay), senderReport(22, epoch.Add(at), a.audio.ts))
					}
				}
			}
			play(epoch.Add(time.Second), 0)
			require.True(t, a.reporting)
			a.attach(t)
			play(epoch.Add(6*time.Second), delay)
			require.InDelta(t, 0, a.skew(2*time.Second).Seconds(), 0.006)

			last := map[int]uint32{}
			for {
				c, st := r.Next()
				if st != StateReady {
					break
				}
				for _, g := range unpack(t, c) {
					if g.rtcp {
						continue
					}
					if was, ok := last[g.track]; ok {
						require.Greater(t, int32(g.ts-was), int32(0), "track %d", g.track)
					}
					last[g.track] = g.ts
				}
			}
			require.Len(t, last, 2)
		}
	}
}

// What lines tracks up waits for the next picture: the packets of one share a timestamp.
func TestLiningUpKeepsPicturesWhole(t *testing.T) {
	a := newAV(t, Options{})
	a.sendAt(0, epoch, epoch, idr)
	a.video.w.WriteRTCP(0, epoch, senderReport(11, epoch, 1000))
	a.audio.w.WriteRTCP(1, epoch, senderReport(22, epoch, 5000))
	a.sendAt(40*time.Millisecond, epoch.Add(40*time.Millisecond), time.Time{}, slice)
	require.True(t, a.reporting)
	a.attach(t)
	r := a.NewReader(ReaderOptions{})
	now := epoch.Add(time.Second)
	a.video.send(now, false, fuIDR)
	a.audio.send(now.Add(-200*time.Millisecond), true, sound)
	a.audio.w.WriteRTCP(1, now, senderReport(22, epoch, a.audio.ts))
	a.video.w.WriteRTCP(0, now, senderReport(11, epoch.Add(500*time.Millisecond), a.video.ts))
	require.NotZero(t, a.state[0].source.shift)
	a.video.send(now, true, fuEnd)
	var seen []uint32
	chunks, _ := drain(t, r)
	for _, c := range chunks {
		for _, g := range c {
			if g.track == 0 && !g.rtcp {
				seen = append(seen, g.ts)
			}
		}
	}
	require.Len(t, seen, 2)
	require.Equal(t, seen[0], seen[1])
}

func TestSettled(t *testing.T) {
	a := newAV(t, Options{})
	both := []int{0, 1, 7}
	require.False(t, a.Settled(both, epoch), "nothing has come")
	require.True(t, a.Settled([]int{1}, epoch), "one track has nothing to line up")
	a.sendAt(0, epoch, time.Time{}, idr)
	a.video.w.WriteRTCP(0, epoch, senderReport(11, epoch, 1000))
	require.False(t, a.Settled(both, epoch), "no sound yet")
	a.sendAt(0, time.Time{}, epoch, nil)
	require.False(t, a.Settled(both, epoch.Add(settlePatience-1)), "no report on the sound yet")
	require.True(t, a.Settled(both, epoch.Add(settlePatience)), "some sources never report")
	a.audio.w.WriteRTCP(1, epoch, senderReport(22, epoch, 5000))
	require.True(t, a.Settled(both, epoch))
}
