package stream

import (
	"cmp"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/hook"
)

func (a *streamActor) onAddReader(ctx actor.Context, m *AddReader) {
	if a.state.phase == phaseEnded || a.hub == nil {
		ctx.Send(m.Reader, &Ended{Key: a.Key, Reason: actors.ReasonStreamEnded})
		return
	}
	id := m.Reader.Id
	if r, ok := a.readers[id]; ok {
		r.info, r.count = m.Info, m.Count
	} else {
		ctx.Watch(m.Reader)
		a.readers[id] = &reader{pid: m.Reader, info: m.Info, count: m.Count, heard: &Heard{}}
	}
	a.state.addReader(id)
	ctx.Send(m.Reader, &ReaderAdded{Key: a.Key, Stream: a.self, Hub: a.hub})
}

func (a *streamActor) removeReader(ctx actor.Context, who *actor.PID) {
	r, ok := a.readers[who.Id]
	if !ok {
		return
	}
	delete(a.readers, who.Id)
	if a.publisher == nil || !a.publisher.Equal(who) {
		ctx.Unwatch(who)
	}
	a.leavePairs(ctx, r)
	a.state.removeReader(a.Now(), who.Id, a.noReaderDelay())
}

func (a *streamActor) noReaderDelay() time.Duration { return a.Config.General.StreamNoneReaderDelay }

// onIdle acts on nobody having watched for the whole delay: on_stream_none_reader is sent once, and the stream ends under auto_close, or when the
// hook's receiver says so.
func (a *streamActor) onIdle(ctx actor.Context) {
	if a.Hook != nil {
		body := map[string]any{
			"schema": "rtsp", "vhost": a.Key.VHost, "app": a.Key.App, "stream": a.Key.Stream, "params": a.params,
			"originType": int(a.origin.Type), "originTypeStr": a.origin.Type.String(), "originUrl": a.origin.URL,
		}
		if a.state.options.AutoClose {
			ctx.Send(a.Hook, &hook.Notify{Name: noneReaderHook, Body: body})
		} else {
			a.question++
			ctx.Request(a.Hook, &hook.Ask{ID: a.question, Name: noneReaderHook, Body: body})
		}
	}
	if a.state.options.AutoClose {
		a.end(ctx, actors.ReasonNoReader)
	}
}

const noneReaderHook = "on_stream_none_reader"

func (a *streamActor) onNoneReaderAnswer(ctx actor.Context, m *hook.Answer) {
	wantsClose, _ := m.Body["close"].(bool)
	if m.ID == a.question && m.Asked && m.Err == nil && m.Code == 0 && a.state.noneReaderAnswer(wantsClose) {
		a.end(ctx, actors.ReasonNoReader)
	}
}

// snapshot describes the stream as it is now.
func (a *streamActor) snapshot(withReaders bool) *Snapshot {
	s := &Snapshot{
		Key: a.Key, Params: a.params, Origin: a.origin, Created: a.created, Online: a.state.phase == phaseOnline, ReaderCount: len(a.readers),
	}
	if a.hub != nil {
		s.Stats = a.hub.Stats()
		for i, t := range a.hub.Tracks() {
			s.Tracks = append(s.Tracks, TrackSnapshot{Track: t, Stats: a.hub.TrackStats(i)})
		}
	}
	if !withReaders {
		return s
	}
	for _, r := range a.readers {
		entry := Reader{Info: r.info}
		if r.count != nil {
			entry.Stats = r.count()
		}
		s.Readers = append(s.Readers, entry)
	}
	slices.SortFunc(s.Readers, func(x, y Reader) int {
		return cmp.Or(x.Info.Since.Compare(y.Info.Since), cmp.Compare(x.Info.ID, y.Info.ID))
	})
	return s
}
