package portpool

import (
	"time"

	"github.com/rs/zerolog"

	"berth/netio/ports"
)

// logEvery is the shortest time between two lines about the same trouble.
const logEvery = time.Second

// calmBelow is how many points the use must fall below pool.warn_at before a rise is worth another warning.
const calmBelow = 5

// alarm tells operators about trouble, and no more often than they can read.
type alarm struct {
	log         zerolog.Logger
	warnPercent int
	warned      bool

	conflicts limiter
	shortages limiter
}

// limiter lets one line through and counts the rest until a second is over.
type limiter struct {
	last time.Time
	held int
}

func newAlarm(log zerolog.Logger, warnPercent int) alarm {
	return alarm{log: log, warnPercent: warnPercent}
}

func (l *limiter) allow(now time.Time) bool {
	if !l.last.IsZero() && now.Sub(l.last) < logEvery {
		l.held++
		return false
	}
	l.last = now
	return true
}

// take returns how many lines were held back, once the second is over.
func (l *limiter) take(now time.Time) int {
	if l.held == 0 || now.Sub(l.last) < logEvery {
		return 0
	}
	n := l.held
	l.held, l.last = 0, now
	return n
}

// conflict tells that another program holds a port.
func (a *alarm) conflict(now time.Time, port uint16, err error) {
	a.flush(now)
	if a.conflicts.allow(now) {
		a.log.Warn().Uint16("port", port).AnErr("cause", err).Msg("another program holds a port of the range; it is tried again later")
	}
}

// shortage tells that a lease was refused because of the state of the pool or the system, and what to do.
func (a *alarm) shortage(now time.Time, err *RefusedError) {
	a.flush(now)
	if a.shortages.allow(now) {
		a.log.Warn().Str("reason", string(err.Reason)).Msg(err.Error())
	}
}

// flush writes what was held back.
func (a *alarm) flush(now time.Time) {
	if n := a.conflicts.take(now); n > 0 {
		a.log.Warn().Int("count", n).Msg("more ports of the range are held by other programs")
	}
	if n := a.shortages.take(now); n > 0 {
		a.log.Warn().Int("count", n).Msg("more leases were refused")
	}
}

// due returns when flush will have something to write.
func (a *alarm) due(now time.Time) (time.Duration, bool) {
	wait, waiting := time.Duration(0), false
	for _, l := range []*limiter{&a.conflicts, &a.shortages} {
		if l.held == 0 {
			continue
		}
		if left := max(0, logEvery-now.Sub(l.last)); !waiting || left < wait {
			wait, waiting = left, true
		}
	}
	return wait, waiting
}

// usage warns when the share of pairs in use reaches pool.warn_at, and again only after it has fallen clearly below.
func (a *alarm) usage(c ports.Counts) {
	leasable := c.Leasable()
	if leasable == 0 {
		return
	}
	percent := 100 * c[ports.Leased] / leasable
	switch {
	case !a.warned && percent >= a.warnPercent:
		a.warned = true
		a.log.Warn().Int("percent", percent).Int("leased", c[ports.Leased]).Int("of", leasable).Int("warn_at", a.warnPercent).
			Msg("the port pool is running short: end streams, or raise rtp_proxy.port_range and do a full restart (berth restart)")
	case a.warned && percent < a.warnPercent-calmBelow:
		a.warned = false
		a.log.Info().Int("percent", percent).Msg("the port pool has recovered")
	}
}
