package store

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/portpool"
)

// Options make a store.
type Options struct {
	Runtime    *actors.Runtime
	Dir        string           // state.dir; made with mode 0700 when missing
	Notify     *actor.PID       // hears [Reopened]; nil = nobody
	RetryEvery time.Duration    // pause between two attempts to open a database; default 5 s
	Log        zerolog.Logger   // the zero logger is silent
	Now        func() time.Time // default time.Now; names the file that is set aside
}

// maxWaiting bounds the writes and the early queries that wait.
const maxWaiting = 4096

// Props returns the store actor's props. There must be one store a state directory.
func Props(o Options) *actor.Props {
	if o.RetryEvery <= 0 {
		o.RetryEvery = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = o.Log.With().Str("actor", "store").Logger()
	return o.Runtime.Props(func() actor.Actor { return &store{Options: o} })
}

// store is the actor. It holds what is on disk in decoded form, so that queries wait for nothing but the writes that came before them.
type store struct {
	Options

	writer    *writer
	retry     *time.Timer
	opened    bool // the first attempt is over, with whatever outcome
	loaded    bool // the definitions have been read
	durable   bool
	busy      bool // a job is with the writer
	proxies   map[string]Proxy
	overrides map[string]string
	cooling   []portpool.Remembered
	health    Health

	early   []query // what was asked before the first attempt was over
	waiting []write // not with the writer yet
	writing []write // with the writer now

	taken   uint64  // writes so far
	settled uint64  // those of them that were answered, in order
	behind  []query // waiting for writes that came before them
}

// query is a request that only reads.
type query struct {
	from  *actor.PID
	msg   any
	after uint64 // writes that came before it
}

// write is a change with its asker; apply does to the decoded form what ops do to the file.
type write struct {
	from  *actor.PID
	ops   []op
	apply func()
}

// retryTick opens the database again.
type retryTick struct{ from *writer }

func (s *store) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.onStarted(ctx)
	case *actor.Stopping, *actor.Restarting:
		s.release(ctx)
	case *PutProxy:
		s.onPutProxy(ctx, m)
	case *DeleteProxy:
		s.onDeleteProxy(ctx, m)
	case *PutOverrides:
		s.onPutOverrides(ctx, m)
	case *PutCooling:
		s.onPutCooling(ctx, m)
	case *ListProxies, *GetOverrides, *GetCooling, *GetHealth:
		s.onQuery(ctx, query{ctx.Sender(), m, s.taken})
	case *jobDone:
		s.onJobDone(ctx, m)
	case *retryTick:
		if m.from == s.writer && !s.durable && !s.busy {
			s.give(job{open: true})
		}
	}
}

func (s *store) onStarted(ctx actor.Context) {
	s.proxies, s.overrides = map[string]Proxy{}, map[string]string{}
	s.health = Health{Path: filepath.Join(s.Dir, fileName)}
	s.writer = startWriter(ctx.ActorSystem().Root, ctx.Self(), s.Dir, s.Now)
	s.give(job{open: true})
}

// release answers everyone who waits and ends the writer. It blocks for the commit that is under way, if one is, because whoever starts the
// next store on this directory relies on the file being closed, and the askers on being told what is on disk.
func (s *store) release(ctx actor.Context) {
	if s.writer == nil {
		return
	}
	if s.retry != nil {
		s.retry.Stop()
	}
	last := s.writer.stop()
	s.writer = nil
	err := ErrClosed
	if s.busy && last != nil && !last.open {
		err = last.err
	}
	s.answer(ctx, s.writing, err)
	s.answer(ctx, s.waiting, ErrClosed)
	s.writing, s.waiting = nil, nil
	for _, q := range s.early {
		s.reply(ctx, q)
	}
	s.early = nil
}

func (s *store) give(j job) {
	s.busy = true
	s.writer.jobs <- j // never blocks: the writer is idle
}

func (s *store) onPutProxy(ctx actor.Context, m *PutProxy) {
	p := m.Proxy
	p.Params, p.Ports = maps.Clone(p.Params), slices.Clone(p.Ports)
	o, err := proxyOp(p)
	if err != nil {
		s.done(ctx, ctx.Sender(), err)
		return
	}
	s.enqueue(ctx, write{ctx.Sender(), []op{o}, func() { s.proxies[o.key] = p }})
}

func (s *store) onDeleteProxy(ctx actor.Context, m *DeleteProxy) {
	key := m.Key.String()
	s.enqueue(ctx, write{ctx.Sender(), []op{{bucketProxies, key, nil}}, func() { delete(s.proxies, key) }})
}

func (s *store) onPutOverrides(ctx actor.Context, m *PutOverrides) {
	values := maps.Clone(m.Values)
	ops, err := overrideOps(values)
	if err != nil {
		s.done(ctx, ctx.Sender(), err)
		return
	}
	s.enqueue(ctx, write{ctx.Sender(), ops, func() {
		for key, v := range values {
			if v == nil {
				delete(s.overrides, key)
			} else {
				s.overrides[key] = *v
			}
		}
	}})
}

func (s *store) enqueue(ctx actor.Context, w write) {
	switch {
	case s.writer == nil:
		s.done(ctx, w.from, ErrClosed)
	case len(s.waiting) >= maxWaiting:
		s.done(ctx, w.from, ErrBusy)
	default:
		s.waiting = append(s.waiting, w)
		s.taken++
		s.pump(ctx)
	}
}

// pump hands all waiting writes to the writer as one transaction, or refuses them when there is no database.
func (s *store) pump(ctx actor.Context) {
	if s.busy || len(s.waiting) == 0 {
		return
	}
	if !s.durable {
		s.answer(ctx, s.waiting, &NotDurableError{Path: s.health.Path, Cause: s.health.Err})
		s.waiting = nil
		return
	}
	s.writing, s.waiting = s.waiting, nil
	var ops []op
	for _, w := range s.writing {
		ops = append(ops, w.ops...)
	}
	s.give(job{ops: ops})
}

func (s *store) onJobDone(ctx actor.Context, m *jobDone) {
	if m.from != s.writer {
		return
	}
	s.busy = false
	if m.opened != nil {
		s.onOpened(ctx, m)
	}
	if !m.open {
		s.onWritten(ctx, m)
	}
	if m.closed {
		s.durable = false
	}
	switch {
	case m.closed && !m.open:
		s.give(job{open: true}) // it broke under a write: mend it before the next one
	case !s.durable:
		s.armRetry(ctx)
	}
	s.pump(ctx)
}

// onWritten settles the writes that were with the writer.
func (s *store) onWritten(ctx actor.Context, m *jobDone) {
	err := m.err
	if err != nil {
		s.Log.Error().Err(err).Str("path", s.health.Path).Int("writes", len(s.writing)).Msg("definitions could not be written")
		err = &NotDurableError{Path: s.health.Path, Cause: err}
	}
	s.health.Err = m.err
	s.answer(ctx, s.writing, err)
	s.writing = nil
}

// onOpened takes what an attempt to open the database found.
func (s *store) onOpened(ctx actor.Context, m *jobDone) {
	openErr := m.err
	if !m.open {
		openErr = nil // it was opened for a write; m.err is the write's
		s.Log.Error().Str("path", s.health.Path).Msg("the database file was deleted or replaced while in use; it has been written anew")
	}
	wasLoaded, first := s.loaded, !s.opened
	if m.opened.contents != nil {
		proxies, overrides, err := m.opened.contents.decode()
		if err != nil {
			openErr = errors.Join(openErr, fmt.Errorf("%w: %w", ErrNewer, err))
		} else {
			s.proxies, s.overrides, s.loaded = proxies, overrides, true
			s.cooling = m.opened.contents.cooling()
		}
	}
	if m.opened.moved != "" {
		s.reportDamage(m.opened)
	}
	s.durable = openErr == nil && !m.closed
	if openErr != nil && (first || s.health.Err == nil || openErr.Error() != s.health.Err.Error()) {
		s.Log.Error().Err(openErr).Str("path", s.health.Path).Msg("definitions are not durable: the database cannot be used")
	}
	if openErr == nil && !first && m.open {
		s.Log.Info().Str("path", s.health.Path).Msg("definitions are durable again")
	}
	s.health.Err = openErr
	s.opened = true
	early := s.early
	s.early = nil
	for _, q := range early {
		s.onQuery(ctx, q)
	}
	if !first && !wasLoaded && s.loaded && s.Notify != nil {
		ctx.Send(s.Notify, &Reopened{Proxies: s.list(), Overrides: maps.Clone(s.overrides)})
	}
}

func (s *store) reportDamage(o *opened) {
	s.health.Moved = o.moved
	s.health.Report = fmt.Sprintf("%d definitions and overrides were saved, %d of them from older copies which may be out of date; damage: %s",
		o.kept, o.recovered, strings.Join(o.faults, "; "))
	s.Log.Error().Str("path", s.health.Path).Str("moved", o.moved).Int("saved", o.kept).Int("from_older_copies", o.recovered).
		Strs("damage", o.faults).Msg("the database was damaged: it has been set aside and a new one holds what could be read; compare listStreamProxy with what should be there")
}

func (s *store) armRetry(ctx actor.Context) {
	root, self, from := ctx.ActorSystem().Root, ctx.Self(), s.writer
	if s.retry != nil {
		s.retry.Stop()
	}
	s.retry = time.AfterFunc(s.RetryEvery, func() { root.Send(self, &retryTick{from}) })
}

func (s *store) onQuery(ctx actor.Context, q query) {
	_, health := q.msg.(*GetHealth)
	switch {
	case len(s.early)+len(s.behind) >= maxWaiting:
		s.reply(ctx, q)
	case !s.opened:
		s.early = append(s.early, q)
	case !health && q.after > s.settled:
		s.behind = append(s.behind, q)
	default:
		s.reply(ctx, q)
	}
}

func (s *store) reply(ctx actor.Context, q query) {
	if q.from == nil {
		return
	}
	var unread error
	if !s.loaded {
		unread = &NotDurableError{Path: s.health.Path, Cause: s.health.Err}
		if s.health.Err == nil {
			unread = ErrClosed
		}
	}
	switch q.msg.(type) {
	case *ListProxies:
		ctx.Send(q.from, &Proxies{Proxies: s.list(), Err: unread})
	case *GetOverrides:
		ctx.Send(q.from, &Overrides{Values: maps.Clone(s.overrides), Err: unread})
	case *GetCooling:
		ctx.Send(q.from, &Cooling{Pairs: slices.Clone(s.cooling), Err: unread})
	case *GetHealth:
		h := s.health
		h.Durable = s.durable
		ctx.Send(q.from, &h)
	}
}

func (s *store) list() []Proxy {
	out := make([]Proxy, 0, len(s.proxies))
	for _, key := range slices.Sorted(maps.Keys(s.proxies)) {
		out = append(out, s.proxies[key])
	}
	return out
}

// answer settles writes: applied to the decoded form when they are on disk, and in any case answered.
func (s *store) answer(ctx actor.Context, writes []write, err error) {
	for _, w := range writes {
		if err == nil {
			w.apply()
		}
		s.done(ctx, w.from, err)
	}
	s.settled += uint64(len(writes))
	for len(s.behind) > 0 && s.behind[0].after <= s.settled {
		s.reply(ctx, s.behind[0])
		s.behind = s.behind[1:]
	}
}

func (s *store) done(ctx actor.Context, to *actor.PID, err error) {
	if to != nil {
		ctx.Send(to, &Done{Err: err})
	}
}
