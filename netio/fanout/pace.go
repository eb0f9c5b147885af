package fanout

import (
	"time"

	"berth/media/hub"
)

// rateWindow is the time over which a stream's own rate is taken.
const rateWindow = time.Second

// pace is a token bucket that keeps bursts to a viewer within what its socket buffer can take. Owned by whoever has the sink's turn.
type pace struct {
	burst  float64 // bytes at once
	least  float64 // bytes a second at least
	tokens float64 // may go below zero by one packet
	filled time.Time

	rate  float64   // of the stream, bytes a second; 0 while unknown
	since time.Time // arrival of the first chunk of the window
	heard int       // bytes since
}

// wait returns how long nothing may be sent, 0 when something may.
func (p *pace) wait(now time.Time) time.Duration {
	rate := max(p.least, 3*p.rate)
	if p.filled.IsZero() {
		p.tokens = p.burst
	} else if d := now.Sub(p.filled); d > 0 {
		p.tokens = min(p.tokens+rate*d.Seconds(), p.burst)
	}
	p.filled = now
	// A wait ends with a batch worth sending, not with a byte.
	if worth := p.burst / 8; p.tokens < worth {
		return time.Duration((worth-p.tokens)/rate*float64(time.Second)).Round(100*time.Microsecond) + 100*time.Microsecond
	}
	return 0
}

func (p *pace) spend(bytes int) { p.tokens -= float64(bytes) }

// learn measures the stream's rate by when its chunks came in, which a viewer's lag does not change.
func (p *pace) learn(c *hub.Chunk) {
	if p.since.IsZero() || c.Arrived.Before(p.since) {
		p.since, p.heard = c.Arrived, 0
	}
	p.heard += len(c.Data)
	if d := c.Arrived.Sub(p.since); d >= rateWindow {
		p.rate = float64(p.heard) / d.Seconds()
		p.since, p.heard = c.Arrived, 0
	}
}
