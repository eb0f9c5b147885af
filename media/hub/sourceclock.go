package hub

import "time"

const (
	// clockStep is how far the source's clock may be off its own past before it counts as set anew.
	clockStep = 5 * time.Second
	// clockWindow is the span whose least delayed report speaks for it. A busy machine or network delays reports by tens of milliseconds; the least delayed of
	// several tells the clock from the delay.
	clockWindow = 30 * time.Second
	// clockSlack is how far the source's clock may be off before it is followed. Players see every correction as a picture that is shorter than the others.
	clockSlack = 10 * time.Millisecond
	// clockSlew is the part of the time that a correction takes up, so that clocks which run fast or slow by up to so much are followed.
	clockSlew = 1e-3
)

// sourceClock turns the wall clock of a source's sender reports into ours. What it is off from the beginning stays: reports that come in a burst of old media are
// late, and only differences matter to players. What it follows, slowly, is a source's clock that runs at another speed than ours.
type sourceClock struct {
	known  bool
	offset time.Duration // from the source's clock to ours

	based bool
	base  time.Duration // least delay of a report in the first window

	least time.Duration // least delay of a report in this window
	since time.Time     // when the window began
	debt  time.Duration // correction that is still to be made
	last  time.Time     // arrival of the last report
}

// start begins with a report whose instant is known on our clock.
func (c *sourceClock) start(ntp, instant, arrival time.Time) {
	*c = sourceClock{known: true, offset: instant.Sub(ntp), since: arrival, last: arrival}
	c.least = c.delay(ntp, arrival)
}

// delay is how long after its instant a report came.
func (c *sourceClock) delay(ntp, arrival time.Time) time.Duration { return arrival.Sub(c.at(ntp)) }

// at returns the instant on our clock of an instant on the source's.
func (c *sourceClock) at(ntp time.Time) time.Time { return ntp.Add(c.offset) }

// heard takes a report. It returns false when the source's clock has been set anew: nothing has changed then, and start has to follow.
func (c *sourceClock) heard(ntp, arrival time.Time) bool {
	delay := c.delay(ntp, arrival)
	if !c.known || delay > c.least+clockStep || delay < c.least-clockStep {
		return false
	}
	c.least = min(c.least, delay)
	c.repay(arrival.Sub(c.last))
	c.last = arrival
	if arrival.Sub(c.since) < clockWindow {
		return true
	}
	switch {
	case !c.based:
		c.based, c.base = true, c.least
	case c.least-c.base > clockSlack || c.base-c.least > clockSlack:
		c.debt = c.least - c.base
	}
	c.since, c.least = arrival, c.delay(ntp, arrival)
	return true
}

// shift moves all instants by so much.
func (c *sourceClock) shift(by time.Duration) {
	c.offset += by
	c.least -= by
	c.base -= by
}

// repay makes as much of the correction as the elapsed time allows.
func (c *sourceClock) repay(elapsed time.Duration) {
	most := time.Duration(float64(elapsed) * clockSlew)
	step := min(max(c.debt, -most), most)
	c.debt -= step
	c.offset += step
	c.least -= step
}
