package gb28181

import "time"

const (
	// paceBurst is how many bytes leave at once over UDP. Receivers' socket buffers hold some 120 KB on common systems.
	paceBurst = 64 << 10
	// paceRate is how many bytes a second leave at least while more than paceBurst is due; three times the stream's own rate if that is more.
	paceRate = 8 << 20
	// paceWindow is the time over which the stream's own rate is taken.
	paceWindow = time.Second
)

// pace is a token bucket that spreads what is due at once (the beginning at the last key frame, a large picture) over time. Owned by the writing goroutine.
type pace struct {
	tokens float64 // bytes; may go below zero by one batch
	filled time.Time

	rate  float64   // of the stream, bytes a second; 0 while unknown
	since time.Time // arrival of the first unit of the window
	heard int       // bytes since
}

// wait returns how long nothing may be sent, 0 when something may.
func (p *pace) wait(now time.Time) time.Duration {
	rate := max(paceRate, 3*p.rate)
	if p.filled.IsZero() {
		p.tokens = paceBurst
	} else if d := now.Sub(p.filled); d > 0 {
		p.tokens = min(p.tokens+rate*d.Seconds(), paceBurst)
	}
	p.filled = now
	// A wait ends with a batch worth sending, not with a byte.
	if worth := float64(paceBurst / 8); p.tokens < worth {
		return time.Duration((worth-p.tokens)/rate*float64(time.Second)).Round(100*time.Microsecond) + 100*time.Microsecond
	}
	return 0
}

func (p *pace) spend(bytes int) { p.tokens -= float64(bytes) }

// learn measures the stream's rate by when its units came in.
func (p *pace) learn(arrived time.Time, bytes int) {
	if p.since.IsZero() || arrived.Before(p.since) {
		p.since, p.heard = arrived, 0
	}
	p.heard += bytes
	if d := arrived.Sub(p.since); d >= paceWindow {
		p.rate = float64(p.heard) / d.Seconds()
		p.since, p.heard = arrived, 0
	}
}
