package portpool

import (
	"cmp"
	"slices"

	"berth/netio/ports"
)

// largestShown is how many of the largest owners a refusal names.
const largestShown = 3

// snapshot takes a picture of the pool.
func (p *pool) snapshot(detail bool) *Pool {
	now, home := p.opts.Now(), p.home()
	for _, k := range p.books {
		k.ledger.Advance(now)
	}
	refused := make(map[string]uint64, len(p.stats.refused))
	for reason, n := range p.stats.refused {
		refused[string(reason)] = n
	}
	out := &Pool{
		Range: home.ledger.Range(), Pending: p.pending, Bind: p.bind, Counts: home.ledger.Counts(), HighWater: home.ledger.HighWater(),
		Granted: p.stats.granted, Reclaimed: p.stats.reclaimed, Refused: refused, Conflicts: p.stats.conflicts, Late: p.stats.late,
		Level: LevelNormal, Alarms: p.alarm.changes, Forecast: home.forecast(now), Audit: p.audit.last, Audits: p.audit.audits, Drift: p.audit.found,
	}
	levels := AlarmLevels()
	for _, k := range p.books {
		if slices.Index(levels, k.level) > slices.Index(levels, out.Level) {
			out.Level = k.level
		}
		if k != home {
			out.Others = append(out.Others, AddressUse{Bind: k.bind, Counts: k.ledger.Counts(), HighWater: k.ledger.HighWater(), Level: k.level, Forecast: k.forecast(now)})
		}
	}
	out.Short = out.Level != LevelNormal
	if !detail {
		return out
	}
	out.History = home.history.Buckets(now)
	out.Slots = make([]Slot, 0, home.ledger.Len()-out.Counts[ports.Free])
	for _, k := range p.books {
		for s := range ports.Slot(k.ledger.Len()) { //nolint:gosec // below 32768
			if k.ledger.State(s) != ports.Free {
				out.Slots = append(out.Slots, k.describe(s))
			}
		}
	}
	return out
}

func (k *book) describe(s ports.Slot) Slot {
	e, b := k.ledger.Entry(s), &k.slots[s]
	d := Slot{Port: e.Port, Bind: k.bind, State: e.State, Since: e.Since}
	if e.State == ports.Foreign || e.State == ports.Excluded {
		return d // what was leased there once explains nothing
	}
	d.Stream, d.Purpose, d.Sockets, d.Peer, d.Late = e.Holder.Tenant.Stream, b.purpose, b.want, b.peer, e.Late
	if b.owner != nil {
		d.Owner = b.owner.pid.Id
	}
	if b.drain.peer.IsValid() {
		d.Peer = b.drain.peer.String()
	}
	return d
}

// largest returns the kinds of owner that hold the most pairs.
func (p *pool) largest() []Usage {
	all := make([]Usage, 0, len(p.owners.uses))
	for _, count := range p.owners.uses {
		if count.pairs > 0 {
			all = append(all, Usage{Purpose: count.purpose, App: count.app, Pairs: count.pairs})
		}
	}
	slices.SortFunc(all, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(b.Pairs, a.Pairs), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.App, b.App))
	})
	return slices.Clip(all[:min(len(all), largestShown)])
}
