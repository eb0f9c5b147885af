package remux

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"berth/media"
	"berth/media/annexb"
)

// maxReorder bounds how many pictures can precede one in decoding and follow it in output (ITU-T H.264 section A.3.1, H.265 section A.4.1).
const maxReorder = 16

// reorder derives decoding times. RTP tells PTS alone; pictures come in decoding order, and at most depth of them come before one that is shown earlier. So when a picture has come,
// all but the depth latest times of output so far are final, and the pictures' PTS in ascending order, depth places late, are decoding times that no PTS precedes. Where nothing is
// reordered DTS is PTS.
type reorder struct {
	depth    int
	times    [maxReorder + 1]media.Ticks // the latest PTS in ascending order
	n        int
	last     media.Ticks
	any      bool
	first    int         // pictures since the beginning, up to depth
	step     media.Ticks // between pictures, as far as known
	fallback media.Ticks // step while it is unknown
}

// clear begins anew behind a hole.
func (r *reorder) clear() { r.n, r.first = 0, 0 }

// describe reads the depth out of parameter sets.
func (r *reorder) describe(kind func([]byte) unitKind, sets []byte) {
	for unit, rest := annexb.Next(sets); unit != nil; unit, rest = annexb.Next(rest) {
		if kind(unit) != unitSPS {
			continue
		}
		if unit[0]&0x1f == 7 {
			r.setDepth(depthH264(unit))
		} else {
			r.setDepth(depthH265(unit))
		}
		return
	}
}

func (r *reorder) setDepth(depth int) {
	depth = min(max(depth, 0), maxReorder)
	if depth != r.depth {
		r.depth = depth
		r.clear()
	}
}

// depthH264 returns 0 where the sets do not say, which is what cameras mean by it; the depth then grows as pictures come.
func depthH264(sps []byte) int {
	var p h264.SPS
	if p.Unmarshal(sps) != nil || p.PicOrderCntType == 2 || p.VUI == nil || p.VUI.BitstreamRestriction == nil {
		return 0
	}
	depth := int(min(p.VUI.BitstreamRestriction.MaxNumReorderFrames, maxReorder))
	if !p.FrameMbsOnlyFlag {
		depth *= 2 // fields may come one by one
	}
	return depth
}

func depthH265(sps []byte) int {
	var p h265.SPS
	if p.Unmarshal(sps) != nil || len(p.MaxNumReorderPics) == 0 {
		return 0
	}
	return int(min(p.MaxNumReorderPics[len(p.MaxNumReorderPics)-1], maxReorder))
}

// dts takes the PTS of the next picture and returns its DTS, which is never above it. DTS ascend, except where a stream reorders more than it says, once.
func (r *reorder) dts(pts media.Ticks) media.Ticks {
	const jump = 10 * media.Ticks(media.FrameClock)
	if r.any && (r.last-pts > jump || r.n > 0 && pts-r.times[r.n-1] > jump) {
		r.clear()
		r.any = false
	}
	if r.any && pts <= r.last && r.first >= r.depth && r.depth < maxReorder {
		r.depth++
		r.first = r.depth
	}
	r.insert(pts)
	dts := r.times[0]
	if r.first < r.depth {
		r.first++
		dts -= media.Ticks(r.depth-r.first+1) * r.warm()
	} else {
		for r.n > r.depth {
			dts = r.times[0]
			copy(r.times[:], r.times[1:r.n])
			r.n--
		}
	}
	if r.any && dts <= r.last {
		dts = r.last + 1
	}
	dts = min(dts, pts)
	r.last, r.any = dts, true
	return dts
}

// insert keeps the times in order; the least goes when there is no room.
func (r *reorder) insert(pts media.Ticks) {
	if r.n == len(r.times) {
		copy(r.times[:], r.times[1:])
		r.n--
	}
	i := r.n
	for ; i > 0 && r.times[i-1] > pts; i-- {
		r.times[i] = r.times[i-1]
	}
	r.times[i] = pts
	r.n++
	if i == 0 {
		return
	}
	if step := pts - r.times[i-1]; step > 0 && step < media.Ticks(media.FrameClock) && (r.step == 0 || step < r.step) {
		r.step = step
	}
}

// warm is how far apart pictures are taken to be until it can be seen.
func (r *reorder) warm() media.Ticks {
	if r.step > 0 {
		return min(r.step, r.fallback)
	}
	return r.fallback
}
