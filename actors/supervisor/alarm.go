package supervisor

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/hook"
	"berth/actors/portpool"
	"berth/netio/ports"
)

// onPoolAlarm passes a change of the port pool's level on to the web hook; the pool has logged it.
func (a *engineActor) onPoolAlarm(ctx actor.Context, m *portpool.Alarm) {
	if a.engine != nil && a.engine.Hook != nil {
		ctx.Send(a.engine.Hook, &hook.Notify{Name: "on_port_pool_alarm", Body: alarmBody(m, a.engine.Generation)})
	}
}

// alarmBody is what the receiver of on_port_pool_alarm gets.
func alarmBody(m *portpool.Alarm, generation uint64) map[string]any {
	states := map[string]int{}
	for _, state := range ports.States() {
		states[state.String()] = m.Counts.Of(state)
	}
	largest := make([]map[string]any, 0, len(m.Largest))
	for _, u := range m.Largest {
		largest = append(largest, map[string]any{"purpose": string(u.Purpose), "app": u.App, "pairs": u.Pairs})
	}
	body := map[string]any{
		"level": string(m.Level), "former": string(m.Former), "time": m.At.Unix(), "msg": m.Text, "percent": m.Percent, "warn_at": m.WarnAt,
		"range": m.Range.String(), "bind": m.Bind.String(), "pending_range": "", "pairs": m.Counts.Total(), "states": states, "largest": largest, "generation": generation,
	}
	if !m.Pending.IsZero() {
		body["pending_range"] = m.Pending.String()
	}
	if m.Forecast.Growing {
		body["exhausted_in_sec"] = int64(m.Forecast.In / time.Second)
	}
	return body
}
