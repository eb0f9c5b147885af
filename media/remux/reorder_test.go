package remux

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"berth/media"
)

func TestDecodingTimesAreFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		depth int
		pts   []media.Ticks // in pictures
		want  []media.Ticks
	}{
		{"no reordering", 0, []media.Ticks{0, 1, 2, 3}, []media.Ticks{0, 1, 2, 3}},
		{"one picture", 1, []media.Ticks{0, 2, 1, 4, 3, 6, 5}, []media.Ticks{-1, 0, 1, 2, 3, 4, 5}},
		{"a pyramid", 2, []media.Ticks{0, 4, 2, 1, 3, 8, 6, 5, 7}, []media.Ticks{-2, -1, 0, 1, 2, 3, 4, 5, 6}},
		{"not told", 0, []media.Ticks{0, 2, 1, 4, 3, 6, 5}, []media.Ticks{0, 2, 1, 1, 3, 4, 5}},
		{"told and not used", 1, []media.Ticks{0, 1, 2, 3}, []media.Ticks{-1, 0, 1, 2}},
		{"a jump back", 0, []media.Ticks{1000, 1001, 5, 6}, []media.Ticks{1000, 1001, 5, 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := reorder{depth: c.depth, fallback: 3600}
			var got []media.Ticks
			for _, p := range c.pts {
				got = append(got, r.dts(p*3600))
			}
			for i := range c.want {
				require.InDelta(t, float64(c.want[i]*3600), float64(got[i]), 1, "picture %d: %v", i, got)
			}
		})
	}
}

func TestDepthIsReadOutOfParameterSets(t *testing.T) {
	require.Equal(t, 2, depthH264([]byte{
		0x67, 0x64, 0x00, 0x0c, 0xac, 0xd9, 0x41, 0x41, 0xfb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0x99, 0x60,
	}), "x264 with pictures in both directions")
	require.Zero(t, depthH264([]byte{0x67}))
	require.Zero(t, depthH265([]byte{0x42}))
}

// TestDecodingTimesAscendBeforeOutput is what muxers and players rest on, whatever order pictures come in, as long as the depth is told.
func TestDecodingTimesAscendBeforeOutput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		depth := rapid.IntRange(0, maxReorder).Draw(t, "depth")
		r := reorder{depth: depth, fallback: 3600}
		var waiting []media.Ticks // to be shown later than something that follows
		next, last := media.Ticks(0), media.Ticks(-1<<40)
		for i := range rapid.IntRange(1, 200).Draw(t, "pictures") {
			pts := next * 3600
			// Send a later picture first, while no more than depth of them precede one that is shown earlier.
			ahead := media.Ticks(0)
			if i > 0 && len(waiting) < depth { // nothing is shown before the first
				ahead = media.Ticks(rapid.IntRange(0, 2).Draw(t, "ahead"))
			}
			taken := func(p media.Ticks) bool {
				for _, w := range waiting {
					if w == p {
						return true
					}
				}
				return false
			}
			if p := next + ahead; ahead > 0 && !taken(p) {
				pts = p * 3600
				waiting = append(waiting, p)
			} else {
				next++
				for taken(next) {
					for i, w := range waiting {
						if w == next {
							waiting = append(waiting[:i], waiting[i+1:]...)
							break
						}
					}
					next++
				}
			}
			dts := r.dts(pts)
			if dts > pts || dts <= last {
				t.Fatalf("dts %d pts %d after %d, depth %d", dts, pts, last, depth)
			}
			last = dts
		}
	})
}
