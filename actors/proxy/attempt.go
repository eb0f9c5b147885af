package proxy

import (
	"context"
	"crypto/tls"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"berth/actors/portpool"
	"berth/netio/ports"
	"berth/netio/rtsp"
)

// leaseID numbers a proxy's leases: one a track.
func leaseID(track int) uint64 { return uint64(track) }

// leasedTrack is the reverse of leaseID.
func leasedTrack(id uint64) int { return int(id) }

// connect makes the pull of an attempt and describes the source.
func (a *proxyActor) connect(ctx actor.Context, act connect) {
	pull, err := rtsp.NewPull(a.pullOptions())
	if err != nil {
		a.handle(ctx, described{attempt: act.attempt, err: err})
		return
	}
	a.pull = pull
	a.deadline = time.Now().Add(a.state.timeout)
	root, self, deadline := a.root, a.self, a.deadline
	a.work.Go(func() {
		limit, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		tracks, err := pull.Describe(limit)
		root.Send(self, described{attempt: act.attempt, tracks: tracks, canUDP: pull.CanUDP(), err: err})
	})
}

// pullOptions are what definition and configuration say about a pull.
func (a *proxyActor) pullOptions() rtsp.PullOptions {
	o := rtsp.PullOptions{
		URL: a.def.URL, User: a.def.User, Password: a.def.Password,
		MediaTimeout: a.config.Proxy.MediaTimeout,
		Dial:         a.opts.Dial, Now: a.opts.Now,
		// Cameras sign their certificates themselves; as with ZLMediaKit it is checked only where the API call asked for it.
		TLS: &tls.Config{MinVersion: tls.VersionTLS10, InsecureSkipVerify: a.def.Params["tls_verify"] != "1"}, //nolint:gosec // see above
	}
	if ms, err := strconv.Atoi(a.def.Params["media_timeout_ms"]); err == nil && ms > 0 {
		o.MediaTimeout = time.Duration(ms) * time.Millisecond
	}
	return o
}

// play sets up and plays the described source on a goroutine that stays until the pull has ended.
func (a *proxyActor) play(act play) {
	opts := rtsp.PlayOptions{
		Sink: a.attached.Writer, Tracks: make([]int, len(a.state.tracks)), FallbackAfter: a.config.Proxy.UDPFallbackTimeout,
	}
	for i := range opts.Tracks {
		opts.Tracks[i] = -1
		if a.state.wanted[i] && i < len(a.attached.Tracks) {
			opts.Tracks[i] = a.attached.Tracks[i]
		}
	}
	if act.udp {
		opts.Pairs = make([]rtsp.PullPair, len(opts.Tracks))
		for track, lease := range a.sockets {
			opts.Pairs[track] = rtsp.PullPair{RTP: lease.RTP, RTCP: lease.RTCP}
		}
	}
	root, self, pull, deadline := a.root, a.self, a.pull, a.deadline
	if act.fallback {
		opts.OnFallback = func(why error) { root.Send(self, fellBack{act.attempt, why}) }
	}
	a.work.Go(func() {
		limit, cancel := context.WithDeadline(context.Background(), deadline)
		err := pull.Play(limit, opts)
		cancel()
		root.Send(self, played{act.attempt, pull.Transport(), err})
		if err == nil {
			<-pull.Done()
			root.Send(self, ended{act.attempt, pull.Err()})
		}
	})
}

// closePull ends the attempt's pull beside the actor, since a TEARDOWN takes its time.
func (a *proxyActor) closePull(ctx actor.Context, act closePull) {
	pull := a.pull
	if pull == nil {
		a.handle(ctx, closed(act))
		return
	}
	root, self := a.root, a.self
	a.work.Go(func() {
		_ = pull.Close() // always nil
		root.Send(self, closed(act))
	})
}

func (a *proxyActor) leasePair(ctx actor.Context, act leasePair) {
	ctx.Request(a.opts.Pool, &portpool.LeasePair{
		Owner: a.self, ID: leaseID(act.track), Stream: a.def.Key, Purpose: portpool.PurposeRTSPPull,
		Sockets: ports.UDPPair, Port: act.port, Fresh: act.fresh, Peer: rtsp.SafeURL(a.def.URL),
	})
}

func (a *proxyActor) releasePair(ctx actor.Context, act release) {
	if lease := a.sockets[act.track]; lease != nil && lease.Epoch == act.epoch {
		delete(a.sockets, act.track)
	}
	ctx.Send(a.opts.Pool, &portpool.ReleaseLease{Owner: a.self, ID: leaseID(act.track), Epoch: act.epoch})
}
