package supervisor

import (
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors/actortest"
)

// alone are the kinds of actors whose end costs nobody else anything; the others end the generation.
var alone = map[string]bool{"session": true, "stream": true, "proxy": true, "store": true, "reload": true, "api": true}

// Every kind of actor is made to panic, is stopped and is poisoned while pulls, publishers and viewers are at work over UDP and TCP. Afterwards all of them are served again, every lease has an owner that lives, the
// process holds exactly the sockets that the ledger knows, and the end of the server leaves no goroutine and no socket behind.
func TestAnEndOfAnyActorLeavesNothingBehind(t *testing.T) {
	for kind, find := range map[string]func(*server) []string{
		"session":  func(s *server) []string { return s.ids("/session/") },
		"stream":   func(s *server) []string { return s.ids("/streams/") },
		"proxy":    func(s *server) []string { return s.ids("/proxies/") },
		"streams":  func(s *server) []string { return []string{s.process.engine.Load().Streams.Id} },
		"proxies":  func(s *server) []string { return []string{s.process.engine.Load().Proxies.Id} },
		"rtspd":    func(s *server) []string { return []string{s.process.engine.Load().RTSP.Id} },
		"hook":     func(s *server) []string { return []string{s.process.engine.Load().Hook.Id} },
		"portpool": func(s *server) []string { return []string{s.process.engine.Load().Pool.Id} },
		"engine":   func(s *server) []string { return []string{s.parent(s.process.engine.Load().Pool.Id)} },
		"store":    func(*server) []string { return []string{"supervisor/store"} },
		"reload":   func(*server) []string { return []string{"supervisor/reload"} },
		"api":      func(*server) []string { return []string{"supervisor/api"} },
	} {
		t.Run(kind, func(t *testing.T) {
			s := newServer(t, 30)
			source := startCamera(t)
			s.start(faults{})
			s.pull(source, "one", "1")
			s.pull(source, "two", "1")
			s.pull(source, "three", "0")
			c := gather(s)
			c.flows()
			s.audit(4 + crowdPairs)

			root, generation := s.process.runtime.System.Root, uint64(1)
			strikes := []func(*actor.PID){s.crash, root.Stop, root.Poison}
			if !alone[kind] {
				strikes = strikes[:2] // poison is a stop after what is in the mailbox; and each breakdown waits longer than the one before
			}
			for _, strike := range strikes {
				victims := find(s)
				require.NotEmpty(t, victims)
				for _, id := range victims {
					strike(s.named(id))
				}
				if !alone[kind] {
					generation++
					s.eventually("the next generation runs", func() bool { return s.generation() == generation })
				}
				s.eventually("the proxies play", func() bool { return s.playing() == 3 })
				c.flows()
				s.audit(4 + crowdPairs)
				s.owners()
				require.Equal(t, generation, s.generation(), "the engine must not have suffered more than it has to")
			}
			c.leave()
			s.audit(4)
			s.stop()
		})
	}
}

// parent returns the id of an actor's parent.
func (s *server) parent(id string) string {
	s.t.Helper()
	at := strings.LastIndexByte(id, '/')
	require.Positive(s.t, at, id)
	return id[:at]
}

// owners requires that whoever holds a lease is alive, and holds it for a stream.
func (s *server) owners() {
	s.t.Helper()
	pool := s.pool()
	require.NotNil(s.t, pool)
	for _, slot := range pool.Slots {
		if slot.State.String() != "leased" {
			continue
		}
		require.NotEmpty(s.t, slot.Stream.Stream, "%+v", slot)
		_, id, found := strings.Cut(slot.Owner, "supervisor/")
		require.True(s.t, found, "%+v", slot)
		require.True(s.t, actortest.Alive(s.process.runtime, s.named("supervisor/"+id)), "the owner of %+v has gone", slot)
	}
}
