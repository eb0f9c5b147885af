package rtsp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/sdpunmarshaler"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/media"
)

// oddSource is a scripted source for what a proper server does not do. It answers on one goroutine per connection.
type oddSource struct {
	t        *testing.T
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex
	conns    []net.Conn
	requests []*base.Request

	// answer makes the response to a request, nil for none. What play returns is sent behind the response to PLAY.
	answer func(s *oddSource, req *base.Request) *base.Response
	busy   bool // for the script's own use
	play   func(conn net.Conn)
	frame  func(channel int, payload []byte) // takes what comes interleaved
}

// hangUp is a status that makes the source close the connection in place of an answer.
const hangUp base.StatusCode = 1

const oddSDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" +
	"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"

func newOddSource(t *testing.T, answer func(s *oddSource, req *base.Request) *base.Response) *oddSource {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &oddSource{t: t, listener: l, answer: answer, play: sendOddPacket, frame: func(int, []byte) {}}
	s.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(s.close)
	return s
}

func (s *oddSource) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *oddSource) url() string { return "rtsp://" + s.listener.Addr().String() + "/odd" }

func (s *oddSource) serve(conn net.Conn) {
	br := bufio.NewReader(conn)
	for {
		first, err := br.Peek(1)
		if err != nil {
			return
		}
		if first[0] == '$' {
			var frame base.InterleavedFrame
			if frame.Unmarshal(br) != nil {
				return
			}
			s.frame(frame.Channel, frame.Payload)
			continue
		}
		var req base.Request
		if req.Unmarshal(br) != nil {
			return
		}
		s.mu.Lock()
		s.requests = append(s.requests, &req)
		s.mu.Unlock()
		res := s.answer(s, &req)
		if res == nil {
			continue
		}
		if res.StatusCode == hangUp {
			_ = conn.Close()
			return
		}
		if res.Header == nil {
			res.Header = base.Header{}
		}
		res.Header["CSeq"] = req.Header["CSeq"]
		raw, err := res.Marshal()
		if err != nil {
			return
		}
		if _, err := conn.Write(raw); err != nil {
			return
		}
		if req.Method == base.Play && res.StatusCode == base.StatusOK {
			s.play(conn)
		}
	}
}

func (s *oddSource) count(method base.Method) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, req := range s.requests {
		if req.Method == method {
			n++
		}
	}
	return n
}

// ordinary answers as a plain source does.
func ordinary(_ *oddSource, req *base.Request) *base.Response {
	ok := func(name, value string) *base.Response {
		return &base.Response{StatusCode: base.StatusOK, Header: base.Header{name: base.HeaderValue{value}}}
	}
	switch req.Method {
	case base.Options:
		return ok("Public", "DESCRIBE, SETUP, PLAY, TEARDOWN")
	case base.Describe:
		res := ok("Content-Type", "application/sdp")
		res.Body = []byte(oddSDP)
		return res
	case base.Setup:
		res := ok("Session", "12345678")
		if v := req.Header["Transport"][0]; strings.Contains(v, "TCP") {
			res.Header["Transport"] = base.HeaderValue{"RTP/AVP/TCP;unicast;interleaved=0-1"}
		} else {
			res.Header["Transport"] = base.HeaderValue{v} // without server_port
		}
		return res
	default:
		return ok("Session", "12345678")
	}
}

// withStatus answers one method with a status and everything else as usual.
func withStatus(method base.Method, status base.StatusCode) func(*oddSource, *base.Request) *base.Response {
	return func(s *oddSource, req *base.Request) *base.Response {
		if req.Method == method {
			return &base.Response{StatusCode: status}
		}
		return ordinary(s, req)
	}
}

func oddPacket(seq uint16) []byte {
	raw, _ := (&rtp.Packet{
		Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: seq, SSRC: 7, Marker: true}, Payload: []byte{0x65, 1, 2, 3},
	}).Marshal()
	return raw
}

func sendOddPacket(conn net.Conn) {
	raw := oddPacket(1)
	_, _ = conn.Write(append([]byte{'$', 0, 0, byte(len(raw))}, raw...))
}

func TestPullUnderstandsOddSources(t *testing.T) {
	for name, answer := range map[string]func(*oddSource, *base.Request) *base.Response{
		"ordinary":               ordinary,
		"OPTIONS not allowed":    withStatus(base.Options, base.StatusMethodNotAllowed),
		"OPTIONS not known":      withStatus(base.Options, base.StatusNotImplemented),
		"OPTIONS for no stream":  withStatus(base.Options, base.StatusNotFound),
		"no packetization-mode ": ordinary, // the SDP above has none
	} {
		t.Run(name, func(t *testing.T) {
			pullCheckLeaks(t)
			s := newOddSource(t, answer)
			p := newTestPull(t, PullOptions{URL: s.url()})
			sink := newPullSink()
			require.NoError(t, pullAll(t, p, sink, nil))
			require.Equal(t, 1, sink.count(0))
			require.NoError(t, p.Close())
			require.Eventually(t, func() bool { return s.count(base.Teardown) == 1 }, pullPatience, time.Millisecond)
		})
	}
}

// A source over UDP that does not tell its ports may send from any, but from its own address only.
func TestPullTakesAnyPortWhenNoneIsTold(t *testing.T) {
	pullCheckLeaks(t)
	s := newOddSource(t, ordinary)
	pairs := pullPairs(t, 1)
	s.play = func(net.Conn) {
		from, err := net.DialUDP("udp", nil, pairs[0].RTP.LocalAddr().(*net.UDPAddr))
		require.NoError(t, err)
		_, err = from.Write(oddPacket(1))
		require.NoError(t, err)
		require.NoError(t, from.Close())
	}
	p := newTestPull(t, PullOptions{URL: s.url()})
	sink := newPullSink()
	require.NoError(t, pullAll(t, p, sink, pairs))
	require.Equal(t, 1, sink.count(0))
	require.Equal(t, "udp", p.Transport())
}

// A source may hang up after it has refused UDP, and need a moment before it can be opened again.
func TestPullFallsBackToAnOddSource(t *testing.T) {
	refuseUDP := func(s *oddSource, req *base.Request) *base.Response {
		switch {
		case req.Method == base.Setup && !strings.Contains(req.Header["Transport"][0], "TCP"):
			return &base.Response{StatusCode: base.StatusUnsupportedTransport}
		case req.Method == base.Setup && s.count(base.Setup) == 2, // on the connection on which it refused
			req.Method == base.Describe && s.count(base.Describe) == 3 && s.busy:
			return &base.Response{StatusCode: hangUp}
		case req.Method == base.Describe && s.count(base.Describe) == 2 && s.busy:
			return &base.Response{StatusCode: base.StatusServiceUnavailable}
		}
		return ordinary(s, req)
	}
	for _, busy := range []bool{false, true} {
		pullCheckLeaks(t)
		s := newOddSource(t, refuseUDP)
		s.busy = busy
		p := newTestPull(t, PullOptions{URL: s.url()})
		_, err := p.Describe(pullContext(t))
		require.NoError(t, err)
		fell := 0
		err = p.Play(pullContext(t), PlayOptions{
			Sink: newPullSink(), Tracks: []int{0}, Pairs: pullPairs(t, 1), OnFallback: func(error) { fell++ },
		})
		require.Equal(t, 1, fell)
		if busy { // a lost connection is not tried again
			requireReason(t, err, PullLost)
			require.Equal(t, 3, s.count(base.Describe))
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []int{2, 3}, []int{s.count(base.Describe), s.count(base.Setup)})
		require.NoError(t, p.Close())
	}
}

// Packets over UDP are put back in order, a lost one holds the others up only for a moment, and strangers are not heard.
func TestPullMendsUDP(t *testing.T) {
	pullCheckLeaks(t)
	s := newOddSource(t, ordinary)
	pairs := pullPairs(t, 1)
	to := pairs[0].RTP.LocalAddr().(*net.UDPAddr)
	s.play = func(net.Conn) {
		from, err := net.DialUDP("udp", nil, to)
		require.NoError(t, err)
		stranger, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, to)
		require.NoError(t, err)
		_, err = stranger.Write(oddPacket(3))
		require.NoError(t, err)
		for _, seq := range []uint16{65534, 0, 65535, 1, 4, 3, 5} { // 2 never comes
			_, err = from.Write(oddPacket(seq))
			require.NoError(t, err)
		}
		require.NoError(t, errors.Join(from.Close(), stranger.Close()))
	}
	p := newTestPull(t, PullOptions{URL: s.url()})
	sink := newPullSink()
	sink.gaps = true
	require.NoError(t, pullAll(t, p, sink, pairs))
	require.Eventually(t, func() bool { return sink.count(0) == 7 }, pullPatience, time.Millisecond)
	require.Equal(t, []uint16{65534, 65535, 0, 1, 3, 4, 5}, sink.sequence())
	stats := p.Stats()
	require.EqualValues(t, 7, stats.Packets)
	require.EqualValues(t, 1, stats.Lost)
	require.EqualValues(t, 1, stats.Strangers)
	require.NotZero(t, stats.Reordered)
}

// Receiver reports go out over both transports (RFC 3550 section 6.4.2).
func TestPullReports(t *testing.T) {
	t.Run("udp", func(t *testing.T) {
		pullCheckLeaks(t)
		local := pullPairs(t, 1)[0] // the source's
		pairs := pullPairs(t, 1)
		s := newOddSource(t, func(s *oddSource, req *base.Request) *base.Response {
			res := ordinary(s, req)
			if req.Method == base.Setup {
				res.Header["Transport"] = base.HeaderValue{fmt.Sprintf("%s;server_port=%d-%d", req.Header["Transport"][0],
					localPort(local.RTP), localPort(local.RTCP))}
			}
			return res
		})
		s.play = func(net.Conn) {
			_, err := local.RTP.WriteTo(oddPacket(7), pairs[0].RTP.LocalAddr())
			require.NoError(t, err)
		}
		p := newTestPull(t, PullOptions{URL: s.url(), ReportInterval: 10 * time.Millisecond})
		require.NoError(t, pullAll(t, p, newPullSink(), pairs))

		buf := make([]byte, 2048)
		require.NoError(t, local.RTP.SetReadDeadline(time.Now().Add(pullPatience)))
		n, _, err := local.RTP.ReadFrom(buf)
		require.NoError(t, err)
		require.Equal(t, 12, n, "an empty packet opens the way for media")
		for reported := false; !reported; { // the first packet on the RTCP port opens the way for RTCP
			require.NoError(t, local.RTCP.SetReadDeadline(time.Now().Add(pullPatience)))
			n, _, err = local.RTCP.ReadFrom(buf)
			require.NoError(t, err)
			reported = hasReport(t, buf[:n], 7)
		}
	})
	t.Run("tcp", func(t *testing.T) {
		pullCheckLeaks(t)
		s := newOddSource(t, ordinary)
		heard := make(chan []byte, 1)
		s.frame = func(channel int, payload []byte) {
			if channel == 1 {
				select {
				case heard <- payload:
				default:
				}
			}
		}
		p := newTestPull(t, PullOptions{URL: s.url(), ReportInterval: 10 * time.Millisecond})
		require.NoError(t, pullAll(t, p, newPullSink(), nil))
		select {
		case raw := <-heard:
			require.True(t, hasReport(t, raw, 1))
		case <-time.After(pullPatience):
			t.Fatal("no report")
		}
	})
}

// hasReport reports whether a compound packet has a reception report about the odd source's packets.
func hasReport(t *testing.T, raw []byte, highest uint32) bool {
	t.Helper()
	packets, err := rtcp.Unmarshal(raw)
	require.NoError(t, err)
	for _, packet := range packets {
		if rr, ok := packet.(*rtcp.ReceiverReport); ok && len(rr.Reports) == 1 {
			require.EqualValues(t, 7, rr.Reports[0].SSRC)
			require.Equal(t, highest, rr.Reports[0].LastSequenceNumber&0xffff)
			return true
		}
	}
	return false
}

// Nonces expire. The request that meets the new challenge is signed again and repeated, once.
func TestPullSignsAgainWhenTheNonceExpires(t *testing.T) {
	challenges := 0
	s := newOddSource(t, func(s *oddSource, req *base.Request) *base.Response {
		nonce := fmt.Sprintf("nonce-%d", challenges)
		expected := req.Header["Authorization"]
		switch req.Method {
		case base.Describe, base.Setup, base.Play:
			if len(expected) == 0 || !strings.Contains(expected[0], nonce) || (req.Method != base.Describe && s.count(req.Method) == 1) {
				challenges++
				return &base.Response{StatusCode: base.StatusUnauthorized, Header: base.Header{"WWW-Authenticate": base.HeaderValue{
					fmt.Sprintf(`Digest realm="cam", nonce="nonce-%d", opaque="o%d", stale="TRUE"`, challenges, challenges),
				}}}
			}
			require.Contains(t, expected[0], fmt.Sprintf(`opaque="o%d"`, challenges))
		}
		return ordinary(s, req)
	})
	p := newTestPull(t, PullOptions{URL: s.url(), User: "u", Password: "p"})
	require.NoError(t, pullAll(t, p, newPullSink(), nil))
	require.Equal(t, []int{2, 2, 2}, []int{s.count(base.Describe), s.count(base.Setup), s.count(base.Play)})
}

func TestPullGivesUpOnCredentialsThatAreNotTaken(t *testing.T) {
	s := newOddSource(t, func(s *oddSource, req *base.Request) *base.Response {
		if req.Method == base.Describe {
			return &base.Response{StatusCode: base.StatusUnauthorized, Header: base.Header{"WWW-Authenticate": base.HeaderValue{
				fmt.Sprintf(`Digest realm="cam", nonce="%d"`, s.count(base.Describe)),
			}}}
		}
		return ordinary(s, req)
	})
	requireReason(t, pullAll(t, newTestPull(t, PullOptions{URL: s.url(), User: "u", Password: "p"}), newPullSink(), nil), PullUnauthorized)
	require.LessOrEqual(t, s.count(base.Describe), 3)
}

// A source may ask whether its client is still there.
func TestPullAnswersTheSource(t *testing.T) {
	s := newOddSource(t, ordinary)
	again := make(chan struct{})
	s.play = func(conn net.Conn) {
		sendOddPacket(conn)
		_, _ = conn.Write([]byte("GET_PARAMETER rtsp://x/odd RTSP/1.0\r\nCSeq: 9\r\n\r\n"))
		s.wg.Go(func() {
			<-again
			sendOddPacket(conn)
		})
	}
	p := newTestPull(t, PullOptions{URL: s.url()})
	sink := newPullSink()
	require.NoError(t, pullAll(t, p, sink, nil))
	close(again)
	require.Eventually(t, func() bool { return sink.count(0) == 2 }, pullPatience, time.Millisecond)

	s.play = func(conn net.Conn) {
		sendOddPacket(conn)
		_, _ = conn.Write([]byte("ANNOUNCE rtsp://x/odd RTSP/1.0\r\nCSeq: 9\r\n\r\n"))
	}
	p = newTestPull(t, PullOptions{URL: s.url()})
	require.NoError(t, pullAll(t, p, newPullSink(), nil))
	<-p.Done()
	require.ErrorContains(t, p.Err(), "ANNOUNCE")
}

func TestPullRejectsWhatIsNoStream(t *testing.T) {
	body := func(text string) func(*oddSource, *base.Request) *base.Response {
		return func(s *oddSource, req *base.Request) *base.Response {
			res := ordinary(s, req)
			if req.Method == base.Describe {
				res.Body = []byte(text)
			}
			return res
		}
	}
	metadata := strings.Replace(oddSDP, "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000", "m=application 0 RTP/AVP 96\r\na=rtpmap:96 x/90000", 1)
	for name, tc := range map[string]struct {
		answer func(*oddSource, *base.Request) *base.Response
		reason PullReason
	}{
		"only metadata": {body(metadata), PullNoTracks},
		"garbage":       {body("nothing that could be SDP"), PullUnsupported},
		"bad status":    {withStatus(base.Describe, 453), PullStatus},
		"too many":      {body(oddSDP + strings.Repeat("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n", maxPullTracks)), PullUnsupported},
		"binary":        {body(strings.Repeat("v=\x00\x1b[2J\xff\n", 4000)), PullUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			pullCheckLeaks(t)
			_, err := newTestPull(t, PullOptions{URL: newOddSource(t, tc.answer).url()}).Describe(pullContext(t))
			requireReason(t, err, tc.reason)
			require.Less(t, len(err.Error()), 500, "a source must not fill the log")
			require.NotContainsf(t, err.Error(), "\x1b", "nor speak to the operator's terminal")
			require.True(t, utf8.ValidString(err.Error()))
		})
	}
}

// Whatever a source does not do, ctx and Close end the wait.
func TestPullWaitsNoLongerThanItMay(t *testing.T) {
	mute := func(method base.Method) func(*oddSource, *base.Request) *base.Response {
		return func(s *oddSource, req *base.Request) *base.Response {
			if req.Method == method {
				return nil
			}
			return ordinary(s, req)
		}
	}
	for _, method := range []base.Method{base.Options, base.Describe, base.Setup, base.Play} {
		t.Run(string(method), func(t *testing.T) {
			pullCheckLeaks(t)
			s := newOddSource(t, mute(method))
			attempt := func(ctx context.Context) (*Pull, error) {
				p := newTestPull(t, PullOptions{URL: s.url()})
				if _, err := p.Describe(ctx); err != nil {
					return p, err
				}
				return p, p.Play(ctx, PlayOptions{Sink: newPullSink(), Tracks: []int{0}})
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := attempt(ctx)
			requireReason(t, err, PullTimeout)
			require.ErrorContains(t, err, "while waiting for")

			p := newTestPull(t, PullOptions{URL: s.url()})
			result, before := make(chan error, 1), s.count(method)
			go func() {
				_, err := p.Describe(t.Context())
				if err == nil {
					err = p.Play(t.Context(), PlayOptions{Sink: newPullSink(), Tracks: []int{0}})
				}
				result <- err
			}()
			require.Eventually(t, func() bool { return s.count(method) > before }, pullPatience, time.Millisecond)
			require.NoError(t, p.Close())
			requireReason(t, <-result, PullClosed)
		})
	}
	t.Run("handshake", func(t *testing.T) {
		pullCheckLeaks(t)
		s := newOddSource(t, mute(base.Options))
		p := newTestPull(t, PullOptions{URL: strings.Replace(s.url(), "rtsp:", "rtsps:", 1)})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := p.Describe(ctx)
		requireReason(t, err, PullTimeout)
	})
	t.Run("dial", func(t *testing.T) {
		pullCheckLeaks(t)
		p := newTestPull(t, PullOptions{URL: "rtsp://cam/x", Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := p.Describe(ctx)
		requireReason(t, err, PullTimeout)
	})
}

func FuzzPullTracks(f *testing.F) {
	f.Add([]byte(oddSDP))
	f.Add([]byte("v=0\r\ns=x\r\nt=0 0\r\nm=audio 0 RTP/AVP 0 8 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\na=fmtp:97 config=1190;sizelength=13\r\na=sendonly\r\n"))
	f.Add([]byte("v=0\r\nm=video 0 RTP/SAVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-vps=QAEMAf//AWAAAAMAAAMAAAMAAAMAlqwJ\r\nm=application 0 RTP/AVP 107\r\n"))
	f.Fuzz(func(t *testing.T, sdp []byte) {
		tracks, err := describeSDP(sdp)
		if err != nil {
			return
		}
		for _, track := range tracks {
			if track.track == nil || len(track.media.Formats) != 1 || track.track.Kind == media.KindOther {
				t.Errorf("%+v", track)
			}
		}
		if !samePullTracks(tracks, tracks) {
			t.Errorf("a source differs from itself: %+v", tracks)
		}
	})
}

// describeSDP goes the way that a response's body goes in the library, and on into ours.
func describeSDP(sdp []byte) ([]pullTrack, error) {
	parsed, err := sdpunmarshaler.Unmarshal(sdp)
	if err != nil {
		return nil, err
	}
	var desc description.Session
	if err := desc.Unmarshal2(parsed); err != nil {
		return nil, err
	}
	return pullTracks(&desc), nil
}
