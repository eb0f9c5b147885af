package reload

import (
	"fmt"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"berth/config"
)

// succeed makes the job's snapshot the one in force (unless it was a dry run) and reports.
func (a *reloadActor) succeed(ctx actor.Context) {
	current := a.current
	verdict := a.verdict(current)
	verdict.Warnings = current.loaded.Warnings
	for _, change := range current.changes {
		outcome := Applied
		if change.Class == config.New {
			outcome = AppliedNew
		}
		verdict.Keys = append(verdict.Keys, keyVerdict(change, outcome, ""))
	}
	for _, change := range current.pending {
		verdict.Keys = append(verdict.Keys, keyVerdict(change, Pending, ""))
	}
	annotate(verdict.Keys, current.probes)
	if !current.dryRun {
		a.Running, a.pending, a.Overrides = current.target, current.pending, current.overrides
		if current.loaded.Commit != nil {
			current.loaded.Commit()
		}
		a.accepted = a.Now()
		if len(current.changes) > 0 {
			a.generation++
		}
		a.tellPool(ctx)
	}
	verdict.Digest = a.Running.Digest()
	a.conclude(ctx, verdict)
}

// reject reports that nothing changed, and why.
func (a *reloadActor) reject(ctx actor.Context, err error, changes []config.Change) {
	verdict := a.verdict(a.current)
	verdict.Err = err
	for _, change := range changes {
		verdict.Keys = append(verdict.Keys, keyVerdict(change, Rejected, err.Error()))
	}
	verdict.Digest = a.Running.Digest()
	a.conclude(ctx, verdict)
}

// refuseStrict rejects everything because something would wait for a full restart; each key is told what has become of it.
func (a *reloadActor) refuseStrict(ctx actor.Context) {
	current := a.current
	verdict := a.verdict(current)
	verdict.Warnings = current.loaded.Warnings
	names := make([]string, len(current.pending))
	for i, change := range current.pending {
		names[i] = change.Key
		verdict.Keys = append(verdict.Keys, keyVerdict(change, Rejected, "it would wait for a full restart"))
	}
	waiting := strings.Join(names, ", ")
	for _, change := range current.changes {
		verdict.Keys = append(verdict.Keys, keyVerdict(change, Rejected, "left as it was, because these would wait for a full restart: "+waiting))
	}
	annotate(verdict.Keys, current.probes)
	verdict.Err = fmt.Errorf("%w: %s", ErrStrict, waiting)
	verdict.Digest = a.Running.Digest()
	a.conclude(ctx, verdict)
}

// annotate enters what the probes found beside the keys that they looked at.
func annotate(keys []KeyVerdict, probes []Probe) {
	for i := range keys {
		var notes []string
		for _, probe := range probes {
			if probe.Key == keys[i].Key {
				notes = append(notes, probe.Note)
				keys[i].Trouble = keys[i].Trouble || probe.Trouble
			}
		}
		keys[i].Note = strings.Join(notes, "; ")
	}
}

func (a *reloadActor) verdict(j *job) *Verdict {
	return &Verdict{Number: j.number, By: j.by, At: a.Now(), DryRun: j.dryRun, Strict: j.strict, Unknown: j.unknown}
}

func (a *reloadActor) conclude(ctx actor.Context, verdict *Verdict) {
	a.report(verdict)
	if !verdict.DryRun {
		a.last = verdict
		a.results[verdict.Result()]++
	}
	a.answer(ctx, verdict)
	a.end(ctx)
}

// answer sends one reply to everyone who shares the job.
func (a *reloadActor) answer(ctx actor.Context, reply any) {
	for _, asker := range a.current.askers {
		ctx.Send(asker, reply)
	}
}

func (a *reloadActor) end(ctx actor.Context) {
	a.current = nil
	a.begin(ctx)
}

// report writes one summary line and a line a key.
func (a *reloadActor) report(v *Verdict) {
	if v.Err != nil {
		a.log.Error().Uint64("reload", v.Number).Str("by", v.By).Bool("dry_run", v.DryRun).
			Strs("problems", strings.Split(v.Err.Error(), "\n")).Msg("configuration rejected, nothing changed")
		return
	}
	for _, warning := range v.Warnings {
		a.log.Warn().Uint64("reload", v.Number).Msg(warning)
	}
	count := map[Outcome]int{}
	for _, key := range v.Keys {
		count[key.Outcome]++
	}
	a.log.Info().Uint64("reload", v.Number).Str("by", v.By).Bool("dry_run", v.DryRun).
		Int("changed", len(v.Keys)).Int("applied", count[Applied]).Int("applied_to_new", count[AppliedNew]).
		Int("pending", count[Pending]).Str("digest", v.Digest).Msg("configuration reloaded")
	for _, key := range v.Keys {
		event := a.log.Info()
		if key.Outcome == Pending {
			event = a.log.Warn()
		}
		event.Uint64("reload", v.Number).Str("key", key.Key).Str("old", key.Old).Str("new", key.New).
			Str("outcome", string(key.Outcome)).Str("source", key.Source)
		if key.Note != "" {
			event.Str("note", key.Note).Bool("trouble", key.Trouble)
		}
		event.Msg("configuration key")
	}
}

func keyVerdict(c config.Change, outcome Outcome, why string) KeyVerdict {
	return KeyVerdict{Key: c.Key, Old: c.Old, New: c.New, Outcome: outcome, Source: c.Source.String(), Why: why}
}
