package api

import (
	"net/netip"
	"time"

	"berth/actors/portpool"
	"berth/netio/ports"
)

// getPortPool answers the pool's state; with detail also the slots that are not free and the last hour, and with audit what an audit finds now.
func (s *service) getPortPool(c *call) (object, error) {
	detail, err := c.args.boolean("detail", false)
	if err != nil {
		return nil, err
	}
	audit, err := c.args.boolean("audit", false)
	if err != nil {
		return nil, err
	}
	if audit {
		// Its outcome stands in the picture that is taken next.
		if _, err := ask[*portpool.Audited](c.ctx, s, c.engine.Pool, &portpool.Audit{}); err != nil {
			return nil, err
		}
	}
	pool, err := ask[*portpool.Pool](c.ctx, s, c.engine.Pool, &portpool.GetPool{Detail: detail})
	if err != nil {
		return nil, err
	}
	refused := pool.Refused
	if refused == nil {
		refused = map[string]uint64{}
	}
	data := object{
		"range": pool.Range.String(), "pending_range": "", "bind": "", "pairs": pool.Counts.Total(), "states": stateItems(pool.Counts),
		"high_water": pool.HighWater, "granted": pool.Granted, "refused": refused, "generation": c.engine.Generation,
		"level": string(pool.Level), "conflicts": pool.Conflicts, "late": pool.Late, "drift": pool.Drift, "audits": pool.Audits,
		"forecast": forecastItem(pool.Forecast), "audit": auditItem(pool.Audit),
	}
	if pool.Bind.IsValid() {
		data["bind"] = pool.Bind.String()
	}
	if !pool.Pending.IsZero() {
		data["pending_range"] = pool.Pending.String()
	}
	if len(pool.Others) > 0 {
		data["others"] = addressItems(pool.Others)
	}
	if detail {
		data["slots"], data["history"] = slotItems(pool.Slots), historyItems(pool.History)
	}
	return object{"data": data}, nil
}

func stateItems(c ports.Counts) object {
	states := object{}
	for _, state := range ports.States() {
		states[state.String()] = c.Of(state)
	}
	return states
}

// addressItems are the local addresses beside the pool's own that leases have asked for.
func addressItems(others []portpool.AddressUse) []object {
	items := make([]object, 0, len(others))
	for i := range others {
		o := &others[i]
		items = append(items, object{
			"bind": o.Bind.String(), "pairs": o.Counts.Total(), "states": stateItems(o.Counts), "high_water": o.HighWater, "level": string(o.Level), "forecast": forecastItem(o.Forecast),
		})
	}
	return items
}

// addressed adds the local address of a pair that is not on the pool's own.
func addressed(item object, bind netip.Addr) object {
	if bind.IsValid() {
		item["bind"] = bind.String()
	}
	return item
}

func slotItems(slots []portpool.Slot) []object {
	items := make([]object, 0, len(slots))
	for i := range slots {
		slot := &slots[i]
		stream := ""
		if slot.Stream.Valid() {
			stream = slot.Stream.String()
		}
		items = append(items, addressed(object{
			"port": slot.Port, "state": slot.State.String(), "owner": slot.Owner, "stream": stream, "purpose": string(slot.Purpose),
			"peer": slot.Peer, "since": slot.Since.Unix(), "late": slot.Late,
		}, slot.Bind))
	}
	return items
}

// forecastItem words a forecast; exhausted_in_sec is null unless the use grows.
func forecastItem(f ports.Forecast) object {
	item := object{"window_sec": int64(f.Window / time.Second), "pairs_per_hour": f.PerHour, "exhausted_in_sec": nil}
	if f.Growing {
		item["exhausted_in_sec"] = int64(f.In / time.Second)
	}
	return item
}

func historyItems(minutes []ports.Bucket) []object {
	items := make([]object, 0, len(minutes))
	for _, b := range minutes {
		items = append(items, object{
			"start": b.Start.Unix(), "peak": b.Peak, "leased": b.Leased, "granted": b.Granted, "ended": b.Ended, "refused": b.Refused,
		})
	}
	return items
}

// auditItem words an audit; null before the first.
func auditItem(a *portpool.Audited) any {
	if a == nil {
		return nil
	}
	drift := make([]object, 0, len(a.Drift))
	for i := range a.Drift {
		d := &a.Drift[i]
		stream := ""
		if d.Stream.Valid() {
			stream = d.Stream.String()
		}
		drift = append(drift, addressed(object{
			"port": d.Port, "kind": string(d.Kind), "state": d.State.String(), "owner": d.Owner, "stream": stream, "detail": d.Detail, "repaired": d.Repaired,
		}, d.Bind))
	}
	item := object{"at": a.At.Unix(), "took_ms": float64(a.Took.Microseconds()) / 1000, "slots": a.Slots, "drift": drift, "error": ""}
	if a.Err != nil {
		item["error"] = a.Err.Error()
	}
	return item
}

// pool emits what the port pool says.
func pool(m emitter, p *portpool.Pool) {
	for _, state := range ports.States() {
		m.gauge("berth_pool_pairs", "Pairs of ports by state.", float64(p.Counts.Of(state)), "state", state.String())
	}
	for i := range p.Others {
		o := &p.Others[i]
		for _, state := range ports.States() {
			m.gauge("berth_pool_address_pairs", "Pairs of ports by state on a local address that leases have asked for beside pool.bind.", float64(o.Counts.Of(state)),
				"bind", o.Bind.String(), "state", state.String())
		}
	}
	m.gauge("berth_pool_high_water_pairs", "Most pairs leased at once since the engine began.", float64(p.HighWater))
	m.counter("berth_pool_leases_granted_total", "Leases granted since the engine began.", float64(p.Granted))
	refused := map[string]uint64{}
	for _, reason := range portpool.Reasons() {
		refused[string(reason)] = 0
	}
	for reason, n := range p.Refused {
		refused[reason] = n
	}
	for reason, n := range refused {
		m.counter("berth_pool_leases_refused_total", "Leases refused since the engine began, by reason.", float64(n), "reason", reason)
	}
	m.counter("berth_pool_leases_reclaimed_total", "Leases since the engine began that ended with their holder instead of by its release.", float64(p.Reclaimed))
	m.counter("berth_pool_bind_conflicts_total", "Pairs found to be held by another program since the engine began.", float64(p.Conflicts))
	m.counter("berth_pool_late_packets_total", "Packets heard on released pairs since the engine began.", float64(p.Late))
	m.gauge("berth_pool_pending_range", "1 while another rtp_proxy.port_range waits for a full restart.", one(!p.Pending.IsZero()))
	for _, level := range portpool.AlarmLevels() {
		m.gauge("berth_port_pool_alarm", "1 for the level that the pool is at: normal, high (pool.warn_at), exhausted.", one(p.Level == level), "level", string(level))
	}
	m.counter("berth_port_pool_alarms_total", "Changes of that level since the engine began.", float64(p.Alarms))
	m.gauge("berth_port_pool_growth_pairs_per_hour", "Leased pairs gained in an hour if it goes on as in the last ten minutes.", p.Forecast.PerHour)
	if p.Forecast.Growing {
		m.gauge("berth_port_pool_exhausted_in_seconds", "Time until no pair is left if it goes on as in the last ten minutes; absent unless the use grows.", p.Forecast.In.Seconds())
	}
	drift := map[portpool.DriftKind]int{}
	if p.Audit != nil {
		for i := range p.Audit.Drift {
			drift[p.Audit.Drift[i].Kind]++
		}
		m.gauge("berth_port_pool_audit_timestamp_seconds", "Unix time of the last audit.", float64(p.Audit.At.Unix()))
	}
	for _, kind := range portpool.DriftKinds() {
		m.gauge("berth_port_pool_drift", "Slots on which the pool's books and the truth differed at the last audit; must be 0.", float64(drift[kind]), "kind", string(kind))
	}
	m.counter("berth_port_pool_drift_total", "Such slots in all audits since the engine began.", float64(p.Drift))
	m.counter("berth_port_pool_audits_total", "Audits since the engine began.", float64(p.Audits))
}
