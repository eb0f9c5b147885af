package actortest

import (
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"berth/actors"
)

// probeQueue is how many messages a probe keeps that nobody has looked at; a test that makes more of them is wrong, and is told so.
const probeQueue = 16384

// Received is one message that a probe was sent.
type Received struct {
	Message any
	Sender  *actor.PID // nil when it was no request
}

// Probe is an actor that keeps what it is sent until the test looks. It stands in for any actor, as asker and as the asked.
type Probe struct {
	PID *actor.PID

	rt  *actors.Runtime
	got chan Received
}

// watch makes a probe watch an actor; it then receives *actor.Terminated.
type watch struct{ who *actor.PID }

// request makes a probe send a request, so that the answer comes to it.
type request struct {
	to  *actor.PID
	msg any
}

// NewProbe starts a probe that ends with the test.
func NewProbe(t testing.TB, rt *actors.Runtime, name string) *Probe {
	t.Helper()
	p := &Probe{rt: rt, got: make(chan Received, probeQueue)}
	p.PID = SpawnFunc(t, rt, "probe-"+name, p.receive)
	return p
}

func (p *Probe) receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
	case *mark:
		close(m.done)
	case *watch:
		ctx.Watch(m.who)
	case *request:
		ctx.Request(m.to, m.msg)
	default:
		select {
		case p.got <- Received{Message: m, Sender: ctx.Sender()}:
		default:
			panic(fmt.Sprintf("probe %s: more than %d messages that no test looked at", p.PID.Id, probeQueue))
		}
	}
}

// Request sends msg to an actor with the probe as its sender. Requests of one probe arrive in order.
func (p *Probe) Request(to *actor.PID, msg any) { p.rt.System.Root.Send(p.PID, &request{to, msg}) }

// Watch makes the probe receive *actor.Terminated when who ends, or at once when it is gone.
func (p *Probe) Watch(who *actor.PID) { p.rt.System.Root.Send(p.PID, &watch{who}) }

// Stop ends the probe as an actor that dies; its watchers hear it. What it was sent before can still be looked at.
func (p *Probe) Stop(t testing.TB) {
	t.Helper()
	Stop(t, p.rt, p.PID)
}

// Next returns the next message, and fails the test when none comes.
func (p *Probe) Next(t testing.TB) Received {
	t.Helper()
	select {
	case r := <-p.got:
		return r
	case <-time.After(Wait):
		t.Fatalf("probe %s: no message after %s", p.PID.Id, Wait)
		return Received{}
	}
}

// Expect returns the next message, which must be a T.
func Expect[T any](t testing.TB, p *Probe) T {
	t.Helper()
	r := p.Next(t)
	m, ok := r.Message.(T)
	require.Truef(t, ok, "probe %s: got %T %+v, want %T", p.PID.Id, r.Message, r.Message, m)
	return m
}

// Await returns the next message that is a T and drops those before it.
func Await[T any](t testing.TB, p *Probe) T {
	t.Helper()
	limit := time.After(Wait)
	for {
		select {
		case r := <-p.got:
			if m, ok := r.Message.(T); ok {
				return m
			}
		case <-limit:
			var want T
			t.Fatalf("probe %s: no %T after %s", p.PID.Id, want, Wait)
		}
	}
}

// ExpectNothing fails the test when the probe has been sent anything by now. Call it after something that orders the messages: an answer
// of the same actor to a later request, or a virtual wait in a bubble.
func (p *Probe) ExpectNothing(t testing.TB) {
	t.Helper()
	// What an actor sent before its answer was sent is in the probe's mailbox before the answer to this request.
	p.sync(t)
	select {
	case r := <-p.got:
		t.Fatalf("probe %s: unexpected %T %+v", p.PID.Id, r.Message, r.Message)
	default:
	}
}

// Drain drops everything that the probe has been sent by now and returns how much it was.
func (p *Probe) Drain(t testing.TB) int {
	t.Helper()
	p.sync(t)
	n := 0
	for {
		select {
		case <-p.got:
			n++
		default:
			return n
		}
	}
}

// mark travels through a probe's mailbox behind everything sent before.
type mark struct{ done chan struct{} }

func (p *Probe) sync(t testing.TB) {
	t.Helper()
	if !Alive(p.rt, p.PID) {
		return
	}
	m := &mark{done: make(chan struct{})}
	p.rt.System.Root.Send(p.PID, m)
	select {
	case <-m.done:
	case <-time.After(Wait):
		t.Fatalf("probe %s does not answer", p.PID.Id)
	}
}
