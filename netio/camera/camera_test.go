package camera

import (
	"crypto/tls"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds waits that only a broken test reaches.
const patience = 30 * time.Second

func start(t *testing.T, opts Options) *Camera {
	t.Helper()
	c, err := Start(opts)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// player is a plain client of the library, which counts what it gets by media type.
type player struct {
	client       *gortsplib.Client
	desc         *description.Session
	video, audio atomic.Int64
}

func dial(t *testing.T, address string, protocol gortsplib.Protocol) (*player, error) {
	t.Helper()
	u, err := base.ParseURL(address)
	require.NoError(t, err)
	p := &player{client: &gortsplib.Client{
		Scheme: u.Scheme, Host: u.Host, Protocol: &protocol,
		TLSConfig:         &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the camera's certificate is self-made
		OnTransportSwitch: func(error) {}, OnPacketsLost: func(uint64) {}, OnDecodeError: func(error) {},
	}}
	require.NoError(t, p.client.Start())
	t.Cleanup(p.client.Close)
	if p.desc, _, err = p.client.Describe(u); err != nil {
		return p, err
	}
	if err = p.client.SetupAll(p.desc.BaseURL, p.desc.Medias); err != nil {
		return p, err
	}
	p.client.OnPacketRTPAny(func(m *description.Media, _ format.Format, _ *rtp.Packet) {
		switch m.Type {
		case description.MediaTypeVideo:
			p.video.Add(1)
		case description.MediaTypeAudio:
			p.audio.Add(1)
		case description.MediaTypeApplication:
		}
	})
	_, err = p.client.Play(nil)
	return p, err
}

func (p *player) requireBoth(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return p.video.Load() > 3 && p.audio.Load() > 3 }, patience, time.Millisecond)
}

func TestClipIsSeamless(t *testing.T) {
	c, err := loadClip()
	require.NoError(t, err)
	require.Len(t, c.steps, videoFrames+audioFrames)
	require.Equal(t, audioClock, c.audio.SampleRate)

	next := [clipTracks]uint32{}
	frame := [clipTracks]uint32{videoFrame, audioFrame}
	clock := [clipTracks]float64{videoClock, audioClock}
	for loop := range 3 {
		last := time.Duration(0)
		for i := range c.steps {
			s := &c.steps[i]
			require.GreaterOrEqual(t, s.at, last)
			last = s.at
			require.Equal(t, next[s.track], s.ticksIn(loop))
			next[s.track] += frame[s.track]
			due := float64(loop)*clipLength.Seconds() + s.at.Seconds()
			require.InDelta(t, due, float64(s.ticksIn(loop))/clock[s.track], 1e-6)
			require.NotEmpty(t, s.packets)
			require.True(t, s.packets[len(s.packets)-1].Marker)
		}
	}
	// Timestamps wrap and never stop (RFC 3550 section 5.1).
	s := &c.steps[0]
	require.Equal(t, uint32(videoFrames*videoFrame), s.ticksIn(1_000_001)-s.ticksIn(1_000_000))
}

func TestPlaysOverBothTransports(t *testing.T) {
	for name, protocol := range map[string]gortsplib.Protocol{"tcp": gortsplib.ProtocolTCP, "udp": gortsplib.ProtocolUDP} {
		t.Run(name, func(t *testing.T) {
			c := start(t, Options{Paths: []string{"one", "sub/two"}})
			for _, path := range []string{"one", "sub/two"} {
				p, err := dial(t, c.URL(path), protocol)
				require.NoError(t, err)
				p.requireBoth(t)
			}
			require.Equal(t, 2, c.Connections())
			require.Equal(t, 2, c.Sessions())
			_, err := dial(t, c.URL("three"), protocol)
			require.ErrorContains(t, err, "404")
		})
	}
}

func TestIPv6AndTLS(t *testing.T) {
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	defer https.Close()
	c := start(t, Options{Listen: "[::1]:0", TLS: &tls.Config{Certificates: https.TLS.Certificates}})
	p, err := dial(t, c.URL("x"), gortsplib.ProtocolTCP)
	require.NoError(t, err)
	p.requireBoth(t)
}

func TestAsksForCredentials(t *testing.T) {
	for name, method := range map[string]Authentication{"md5": DigestMD5, "sha256": DigestSHA256, "basic": Basic} {
		t.Run(name, func(t *testing.T) {
			c := start(t, Options{User: "u", Password: "p", Authentication: method})
			_, err := dial(t, c.URL("x"), gortsplib.ProtocolTCP)
			require.ErrorContains(t, err, "401")
			with := func(user string) string { return "rtsp://" + user + "@" + c.Addr().String() + "/x" }
			_, err = dial(t, with("u:wrong"), gortsplib.ProtocolTCP)
			require.Error(t, err)
			p, err := dial(t, with("u:p"), gortsplib.ProtocolTCP)
			require.NoError(t, err)
			p.requireBoth(t)
		})
	}
}

func TestStallKeepsTheConnection(t *testing.T) {
	c := start(t, Options{})
	p, err := dial(t, c.URL("x"), gortsplib.ProtocolTCP)
	require.NoError(t, err)
	p.requireBoth(t)
	c.Stall()
	// Whatever was on its way arrives before the answer to a request that was sent later on the same connection.
	q, err := dial(t, c.URL("x"), gortsplib.ProtocolTCP)
	require.NoError(t, err)
	require.Zero(t, q.video.Load())
	require.Equal(t, 2, c.Connections())
	c.Resume()
	q.requireBoth(t)
}

func TestDropsConnections(t *testing.T) {
	c := start(t, Options{})
	p, err := dial(t, c.URL("x"), gortsplib.ProtocolTCP)
	require.NoError(t, err)
	require.Equal(t, 1, c.DropConnections())
	require.Error(t, p.client.Wait())
	require.Eventually(t, func() bool { return c.Connections() == 0 && c.Sessions() == 0 }, patience, time.Millisecond)
	p, err = dial(t, c.URL("x"), gortsplib.ProtocolUDP)
	require.NoError(t, err)
	p.requireBoth(t)
}

func TestChangesItsTracks(t *testing.T) {
	c := start(t, Options{})
	for tracks, medias := range map[Tracks]int{TracksBoth: 2, TracksVideoOnly: 1, TracksAudioOnly: 1, TracksOdd: 3} {
		require.NoError(t, c.SetTracks(tracks))
		p, err := dial(t, c.URL("x"), gortsplib.ProtocolTCP)
		require.NoError(t, err)
		require.Len(t, p.desc.Medias, medias)
		require.Eventually(t, func() bool { return p.video.Load()+p.audio.Load() > 3 }, patience, time.Millisecond)
	}
}

func TestUDPSwitches(t *testing.T) {
	c := start(t, Options{})
	c.RefuseUDP(true)
	_, err := dial(t, c.URL("x"), gortsplib.ProtocolUDP)
	require.ErrorContains(t, err, "461")
	c.RefuseUDP(false)
	c.SilentUDP(true)
	silent, err := dial(t, c.URL("x"), gortsplib.ProtocolUDP)
	require.NoError(t, err)
	loud, err := dial(t, c.URL("x"), gortsplib.ProtocolTCP)
	require.NoError(t, err)
	loud.requireBoth(t)
	require.Zero(t, silent.video.Load()+silent.audio.Load())
}

func TestRedirectsAndFails(t *testing.T) {
	c := start(t, Options{})
	c.Redirect("old", c.URL("new"))
	p, err := dial(t, c.URL("old"), gortsplib.ProtocolTCP)
	require.NoError(t, err)
	p.requireBoth(t)
	require.GreaterOrEqual(t, c.Requests(base.Describe), 2)
	c.FailDescribe(base.StatusServiceUnavailable)
	_, err = dial(t, c.URL("new"), gortsplib.ProtocolTCP)
	require.ErrorContains(t, err, "503")
}

func TestCloseTwice(t *testing.T) {
	c, err := Start(Options{})
	require.NoError(t, err)
	c.Close()
	c.Close()
	_, err = Start(Options{Listen: "nowhere"})
	require.ErrorContains(t, err, "nowhere")
}
