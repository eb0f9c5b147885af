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
)

// Options make a store.
type Options struct {
	Runtime    *actors.Runtime
	Dir        string           // state.dir; made with mode 0700 when missing
	Notify     *actor.PID       // hears [Reopened]; nil = nobody
	RetryEvery time.Duration    // pause between two attempts to open or write a database; default 5 s
	Linger     time.Duration    // how long a write that nobody waits for may wait for others to share its commit; default 100 ms
	Log        zerolog.Logger   // the zero logger is silent
	Now        func() time.Time // default time.Now; names the file that is set aside
}

// maxQueries bounds the queries that wait.
const maxQueries = 4096

// Props returns the store actor's props. There must be one store a state directory.
func Props(o Options) *actor.Props {
	if o.RetryEvery <= 0 {
		o.RetryEvery = 5 * time.Second
	}
	if o.Linger <= 0 {
		o.Linger = 100 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = o.Log.With().Str("actor", "store").Logger()
	return o.Runtime.Props(func() actor.Actor { return &store{Options: o} })
}

// store is the actor. It holds what is on disk in decoded form, so that queries wait for nothing but the answered writes that came before them.
type store struct {
	Options

	writer  *writer
	retry   *time.Timer
	linger  *time.Timer // nil while nothing waits for company
	opened  bool        // the first attempt is over, with whatever outcome
	loaded  bool        // the definitions have been read
	durable bool
	busy    bool // a job is with the writer
	defs    *definitions
	health  Health

	early   []query // what was asked before the first attempt was over
	waiting pending // not with the writer yet
	writing pending // with the writer now

	taken   uint64  // answered writes so far
	settled uint64  // those of them that were answered, in order
	behind  []query // waiting for writes that came before them
	dropped uint64  // writes that found no room and that nobody is told about
}

// query is a request that only reads.
type query struct {
	from  *actor.PID
	msg   any
	after uint64 // writes that came before it
}

// retryTick opens the database again.
type retryTick struct{ from *writer }

// lingerTick ends the wait for company.
type lingerTick struct{ from *writer }

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
	case *PutReceiver:
		s.onPutReceiver(ctx, m)
	case *DeleteReceiver:
		s.onDeleteReceiver(ctx, m)
	case *PutSender:
		s.onPutSender(ctx, m)
	case *DeleteSender:
		s.onDeleteSender(ctx, m)
	case *PutOverrides:
		s.onPutOverrides(ctx, m)
	case *PutCooling:
		s.onPutCooling(ctx, m)
	case *ListProxies, *ListReceivers, *ListSenders, *GetOverrides, *GetCooling, *GetHealth:
		s.onQuery(ctx, query{ctx.Sender(), m, s.taken})
	case *jobDone:
		s.onJobDone(ctx, m)
	case *retryTick:
		if m.from == s.writer && !s.durable && !s.busy {
			s.give(job{open: true})
		}
	case *lingerTick:
		if m.from == s.writer {
			s.linger, s.waiting.urgent = nil, true
			s.pump(ctx)
		}
	}
}

func (s *store) onStarted(ctx actor.Context) {
	s.defs = newDefinitions()
	s.health = Health{Path: filepath.Join(s.Dir, fileName)}
	s.writer = startWriter(ctx.ActorSystem().Root, ctx.Self(), s.Dir, s.Now)
	s.give(job{open: true})
}

// release writes what waits, answers everyone and ends the writer. It blocks for the commit that is under way, if one is, and for the last one, because whoever starts the
// next store on this directory relies on the file being closed, and the askers on being told what is on disk.
func (s *store) release(ctx actor.Context) {
	if s.writer == nil {
		return
	}
	for _, t := range []*time.Timer{s.retry, s.linger} {
		if t != nil {
			t.Stop()
		}
	}
	var final []op
	if s.durable || s.busy {
		final = s.waiting.ops(s.defs, s.busy || s.health.Err != nil)
	}
	current, last := s.writer.stop(final, s.busy)
	s.writer = nil
	s.end(ctx, &s.writing, outcome(current, false))
	s.end(ctx, &s.waiting, outcome(last, s.durable && len(final) == 0))
	for _, q := range s.early {
		s.reply(ctx, q)
	}
	s.early = nil
}

// outcome is what a job has done for the writes it had; idle says that none was needed.
func outcome(j *jobDone, idle bool) error {
	switch {
	case idle:
		return nil
	case j == nil || j.open:
		return ErrClosed
	}
	return j.err
}

// end settles writes when the store ends.
func (s *store) end(ctx actor.Context, p *pending, err error) {
	done := *p
	*p = pending{}
	if err == nil {
		done.apply(s.defs)
		s.answer(ctx, done.askers, done.last, nil)
		return
	}
	s.answer(ctx, done.refuse(), done.last, err)
	if n := len(done.changes); n > 0 {
		s.Log.Error().Err(err).Str("path", s.health.Path).Int("changes", n).Msg("the store ended before the last changes of receivers and senders were on disk")
	}
}

func (s *store) give(j job) {
	s.busy = true
	s.writer.jobs <- j // never blocks: the writer is idle
}

// enqueue takes a write. Its asker is the sender of the message; without one nobody is told what becomes of it.
func (s *store) enqueue(ctx actor.Context, changes ...*change) {
	asker := ctx.Sender()
	if s.writer == nil || !s.waiting.room(changes) {
		err := ErrBusy
		if s.writer == nil {
			err = ErrClosed
		}
		s.refused(ctx, asker, changes[0], err)
		return
	}
	if asker != nil {
		s.taken++
	}
	s.waiting.add(changes, asker, s.taken)
	s.pump(ctx)
}

// refused tells what became of a write that is not taken: its asker, or else the log (each power of ten, since there may be thousands a second) and [Health].
func (s *store) refused(ctx actor.Context, asker *actor.PID, c *change, err error) {
	if asker != nil {
		s.done(ctx, asker, err)
		return
	}
	s.dropped++
	for n := s.dropped; n%10 == 0 || n == 1; n /= 10 {
		if n == 1 {
			s.Log.Error().Err(err).Str("what", c.bucket).Str("key", c.key).Uint64("dropped", s.dropped).Msg("a definition could not be kept")
			return
		}
	}
}

// pump hands all waiting writes to the writer as one transaction, or refuses those that are answered when there is no database.
func (s *store) pump(ctx actor.Context) {
	switch {
	case s.busy || len(s.waiting.changes)+len(s.waiting.askers) == 0:
		return
	case !s.durable:
		last := s.waiting.last
		s.answer(ctx, s.waiting.refuse(), last, &NotDurableError{Path: s.health.Path, Cause: s.health.Err})
		return
	case !s.waiting.urgent:
		s.armLinger(ctx, s.Linger)
		return
	}
	// What a failed write left in the file is known to the writer alone.
	ops := s.waiting.ops(s.defs, s.health.Err != nil)
	s.writing, s.waiting = s.waiting, pending{}
	if len(ops) == 0 {
		s.settle(ctx)
		return
	}
	s.give(job{ops: ops})
}

// armLinger lets writes that nobody waits for wait for company.
func (s *store) armLinger(ctx actor.Context, d time.Duration) {
	if s.linger != nil {
		return
	}
	root, self, from := ctx.ActorSystem().Root, ctx.Self(), s.writer
	s.linger = time.AfterFunc(d, func() { root.Send(self, &lingerTick{from}) })
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

// onWritten takes the outcome of the writes that were with the writer.
func (s *store) onWritten(ctx actor.Context, m *jobDone) {
	s.health.Err = m.err
	if m.err == nil {
		s.settle(ctx)
		return
	}
	s.Log.Error().Err(m.err).Str("path", s.health.Path).Int("changes", len(s.writing.changes)).Msg("definitions could not be written")
	failed, last := s.writing, s.writing.last
	s.writing = pending{}
	s.answer(ctx, failed.refuse(), last, &NotDurableError{Path: s.health.Path, Cause: m.err})
	s.waiting.restore(&failed)
	if len(s.waiting.changes) > 0 {
		s.armLinger(ctx, s.RetryEvery)
	}
}

// settle takes over what is on disk now.
func (s *store) settle(ctx actor.Context) {
	p := s.writing
	s.writing = pending{}
	p.apply(s.defs)
	s.answer(ctx, p.askers, p.last, nil)
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
		defs, err := m.opened.contents.decode()
		if err != nil {
			openErr = errors.Join(openErr, fmt.Errorf("%w: %w", ErrNewer, err))
		} else {
			s.defs, s.loaded = defs, true
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
	s.waiting.urgent = s.waiting.urgent || s.durable && len(s.waiting.changes) > 0
	early := s.early
	s.early = nil
	for _, q := range early {
		s.onQuery(ctx, q)
	}
	if !first && !wasLoaded && s.loaded && s.Notify != nil {
		ctx.Send(s.Notify, &Reopened{
			Proxies: s.defs.listProxies(), Receivers: s.defs.listReceivers(), Senders: s.defs.listSenders(), Overrides: maps.Clone(s.defs.overrides),
		})
	}
}

func (s *store) reportDamage(o *opened) {
	s.health.Moved = o.moved
	s.health.Report = fmt.Sprintf("%d definitions and overrides were saved, %d of them from older copies which may be out of date; damage: %s",
		o.kept, o.recovered, strings.Join(o.faults, "; "))
	s.Log.Error().Str("path", s.health.Path).Str("moved", o.moved).Int("saved", o.kept).Int("from_older_copies", o.recovered).
		Strs("damage", o.faults).Msg("the database was damaged: it has been set aside and a new one holds what could be read; compare listStreamProxy, listRtpServer and listRtpSender with what should be there")
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
	case len(s.early)+len(s.behind) >= maxQueries:
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
	view := s.view()
	switch q.msg.(type) {
	case *ListProxies:
		ctx.Send(q.from, &Proxies{Proxies: view.listProxies(), Err: unread})
	case *ListReceivers:
		ctx.Send(q.from, &Receivers{Receivers: view.listReceivers(), Err: unread})
	case *ListSenders:
		ctx.Send(q.from, &Senders{Senders: view.listSenders(), Err: unread})
	case *GetOverrides:
		ctx.Send(q.from, &Overrides{Values: maps.Clone(view.overrides), Err: unread})
	case *GetCooling:
		ctx.Send(q.from, &Cooling{Pairs: slices.Clone(view.cooling), Err: unread})
	case *GetHealth:
		h := s.health
		h.Durable, h.Waiting, h.Dropped = s.durable, len(s.waiting.changes)+len(s.writing.changes), s.dropped
		ctx.Send(q.from, &h)
	}
}

// view is what queries are answered from: what is on disk, with what will be there and nobody waits for.
func (s *store) view() *definitions {
	if len(s.writing.changes)+len(s.waiting.changes) == 0 {
		return s.defs
	}
	view := s.defs.clone()
	s.writing.foresee(view)
	s.waiting.foresee(view)
	return view
}

// answer answers writes up to a number, and the queries that waited for them.
func (s *store) answer(ctx actor.Context, askers []*actor.PID, last uint64, err error) {
	for _, asker := range askers {
		s.done(ctx, asker, err)
	}
	s.settled = max(s.settled, last)
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
