package portpool

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/netio/ports"
)

// logEvery is the shortest time between two lines about the same trouble.
const logEvery = time.Second

// calmBelow is how many points the use must fall below what raised a level before the level is left: below pool.warn_at, or below the whole range.
const calmBelow = 5

// alarm tells operators about trouble, and no more often than they can read.
type alarm struct {
	log         zerolog.Logger
	warnPercent int
	changes     uint64 // of levels

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

// due returns when a tick will have something to write or to tell.
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

// next returns the level for these counts, when it was former until now; refused says that a lease was refused because no pair was left.
func (a *alarm) next(former AlarmLevel, c ports.Counts, refused bool) (level AlarmLevel, percent int) {
	leasable := c.Leasable()
	if leasable > 0 {
		percent = 100 * c[ports.Leased] / leasable
	}
	short := percent >= a.warnPercent || former != LevelNormal && percent >= a.warnPercent-calmBelow
	switch {
	case refused, former == LevelExhausted && (c[ports.Free] == 0 || percent > 100-calmBelow):
		return LevelExhausted, percent
	case leasable > 0 && short:
		return LevelHigh, percent
	}
	return LevelNormal, percent
}

// usage tells when the share of pairs in use crosses pool.warn_at, up or down, and when an exhausted pool has pairs again.
func (p *pool) usage(ctx actor.Context, k *book, now time.Time) { p.setLevel(ctx, k, now, false) }

// exhausted tells that no pair was left for a lease.
func (p *pool) exhausted(ctx actor.Context, k *book, now time.Time) { p.setLevel(ctx, k, now, true) }

func (p *pool) setLevel(ctx actor.Context, k *book, now time.Time, refused bool) {
	a := &p.alarm
	counts := k.ledger.Counts()
	level, percent := a.next(k.level, counts, refused)
	if level == k.level {
		return
	}
	former := k.level
	k.level = level
	a.changes++
	m := &Alarm{
		Level: level, Former: former, At: now, Percent: percent, WarnAt: a.warnPercent, Range: k.ledger.Range(), Bind: p.ownAddr(k), Pending: p.pending, Counts: counts,
		Largest: p.largest(), Forecast: k.forecast(now),
	}
	m.Text = m.text()
	line := a.log.Warn()
	if level == LevelNormal {
		line = a.log.Info()
	}
	line.Str("use", string(level)).Str("former", string(former)).Int("percent", percent).Int("leased", counts[ports.Leased]).
		Int("of", counts.Leasable()).Int("warn_at", a.warnPercent).Stringer("bind", m.Bind).Msg(m.Text)
	if p.opts.Notify != nil {
		ctx.Send(p.opts.Notify, m)
	}
	p.ticker.schedule(now, p.nextDue)
}

// text words an alarm for the log and the hook.
func (m *Alarm) text() string {
	cure := "end streams, or raise rtp_proxy.port_range and do a full restart (berth restart)"
	if !m.Pending.IsZero() {
		cure = "rtp_proxy.port_range = " + m.Pending.String() + " in the configuration waits for a full restart (berth restart)"
	}
	switch {
	case m.Level == LevelExhausted:
		return "the port pool is exhausted, leases are refused: " + cure
	case m.Level == LevelHigh && m.Former == LevelExhausted:
		return "the port pool has pairs again, and is still running short: " + cure
	case m.Level == LevelHigh:
		return "the port pool is running short: " + cure
	}
	return "the port pool has recovered"
}

// forecast says when the pool will be exhausted if it goes on like this.
func (k *book) forecast(now time.Time) ports.Forecast {
	c := k.ledger.Counts()
	return k.history.Forecast(now, c.Leasable()-c[ports.Leased])
}
