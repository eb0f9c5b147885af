package hub

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const pictureGap = 33 * time.Millisecond

// evenly sends pictures from a moment on, each a gap after the other, and returns when the next is due.
func (a *av) evenly(from time.Time, n int) time.Time {
	for range n {
		a.frame(from, slice)
		from = from.Add(pictureGap)
	}
	return from
}

func TestEvenPicturesNeedNoTimers(t *testing.T) {
	a := newAV(t, Options{})
	var wakes wakeLog
	a.Subscribe(&wakes)
	at := a.evenly(epoch, trusted+1)
	wakes = nil

	a.video.send(at, false, slice)
	require.Empty(t, wakes, "it will be finished, as the others were")
	a.frame(at, slice)
	a.sound(at.Add(2 * time.Millisecond))
	a.sound(at.Add(23 * time.Millisecond))
	require.Equal(t, wakeLog{0}, wakes, "the next picture takes the sound along")
	a.frame(at.Add(pictureGap), slice)
	require.Equal(t, wakeLog{0, 0}, wakes)
}

func TestSoundDoesNotWaitLongForALatePicture(t *testing.T) {
	for name, tc := range map[string]struct {
		after time.Duration // since the first sound
		end   func(a *av, at time.Time)
	}{
		"more sound":      {35 * time.Millisecond, func(a *av, at time.Time) { a.sound(at) }},
		"flushed":         {35 * time.Millisecond, func(a *av, at time.Time) { a.Flush(at) }},
		"no publisher":    {time.Millisecond, func(a *av, _ time.Time) { a.video.w.Close() }},
		"a new publisher": {time.Millisecond, func(a *av, _ time.Time) { a.attach(a.video.t) }},
		"the end":         {time.Millisecond, func(a *av, _ time.Time) { a.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAV(t, Options{})
			at := a.evenly(epoch, trusted+1).Add(2*time.Millisecond - pictureGap)
			var wakes wakeLog
			a.Subscribe(&wakes)
			a.sound(at)
			a.sound(at.Add(21 * time.Millisecond))
			a.Flush(at.Add(34 * time.Millisecond))
			require.Empty(t, wakes)
			tc.end(a, at.Add(tc.after))
			require.NotEmpty(t, wakes)
			require.Zero(t, wakes[0])
			wakes = nil
			a.Flush(at.Add(time.Second))
			require.Empty(t, wakes, "nothing waits")
		})
	}
}

func TestAPictureLeftUnfinishedBringsTheTimersBack(t *testing.T) {
	for name, end := range map[string]func(a *av, at time.Time){
		"no marker": func(a *av, at time.Time) { a.frame(at.Add(pictureGap), slice) },
		"flushed":   func(a *av, at time.Time) { a.Flush(at.Add(100 * time.Millisecond)) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAV(t, Options{})
			r := a.NewReader(ReaderOptions{})
			at := a.evenly(epoch, 1)
			a.frame(at, idr)
			at = a.evenly(at.Add(pictureGap), trusted)
			drain(t, r)
			var wakes wakeLog
			a.Subscribe(&wakes)
			a.video.send(at, false, slice)
			a.video.ts += 3000
			require.Empty(t, wakes)
			end(a, at)
			require.NotEmpty(t, wakes)
			require.Zero(t, wakes[0])
			chunks, _ := drain(t, r)
			require.NotEmpty(t, chunks)
			require.False(t, chunks[0][0].marker)

			at = at.Add(2 * pictureGap)
			a.frame(at, slice)
			wakes = nil
			for range trusted {
				at = at.Add(pictureGap)
				a.video.send(at, false, slice)
				a.frame(at, slice)
			}
			require.Contains(t, wakes, 5*time.Millisecond)
			wakes = nil
			a.video.send(at.Add(pictureGap), false, slice)
			require.Empty(t, wakes, "trusted again")
		})
	}
}

func TestCadence(t *testing.T) {
	const ms = time.Millisecond
	even := func(n int, gap time.Duration) (out []time.Duration) {
		for range n {
			out = append(out, gap)
		}
		return out
	}
	for name, tc := range map[string]struct {
		gaps    []time.Duration // between pictures, after the first
		after   time.Duration   // since the last picture
		expects bool
	}{
		"30 a second":               {even(8, 33*ms), 20 * ms, true},
		"too few yet":               {even(7, 33*ms), 20 * ms, false},
		"60 a second":               {even(8, 16*ms), ms, true},
		"25 a second":               {even(20, 40*ms), ms, false},
		"a little uneven":           {[]time.Duration{20 * ms, 45 * ms, 30 * ms, 36 * ms, 33 * ms, 25 * ms, 42 * ms, 33 * ms}, ms, true},
		"one far too late":          {append(even(30, 33*ms), 60*ms), ms, false},
		"and even since":            {append(append(even(30, 33*ms), 60*ms), even(8, 33*ms)...), ms, true},
		"they have stopped":         {even(30, 33*ms), 60 * ms, false},
		"the clock has gone back":   {append(even(30, 33*ms), -ms), ms, false},
		"slower than they were":     {append(even(30, 33*ms), even(20, 45*ms)...), ms, false},
		"two at a time":             {[]time.Duration{0, 66 * ms, 0, 66 * ms, 0, 66 * ms, 0, 66 * ms, 0, 66 * ms}, ms, false},
		"several pictures a moment": {even(8, 0), ms, true},
	} {
		t.Run(name, func(t *testing.T) {
			var c cadence
			at := epoch
			c.picture(at, 35*ms)
			for _, gap := range tc.gaps {
				at = at.Add(gap)
				c.picture(at, 35*ms)
			}
			require.Equal(t, tc.expects, c.expects(at.Add(tc.after), 35*ms))
		})
	}
}
