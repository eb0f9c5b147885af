package streams

import (
	"slices"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/stream"
	"berth/media"
	"berth/media/slab"
)

// gather is one question to many streams, answered when each of them has answered or ended.
type gather struct {
	asker     *actor.PID
	missing   map[string]struct{} // PID ids
	snapshots []stream.Snapshot   // of a ListStreams
	memory    slab.Stats          // of a ListStreams
	closing   bool                // it is a CloseStreams
	hit       int
	closed    int
}

// gathers are the questions under way.
type gathers struct {
	last    uint64
	pending map[uint64]*gather
}

func newGathers() gathers { return gathers{pending: map[uint64]*gather{}} }

// matches reports whether a key is selected.
func (f Filter) matches(key media.StreamKey) bool {
	return (f.VHost == "" || f.VHost == key.VHost) && (f.App == "" || f.App == key.App) && (f.Stream == "" || f.Stream == key.Stream)
}

// selected returns the streams that can be watched now and match; one that only ends does not count any more.
func (a *registry) selected(f Filter) []*entry {
	if f.VHost != "" && f.App != "" && f.Stream != "" {
		if e := a.byKey[media.StreamKey{VHost: f.VHost, App: f.App, Stream: f.Stream}]; e != nil && e.tracks != nil {
			return []*entry{e}
		}
		return nil
	}
	var out []*entry
	for key, e := range a.byKey {
		if e.tracks != nil && f.matches(key) {
			out = append(out, e)
		}
	}
	return out
}

func (a *registry) onListStreams(ctx actor.Context, m *ListStreams) {
	a.ask(ctx, a.selected(m.Filter), &gather{memory: a.memory.Stats()}, func(number uint64) any { return &stream.Collect{Number: number, Readers: m.Readers} })
}

func (a *registry) onCloseStreams(ctx actor.Context, m *CloseStreams) {
	a.ask(ctx, a.selected(m.Filter), &gather{closing: true}, func(number uint64) any {
		return &stream.Shut{Number: number, Close: stream.Close{Force: m.Force, Reason: m.Reason}}
	})
}

func (a *registry) ask(ctx actor.Context, entries []*entry, g *gather, question func(number uint64) any) {
	g.asker, g.hit, g.missing = ctx.Sender(), len(entries), make(map[string]struct{}, len(entries))
	if g.asker == nil && !g.closing {
		return
	}
	a.gathers.last++
	number := a.gathers.last
	a.gathers.pending[number] = g
	for _, e := range entries {
		g.missing[e.pid.Id] = struct{}{}
		ctx.Request(e.pid, question(number))
	}
	a.gathers.settle(ctx, number)
}

func (s *gathers) collected(ctx actor.Context, m *stream.Collected) {
	g := s.pending[m.Number]
	if g == nil {
		return
	}
	if _, ok := g.missing[m.Stream.Id]; !ok {
		return
	}
	g.snapshots = append(g.snapshots, *m.Snapshot)
	delete(g.missing, m.Stream.Id)
	s.settle(ctx, m.Number)
}

// shutting takes a refusal to close. One that obeys counts when it has ended.
func (s *gathers) shutting(ctx actor.Context, m *stream.Shutting) {
	g := s.pending[m.Number]
	if g == nil || m.Closed {
		return
	}
	delete(g.missing, m.Stream.Id)
	s.settle(ctx, m.Number)
}

// gone takes a stream that has ended as an answer to every question.
func (s *gathers) gone(ctx actor.Context, who *actor.PID) {
	for number, g := range s.pending {
		if _, ok := g.missing[who.Id]; !ok {
			continue
		}
		delete(g.missing, who.Id)
		g.closed++
		s.settle(ctx, number)
	}
}

// settle answers a question to which nothing is missing.
func (s *gathers) settle(ctx actor.Context, number uint64) {
	g := s.pending[number]
	if len(g.missing) > 0 {
		return
	}
	delete(s.pending, number)
	g.answer(ctx)
}

// refuseAll answers with what there is.
func (s *gathers) refuseAll(ctx actor.Context) {
	for _, g := range s.pending {
		g.answer(ctx)
	}
	clear(s.pending)
}

func (g *gather) answer(ctx actor.Context) {
	switch {
	case g.asker == nil:
	case g.closing:
		ctx.Send(g.asker, &StreamsClosed{Hit: g.hit, Closed: g.closed})
	default:
		slices.SortFunc(g.snapshots, func(x, y stream.Snapshot) int { return strings.Compare(x.Key.String(), y.Key.String()) })
		ctx.Send(g.asker, &Streams{Streams: g.snapshots, Memory: g.memory})
	}
}
