package rtspd

import (
	"errors"
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
)

const (
	firstBackOff = 5 * time.Millisecond // after a failed accept
	lastBackOff  = time.Second
)

// accepted hands a connection from an accept loop to the server.
type accepted struct {
	incarnation uint64
	conn        net.Conn
	listener    int
}

// acceptLoop accepts from one listener until it is closed. Running out of descriptors (EMFILE) and other passing failures make it pause, doubling up to a
// second, instead of spinning; the sessions that are open are not disturbed.
type acceptLoop struct {
	listener    Listener
	index       int
	incarnation uint64
	gate        *gate
	quit        <-chan struct{}
	log         zerolog.Logger
	root        *actor.RootContext
	self        *actor.PID
	now         func() time.Time

	failures int       // since the last report
	reported time.Time // when failures were logged last; zero before the first
}

func (l *acceptLoop) run() {
	pause := time.Duration(0)
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			l.onFailure(err)
			if pause = min(max(2*pause, firstBackOff), lastBackOff); !l.wait(pause) {
				return
			}
			continue
		}
		pause = 0
		peer := addrPort(conn.RemoteAddr()).Addr()
		if !l.gate.admit(conn, peer) {
			l.gate.turnAway(conn, !l.listener.TLS)
			continue
		}
		l.root.Send(l.self, &accepted{incarnation: l.incarnation, conn: conn, listener: l.index})
	}
}

// onFailure logs the first failure at once, and then how many there were. Where descriptors are scarce and connections come and go, every other accept fails, so that neither
// success nor failure means the end of the trouble.
func (l *acceptLoop) onFailure(err error) {
	l.failures++
	now := l.now()
	if !l.reported.IsZero() && now.Sub(l.reported) < refusalReport {
		return
	}
	l.log.Warn().Err(err).Int("failures", l.failures).Str("listen", l.listener.Addr().String()).
		Msg("cannot accept connections; if descriptors have run out, raise the limit (LimitNOFILE, ulimit -n)")
	l.failures, l.reported = 0, now
}

// wait returns false when the server stops meanwhile.
func (l *acceptLoop) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.quit:
		return false
	}
}
