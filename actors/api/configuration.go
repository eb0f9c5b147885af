package api

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"berth/actors/reload"
	"berth/config"
)

const (
	reloadTimeout  = 20 * time.Second // a reload reads files and waits for every owner
	restartTimeout = 2 * time.Minute  // of a full restart that a call waits for
	// lastMoment is how long a handler waits for a restart's report after its own context has ended: the restart may have been what closed this front.
	lastMoment = time.Second
	// maxRestartsWaiting bounds the full restarts that were asked for without waiting and are not over.
	maxRestartsWaiting = 4
)

// redacted stands for a secret in a reply to a caller who has not shown one.
const redacted = "******"

// getServerConfig answers the values in force. What only waits for a full restart stands beside them, under `pending`.
func (s *service) getServerConfig(c *call) (object, error) {
	state, err := ask[*reload.State](c.ctx, s, s.opts.Reload, &reload.GetConfig{})
	if err != nil {
		return nil, err
	}
	values := state.Running.Values()
	values["api.secret"] = s.secret(state.Running)
	if values["general.mediaServerId"] == "" {
		values["general.mediaServerId"] = s.opts.ServerID
	}
	if c.trusted {
		for _, key := range config.Keys() {
			if key.Secret && values[key.Name] != "" {
				values[key.Name] = redacted
			}
		}
	}
	return object{"data": []map[string]string{values}, "pending": changeItems(state.Pending)}, nil
}

func changeItems(changes []config.Change) []object {
	items := make([]object, 0, len(changes))
	for _, ch := range changes {
		items = append(items, object{
			"key": ch.Key, "old": ch.Old, "new": ch.New, "class": ch.Class.String(), "source": ch.Source.String(),
		})
	}
	return items
}

// getPendingConfig answers what waits for a full restart, and how the last reload went.
func (s *service) getPendingConfig(c *call) (object, error) {
	state, err := ask[*reload.State](c.ctx, s, s.opts.Reload, &reload.GetConfig{})
	if err != nil {
		return nil, err
	}
	data := object{
		"pending": changeItems(state.Pending), "digest": state.Running.Digest(),
		"reloads": state.Results[reload.ResultApplied] + state.Results[reload.ResultPending], "reloads_failed": state.Results[reload.ResultRejected],
		"generation": state.Generation, "accepted": state.Accepted.Unix(), "overrides": slices.Sorted(maps.Keys(state.Overrides)),
	}
	if state.Last != nil {
		last := verdictItem(state.Last)
		last["ok"] = state.Last.Err == nil
		if state.Last.Err != nil {
			last["error"] = state.Last.Err.Error()
		}
		data["last"] = last
	}
	return object{"data": data}, nil
}

// getConfigSources answers every key with its value in force, the place that it comes from and what waits for a full restart. Secrets are not shown.
func (s *service) getConfigSources(c *call) (object, error) {
	state, err := ask[*reload.State](c.ctx, s, s.opts.Reload, &reload.GetConfig{})
	if err != nil {
		return nil, err
	}
	pending := map[string]config.Change{}
	for _, change := range state.Pending {
		pending[change.Key] = change
	}
	items := make([]object, 0, len(config.Keys()))
	for _, key := range config.Keys() {
		origin := state.Running.Source(key.Name)
		_, overridden := state.Overrides[key.Name]
		item := object{
			"key": key.Name, "value": state.Running.Display(key.Name), "default": key.Default, "class": key.Class.String(),
			"layer": origin.Layer.String(), "source": origin.String(), "overridden": overridden,
		}
		if change, waits := pending[key.Name]; waits {
			item["pending"], item["pending_source"] = change.New, change.Source.String()
		}
		items = append(items, item)
	}
	return object{"data": items, "digest": state.Running.Digest(), "generation": state.Generation}, nil
}

// setServerConfig stores runtime overrides. `unset` names keys, separated by commas, whose override is dropped.
func (s *service) setServerConfig(c *call) (object, error) {
	values := overridesOf(c.args)
	if len(values) == 0 {
		return object{"changed": 0}, nil
	}
	verdict, err := s.reloaded(c, &reload.Override{By: s.caller(c), Values: values})
	if err != nil {
		return nil, err
	}
	reply := object{"changed": changed(verdict), "data": verdictItem(verdict)}
	if verdict.Err != nil {
		return nil, &callError{code: codeInvalidArgs, msg: verdict.Err.Error(), extra: reply}
	}
	return reply, nil
}

// overridesOf takes the arguments that can be configuration keys. Argument names are case-insensitive, keys are not: the registry's spelling is restored.
func overridesOf(a args) map[string]*string {
	spelling := map[string]string{}
	for _, key := range config.Keys() {
		spelling[strings.ToLower(key.Name)] = key.Name
	}
	values := map[string]*string{}
	name := func(written string) string {
		if known, ok := spelling[strings.ToLower(written)]; ok {
			return known
		}
		return written
	}
	for key, v := range a.values {
		switch key {
		case "secret", "unset":
		default:
			values[name(v.name)] = &v.value
		}
	}
	for dropped := range strings.SplitSeq(a.text("unset"), ",") {
		if dropped = strings.TrimSpace(dropped); dropped != "" {
			values[name(dropped)] = nil
		}
	}
	return values
}

// changed counts the keys that were applied or stored.
func changed(v *reload.Verdict) int {
	n := 0
	for _, k := range v.Keys {
		if v.Err == nil && k.Outcome != reload.Rejected {
			n++
		}
	}
	return n
}

// reloadConfig reads the configuration again; with dry_run it only says what would happen, with strict it refuses what could not come into force as a whole.
func (s *service) reloadConfig(c *call) (object, error) {
	dryRun, err := c.args.boolean("dry_run", false)
	if err != nil {
		return nil, err
	}
	strict, err := c.args.boolean("strict", false)
	if err != nil {
		return nil, err
	}
	verdict, err := s.reloaded(c, &reload.Reload{By: s.caller(c), DryRun: dryRun, Strict: strict})
	if err != nil {
		return nil, err
	}
	reply := object{"data": verdictItem(verdict)}
	if verdict.Err != nil {
		return nil, failedReload(verdict, reply)
	}
	return reply, nil
}

func failedReload(v *reload.Verdict, extra object) *callError {
	return &callError{code: codeFailed, msg: v.Err.Error(), extra: extra}
}

// reloaded puts a job to the reload actor, which has its own, longer time limit.
func (s *service) reloaded(c *call, msg any) (*reload.Verdict, error) {
	ctx, cancel := context.WithTimeout(c.request.Context(), reloadTimeout)
	defer cancel()
	return ask[*reload.Verdict](ctx, s, s.opts.Reload, msg)
}

// caller names the caller in verdicts and logs.
func (s *service) caller(c *call) string { return "api " + peerOf(c.request).String() }

// verdictItem is a verdict, key by key, and by outcome for programs that only look for one.
func verdictItem(v *reload.Verdict) object {
	keys := make([]object, 0, len(v.Keys))
	byOutcome := map[reload.Outcome][]string{}
	for _, k := range v.Keys {
		keys = append(keys, object{
			"key": k.Key, "old": k.Old, "new": k.New, "outcome": string(k.Outcome), "source": k.Source, "why": k.Why,
			"note": k.Note, "trouble": k.Trouble,
		})
		outcome := k.Outcome
		if outcome == reload.AppliedNew {
			outcome = reload.Applied
		}
		byOutcome[outcome] = append(byOutcome[outcome], k.Key)
	}
	item := object{
		"number": v.Number, "by": v.By, "at": v.At.Unix(), "dry_run": v.DryRun, "strict": v.Strict, "digest": v.Digest, "keys": keys,
		"warnings": v.Warnings, "unknown": v.Unknown,
		"applied": byOutcome[reload.Applied], "pending": byOutcome[reload.Pending], "rejected": byOutcome[reload.Rejected],
	}
	for _, name := range []string{"warnings", "unknown", "applied", "pending", "rejected"} {
		if item[name].([]string) == nil {
			item[name] = []string{}
		}
	}
	return item
}
