package udp

import "time"

// Pace is a token bucket that spreads what is due at once for one peer (the beginning at the last key frame, a large picture) over time, so that it fits the peer's socket buffer, which holds some 120 KB
// on common systems. It is for one goroutine at a time.
type Pace struct {
	// Burst is how many bytes may leave at once. Required.
	Burst float64
	// Least is how many bytes a second may leave while more than Burst is due, at least; three times the stream's own rate if that is more. Required.
	Least float64

	tokens float64 // bytes; may go below zero by one batch
	filled time.Time

	rate  float64   // of the stream, bytes a second; 0 while unknown
	since time.Time // arrival of the first piece of the window
	heard int       // bytes since
}

// paceWindow is the time over which a stream's own rate is taken.
const paceWindow = time.Second

// Wait returns how long nothing may be sent, 0 when something may.
func (p *Pace) Wait(now time.Time) time.Duration {
	rate := max(p.Least, 3*p.rate)
	if p.filled.IsZero() {
		p.tokens = p.Burst
	} else if d := now.Sub(p.filled); d > 0 {
		p.tokens = min(p.tokens+rate*d.Seconds(), p.Burst)
	}
	p.filled = now
	// A wait ends with a batch worth sending, not with a byte.
	if worth := p.Burst / 8; p.tokens < worth {
		return time.Duration((worth-p.tokens)/rate*float64(time.Second)).Round(100*time.Microsecond) + 100*time.Microsecond
	}
	return 0
}

// Left returns how many bytes may leave now, after [Pace.Wait].
func (p *Pace) Left() float64 { return p.tokens }

// Spend notes bytes that have left.
func (p *Pace) Spend(bytes int) { p.tokens -= float64(bytes) }

// Learn measures the stream's rate by when its pieces came in, which a peer's lag does not change.
func (p *Pace) Learn(arrived time.Time, bytes int) {
	if p.since.IsZero() || arrived.Before(p.since) {
		p.since, p.heard = arrived, 0
	}
	p.heard += bytes
	if d := arrived.Sub(p.since); d >= paceWindow {
		p.rate = float64(p.heard) / d.Seconds()
		p.since, p.heard = arrived, 0
	}
}
