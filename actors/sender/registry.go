package sender

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/store"
	"berth/config"
	"berth/media"
)

// Errors of [Started] that only the registry knows.
var (
	// ErrReplaced answers a start that a later one with the same stream and SSRC has overtaken, or that stopSendRtp has.
	ErrReplaced = errors.New("stopped, or replaced by a later startSendRtp of the same ssrc, before it had begun")
	errCrashed  = errors.New("the sender crashed while it was being started")
)

// maxCrashes is how often a sender is restored that panics again and again within its RestoreFor.
const maxCrashes = 5

// registry is the senders actor: which definitions exist, and the sender that runs each.
type registry struct {
	opts    Options
	config  *config.Config
	log     zerolog.Logger
	entries map[uint64]*entry // by number
	byPID   map[string]*entry // by PID id of the running sender
	numbers uint64            // entries made so far
	spawns  uint64
	ending  bool // this actor is stopping, and its children with it
}

// entry is one definition.
type entry struct {
	number  uint64
	epoch   uint64
	def     store.Sender
	pid     *actor.PID // nil while it waits for former ones to end
	picture *picture
	stored  bool
	doomed  bool                // it is on its way out
	after   map[uint64]struct{} // entries that have to end before it begins
	starter *actor.PID          // who waits for Started
	outcome error               // for the starter, when it goes
	stops   []*stop             // who wait for its end
	crashes int
	began   time.Time // of the last spawn
}

// stop is one Stop that is being served.
type stop struct {
	asker *actor.PID
	left  int // entries that have not ended yet
	count int
}

// Messages between senders and sender. epoch tells one spawned sender of an entry from its successor.
type (
	// settled tells senders that a sender has begun to send, or to wait for its peer.
	settled struct {
		number, epoch uint64
		port          uint16 // local
		leased        uint16 // even port of the lease, 0 without one
	}
	// over tells senders that a sender has given everything back and can be stopped.
	over struct {
		number, epoch uint64
		port          uint16 // that it had
		err           error  // why it ended by itself; nil when it was asked to, or its stream has ended
	}
	// leave asks a sender to end. Answered with over.
	leave struct{}
)

func newRegistry(opts Options) *registry {
	return &registry{
		opts: opts, config: opts.Config, entries: map[uint64]*entry{}, byPID: map[string]*entry{},
		log: opts.Runtime.Log.With().Str("actor", "senders").Logger(),
	}
}

func (a *registry) Receive(ctx actor.Context) {
	if a.ending {
		a.receiveEnding(ctx)
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.restore(ctx, a.opts.Restore)
	case *actor.Stopping, *actor.Restarting:
		a.release(ctx)
	case *Start:
		a.onStart(ctx, m)
	case *Stop:
		a.onStop(ctx, m)
	case *List:
		ctx.Respond(&Senders{Senders: a.snapshots(m.Stream)})
	case *store.Reopened:
		a.restore(ctx, m.Senders)
	case *settled:
		a.onSettled(ctx, m)
	case *over:
		a.onOver(ctx, m)
	case *actor.Terminated:
		a.onTerminated(ctx, m.Who)
	case *actors.ConfigChanged:
		a.config = m.Config // for senders that begin from now on
		ctx.Respond(&actors.ConfigTaken{Owner: "senders"})
	}
}

// restore runs stored definitions that do not run yet.
func (a *registry) restore(ctx actor.Context, definitions []store.Sender) {
	restored := 0
	for _, def := range definitions {
		if len(a.rivals(def)) > 0 {
			continue
		}
		e := a.enter(def)
		e.stored = true
		a.spawn(ctx, e, true)
		restored++
	}
	if restored > 0 {
		a.log.Info().Int("senders", restored).Msg("senders restored")
	}
}

func (a *registry) enter(def store.Sender) *entry {
	a.numbers++
	if def.Created.IsZero() {
		def.Created = a.opts.Now()
	}
	e := &entry{number: a.numbers, def: def, picture: &picture{}}
	e.picture.Store(&view{Since: def.Created})
	a.entries[e.number] = e
	return e
}

// check refuses definitions that cannot be run.
func check(def store.Sender) error {
	if !def.Stream.Valid() {
		return fmt.Errorf("%q names no stream", def.Stream)
	}
	if _, err := strconv.ParseUint(def.SSRC, 10, 32); err != nil {
		return fmt.Errorf("ssrc %q is no number from 0 to 4294967295", def.SSRC)
	}
	switch def.Mode {
	case store.SendActive:
		if def.Host == "" || def.Port == 0 {
			return errors.New("dst_url and dst_port must say where to send to")
		}
	case store.SendTalk:
		if def.Receive == "" {
			return errors.New("recv_stream_id must say whose device is talked to")
		}
	case store.SendPassive:
	default:
		return fmt.Errorf("%q is no mode of a sender", def.Mode)
	}
	return nil
}

func (a *registry) onStart(ctx actor.Context, m *Start) {
	if err := check(m.Definition); err != nil {
		ctx.Respond(&Started{Err: err})
		return
	}
	rivals := a.rivals(m.Definition)
	e := a.enter(m.Definition)
	e.starter = ctx.Sender()
	for _, r := range rivals {
		a.end(ctx, r, ErrReplaced)
		if a.entries[r.number] != nil {
			if e.after == nil {
				e.after = map[uint64]struct{}{}
			}
			e.after[r.number] = struct{}{}
		}
	}
	if len(e.after) == 0 {
		a.spawn(ctx, e, false)
	}
}

// rivals are the entries that a definition replaces: those of its stream and SSRC, and when it is one of several, those with its peer.
func (a *registry) rivals(def store.Sender) []*entry {
	var out []*entry
	for _, e := range a.entries {
		if e.def.Stream != def.Stream || e.def.SSRC != def.SSRC {
			continue
		}
		d := &e.def
		same := def.Mode != store.SendPassive && d.Mode == def.Mode && d.Host == def.Host && d.Port == def.Port && d.UDP == def.UDP && d.Receive == def.Receive
		if !def.Several || same {
			out = append(out, e)
		}
	}
	return out
}

// end makes an entry go. outcome is for its starter, if there is one.
func (a *registry) end(ctx actor.Context, e *entry, outcome error) {
	if e.outcome == nil {
		e.outcome = outcome
	}
	if e.pid == nil {
		a.settle(ctx, e)
		return
	}
	if !e.doomed {
		e.doomed = true
		ctx.Send(e.pid, leave{})
	}
}

func (a *registry) onSettled(ctx actor.Context, m *settled) {
	e := a.entries[m.number]
	if e == nil || e.epoch != m.epoch || e.doomed {
		return
	}
	a.answer(ctx, e, m.port, nil)
	if !e.stored || e.def.Leased != m.leased {
		former, was := e.def.Place(), e.stored
		e.def.Leased, e.stored = m.leased, true
		ctx.Send(a.opts.Store, &store.PutSender{Sender: e.def})
		if was && e.def.Place() != former {
			a.unstore(ctx, former)
		}
	}
}

func (a *registry) onOver(ctx actor.Context, m *over) {
	e := a.entries[m.number]
	if e == nil || e.epoch != m.epoch || e.pid == nil {
		return
	}
	if !e.doomed {
		e.doomed, e.outcome = true, m.err
		if m.err == nil {
			e.outcome = ErrNoSource // its stream has ended before it had begun
		}
		a.answer(ctx, e, m.port, e.outcome)
	}
	ctx.Stop(e.pid)
}

func (a *registry) spawn(ctx actor.Context, e *entry, restored bool) {
	a.spawns++
	e.epoch, e.began = a.spawns, a.opts.Now()
	child := &senderActor{opts: a.opts, config: a.config, def: e.def, number: e.number, epoch: e.epoch, picture: e.picture, restored: restored}
	pid, err := ctx.SpawnNamed(a.opts.Runtime.Props(func() actor.Actor { return child }), fmt.Sprintf("%s-%s-%d", e.def.Stream, e.def.SSRC, a.spawns))
	if err != nil {
		panic(err) // the count makes the name unique
	}
	e.pid = pid
	a.byPID[pid.Id] = e
}

func (a *registry) onTerminated(ctx actor.Context, who *actor.PID) {
	e := a.byPID[who.Id]
	if e == nil {
		return // one that looked for a stream
	}
	delete(a.byPID, who.Id)
	e.pid = nil
	if e.doomed {
		a.settle(ctx, e)
		return
	}
	// It panicked: nothing else stops a sender that is not doomed.
	if a.opts.Now().Sub(e.began) > a.opts.RestoreFor {
		e.crashes = 0
	}
	e.crashes++
	e.picture.Store(&view{Since: e.picture.Load().Since})
	a.log.Error().Str("stream", e.def.Stream.Path()).Str("ssrc", e.def.SSRC).Int("crashes", e.crashes).Msg("sender crashed")
	if !e.stored || e.crashes > maxCrashes {
		e.outcome = errCrashed
		a.settle(ctx, e)
		return
	}
	a.spawn(ctx, e, true)
}

// settle forgets an entry that has ended.
func (a *registry) settle(ctx actor.Context, e *entry) {
	delete(a.entries, e.number)
	a.answer(ctx, e, 0, e.outcome)
	if e.stored {
		a.unstore(ctx, e.def.Place())
	}
	for _, s := range e.stops {
		if s.left--; s.left == 0 {
			ctx.Send(s.asker, &Stopped{Count: s.count})
		}
	}
	for _, other := range a.entries {
		if _, waits := other.after[e.number]; !waits {
			continue
		}
		if delete(other.after, e.number); len(other.after) == 0 {
			a.spawn(ctx, other, false)
		}
	}
}

// unstore deletes a definition, unless another sender that lives has its place in the store.
func (a *registry) unstore(ctx actor.Context, place store.DeleteSender) {
	for _, other := range a.entries {
		if other.stored && other.def.Place() == place {
			ctx.Send(a.opts.Store, &store.PutSender{Sender: other.def})
			return
		}
	}
	ctx.Send(a.opts.Store, &place)
}

func (a *registry) answer(ctx actor.Context, e *entry, port uint16, err error) {
	if e.starter != nil {
		ctx.Send(e.starter, &Started{LocalPort: port, Err: err})
		e.starter = nil
	}
}

func (a *registry) onStop(ctx actor.Context, m *Stop) {
	s := &stop{asker: ctx.Sender()}
	var hit []*entry
	for _, e := range a.entries {
		if e.def.Stream == m.Stream && (m.SSRC == "" || m.SSRC == e.def.SSRC) && !e.doomed {
			hit = append(hit, e)
		}
	}
	if len(hit) == 0 {
		if s.asker != nil {
			look := &lookActor{streams: a.opts.Streams, asker: s.asker, stream: m.Stream}
			ctx.Spawn(a.opts.Runtime.Props(func() actor.Actor { return look }))
		}
		return
	}
	s.left, s.count = len(hit), len(hit)
	for _, e := range hit {
		if s.asker != nil {
			e.stops = append(e.stops, s)
		}
		a.end(ctx, e, ErrReplaced)
	}
}

// snapshots are the pictures of all senders, or those of a stream, in order of stream and SSRC.
func (a *registry) snapshots(of media.StreamKey) []Snapshot {
	var found []*entry
	for _, e := range a.entries {
		if of == (media.StreamKey{}) || of == e.def.Stream {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b *entry) int {
		if c := strings.Compare(a.def.Stream.String(), b.def.Stream.String()); c != 0 {
			return c
		}
		if c := strings.Compare(a.def.SSRC, b.def.SSRC); c != 0 {
			return c
		}
		return int(a.number) - int(b.number) //nolint:gosec // far below
	})
	out := make([]Snapshot, len(found))
	for i, e := range found {
		out[i] = e.picture.Load().snapshot(e.def)
	}
	return out
}

// receiveEnding handles what comes after Stopping, while the children end. Nothing may be spawned any more: such a child would not be asked to end, and this actor would wait for it for ever.
func (a *registry) receiveEnding(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *Start:
		ctx.Respond(&Started{Err: ErrInterrupted})
	case *Stop:
		ctx.Respond(&Stopped{Err: ErrInterrupted})
	case *List:
		ctx.Respond(&Senders{Senders: a.snapshots(m.Stream)})
	case *actors.ConfigChanged:
		ctx.Respond(&actors.ConfigTaken{Owner: "senders"})
	}
}

// release answers everyone who waits; the senders end as children do, and their definitions stay.
func (a *registry) release(ctx actor.Context) {
	a.ending = true
	told := map[*stop]struct{}{}
	for _, e := range a.entries {
		a.answer(ctx, e, 0, ErrInterrupted)
		for _, s := range e.stops {
			if _, done := told[s]; !done {
				told[s] = struct{}{}
				ctx.Send(s.asker, &Stopped{Err: ErrInterrupted})
			}
		}
	}
}
