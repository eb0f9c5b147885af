package rtsp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"berth/media/hub"
)

// How often, and after which pause (longer each time), a source that answers 503 is asked again.
const (
	pullAgainTries = 5
	pullAgainPause = 100 * time.Millisecond
)

// Play sets up the tracks and starts them. It returns when the first packet has arrived, or with a *PullError when ctx, which must bound it, ended before that or the source
// failed; the pull is used up then. With Pairs and OnFallback, a source that cannot or does not send over UDP is opened once more, over TCP. After a success the caller waits for Done.
func (p *Pull) Play(ctx context.Context, opts PlayOptions) error {
	ctx, release := p.join(ctx)
	defer release()
	s := p.current()
	if err := checkPlay(s, &opts); err != nil {
		return p.finish(err)
	}
	err := p.attempt(ctx, s, &opts)
	if err != nil && opts.Pairs != nil && opts.OnFallback != nil && ctx.Err() == nil && udpMayBeToBlame(err) {
		s, err = p.overTCP(ctx, s, &opts, pullFault(s.target.safe(), err))
	}
	if err != nil {
		return p.finish(pullFault(p.target.safe(), err))
	}
	if !p.run(func() { p.watch(s) }) {
		return p.Err()
	}
	return nil
}

func checkPlay(s *pullSession, opts *PlayOptions) error {
	if s == nil {
		return errors.New("rtsp: Play was called before Describe")
	}
	if len(opts.Tracks) != len(s.tracks) || (opts.Pairs != nil && len(opts.Pairs) != len(s.tracks)) {
		return fmt.Errorf("rtsp: %d tracks were described, but Play was told about %d, with %d port pairs", len(s.tracks), len(opts.Tracks), len(opts.Pairs))
	}
	wanted := 0
	for i, track := range opts.Tracks {
		if track < 0 {
			continue
		}
		wanted++
		if opts.Pairs != nil && (opts.Pairs[i].RTP == nil || opts.Pairs[i].RTCP == nil) {
			return fmt.Errorf("rtsp: track %d has no port pair", i)
		}
	}
	if wanted == 0 {
		return &PullError{Reason: PullNoTracks, URL: s.target.safe(), Err: errors.New("none of its tracks is wanted")}
	}
	if opts.FallbackAfter <= 0 {
		opts.FallbackAfter = 3 * time.Second
	}
	return nil
}

// overTCP is the second attempt, after one over UDP failed because of why. A source that has refused the first SETUP by its status is asked again on the
// same connection; in all other cases there is a session at the source that must end before another transport can be asked for.
func (p *Pull) overTCP(ctx context.Context, s *pullSession, opts *PlayOptions, why *PullError) (*pullSession, error) {
	refused := why.Reason == PullStatus && s.set == 0
	if !refused {
		s.close()
	}
	opts.OnFallback(why)
	opts.Pairs = nil
	if refused {
		err := p.attempt(ctx, s, opts)
		if err == nil || pullFault("", err).Reason != PullLost {
			return s, err
		}
		s.close() // it hung up after its refusal
	}
	s, err := p.again(ctx, s)
	if err != nil {
		return s, err
	}
	return s, p.attempt(ctx, s, opts)
}

// again opens the source once more; it must offer what it offered before, since the sink was made for that. Some sources need a moment after a
// session has ended and answer 503 until then.
func (p *Pull) again(ctx context.Context, before *pullSession) (*pullSession, error) {
	for tries := 1; ; tries++ {
		s, err := p.open(ctx)
		switch {
		case err == nil && !samePullTracks(before.tracks, s.tracks):
			return nil, &PullError{Reason: PullChanged, URL: s.target.safe()}
		case err == nil:
			return s, nil
		case pullFault("", err).Status != base.StatusServiceUnavailable || tries == pullAgainTries:
			return nil, err
		}
		pause := time.NewTimer(time.Duration(tries) * pullAgainPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, err
		}
	}
}

// attempt sets up, plays and waits for the first packet.
func (p *Pull) attempt(ctx context.Context, s *pullSession, opts *PlayOptions) error {
	if err := s.setup(ctx, opts.Tracks, opts.Pairs); err != nil {
		return err
	}
	m, err := s.open(func() *pullMedia { return p.listen(s, opts) })
	if err != nil {
		return err
	}
	if err := s.play(ctx); err != nil {
		return err
	}
	transport, fallback := "tcp", (<-chan time.Time)(nil)
	if opts.Pairs != nil {
		transport = "udp"
		if opts.OnFallback != nil {
			timer := time.NewTimer(opts.FallbackAfter)
			defer timer.Stop()
			fallback = timer.C
		}
	}
	ended := make(chan error, 1)
	if !p.run(func() { ended <- s.client.Wait() }) {
		return p.Err()
	}
	select {
	case <-m.first:
	case err := <-ended:
		return err
	case <-p.detached:
		return hub.ErrDetached
	case <-fallback:
		return &PullError{Reason: PullTimeout, URL: s.target.safe(), Err: errNoUDPPacket}
	case <-ctx.Done():
		return pullCause(ctx, nil, p.firstPacket())
	}
	p.mu.Lock()
	p.transport = transport
	p.mu.Unlock()
	return nil
}

// udpMayBeToBlame reports whether TCP could do better. A source that is gone, or wants other credentials, is the same over TCP.
func udpMayBeToBlame(err error) bool {
	switch fault := pullFault("", err); fault.Reason {
	case PullStatus, PullUnsupported, PullUnreachable:
		return true
	case PullTimeout:
		return errors.Is(err, errNoUDPPacket)
	default:
		return false
	}
}

// watch waits for the end of a playing pull, and brings it about when the source falls silent.
func (p *Pull) watch(s *pullSession) {
	if m := s.media(); m != nil && m.reports {
		p.wg.Go(func() { m.report(p.ctx) })
	}
	ended := make(chan error, 1)
	p.wg.Go(func() { ended <- s.client.Wait() })
	timer := time.NewTimer(p.opts.MediaTimeout)
	defer timer.Stop()
	for {
		select {
		case err := <-ended:
			_ = p.finish(pullFault(s.target.safe(), err))
			return
		case <-p.detached:
			_ = p.finish(&PullError{Reason: PullDetached, URL: s.target.safe(), Err: hub.ErrDetached})
			return
		case <-timer.C:
			silence := p.opts.Now().Sub(p.began) - time.Duration(p.last.Load())
			if silence >= p.opts.MediaTimeout {
				_ = p.finish(&PullError{Reason: PullSilent, URL: s.target.safe(), Err: p.silent(silence)})
				return
			}
			timer.Reset(p.opts.MediaTimeout - silence)
		}
	}
}

// silent says what a pull that ends for want of packets has seen.
func (p *Pull) silent(silence time.Duration) error {
	if n := p.unannounced.Load(); n > 0 {
		return fmt.Errorf("no packet of an announced payload type for %s, but %d of others", silence.Round(time.Millisecond), n)
	}
	return fmt.Errorf("no packet for %s", silence.Round(time.Millisecond))
}

// firstPacket names what a pull that has not begun yet waits for.
func (p *Pull) firstPacket() string {
	if n := p.unannounced.Load(); n > 0 {
		return fmt.Sprintf("the first packet of an announced payload type (%d of others came)", n)
	}
	return "the first media packet"
}
