package hub

import "time"

// trusted is how many pictures in succession a source must have sent as hoped for before timers are not set for the next. A timer for each picture, hardly ever needed, costs a sparing process
// more than the picture.
const trusted = 8

// cadence is what the source's pictures so far let expect of the next. Owned by the hub's lock.
type cadence struct {
	whole int           // access units in succession that their marker bit ended in time, of all video tracks, at most trusted
	even  int           // pictures in succession of the lead track that came at most half a MergeTime late, at most trusted
	gap   time.Duration // mean distance of these
	last  time.Time     // arrival of the newest
}

// picture notes the beginning of a picture of the lead track.
func (c *cadence) picture(now time.Time, merge time.Duration) {
	gap := now.Sub(c.last)
	first := c.last.IsZero()
	c.last = now
	switch {
	case first || gap < 0 || gap > merge+merge/2:
		c.even, c.gap = 0, 0
	case c.even == 0:
		c.even, c.gap = 1, gap
	default:
		c.even = min(c.even+1, trusted)
		c.gap += (gap - c.gap) / trusted
	}
}

// expects reports whether a picture can be counted on within merge after something that arrives now: they come so often on average, and have not stopped.
func (c *cadence) expects(now time.Time, merge time.Duration) bool {
	return c.even == trusted && c.gap <= merge && now.Sub(c.last) <= merge+merge/2
}
