package hub

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAPauseLetsGoOfWhatNobodyReads(t *testing.T) {
	a := newAV(t, Options{})
	now := epoch
	for range 10 {
		now = now.Add(40 * time.Millisecond)
		a.frame(now, idr)
		a.sound(now)
	}
	a.video.send(now, false, slice) // half a picture
	require.Positive(t, a.Stats().RingBytes)
	a.video.w.Pause()
	s := a.Stats()
	require.Zero(t, s.RingBytes+int64(s.RingChunks))
	late := a.NewReader(ReaderOptions{})
	_, state := late.Next()
	require.Equal(t, StateWait, state, "no old picture is shown")

	// A minute later somebody comes.
	now = now.Add(time.Minute)
	a.video.ts += 90000 * 60
	a.frame(now, slice)
	_, state = late.Next()
	require.Equal(t, StateWait, state)
	a.frame(now, idr)
	a.frame(now, slice)
	chunks, _ := drain(t, late)
	require.Len(t, chunks, 2)
	require.Equal(t, idr, chunks[0][0].payload)
}

func TestAPauseTakesNothingFromReaders(t *testing.T) {
	a := newAV(t, Options{})
	var woken wakeLog
	a.Subscribe(&woken)
	r := a.NewReader(ReaderOptions{})
	a.frame(epoch, idr)
	chunks, _ := drain(t, r)
	require.Len(t, chunks, 1)
	a.frame(epoch, slice)
	a.video.ts += 3000
	a.video.send(epoch, false, slice)
	a.video.w.Pause()
	chunks, _ = drain(t, r)
	require.Len(t, chunks, 2, "half a picture is published")
	_, state := a.NewReader(ReaderOptions{}).Next()
	require.Equal(t, StateWait, state)
	a.video.seq++
	a.frame(epoch.Add(time.Second), slice)
	chunks, _ = drain(t, r)
	require.Len(t, chunks, 1)

	former := a.video.w
	a.attach(t)
	a.frame(epoch.Add(2*time.Second), idr)
	former.Pause()
	chunks, _ = drain(t, a.NewReader(ReaderOptions{}))
	require.Len(t, chunks, 1, "a writer that is over has no say")
}
