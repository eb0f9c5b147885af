package rtspd

import (
	"cmp"
	cryptorand "crypto/rand"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"

	"berth/actors"
	"berth/config"
)

// refusalReport is how often refused connections are logged, at most.
const refusalReport = 10 * time.Second

// server is the rtspd actor.
type server struct {
	opts        Options
	log         zerolog.Logger
	incarnation uint64
	config      *config.Config

	gate     *gate
	quit     chan struct{}
	loops    sync.WaitGroup
	sessions map[string]*child // by PID id
	count    uint64            // sessions so far
	report   *time.Timer       // looks for refused connections to log
	reported uint64
	released bool
}

// child is what the server knows of a session.
type child struct {
	pid    *actor.PID
	order  uint64
	status *atomic.Pointer[SessionInfo] // written by the session, read here
}

// reportTick looks for refused connections.
type reportTick struct{ incarnation uint64 }

func newServer(opts Options) *server {
	return &server{
		opts: opts, config: opts.Config, incarnation: rand.Uint64(),
		log:  opts.Runtime.Log.With().Str("actor", "rtspd").Logger(),
		gate: newGate(), quit: make(chan struct{}), sessions: map[string]*child{},
	}
}

// Receive routes messages.
func (a *server) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.onStarted(ctx)
	case *actor.Stopping, *actor.Restarting:
		a.release()
	case *accepted:
		a.onAccepted(ctx, m)
	case *actor.Terminated:
		delete(a.sessions, m.Who.Id)
	case *reportTick:
		a.onReport(ctx, m)
	case *ListSessions:
		ctx.Respond(&Sessions{Sessions: a.list(m.Filter)})
	case *KickSessions:
		ctx.Respond(&SessionsKicked{Hit: a.kick(ctx, m)})
	case *TurnAway:
		a.gate.turnAll(m.On)
	case *actors.ConfigChanged:
		a.config = m.Config
		a.gate.setLimits(m.Config.RTSP.MaxConnections, m.Config.RTSP.MaxSessionsPerIP)
		ctx.Respond(&actors.ConfigTaken{Owner: "rtspd"})
	}
}

func (a *server) onStarted(ctx actor.Context) {
	a.gate.setLimits(a.config.RTSP.MaxConnections, a.config.RTSP.MaxSessionsPerIP)
	for i, listener := range a.opts.Listeners {
		loop := &acceptLoop{
			listener: listener, index: i, incarnation: a.incarnation, gate: a.gate, quit: a.quit, log: a.log,
			root: ctx.ActorSystem().Root, self: ctx.Self(), now: a.opts.Now,
		}
		a.loops.Go(loop.run)
		a.log.Info().Str("listen", listener.Addr().String()).Str("protocol", listener.Protocol).Msg("rtsp server listening")
	}
	a.armReport(ctx)
}

func (a *server) armReport(ctx actor.Context) {
	root, self, tick := ctx.ActorSystem().Root, ctx.Self(), &reportTick{incarnation: a.incarnation}
	a.report = time.AfterFunc(refusalReport, func() { root.Send(self, tick) })
}

func (a *server) onReport(ctx actor.Context, m *reportTick) {
	if m.incarnation != a.incarnation || a.released {
		return
	}
	if n := a.gate.refusals(); n != a.reported {
		a.log.Warn().Uint64("connections", n-a.reported).Int("max_connections", a.config.RTSP.MaxConnections).
			Int("max_sessions_per_ip", a.config.RTSP.MaxSessionsPerIP).
			Msg("connections refused: rtsp.max_connections or rtsp.max_sessions_per_ip is reached")
		a.reported = n
	}
	a.armReport(ctx)
}

func (a *server) onAccepted(ctx actor.Context, m *accepted) {
	if m.incarnation != a.incarnation || a.released {
		return // the gate, of the former instance or ours, has closed it; and a session that began after Stopping would not be asked to end
	}
	peer := addrPort(m.conn.RemoteAddr())
	// The first 20 characters, 100 random bits, are the Session header's; the rest makes the public id unlike any other's.
	secret := cryptorand.Text()
	a.count++
	listener := a.opts.Listeners[m.listener]
	info := &SessionInfo{
		ID: strconv.FormatUint(a.count, 10) + "-" + strings.ToLower(secret[20:]), Protocol: listener.Protocol, Peer: peer, Local: addrPort(m.conn.LocalAddr()),
		Since: a.opts.Now(), State: "init",
	}
	status := &atomic.Pointer[SessionInfo]{}
	status.Store(info)
	taken := sessionOptions{
		Options: a.opts, config: a.config, conn: m.conn, gate: a.gate, secret: secret[:20], secure: listener.TLS, status: status,
	}
	pid, err := ctx.SpawnNamed(a.opts.Runtime.Props(func() actor.Actor { return newSession(taken) }), "session/"+info.ID)
	if err != nil {
		a.log.Error().Err(err).Msg("no session for a connection; it is closed")
		a.gate.take(m.conn)
		a.gate.leave(peer.Addr())
		_ = closeNow(m.conn)
		return
	}
	a.sessions[pid.Id] = &child{pid: pid, order: a.count, status: status}
}

func (a *server) matching(f Filter) []*child {
	var hits []*child
	for _, c := range a.sessions {
		info := c.status.Load()
		if f.ID != "" && f.ID != info.ID || f.LocalPort != 0 && f.LocalPort != info.Local.Port() || f.PeerIP.IsValid() && f.PeerIP.Unmap() != info.Peer.Addr() {
			continue
		}
		hits = append(hits, c)
	}
	slices.SortFunc(hits, func(x, y *child) int { return cmp.Compare(x.order, y.order) })
	return hits
}

func (a *server) list(f Filter) []SessionInfo {
	hits := a.matching(f)
	infos := make([]SessionInfo, len(hits))
	for i, c := range hits {
		infos[i] = *c.status.Load()
	}
	return infos
}

func (a *server) kick(ctx actor.Context, m *KickSessions) int {
	reason := m.Reason
	if reason == "" {
		reason = actors.ReasonKicked
	}
	hits := a.matching(m.Filter)
	for _, c := range hits {
		ctx.Send(c.pid, &kick{reason: reason})
	}
	return len(hits)
}

// release ends the accept loops. The library stops the children afterwards, all at once; each closes its own connection.
func (a *server) release() {
	if a.released {
		return
	}
	a.released = true
	close(a.quit)
	if a.report != nil {
		a.report.Stop()
	}
	for _, listener := range a.opts.Listeners {
		if err := listener.Close(); err != nil {
			a.log.Warn().Err(err).Str("listen", listener.Addr().String()).Msg("listener did not close")
		}
	}
	a.loops.Wait()
	a.gate.shut()
}
