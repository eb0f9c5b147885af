package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"berth/media"
	"berth/media/hub"
	"berth/netio/camera"
	"berth/netio/udp"
)

// pullPatience bounds waits that only a broken test reaches.
const pullPatience = 30 * time.Second

// pullCheckLeaks fails the test when the pull leaves a goroutine behind.
func pullCheckLeaks(t *testing.T) {
	t.Helper()
	current := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, current) })
}

func pullCamera(t *testing.T, opts camera.Options) *camera.Camera {
	t.Helper()
	c, err := camera.Start(opts)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// pullSinkFake counts packets and checks that they are whole and in order.
type pullSinkFake struct {
	mu      sync.Mutex
	packets map[int]int
	reports map[int]int
	last    map[int]uint16
	order   []uint16
	gaps    bool // sequence numbers may jump
	broken  error
	err     error // returned from WriteRTP
}

func newPullSink() *pullSinkFake {
	return &pullSinkFake{packets: map[int]int{}, reports: map[int]int{}, last: map[int]uint16{}}
}

func (s *pullSinkFake) WriteRTP(track int, _ time.Time, raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pkt rtp.Packet
	if err := pkt.Unmarshal(raw); err != nil {
		s.broken = err
	}
	if n := s.packets[track]; n > 0 && !s.gaps && pkt.SequenceNumber != s.last[track]+1 {
		s.broken = errors.New("sequence numbers are not contiguous")
	}
	s.last[track] = pkt.SequenceNumber
	if s.gaps {
		s.order = append(s.order, pkt.SequenceNumber)
	}
	s.packets[track]++
	return s.err
}

func (s *pullSinkFake) WriteRTCP(track int, _ time.Time, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pkts, err := rtcp.Unmarshal(raw); err != nil || len(pkts) == 0 {
		s.broken = errors.New("not RTCP")
	}
	s.reports[track]++
}

func (s *pullSinkFake) sequence() []uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

func (s *pullSinkFake) count(track int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.packets[track]
}

func (s *pullSinkFake) requireFlow(t *testing.T, tracks ...int) {
	t.Helper()
	for _, track := range tracks {
		before := s.count(track)
		require.Eventually(t, func() bool { return s.count(track) > before+10 }, pullPatience, time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(t, s.broken)
}

func newTestPull(t *testing.T, opts PullOptions) *Pull {
	t.Helper()
	p, err := NewPull(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func pullContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), pullPatience)
	t.Cleanup(cancel)
	return ctx
}

// pullPairs binds one pair a track, as the pool would.
func pullPairs(t *testing.T, n int) []PullPair {
	t.Helper()
	var pairs []PullPair
	for len(pairs) < n {
		a, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		port := a.LocalAddr().(*net.UDPAddr).Port
		b, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1})
		if err != nil || port%2 != 0 {
			require.NoError(t, a.Close())
			if err == nil {
				require.NoError(t, b.Close())
			}
			continue
		}
		t.Cleanup(func() { _, _ = a.Close(), b.Close() })
		pairs = append(pairs, PullPair{RTP: a, RTCP: b})
	}
	return pairs
}

// anyPair binds a pair on all addresses of both families.
func anyPair(t *testing.T) PullPair {
	t.Helper()
	for port := uint16(21000); port < 32000; port += 2 {
		rtp, rtcp, err := udp.BindPair(netip.IPv6Unspecified(), port, udp.Options{})
		if err == nil {
			t.Cleanup(func() { _, _ = rtp.Close(), rtcp.Close() })
			return PullPair{RTP: rtp, RTCP: rtcp}
		}
	}
	t.Fatal("no free pair")
	return PullPair{}
}

func TestPullOverUDPFromBothFamilies(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		pullCheckLeaks(t)
		c := pullCamera(t, camera.Options{Listen: host + ":0"})
		p := newTestPull(t, PullOptions{URL: c.URL("x")})
		sink := newPullSink()
		require.NoError(t, pullAll(t, p, sink, []PullPair{anyPair(t), anyPair(t)}))
		sink.requireFlow(t, 0, 1)
		local, peer := p.Endpoints()
		require.Equal(t, c.Addr().String(), peer.String())
		require.True(t, local.IsValid())
		require.NoError(t, p.Close())
	}
}

func requireReason(t *testing.T, err error, reason PullReason) *PullError {
	t.Helper()
	var fault *PullError
	require.ErrorAs(t, err, &fault)
	require.Equal(t, reason, fault.Reason, fault.Error())
	return fault
}

// pullAll describes and plays both tracks of a camera.
func pullAll(t *testing.T, p *Pull, sink PullSink, pairs []PullPair) error {
	t.Helper()
	tracks, err := p.Describe(pullContext(t))
	if err != nil {
		return err
	}
	numbers := make([]int, len(tracks))
	for i := range numbers {
		numbers[i] = i
	}
	return p.Play(pullContext(t), PlayOptions{Sink: sink, Tracks: numbers, Pairs: pairs})
}

func TestPullPlays(t *testing.T) {
	for name, udp := range map[string]bool{"tcp": false, "udp": true} {
		t.Run(name, func(t *testing.T) {
			pullCheckLeaks(t)
			c := pullCamera(t, camera.Options{})
			p := newTestPull(t, PullOptions{URL: c.URL("live/x")})
			tracks, err := p.Describe(pullContext(t))
			require.NoError(t, err)
			require.Len(t, tracks, 2)
			require.Equal(t, []media.Codec{media.CodecH264, media.CodecAAC}, []media.Codec{tracks[0].Codec, tracks[1].Codec})
			require.Equal(t, []int{640, 360}, []int{tracks[0].Width, tracks[0].Height})
			require.Empty(t, p.Transport())
			require.True(t, p.CanUDP())

			sink := newPullSink()
			play := PlayOptions{Sink: sink, Tracks: []int{4, 2}}
			if udp {
				play.Pairs = pullPairs(t, 2)
			}
			require.NoError(t, p.Play(pullContext(t), play))
			require.Equal(t, name, p.Transport())
			sink.requireFlow(t, 4, 2)
			require.NotZero(t, p.Stats().Packets)
			require.Zero(t, p.Stats().Lost)
			require.Zero(t, p.Stats().Invalid)
			require.WithinDuration(t, time.Now(), p.Stats().Last, time.Minute)
			require.NoError(t, p.Err())

			require.NoError(t, p.Close())
			<-p.Done()
			requireReason(t, p.Err(), PullClosed)
			require.Eventually(t, func() bool { return c.Sessions() == 0 }, pullPatience, time.Millisecond)
			require.Equal(t, 1, c.Requests(base.Teardown))
			for _, pair := range play.Pairs {
				// Still open, and nobody reads them.
				require.NoError(t, pair.RTP.SetDeadline(time.Time{}))
				_, err := pair.RTP.WriteTo([]byte{1}, pair.RTCP.LocalAddr())
				require.NoError(t, err)
			}
		})
	}
}

func TestPullLeavesOutWhatIsNotWanted(t *testing.T) {
	c := pullCamera(t, camera.Options{Tracks: camera.TracksOdd})
	p := newTestPull(t, PullOptions{URL: c.URL("x")})
	tracks, err := p.Describe(pullContext(t))
	require.NoError(t, err)
	require.Len(t, tracks, 2, "neither metadata nor a back channel")
	require.Equal(t, media.CodecH264, tracks[0].Codec)
	require.Equal(t, media.CodecUnknown, tracks[1].Codec)
	require.Equal(t, media.KindAudio, tracks[1].Kind)
	sink := newPullSink()
	require.NoError(t, p.Play(pullContext(t), PlayOptions{Sink: sink, Tracks: []int{-1, 0}, Pairs: []PullPair{{}, pullPairs(t, 1)[0]}}))
	sink.requireFlow(t, 0)
	require.Zero(t, sink.count(-1))
	require.Equal(t, 1, c.Requests(base.Setup))
}

func TestPullFallsBackToTCP(t *testing.T) {
	refuse := func(c *camera.Camera) { c.RefuseUDP(true) }
	silent := func(c *camera.Camera) { c.SilentUDP(true) }
	for name, spoil := range map[string]func(*camera.Camera){"refused": refuse, "silent": silent} {
		t.Run(name, func(t *testing.T) {
			pullCheckLeaks(t)
			c := pullCamera(t, camera.Options{})
			spoil(c)
			p := newTestPull(t, PullOptions{URL: c.URL("x")})
			_, err := p.Describe(pullContext(t))
			require.NoError(t, err)
			sink := newPullSink()
			pairs := pullPairs(t, 2)
			var why error
			require.NoError(t, p.Play(pullContext(t), PlayOptions{
				Sink: sink, Tracks: []int{0, 1}, Pairs: pairs, FallbackAfter: 50 * time.Millisecond,
				OnFallback: func(err error) {
					why = err
					for _, pair := range pairs { // the owner may take them back here
						require.NoError(t, errors.Join(pair.RTP.Close(), pair.RTCP.Close()))
					}
				},
			}))
			require.Error(t, why)
			require.Contains(t, why.Error(), c.URL("x"))
			require.Equal(t, "tcp", p.Transport())
			sink.requireFlow(t, 0, 1)
		})
	}
}

func TestPullFailsWhereUDPFailsWithoutFallback(t *testing.T) {
	c := pullCamera(t, camera.Options{})
	c.RefuseUDP(true)
	fault := requireReason(t, pullAll(t, newTestPull(t, PullOptions{URL: c.URL("x")}), newPullSink(), pullPairs(t, 2)), PullStatus)
	require.Equal(t, base.StatusUnsupportedTransport, fault.Status)

	c.RefuseUDP(false)
	c.SilentUDP(true)
	p := newTestPull(t, PullOptions{URL: c.URL("x")})
	_, err := p.Describe(pullContext(t))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	fault = requireReason(t, p.Play(ctx, PlayOptions{Sink: newPullSink(), Tracks: []int{0, 1}, Pairs: pullPairs(t, 2)}), PullTimeout)
	require.ErrorContains(t, fault, "the first media packet")
	require.Equal(t, p.Err(), error(fault))
}

func TestPullDoesNotFallBackFromWhatTCPCannotCure(t *testing.T) {
	c := pullCamera(t, camera.Options{})
	p := newTestPull(t, PullOptions{URL: c.URL("x")})
	_, err := p.Describe(pullContext(t))
	require.NoError(t, err)
	c.Close()
	err = p.Play(pullContext(t), PlayOptions{
		Sink: newPullSink(), Tracks: []int{0, 1}, Pairs: pullPairs(t, 2),
		OnFallback: func(error) { t.Error("fell back") },
	})
	requireReason(t, err, PullLost)
}

func TestPullAuthenticates(t *testing.T) {
	const password = "p@ss#w/rd"
	for name, method := range map[string]camera.Authentication{"md5": camera.DigestMD5, "sha256": camera.DigestSHA256, "basic": camera.Basic} {
		t.Run(name, func(t *testing.T) {
			c := pullCamera(t, camera.Options{User: "admin", Password: password, Authentication: method})
			sink := newPullSink()
			require.NoError(t, pullAll(t, newTestPull(t, PullOptions{URL: "rtsp://admin:" + password + "@" + c.Addr().String() + "/x"}), sink, nil))
			require.NoError(t, pullAll(t, newTestPull(t, PullOptions{URL: "rtsp://other:one@" + c.Addr().String() + "/x", User: "admin", Password: password}), newPullSink(), nil))
			sink.requireFlow(t, 0, 1)

			for _, options := range []PullOptions{{URL: c.URL("x")}, {URL: c.URL("x"), User: "admin", Password: "wrong-one"}} {
				fault := requireReason(t, pullAll(t, newTestPull(t, options), newPullSink(), nil), PullUnauthorized)
				require.Equal(t, base.StatusUnauthorized, fault.Status)
				require.NotContains(t, fault.Error(), "wrong-one")
			}
		})
	}
}

func TestPullOverTLSAndIPv6(t *testing.T) {
	pullCheckLeaks(t)
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	defer https.Close()
	c := pullCamera(t, camera.Options{Listen: "[::1]:0", TLS: &tls.Config{Certificates: https.TLS.Certificates}})
	trust := https.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"

	sink := newPullSink()
	p := newTestPull(t, PullOptions{URL: c.URL("x"), TLS: trust})
	require.NoError(t, pullAll(t, p, sink, nil))
	sink.requireFlow(t, 0, 1)
	require.True(t, p.CanUDP(), "this camera encrypts its media")
	https.Client().CloseIdleConnections()

	// SRTP over UDP, between both address families' worth of sockets.
	secure := newTestPull(t, PullOptions{URL: c.URL("x"), TLS: trust})
	decrypted := newPullSink()
	require.NoError(t, pullAll(t, secure, decrypted, []PullPair{anyPair(t), anyPair(t)}))
	require.Equal(t, "udp", secure.Transport())
	decrypted.requireFlow(t, 0, 1)
	require.NoError(t, secure.Close())

	_, err := newTestPull(t, PullOptions{URL: c.URL("x")}).Describe(pullContext(t))
	requireReason(t, err, PullTLS) // nobody vouches for its certificate
}

func TestPullErrors(t *testing.T) {
	pullCheckLeaks(t)
	c := pullCamera(t, camera.Options{Paths: []string{"there"}})
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer plain.Close() //nolint:errcheck // the end of the test
	go func() {
		if conn, err := plain.Accept(); err == nil {
			_, _ = conn.Write([]byte("RTSP/1.0 400 Bad Request\r\n\r\n"))
			_ = conn.Close()
		}
	}()
	for name, tc := range map[string]struct {
		url    string
		reason PullReason
		text   string
	}{
		"not there": {c.URL("elsewhere"), PullNotFound, "no such stream"},
		"refused":   {"rtsp://user:hidden@" + free.Addr().String() + "/x?password=hidden", PullRefused, "rtsp://" + free.Addr().String() + "/x?password=***"},
		"no host":   {"rtsp://name.invalid/x", PullUnresolved, "host name not found"},
		"not TLS":   {"rtsps://" + plain.Addr().String() + "/there", PullTLS, "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTestPull(t, PullOptions{URL: tc.url})
			_, err := p.Describe(pullContext(t))
			requireReason(t, err, tc.reason)
			require.ErrorContains(t, err, tc.text)
			require.NotContains(t, err.Error(), "hidden")
			<-p.Done()
			require.Error(t, p.Play(pullContext(t), PlayOptions{}))
		})
	}
	c.FailDescribe(base.StatusServiceUnavailable)
	_, err = newTestPull(t, PullOptions{URL: c.URL("there")}).Describe(pullContext(t))
	require.Equal(t, base.StatusServiceUnavailable, requireReason(t, err, PullStatus).Status)
}

func TestPullRedirects(t *testing.T) {
	c := pullCamera(t, camera.Options{User: "u", Password: "p"})
	other := pullCamera(t, camera.Options{User: "u", Password: "p"})
	open := pullCamera(t, camera.Options{})
	c.Redirect("same", c.URL("end"))
	c.Redirect("relative", "/end")
	c.Redirect("other", other.URL("end"))
	c.Redirect("open", open.URL("end"))
	c.Redirect("loop", c.URL("pool"))
	c.Redirect("pool", c.URL("loop"))
	c.Redirect("bad", "http://127.0.0.1/x")
	pull := func(path string, limit int) error {
		return pullAll(t, newTestPull(t, PullOptions{URL: c.URL(path), User: "u", Password: "p", MaxRedirects: limit}), newPullSink(), nil)
	}
	require.NoError(t, pull("same", 0))
	require.NoError(t, pull("relative", 0))
	require.NoError(t, pull("open", 0))
	requireReason(t, pull("other", 0), PullUnauthorized) // the credentials stayed behind
	require.ErrorContains(t, requireReason(t, pull("loop", 0), PullRedirected), "circle")
	require.ErrorContains(t, requireReason(t, pull("same", -1), PullRedirected), "too many")
	requireReason(t, pull("bad", 0), PullRedirected)
}

func TestPullNoticesTheEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil  func(*camera.Camera)
		sink   error
		reason PullReason
	}{
		"stall":    {spoil: (*camera.Camera).Stall, reason: PullSilent},
		"drop":     {spoil: func(c *camera.Camera) { c.DropConnections() }, reason: PullLost},
		"detached": {spoil: func(*camera.Camera) {}, sink: hub.ErrDetached, reason: PullDetached},
		"other":    {spoil: func(*camera.Camera) {}, sink: hub.ErrPayloadType, reason: PullSilent},
	} {
		for _, udp := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				pullCheckLeaks(t)
				c := pullCamera(t, camera.Options{})
				p := newTestPull(t, PullOptions{URL: c.URL("x"), MediaTimeout: 300 * time.Millisecond})
				var pairs []PullPair
				if udp {
					pairs = pullPairs(t, 2)
				}
				sink := newPullSink()
				require.NoError(t, pullAll(t, p, sink, pairs))
				sink.mu.Lock()
				sink.err = tc.sink
				sink.mu.Unlock()
				tc.spoil(c)
				select {
				case <-p.Done():
				case <-time.After(pullPatience):
					t.Fatal("the pull goes on")
				}
				requireReason(t, p.Err(), tc.reason)
				if tc.sink == hub.ErrPayloadType {
					require.ErrorContains(t, p.Err(), "no packet of an announced payload type")
				}
			})
		}
	}
}

func TestPullOfOtherPayloadTypesNeverPlays(t *testing.T) {
	pullCheckLeaks(t)
	c := pullCamera(t, camera.Options{})
	p := newTestPull(t, PullOptions{URL: c.URL("x")})
	sink := newPullSink()
	sink.err = hub.ErrPayloadType
	_, err := p.Describe(pullContext(t))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(pullContext(t))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Play(ctx, PlayOptions{Sink: sink, Tracks: []int{0, 1}}) }()
	require.Eventually(t, func() bool { return p.unannounced.Load() > 2 }, pullPatience, time.Millisecond)
	require.Contains(t, p.firstPacket(), "of an announced payload type")
	select {
	case err := <-ended:
		t.Fatalf("it plays, or has ended: %v", err)
	default:
	}
	cancel()
	require.Error(t, <-ended)
	require.True(t, p.Stats().Last.IsZero())
}

func TestPullKeepsTheSessionAlive(t *testing.T) {
	c := pullCamera(t, camera.Options{SessionTimeout: 7 * time.Second}) // told as two, which makes the client ask each second
	p := newTestPull(t, PullOptions{URL: c.URL("x")})
	sink := newPullSink()
	require.NoError(t, pullAll(t, p, sink, nil))
	require.Eventually(t, func() bool { return c.Requests(base.GetParameter) > 0 }, pullPatience, time.Millisecond)
	sink.requireFlow(t, 0, 1)
}

func TestPullMisuse(t *testing.T) {
	c := pullCamera(t, camera.Options{})
	described := func() *Pull {
		p := newTestPull(t, PullOptions{URL: c.URL("x")})
		_, err := p.Describe(pullContext(t))
		require.NoError(t, err)
		return p
	}
	require.ErrorContains(t, newTestPull(t, PullOptions{URL: c.URL("x")}).Play(pullContext(t), PlayOptions{}), "before Describe")
	require.ErrorContains(t, described().Play(pullContext(t), PlayOptions{Tracks: []int{0}}), "2 tracks")
	require.ErrorContains(t, described().Play(pullContext(t), PlayOptions{Tracks: []int{0, 1}, Pairs: make([]PullPair, 2)}), "no port pair")
	requireReason(t, described().Play(pullContext(t), PlayOptions{Tracks: []int{-1, -1}}), PullNoTracks)
	_, err := NewPull(PullOptions{URL: "http://u:secret@x/"})
	requireReason(t, err, PullBadURL)
	require.NotContains(t, err.Error(), "secret")
}
