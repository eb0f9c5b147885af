package remux

import (
	"bytes"
	"slices"
	"time"

	"berth/media"
)

// queue keeps copies of frames in the order in which they came.
type queue struct {
	frames []keptFrame
	bytes  int
}

type keptFrame struct {
	of    *elementary
	at    time.Time // arrival
	opens bool      // a decoder may begin here
	frame media.Frame
}

func (q *queue) clear() { *q = queue{} }

func (q *queue) add(of *elementary, at time.Time, opens bool, f *media.Frame) {
	k := keptFrame{of: of, at: at, opens: opens, frame: *f}
	k.frame.Payload = bytes.Clone(f.Payload)
	q.frames = append(q.frames, k)
	q.bytes += len(k.frame.Payload)
}

// count returns how many frames of a stream there are.
func (q *queue) count(of *elementary) (n int) {
	for i := range q.frames {
		if q.frames[i].of == of {
			n++
		}
	}
	return n
}

// filter keeps what keep says and returns how many frames have gone.
func (q *queue) filter(keep func(i int, k *keptFrame) bool) int {
	before := len(q.frames)
	kept := q.frames[:0]
	for i := range q.frames {
		if keep(i, &q.frames[i]) {
			kept = append(kept, q.frames[i])
		} else {
			q.bytes -= len(q.frames[i].frame.Payload)
		}
	}
	clear(q.frames[len(kept):before])
	q.frames = kept
	return before - len(kept)
}

// remove drops all frames of a stream.
func (q *queue) remove(of *elementary) {
	q.filter(func(_ int, k *keptFrame) bool { return k.of != of })
}

// dropBefore drops what came before the latest frame at which video may begin; all of the video when it begins there already. What remains without video is the rest of the audio.
func (q *queue) dropBefore(video *elementary) int {
	latest := -1
	for i, k := range slices.Backward(q.frames) {
		if k.of == video && k.opens {
			latest = i
			break
		}
	}
	first := slices.IndexFunc(q.frames, func(k keptFrame) bool { return k.of == video })
	if latest <= first {
		return q.filter(func(_ int, k *keptFrame) bool { return k.of != video })
	}
	return q.filter(func(i int, _ *keptFrame) bool { return i >= latest })
}

// dropOldest drops the oldest frame of a stream.
func (q *queue) dropOldest(of *elementary) int {
	gone := false
	return q.filter(func(_ int, k *keptFrame) bool {
		if gone || k.of != of {
			return true
		}
		gone = true
		return false
	})
}
