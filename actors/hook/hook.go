package hook

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/config"
)

// Options make a hook actor.
type Options struct {
	Runtime *actors.Runtime
	Config  *config.Config
	// URL returns where a hook goes by its name; "" switches it off. Called in Receive, so it must not block. Nil asks the configuration in force.
	URL func(name string) string
	// ServerID stands for an empty general.mediaServerId.
	ServerID string
	// UserAgent is the request header. Default "berth".
	UserAgent string
	// Index numbers the tries (hook_index). Hand the same one to every generation, since receivers order by it. Nil begins at 0.
	Index *atomic.Uint64
	// Asking and Notifying bound the requests under way of each kind. Default 128 and 32.
	Asking, Notifying int
	// Queue bounds the hooks of each kind that are kept at any stage. Default 4096.
	Queue int
	// Transport sends the requests. Default one of the actor's own, without proxy, with its connections closed at the end.
	Transport http.RoundTripper
}

// Rates of the log.
const (
	slowReply   = 500 * time.Millisecond
	logInterval = time.Second
)

// Props returns the hook actor's props.
func Props(o Options) *actor.Props {
	if o.UserAgent == "" {
		o.UserAgent = "berth"
	}
	if o.Index == nil {
		o.Index = &atomic.Uint64{}
	}
	o.Asking, o.Notifying, o.Queue = orDefault(o.Asking, 128), orDefault(o.Notifying, 32), orDefault(o.Queue, 4096)
	return o.Runtime.Props(func() actor.Actor { return &hook{Options: o} })
}

func orDefault(n, def int) int {
	if n <= 0 {
		return def
	}
	return n
}

// hook is the actor.
type hook struct {
	Options
	log    zerolog.Logger
	root   *actor.RootContext
	self   *actor.PID
	client *http.Client
	ctx    context.Context //nolint:containedctx // ends every request when the actor stops
	cancel context.CancelFunc
	tries  sync.WaitGroup

	asks, notes *lane
	stats       Stats
	logged      time.Time // of the last failure in the log
	unlogged    int       // failures since that were not
}

// Messages of the actor to itself; from tells incarnations apart.
type (
	// tried is the outcome of one try.
	tried struct {
		from    *hook
		task    *task
		verdict verdict
		err     error
		took    time.Duration
	}
	// retryDue ends the pause before a further try.
	retryDue struct {
		from *hook
		task *task
	}
	// deadlineDue ends a question.
	deadlineDue struct {
		from *hook
		task *task
	}
)

func (h *hook) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		h.onStarted(ctx)
	case *actor.Stopping, *actor.Restarting:
		h.release(ctx)
	case *Ask:
		h.onAsk(ctx, m)
	case *Notify:
		h.onNotify(m)
	case *GetStats:
		h.onGetStats(ctx)
	case *actors.ConfigChanged:
		h.Config = m.Config
		ctx.Respond(&actors.ConfigTaken{Owner: "hook"})
	case *tried:
		if m.from == h {
			h.onTried(ctx, m)
		}
	case *retryDue:
		if m.from == h && !m.task.over {
			m.task.pause = nil
			l := h.lane(m.task)
			l.ready(m.task)
			h.pump(l)
		}
	case *deadlineDue:
		if m.from == h && !m.task.over {
			h.stats.Failed++
			h.logFailure(&FailedError{Name: m.task.name, URL: shownURL(m.task.url), Tries: m.task.tries, Err: ErrDeadline})
			h.answer(ctx, m.task, &Answer{Err: ErrDeadline})
		}
	}
}

func (h *hook) onStarted(ctx actor.Context) {
	h.log = h.Runtime.Log.With().Str("actor", "hook").Logger()
	h.root, h.self = ctx.ActorSystem().Root, ctx.Self()
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.asks, h.notes = newLane(h.Asking, h.Queue), newLane(h.Notifying, h.Queue)
	transport := h.Transport
	if transport == nil {
		transport = &http.Transport{
			MaxIdleConns: 64, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: 10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		}
	}
	h.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// release ends every request and answers every question. It waits for the goroutines, which end at once because their context has.
func (h *hook) release(ctx actor.Context) {
	if h.cancel == nil {
		return
	}
	h.cancel()
	h.cancel = nil
	for e := h.asks.all.Front(); e != nil; e = h.asks.all.Front() {
		h.answer(ctx, e.Value.(*task), &Answer{Err: ErrClosed})
	}
	for e := h.notes.all.Front(); e != nil; e = h.notes.all.Front() {
		h.notes.finish(e.Value.(*task))
	}
	h.tries.Wait()
	if h.Transport == nil {
		h.client.CloseIdleConnections()
	}
}

func (h *hook) lane(t *task) *lane {
	if t.asker != nil {
		return h.asks
	}
	return h.notes
}

// receiver returns where a hook goes now, "" when it is off.
func (h *hook) receiver(name string) string {
	if !h.Config.Hook.Enable {
		return ""
	}
	if h.URL == nil {
		return h.Config.Hook.URL(name)
	}
	return h.URL(name)
}

func (h *hook) onAsk(ctx actor.Context, m *Ask) {
	asker := ctx.Sender()
	if asker == nil {
		return // nobody waits for the answer
	}
	url := h.receiver(m.Name)
	switch {
	case url == "":
		ctx.Respond(&Answer{ID: m.ID})
		return
	case h.asks.full():
		h.stats.Dropped++
		h.logFailure(&FailedError{Name: m.Name, URL: shownURL(url), Err: ErrBusy})
		ctx.Respond(&Answer{ID: m.ID, Asked: true, Code: -1, Message: ErrBusy.Error(), Err: ErrBusy})
		return
	}
	t := &task{name: m.Name, url: url, body: maps.Clone(m.Body), asker: asker, id: m.ID}
	wait := m.Deadline
	if wait <= 0 {
		wait = h.patience()
	}
	t.deadline = time.AfterFunc(wait, func() { h.root.Send(h.self, &deadlineDue{h, t}) })
	h.asks.push(t)
	h.pump(h.asks)
}

// patience is the deadline of a question that has none: what its tries may take at worst. It ends the wait of one that stands in line behind others; the
// extra lets the last try of one that did not tell its own failure.
func (h *hook) patience() time.Duration {
	c := h.Config.Hook
	return time.Duration(c.Retry+1)*c.Timeout + time.Duration(c.Retry)*c.RetryDelay + time.Second
}

func (h *hook) onNotify(m *Notify) {
	url := h.receiver(m.Name)
	if url == "" {
		return
	}
	if h.notes.full() {
		h.stats.Dropped++
		old := h.notes.oldest()
		if old == nil {
			return // all are under way: the newest gives way
		}
		h.notes.finish(old)
	}
	h.notes.push(&task{name: m.Name, url: url, body: maps.Clone(m.Body)})
	h.pump(h.notes)
}

// pump starts as many tries as there are places for.
func (h *hook) pump(l *lane) {
	for t := l.next(); t != nil; t = l.next() {
		h.try(t)
	}
}

// try sends a task once, in a goroutine of its own.
func (h *hook) try(t *task) {
	t.tries++
	body := maps.Clone(t.body)
	if body == nil {
		body = map[string]any{}
	}
	body["mediaServerId"] = h.Config.General.MediaServerID
	if h.Config.General.MediaServerID == "" {
		body["mediaServerId"] = h.ServerID
	}
	body["hook_index"] = h.Index.Add(1) - 1
	ctx, cancel := context.WithTimeout(h.ctx, h.Config.Hook.Timeout)
	t.cancel = cancel
	h.tries.Go(func() {
		defer cancel()
		began := time.Now()
		v, err := post(ctx, h.client, t.url, h.UserAgent, body)
		h.root.Send(h.self, &tried{h, t, v, err, time.Since(began)})
	})
}

func (h *hook) onTried(ctx actor.Context, m *tried) {
	t, l := m.task, h.lane(m.task)
	l.running--
	defer h.pump(l)
	if t.over {
		return
	}
	t.cancel = nil
	if m.took > slowReply {
		h.log.Debug().Str("hook", t.name).Dur("took", m.took).Msg("hook receiver is slow")
	}
	switch {
	case m.err == nil:
		h.stats.Sent++
		if m.verdict.code != 0 {
			h.stats.Refused++
		}
		h.answer(ctx, t, &Answer{Code: m.verdict.code, Message: m.verdict.message, Body: m.verdict.body})
	case t.tries <= h.Config.Hook.Retry:
		t.pause = time.AfterFunc(h.Config.Hook.RetryDelay, func() { h.root.Send(h.self, &retryDue{h, t}) })
	default:
		h.stats.Failed++
		err := &FailedError{Name: t.name, URL: shownURL(t.url), Tries: t.tries, Err: m.err}
		h.logFailure(err)
		h.answer(ctx, t, &Answer{Err: err})
	}
}

// logFailure says at most once a second that hooks fail.
func (h *hook) logFailure(err error) {
	if now := time.Now(); now.Sub(h.logged) >= logInterval {
		h.log.Warn().Err(err).Int("more_since_last", h.unlogged).Msg("hook failed")
		h.logged, h.unlogged = now, 0
		return
	}
	h.unlogged++
}

// answer ends a task, and tells whoever waits for it.
func (h *hook) answer(ctx actor.Context, t *task, a *Answer) {
	h.lane(t).finish(t)
	if t.asker == nil {
		return
	}
	a.ID, a.Asked = t.id, true
	if a.Err != nil {
		a.Code, a.Message = -1, a.Err.Error()
		var failed *FailedError
		if errors.As(a.Err, &failed) {
			a.Message = forViewers(failed.Err)
		}
	}
	ctx.Send(t.asker, a)
}

func (h *hook) onGetStats(ctx actor.Context) {
	s := h.stats
	s.Queued = h.asks.all.Len() + h.notes.all.Len()
	ctx.Respond(&s)
}
