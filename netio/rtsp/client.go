package rtsp

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"berth/media"
	"berth/media/hub"
)

var _ PullSink = (*hub.Writer)(nil)

// Pull is one attempt to play a source: Describe, then Play, then Done. It is used up when it has ended; reconnecting is the owner's business, with a new Pull.
//
// Describe and Play are called in this order by one goroutine, which they block. Close may be called from any goroutine at any time, and ends both.
// After Play has returned without an error the pull runs on goroutines of its own until it ends, which closes Done.
type Pull struct {
	opts   PullOptions
	target pullTarget

	ctx    context.Context // ended by Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu        sync.Mutex
	session   *pullSession
	transport string
	ended     bool
	err       error

	done chan struct{}

	invalid  atomic.Uint64 // what the library could not read
	began    time.Time     // what last counts from, so that a step of the wall clock is no silence
	last     atomic.Int64  // arrival of the last packet that the sink took, nanoseconds since began, 0 before the first
	detached chan struct{} // closed when the sink takes no more
	detach   sync.Once

	unannounced atomic.Uint64 // packets that the sink refused for their payload type
}

// NewPull checks the URL and prepares a pull; nothing is sent yet. The error is a *PullError with PullBadURL.
func NewPull(opts PullOptions) (*Pull, error) {
	opts = opts.withDefaults()
	target, err := parsePullTarget(opts.URL)
	if err != nil {
		return nil, &PullError{Reason: PullBadURL, URL: SafeURL(opts.URL), Err: err}
	}
	if opts.User != "" {
		target.user, target.password = opts.User, opts.Password
	}
	p := &Pull{opts: opts, target: target, began: opts.Now(), done: make(chan struct{}), detached: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// Describe connects to the source, follows its redirects and returns the tracks it offers, in its order: audio and video, of known codecs or not. ctx must bound it, nothing else
// does. The error is a *PullError; the pull is used up then.
func (p *Pull) Describe(ctx context.Context) ([]*media.Track, error) {
	ctx, release := p.join(ctx)
	defer release()
	s, err := p.open(ctx)
	if err != nil {
		return nil, p.finish(err)
	}
	tracks := make([]*media.Track, len(s.tracks))
	for i, t := range s.tracks {
		tracks[i] = t.track
	}
	return tracks, nil
}

// join returns a context that ends with ctx and with the pull.
func (p *Pull) join(ctx context.Context) (context.Context, func()) {
	joined, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(p.ctx, func() { cancel(&PullError{Reason: PullClosed, URL: p.target.safe()}) })
	return joined, func() {
		stop()
		cancel(nil)
	}
}

// open makes a described session, following redirects (RFC 2326 section 11.2).
func (p *Pull) open(ctx context.Context) (*pullSession, error) {
	target := p.target
	seen := map[string]bool{target.url.String(): true}
	for redirects := 0; ; redirects++ {
		s, err := newPullSession(p, target)
		if err != nil {
			return nil, err
		}
		if !p.adopt(s) {
			s.close()
			return nil, &PullError{Reason: PullClosed, URL: target.safe()}
		}
		if err = s.describe(ctx); err == nil {
			return s, nil
		}
		s.close()
		if s.location == "" || ctx.Err() != nil {
			return nil, pullFault(target.safe(), err)
		}
		next, err := target.follow(s.location)
		switch {
		case err != nil:
		case seen[next.url.String()]:
			err = errors.New("it leads in a circle")
		case redirects >= max(p.opts.MaxRedirects, 0):
			err = errors.New("too many, one after the other")
		}
		if err != nil {
			return nil, &PullError{Reason: PullRedirected, URL: target.safe(), Err: err}
		}
		target = next
		seen[target.url.String()] = true
	}
}

// adopt makes s the session that Close closes; false when the pull has been closed already.
func (p *Pull) adopt(s *pullSession) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.ctx.Err() != nil {
		return false
	}
	p.session = s
	return true
}

func (p *Pull) current() *pullSession {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session
}

// CanUDP reports whether the described source could be played over UDP: not when it is rtsps and its tracks are not encrypted by themselves (SRTP). Call it after Describe.
func (p *Pull) CanUDP() bool {
	s := p.current()
	if s == nil || s.target.url.Scheme != "rtsps" {
		return true
	}
	for _, t := range s.tracks {
		if !isSecureMedia(t.media) {
			return false
		}
	}
	return true
}

// Endpoints returns the addresses of the RTSP connection; zero before there is one.
func (p *Pull) Endpoints() (local, peer netip.AddrPort) {
	if s := p.current(); s != nil {
		return s.dialer.endpoints()
	}
	return local, peer
}

// Transport returns "udp" or "tcp" while the pull plays, "" before.
func (p *Pull) Transport() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.transport
}

// Stats returns the counters, at any time.
func (p *Pull) Stats() PullStats {
	s := PullStats{Invalid: p.invalid.Load()}
	if session := p.current(); session != nil {
		if m := session.media(); m != nil {
			m.stats(&s)
		}
	}
	if last := p.last.Load(); last != 0 {
		s.Last = p.began.Add(time.Duration(last))
	}
	return s
}

// Done is closed when the pull has ended, for whatever reason; Err then says why. By then nothing is written to the sink any more and UDP sockets are not used.
func (p *Pull) Done() <-chan struct{} { return p.done }

// Err returns why the pull ended, a *PullError, or nil while it has not.
func (p *Pull) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// finish ends the pull with err, once, and returns the error it ended with.
func (p *Pull) finish(err error) error {
	p.mu.Lock()
	s, first := p.session, !p.ended
	p.ended = true
	if first {
		p.err = pullFault(p.target.safe(), err)
	}
	err = p.err
	p.mu.Unlock()
	p.cancel()
	if s != nil {
		s.close()
	}
	if first {
		close(p.done)
	}
	return err
}

// run starts a goroutine that Close waits for; it reports false, and starts none, once the pull has ended. A goroutine that runs already may start others without it.
func (p *Pull) run(work func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	p.wg.Go(work)
	return true
}

// Close ends the pull: a TEARDOWN is sent if there is a session, within a second, and every goroutine is waited for. It may be called again.
func (p *Pull) Close() error {
	_ = p.finish(&PullError{Reason: PullClosed, URL: p.target.safe()})
	<-p.done
	p.wg.Wait()
	return nil
}
