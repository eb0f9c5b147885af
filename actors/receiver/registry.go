package receiver

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/actors/store"
	"berth/config"
	"berth/media"
)

// registry is the receivers actor: which receivers exist, and the actor that runs each.
type registry struct {
	opts    Options
	config  *config.Config
	log     zerolog.Logger
	entries map[media.StreamKey]*entry
	byPID   map[string]*entry  // by PID id of the running actor
	devices map[string]*device // of shared ports, by PID id
	shared  *entry             // of rtp_proxy.port; nil when it is off
	epochs  uint64             // actors spawned so far
	books   books
	census  census
	ending  bool // this actor is stopping, and its children with it
}

// entry is one receiver.
type entry struct {
	def      store.Receiver
	epoch    uint64
	pid      *actor.PID // the running actor, nil between a crash and the next spawn
	picture  *picture
	restored bool // came back after a restart, and nobody has asked for it since
	open     bool // its sockets are bound
	port     uint16
	fixed    bool // rtp_proxy.port: no definition, never closed

	openers []*actor.PID       // who wait for Opened
	closers []*closing         // who wait for its end
	next    *waitingOpen       // asked for while it was ending
	doomed  bool               // it is to end
	over    bool               // it has ended: only its actor's termination is awaited
	reason  actors.CloseReason // why it ended by itself

	crashes int
	began   time.Time // of the last spawn
	respawn *time.Timer
}

// device is what the registry knows of one device of a shared port.
type device struct {
	pid     *actor.PID
	port    *actor.PID // the actor of the shared port
	picture *picture
	closers []*closing
}

// waitingOpen is an Open that waits for the end of its predecessor.
type waitingOpen struct {
	def    store.Receiver
	opener *actor.PID
}

// closing is one request that waits for the end of receivers.
type closing struct {
	asker  *actor.PID
	answer any
	left   int
}

// Bounds of the pause before an actor that crashed is spawned again; it doubles while crashes follow each other.
const (
	respawnMin = 100 * time.Millisecond
	respawnMax = 30 * time.Second
)

// spawnAgain is posted when the pause after a crash is over.
type spawnAgain struct {
	key   media.StreamKey
	epoch uint64
}

func newRegistry(opts Options) *registry {
	return &registry{
		opts: opts, config: opts.Config, entries: map[media.StreamKey]*entry{}, byPID: map[string]*entry{}, devices: map[string]*device{},
		log: opts.Runtime.Log.With().Str("actor", "receivers").Logger(),
	}
}

func (a *registry) Receive(ctx actor.Context) {
	if a.ending {
		a.receiveEnding(ctx)
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted(ctx)
	case *actor.Stopping, *actor.Restarting:
		a.release(ctx)
	case *Open:
		a.onOpen(ctx, m.Definition, ctx.Sender())
	case *Close:
		a.onClose(ctx, m)
	case *CloseStreams:
		a.onCloseStreams(ctx, m)
	case *Connect:
		a.onConnect(ctx, m)
	case *SetSSRC:
		a.onSetSSRC(ctx, m)
	case *PauseCheck:
		a.onPauseCheck(ctx, m)
	case *List:
		ctx.Respond(&Receivers{Receivers: a.snapshots(m.Key)})
	case *GetTalk:
		a.onGetTalk(ctx, m)
	case *GetRestored:
		a.census.ask(ctx)
	case *censusOver:
		a.census.close(ctx)
	case *bound:
		a.onBound(ctx, m)
	case *finished:
		a.onFinished(ctx, m)
	case *connected:
		a.onConnected(ctx, m)
	case *deviceCame:
		a.devices[m.pid.Id] = &device{pid: m.pid, port: ctx.Sender(), picture: m.picture}
	case *deviceLeft:
		a.onDeviceLeft(ctx, m.pid)
	case *spawnAgain:
		a.onSpawnAgain(ctx, m)
	case *actor.Terminated:
		a.onTerminated(ctx, m.Who)
	case *store.Reopened:
		a.restore(ctx, m.Receivers)
	case *store.Receivers:
		a.books.compare(ctx, a, m)
	case *bookTick:
		a.books.onTick(ctx, a)
	case *actors.ConfigChanged:
		a.onConfigChanged(ctx, m)
	}
}

// sharedKey names rtp_proxy.port in the books of this package. It is no valid key, so that nobody can open it.
func sharedKey() media.StreamKey {
	return media.StreamKey{VHost: media.DefaultVHost, Stream: "rtp_proxy.port"}
}

func (a *registry) onStarted(ctx actor.Context) {
	a.books.start(ctx, a)
	a.restore(ctx, a.opts.Restore)
	if s := a.opts.Shared; s != nil {
		def := store.Receiver{
			Key:  sharedKey(),
			Port: s.Local.Port(), TCPMode: 1, Multiplex: true,
		}
		a.shared = &entry{def: def, picture: newPicture(def), fixed: true, port: def.Port, open: true}
		a.spawn(ctx, a.shared)
	}
}

// restore opens stored receivers that do not run yet.
func (a *registry) restore(ctx actor.Context, definitions []store.Receiver) {
	n := 0
	for _, def := range definitions {
		if a.entries[def.Key] != nil {
			continue
		}
		e := &entry{def: def, picture: newPicture(def), restored: true}
		a.entries[def.Key] = e
		a.census.expect(def.Key)
		a.spawn(ctx, e)
		n++
	}
	if n > 0 {
		a.log.Info().Int("receivers", n).Msg("receivers restored")
	}
}

func (a *registry) spawn(ctx actor.Context, e *entry) {
	a.epochs++
	e.epoch, e.began, e.over = a.epochs, a.opts.Now(), false
	child := newReceiver(a.opts, a.config, e)
	pid, err := ctx.SpawnNamed(a.opts.Runtime.Props(func() actor.Actor { return child }), childName(e.def.Key, e.epoch))
	if err != nil {
		panic(err) // the epoch makes the name unique
	}
	e.pid = pid
	a.byPID[pid.Id] = e
}

// childName shows the stream as far as a name may; the epoch makes it unique.
func childName(key media.StreamKey, epoch uint64) string {
	return fmt.Sprintf("%s%d", childPrefix(key), epoch)
}

func childPrefix(key media.StreamKey) string {
	const shownBytes = 64
	shown := []byte(key.Path())
	for i, c := range shown {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			shown[i] = '_'
		}
	}
	return string(shown[:min(len(shown), shownBytes)]) + "~"
}

func (a *registry) onSpawnAgain(ctx actor.Context, m *spawnAgain) {
	e := a.entries[m.key]
	if a.shared != nil && a.shared.def.Key == m.key {
		e = a.shared
	}
	if e != nil && e.epoch == m.epoch && e.pid == nil && !e.doomed {
		a.spawn(ctx, e)
	}
}

// onTerminated goes on where an actor has ended: it had been told to, or it panicked.
func (a *registry) onTerminated(ctx actor.Context, who *actor.PID) {
	if a.books.gone(ctx, a, who) {
		return
	}
	e := a.byPID[who.Id]
	if e == nil {
		return
	}
	delete(a.byPID, who.Id)
	e.pid = nil
	a.dropDevices(ctx, who)
	if e.over || e.doomed {
		a.settle(ctx, e)
		return
	}
	if now := a.opts.Now(); now.Sub(e.began) > respawnMax {
		e.crashes = 0
	}
	pause := min(respawnMin<<min(e.crashes, 10), respawnMax)
	e.crashes++
	a.log.Error().Str("stream", e.def.Key.Path()).Int("crashes", e.crashes).Dur("retry_in", pause).Msg("receiver crashed")
	if !e.open && !e.restored {
		a.answerOpeners(ctx, e, errCrashed)
		e.doomed = true
		a.settle(ctx, e)
		return
	}
	root, self, again := ctx.ActorSystem().Root, ctx.Self(), &spawnAgain{e.def.Key, e.epoch}
	e.respawn = time.AfterFunc(pause, func() { root.Send(self, again) })
}

// settle ends an entry whose actor is gone, and begins its successor if somebody asked for one meanwhile.
func (a *registry) settle(ctx actor.Context, e *entry) {
	if e.pid != nil {
		return
	}
	delete(a.entries, e.def.Key)
	if e.respawn != nil {
		e.respawn.Stop()
	}
	a.census.settled(ctx, e.def.Key, false)
	if e.reason == actors.ReasonTimeout {
		a.tellTimeout(ctx, e)
	}
	a.answerOpeners(ctx, e, errClosed)
	closers := e.closers
	e.closers = nil
	for _, c := range closers {
		c.one(ctx)
	}
	if next := e.next; next != nil {
		e.next = nil
		a.onOpen(ctx, next.def, next.opener)
	}
}

func (a *registry) answerOpeners(ctx actor.Context, e *entry, err error) {
	answer := &Opened{Port: e.port, Err: err}
	if err != nil {
		answer.Port = 0
	}
	for _, opener := range e.openers {
		ctx.Send(opener, answer)
	}
	e.openers = nil
}

// one notes that one of the awaited has ended.
func (c *closing) one(ctx actor.Context) {
	if c.left--; c.left <= 0 && c.asker != nil {
		ctx.Send(c.asker, c.answer)
		c.asker = nil
	}
}

func (a *registry) onConfigChanged(ctx actor.Context, m *actors.ConfigChanged) {
	a.config = m.Config
	for _, e := range a.byPID {
		ctx.Send(e.pid, &configured{m.Config})
	}
	ctx.Respond(&actors.ConfigTaken{Owner: "receivers"})
}

// receiveEnding handles what comes after Stopping, while the children end. Nothing may be spawned any more: such a child would not be asked to end, and this actor would wait for it for ever.
func (a *registry) receiveEnding(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *Open:
		ctx.Respond(&Opened{Err: ErrInterrupted})
	case *Close:
		ctx.Respond(&Closed{Found: a.entries[m.Key] != nil})
	case *CloseStreams:
		ctx.Respond(&StreamsClosed{})
	case *Connect:
		ctx.Respond(&Connected{Err: ErrInterrupted})
	case *SetSSRC, *PauseCheck:
		ctx.Respond(&Done{Err: ErrInterrupted})
	case *List:
		ctx.Respond(&Receivers{Receivers: a.snapshots(m.Key)})
	case *GetTalk:
		ctx.Respond(&Talk{Err: ErrInterrupted})
	case *GetRestored:
		ctx.Respond(&Restored{})
	case *actors.ConfigChanged:
		ctx.Respond(&actors.ConfigTaken{Owner: "receivers"})
	}
}

// release answers everyone who waits; the receivers end as children do, and their definitions stay.
func (a *registry) release(ctx actor.Context) {
	a.ending = true
	a.books.stop(ctx, a)
	a.census.close(ctx)
	for _, e := range a.entries {
		if e.respawn != nil {
			e.respawn.Stop()
		}
		a.answerOpeners(ctx, e, ErrInterrupted)
		for _, c := range e.closers {
			c.one(ctx)
		}
		if e.next != nil && e.next.opener != nil {
			ctx.Send(e.next.opener, &Opened{Err: ErrInterrupted})
		}
	}
	for _, d := range a.devices {
		for _, c := range d.closers {
			c.one(ctx)
		}
	}
	if a.shared != nil && a.shared.respawn != nil {
		a.shared.respawn.Stop()
	}
}
