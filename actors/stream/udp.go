package stream

import (
	"github.com/asynkron/protoactor-go/actor"

	"berth/actors"
	"berth/actors/portpool"
	"berth/netio/fanout"
	"berth/netio/ports"
)

// pairs are the stream's leases: at most one for each track, made when the first UDP viewer of the track asks, given back after the last one has left.
type pairs struct {
	byTrack map[int]*sharedPair
	last    uint64 // id of the last lease that was asked for
}

func newPairs() pairs { return pairs{byTrack: map[int]*sharedPair{}} }

// sharedPair is one lease, under way or granted.
type sharedPair struct {
	track   int
	id      uint64
	waiting []*OpenUDP            // viewers that asked while the lease is under way, in order
	lease   *portpool.PairLeased  // nil while under way
	pair    *fanout.UDPPair       // what viewers are given
	loop    *udpLoop              // reads the sockets
	book    *addressBook          // of loop
	users   map[string]*actor.PID // viewers that were given the pair, by PID id
}

func (a *streamActor) onOpenUDP(ctx actor.Context, m *OpenUDP) {
	if err := a.mayOpen(m); err != nil {
		ctx.Send(m.Reader, &UDPOpened{Track: m.Track, Err: err})
		return
	}
	p, ok := a.pairs.byTrack[m.Track]
	if !ok {
		a.pairs.last++
		p = &sharedPair{track: m.Track, id: a.pairs.last, users: map[string]*actor.PID{}}
		a.pairs.byTrack[m.Track] = p
		ctx.Request(a.Pool, &portpool.LeasePair{
			Owner: a.self, ID: p.id, Stream: a.Key, Purpose: portpool.PurposeRTSPPlay, Sockets: ports.UDPPair, Peer: "viewers of " + a.Key.Path(),
		})
	}
	a.state.usesUDP(m.Reader.Id)
	if p.lease == nil {
		p.waiting = append(p.waiting, m)
		return
	}
	a.grant(ctx, p, m)
}

func (a *streamActor) mayOpen(m *OpenUDP) error {
	switch {
	case a.state.phase == phaseEnded:
		return ErrEnded
	case a.readers[m.Reader.Id] == nil:
		return ErrNotReader
	case m.Track < 0 || m.Track >= len(a.hub.Tracks()):
		return ErrTrack
	case a.Pool == nil:
		return actors.ErrGone
	}
	return nil
}

// grant gives an open pair to a viewer.
func (a *streamActor) grant(ctx actor.Context, p *sharedPair, m *OpenUDP) {
	r := a.readers[m.Reader.Id]
	p.users[m.Reader.Id] = m.Reader
	p.book.add(r.heard, m.RTP, m.RTCP)
	ctx.Send(m.Reader, &UDPOpened{Track: p.track, Port: p.pair.Port, Pair: p.pair, Heard: r.heard})
}

// byLease finds the pair that a lease was asked for.
func (a *streamActor) byLease(id uint64) *sharedPair {
	for _, p := range a.pairs.byTrack {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (a *streamActor) onPairLeased(ctx actor.Context, m *portpool.PairLeased) {
	p := a.byLease(m.ID)
	if p == nil {
		// Everyone who wanted it has left meanwhile.
		a.giveBack(ctx, m)
		return
	}
	if p.lease != nil {
		return // the pool answers a repeated request with the same lease
	}
	p.lease = m
	p.pair = &fanout.UDPPair{RTP: m.RTP, RTCP: m.RTCP, Port: m.Port}
	p.book = newAddressBook()
	p.loop = startUDPLoop(m.RTP, m.RTCP, p.book, a.Now)
	waiting := p.waiting
	p.waiting = nil
	for _, w := range waiting {
		if a.readers[w.Reader.Id] != nil {
			a.grant(ctx, p, w)
		}
	}
	a.closeUnused(ctx, p)
}

func (a *streamActor) onLeaseFailed(ctx actor.Context, id uint64, err error) {
	p := a.byLease(id)
	if p == nil || p.lease != nil {
		return
	}
	delete(a.pairs.byTrack, p.track)
	a.refuseAll(ctx, p, err)
}

// onNoAnswer is told when a request found nobody. Of those that a stream asks, only the pool's answer is waited for.
func (a *streamActor) onNoAnswer(ctx actor.Context) {
	if a.Pool == nil {
		return
	}
	if _, alive := ctx.ActorSystem().ProcessRegistry.Get(a.Pool); !alive {
		a.refuseWaitingForPairs(ctx, actors.ErrGone)
	}
}

// refuseWaitingForPairs answers every viewer whose lease is under way. Leases that are granted later go straight back.
func (a *streamActor) refuseWaitingForPairs(ctx actor.Context, err error) {
	for track, p := range a.pairs.byTrack {
		if p.lease == nil {
			delete(a.pairs.byTrack, track)
			a.refuseAll(ctx, p, err)
		}
	}
}

func (a *streamActor) refuseAll(ctx actor.Context, p *sharedPair, err error) {
	for _, w := range p.waiting {
		ctx.Send(w.Reader, &UDPOpened{Track: p.track, Err: err})
	}
	p.waiting = nil
}

// leavePairs ends a viewer's use of all pairs.
func (a *streamActor) leavePairs(ctx actor.Context, r *reader) {
	for _, p := range a.pairs.byTrack {
		delete(p.users, r.pid.Id)
		still := p.waiting[:0:0]
		for _, w := range p.waiting {
			if w.Reader.Id != r.pid.Id {
				still = append(still, w)
			}
		}
		p.waiting = still
		if p.lease != nil {
			p.book.remove(r.heard)
		}
		a.closeUnused(ctx, p)
	}
}

// closeUnused gives a pair back that nobody uses. One that is still under way is forgotten, and goes back when it comes.
func (a *streamActor) closeUnused(ctx actor.Context, p *sharedPair) {
	if len(p.users) > 0 || len(p.waiting) > 0 {
		return
	}
	delete(a.pairs.byTrack, p.track)
	if p.lease != nil {
		p.loop.close()
		a.giveBack(ctx, p.lease)
	}
}

func (a *streamActor) giveBack(ctx actor.Context, lease *portpool.PairLeased) {
	ctx.Send(a.Pool, &portpool.ReleaseLease{Owner: a.self, ID: lease.ID, Epoch: lease.Epoch})
}

// releasePairs gives everything back. Leases that are under way end by themselves with the actor.
func (a *streamActor) releasePairs(ctx actor.Context) {
	for track, p := range a.pairs.byTrack {
		delete(a.pairs.byTrack, track)
		if p.lease != nil {
			p.loop.close()
			a.giveBack(ctx, p.lease)
		}
	}
}
