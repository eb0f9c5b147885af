package rtspd

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/config"
	"berth/media"
)

var camKey = media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: "cam"}

func TestPublishAndPlay(t *testing.T) {
	transports := map[string]gortsplib.Protocol{"tcp": gortsplib.ProtocolTCP, "udp": gortsplib.ProtocolUDP}
	for in, publish := range transports {
		for out, play := range transports {
			t.Run(in+" in, "+out+" out", func(t *testing.T) {
				f := newFixture(t, nil)
				source := f.publish("/live/cam?key=1", &gortsplib.Client{Protocol: protocol(publish)})
				viewer := f.play("/live/cam?user=2", &gortsplib.Client{Protocol: protocol(play)})
				f.eventually(viewer.has(50, 50), "fifty packets a track")
				viewer.mu.Lock()
				require.EqualValues(t, 0x65, viewer.first[0], "a viewer starts at a key frame")
				if in == "tcp" && out == "tcp" {
					require.Zero(t, viewer.gaps)
				}
				viewer.mu.Unlock()

				sessions := f.list()
				require.Len(t, sessions, 2)
				require.Equal(t, []string{"recording", "playing"}, []string{sessions[0].State, sessions[1].State})
				require.Equal(t, []string{in, out}, []string{sessions[0].Transport, sessions[1].Transport})
				require.Equal(t, camKey, sessions[1].Stream)
				require.Equal(t, loopback, sessions[1].Peer.Addr())
				f.streams.mu.Lock()
				require.Equal(t, "key=1", f.streams.attached[0].Params)
				require.Positive(t, f.streams.streams[camKey].count().Packets)
				f.streams.mu.Unlock()

				source.stop() // TEARDOWN: the stream ends, and with it the viewer's connection
				f.eventually(func() bool { return len(f.list()) == 0 }, "both sessions end")
				f.eventually(f.books(func(s *fakeStreams) bool { return s.readersRemoved == 1 && s.detached == 1 }), "nothing is left in the books")
				f.pool.mu.Lock()
				defer f.pool.mu.Unlock()
				require.Equal(t, f.pool.granted, f.pool.returned)
				if in == "udp" {
					require.Equal(t, 2, f.pool.granted)
				}
			})
		}
	}
}

func TestPauseAndResume(t *testing.T) {
	for name, p := range map[string]gortsplib.Protocol{"tcp": gortsplib.ProtocolTCP, "udp": gortsplib.ProtocolUDP} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
			client := &gortsplib.Client{Protocol: protocol(p)}
			viewer := f.play("/live/cam", client)
			f.eventually(viewer.has(5, 5), "first packets")
			_, err := client.Pause()
			require.NoError(t, err)
			f.eventually(func() bool { return f.list()[1].State == "paused" }, "the viewer is paused")
			viewer.mu.Lock()
			before := viewer.count["video"]
			viewer.mu.Unlock()
			_, err = client.Play(nil)
			require.NoError(t, err)
			f.eventually(viewer.has(before+20, 20), "packets flow again")
			viewer.mu.Lock()
			require.Zero(t, viewer.back, "sequence numbers never go back")
			viewer.mu.Unlock()
			f.streams.mu.Lock()
			defer f.streams.mu.Unlock()
			require.Greater(t, f.streams.streams[camKey].count().Packets, uint64(before))
			require.Equal(t, 1, f.streams.readersAdded)
		})
	}
}

func TestViewerComesFirst(t *testing.T) {
	f := newFixture(t, nil)
	done := make(chan string, 1)
	conn := f.raw()
	go func() {
		_, err := conn.Write([]byte("DESCRIBE " + f.url("/live/cam") + " RTSP/1.0\r\nCSeq: 1\r\n\r\n"))
		if err != nil {
			done <- err.Error()
			return
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		done <- line + fmt.Sprint(err)
	}()
	f.eventually(f.books(func(s *fakeStreams) bool { return len(s.waiting[camKey]) == 1 }), "the viewer waits")
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	require.Equal(t, "RTSP/1.0 200 OK\r\n<nil>", <-done)
}

func TestNobodyPublishes(t *testing.T) {
	f := newFixture(t, func(c *config.Config) { c.General.MaxStreamWait = 20 * time.Millisecond })
	conn := f.raw()
	require.Equal(t, 404, f.ask(conn, "DESCRIBE", "/live/cam", ""))
	require.Equal(t, 404, f.ask(conn, "SETUP", "/live/cam/trackID=0", "Transport: RTP/AVP/TCP\r\n"))
	require.Equal(t, 200, f.ask(conn, "OPTIONS", "/live/cam", ""))
}

func TestSecondPublisherIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	second := &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)}
	err := second.StartRecording(f.url("/live/cam"), testDescription())
	require.ErrorContains(t, err, "406")
	require.ErrorContains(t, err, "This stream already exists")
}

func TestNoPortsLeft(t *testing.T) {
	f := newFixture(t, nil)
	f.pool.refuse = &portpool.RefusedError{Reason: portpool.ReasonExhausted}
	client := &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)}
	err := client.StartRecording(f.url("/live/cam"), testDescription())
	require.ErrorContains(t, err, "503")
	require.ErrorContains(t, err, "none reserved port in pool")

	f.pool.mu.Lock()
	f.pool.refuse = nil
	f.pool.mu.Unlock()
	f.streams.mu.Lock()
	f.streams.refuse = &portpool.RefusedError{Reason: portpool.ReasonExhausted}
	f.streams.mu.Unlock()
	f.eventually(func() bool { return len(f.list()) == 0 }, "the refused publisher is gone")
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	conn := f.raw()
	require.Equal(t, 200, f.ask(conn, "DESCRIBE", "/live/cam", ""))
	require.Equal(t, 503, f.ask(conn, "SETUP", "/live/cam/trackID=0", "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n"))
	require.Equal(t, 200, f.ask(conn, "SETUP", "/live/cam/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"))
}

func TestAccounts(t *testing.T) {
	for _, basic := range []bool{true, false} {
		t.Run(fmt.Sprintf("basic=%t", basic), func(t *testing.T) {
			f := newFixture(t, func(c *config.Config) {
				c.RTSP.AuthBasic = basic
				c.RTSP.AuthUsers = config.Credentials{{User: "ann", Password: "secret"}, {User: "bob", Password: "other"}}
				c.General.MaxStreamWait = time.Millisecond
			})
			wrong := &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)}
			bad := *f
			bad.addr = "ann:wrong@" + f.addr
			require.ErrorContains(t, wrong.StartRecording(bad.url("/live/cam"), testDescription()), "401")
			right := *f
			right.addr = "ann:secret@" + f.addr
			right.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
			other := *f
			other.addr = "bob:other@" + f.addr
			viewer := other.play("/live/cam?x=1", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
			f.eventually(viewer.has(5, 5), "an account plays")
			require.Equal(t, 401, f.ask(f.raw(), "DESCRIBE", "/live/cam", ""))
			require.Equal(t, 401, f.ask(f.raw(), "DESCRIBE", "/live/nothing", ""), "a stranger learns nothing about streams")
		})
	}
}

func TestTLS(t *testing.T) {
	certificate := selfSigned(t)
	f := newFixture(t, nil, func(o *Options) {
		o.Listeners[0].Listener = tls.NewListener(o.Listeners[0].Listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
		o.Listeners[0].TLS, o.Listeners[0].Protocol = true, "rtsps"
	})
	f.scheme = "rtsps"
	insecure := &tls.Config{InsecureSkipVerify: true}
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP), TLSConfig: insecure})
	viewer := f.play("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP), TLSConfig: insecure})
	f.eventually(viewer.has(20, 20), "media over TLS")
	require.Equal(t, "rtsps", f.list()[1].Protocol)
	conn, err := tls.Dial("tcp", f.addr, insecure)
	require.NoError(t, err)
	defer conn.Close()
	require.Equal(t, 461, f.ask(conn, "SETUP", "/live/cam/trackID=0", "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n"))

	// A peer that never shakes hands is ended by the handshake limit like any other, and blocks nobody.
	silent, err := net.Dial("tcp", f.addr)
	require.NoError(t, err)
	defer silent.Close()
	f.eventually(func() bool { return len(f.list()) == 4 }, "the silent connection is counted")
}

func TestKick(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	client := &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)}
	viewer := f.play("/live/cam", client)
	f.eventually(viewer.has(2, 2), "packets")
	id := f.list()[1].ID
	require.Zero(t, f.kick(Filter{ID: "nobody"}))
	require.Equal(t, 1, f.kick(Filter{ID: id, PeerIP: loopback}))
	require.ErrorIs(t, client.Wait(), io.EOF)
	f.eventually(func() bool { return len(f.list()) == 1 }, "the viewer is gone, the publisher is not")
}

// TestCrashCostsOneSession: a panic ends its connection and nothing else.
func TestCrashCostsOneSession(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)})
	first, second := &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)}, &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)}
	f.play("/live/cam", first)
	viewer := f.play("/live/cam", second)
	victim := f.rt.System.Root
	victim.Send(f.session(1), &actors.Crash{})
	require.Error(t, first.Wait())
	f.eventually(func() bool { return len(f.list()) == 2 }, "one session less")
	viewer.mu.Lock()
	before := viewer.count["video"]
	viewer.mu.Unlock()
	f.eventually(viewer.has(before+5, 0), "the other viewer goes on")
	victim.Send(f.session(0), &actors.Crash{})
	f.eventually(f.books(func(s *fakeStreams) bool { return s.detached == 1 }), "the publisher's role is given back")
	f.eventually(func() bool { f.pool.mu.Lock(); defer f.pool.mu.Unlock(); return f.pool.returned == 2 }, "its ports too")
}

// TestStopEndsSessions: when the engine is torn down players see the end of their connection, everything is given back, no goroutine stays.
func TestStopEndsSessions(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)})
	overTCP := &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)}
	viewer := f.play("/live/cam", overTCP)
	f.play("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)})
	idle := f.raw()
	f.eventually(viewer.has(2, 2), "packets")
	f.eventually(func() bool { return len(f.list()) == 4 }, "all are counted")
	actortest.Stop(t, f.rt, f.pid)
	require.ErrorIs(t, overTCP.Wait(), io.EOF)
	_, err := idle.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	f.eventually(f.books(func(s *fakeStreams) bool {
		return s.readersRemoved == 2 && s.detached == 1 && s.reasons[0] == actors.ReasonRestart
	}), "the books are closed")
	f.eventually(func() bool { f.pool.mu.Lock(); defer f.pool.mu.Unlock(); return f.pool.returned == 2 }, "ports are home")
	_, err = net.Dial("tcp", f.addr)
	require.Error(t, err)
}

// TestViewerVanishes: a player that is killed in the middle of PLAY is noticed at once.
func TestViewerVanishes(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	conn := f.raw()
	require.Equal(t, 200, f.ask(conn, "SETUP", "/live/cam/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1\r\n"))
	_, err := fmt.Fprintf(conn, "PLAY %s RTSP/1.0\r\nCSeq: 9\r\n\r\n", f.url("/live/cam"))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
	require.NoError(t, conn.Close())
	f.eventually(f.books(func(s *fakeStreams) bool { return s.readersRemoved == 1 }), "the viewer is gone")
	f.eventually(func() bool { return len(f.list()) == 1 }, "its session too")
}

// TestStuckViewer: a player that reads nothing, not even answers, blocks neither its session's mailbox nor anybody else.
func TestStuckViewer(t *testing.T) {
	f := newFixture(t, nil)
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	// A small buffer from the beginning: shrinking one that has been offered makes the kernel drop acknowledgements, and then nothing moves any more.
	small := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }), err)
	}}
	conn, err := small.Dial("tcp", f.addr)
	require.NoError(t, err)
	defer conn.Close()
	require.Equal(t, 200, f.ask(conn, "SETUP", "/live/cam/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1\r\n"))
	play := fmt.Sprintf("PLAY %s RTSP/1.0\r\nCSeq: 9\r\n\r\n", f.url("/live/cam"))
	options := strings.Repeat("OPTIONS * RTSP/1.0\r\nCSeq: 10\r\n\r\n", 100)
	_, err = io.WriteString(conn, play)
	require.NoError(t, err)
	// Ask until the unread answers are too many.
	asked := make(chan error, 1)
	go func() {
		for {
			if _, err := io.WriteString(conn, options); err != nil {
				asked <- err
				return
			}
		}
	}()
	good := f.play("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	f.eventually(good.has(20, 20), "others play on")
	select {
	case <-asked: // its connection has been closed
	case <-time.After(2 * actortest.Wait):
		t.Fatal("the stuck viewer is not ended")
	}
	f.eventually(func() bool { return len(f.list()) == 2 }, "the stuck viewer is gone")
}

// TestRTPBeforeRecordAnswer: some publishers do not wait.
func TestRTPBeforeRecordAnswer(t *testing.T) {
	f := newFixture(t, nil)
	conn := f.raw()
	sdp := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"
	require.Equal(t, 200, f.ask(conn, "ANNOUNCE", "/live/cam", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(sdp), sdp)))
	require.Equal(t, 200, f.ask(conn, "SETUP", "/live/cam", "Transport: RTP/AVP/TCP;interleaved=0-1;mode=record\r\n"))
	frames := ""
	for i := range 10 {
		frames += "$\x00\x00\x10\x80\x00\x00" + string(rune(i)) + "\x00\x00\x00" + string(rune(i)) + "\x00\x00\x00\x07abcd"
	}
	_, err := fmt.Fprintf(conn, "RECORD %s RTSP/1.0\r\nCSeq: 3\r\n\r\n%s", f.url("/live/cam"), frames)
	require.NoError(t, err)
	f.eventually(f.books(func(s *fakeStreams) bool { return s.streams[camKey].hub.Stats().Packets == 10 }), "all ten packets arrived")
}

// TestHandshakeLimit: who neither plays nor publishes is sent away.
func TestHandshakeLimit(t *testing.T) {
	f := newFixture(t, func(c *config.Config) { c.RTSP.HandshakeTimeout = 50 * time.Millisecond })
	conn := f.raw()
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// TestSilentPublisher: a publisher without media is dropped, whatever else it says.
func TestSilentPublisher(t *testing.T) {
	f := newFixture(t, func(c *config.Config) { c.RTSP.KeepAlive = 50 * time.Millisecond })
	for _, p := range []gortsplib.Protocol{gortsplib.ProtocolTCP, gortsplib.ProtocolUDP} {
		client := &gortsplib.Client{Protocol: protocol(p)}
		require.NoError(t, client.StartRecording(f.url("/live/cam"), testDescription()))
		require.Error(t, client.Wait())
		f.eventually(f.books(func(s *fakeStreams) bool { return len(s.streams) == 0 }), "the stream is gone")
	}
	f.streams.mu.Lock()
	defer f.streams.mu.Unlock()
	require.Equal(t, []actors.CloseReason{actors.ReasonTimeout, actors.ReasonTimeout}, f.streams.reasons)
}

// TestSilentUDPViewer: a UDP viewer whose host is gone sends nothing, and is dropped.
func TestSilentUDPViewer(t *testing.T) {
	f := newFixture(t, func(c *config.Config) { c.RTSP.KeepAlive = 50 * time.Millisecond })
	f.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	conn := f.raw()
	sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer sink.Close()
	port := sink.LocalAddr().(*net.UDPAddr).Port
	require.Equal(t, 200, f.ask(conn, "SETUP", "/live/cam/trackID=0", fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d\r\n", port)))
	require.Equal(t, 200, f.ask(conn, "PLAY", "/live/cam", ""))
	_, err = sink.Read(make([]byte, 1500))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

// TestThousandConnectionsAtOnce: all are answered; those beyond the limits with 503.
func TestThousandConnectionsAtOnce(t *testing.T) {
	const limit, attempts = 300, 1000
	f := newFixture(t, func(c *config.Config) { c.RTSP.MaxConnections = limit })
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	var open []net.Conn
	for range attempts {
		wg.Go(func() {
			conn, err := net.Dial("tcp", f.addr)
			answer := ""
			if err == nil {
				_, _ = io.WriteString(conn, "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
				answer, err = bufio.NewReader(conn).ReadString('\n')
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				answer = "closed"
			}
			answers[strings.TrimSpace(answer)]++
			if conn != nil {
				open = append(open, conn)
			}
		})
	}
	wg.Wait()
	for _, conn := range open {
		defer conn.Close()
	}
	require.Equal(t, limit, answers["RTSP/1.0 200 OK"])
	// The refusal is told to some at a time only; the rest are closed at once.
	require.Equal(t, attempts-limit, answers["RTSP/1.0 503 Too Many Connections"]+answers["closed"])
	require.Len(t, f.list(), limit)
	for _, conn := range open {
		_ = conn.Close()
	}
	f.eventually(func() bool { return len(f.list()) == 0 }, "all sessions end")
	require.Equal(t, 200, f.ask(f.raw(), "OPTIONS", "/a/b", ""))
}

func TestLimitPerAddressChangesHot(t *testing.T) {
	f := newFixture(t, func(c *config.Config) { c.RTSP.MaxSessionsPerIP = 2 })
	first, second := f.raw(), f.raw()
	require.Equal(t, 200, f.ask(first, "OPTIONS", "/a/b", ""))
	require.Equal(t, 200, f.ask(second, "OPTIONS", "/a/b", ""))
	require.Equal(t, 503, f.ask(f.raw(), "OPTIONS", "/a/b", ""))
	more := *config.Default()
	more.RTSP.MaxSessionsPerIP = 3
	taken, err := actors.Ask[*actors.ConfigTaken](t.Context(), f.rt.System, f.pid, &actors.ConfigChanged{Config: &more})
	require.NoError(t, err)
	require.Equal(t, &actors.ConfigTaken{Owner: "rtspd"}, taken)
	require.Equal(t, 200, f.ask(f.raw(), "OPTIONS", "/a/b", ""))
	require.Equal(t, 503, f.ask(f.raw(), "OPTIONS", "/a/b", ""))
	require.NoError(t, first.Close())
	f.eventually(func() bool { return len(f.list()) == 2 }, "one has gone")
	require.Equal(t, 200, f.ask(f.raw(), "OPTIONS", "/a/b", ""))
}

// TestLastAnswerArrives: an answer that ends the connection reaches a peer that has sent more than was read.
func TestLastAnswerArrives(t *testing.T) {
	f := newFixture(t, nil)
	conn := f.raw()
	_, err := io.WriteString(conn, "GET / HTTP/1.1\r\n\r\n"+strings.Repeat("body of a browser's upload ", 4000))
	require.NoError(t, err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "RTSP/1.0 400 Bad Request\r\n", answer)
	require.NoError(t, conn.Close())
	f.eventually(func() bool { return len(f.list()) == 0 }, "the session ends with its peer")
}

// brokenListener fails a few times, as when descriptors have run out.
type brokenListener struct {
	net.Listener
	mu    sync.Mutex
	fails int
}

func (b *brokenListener) Accept() (net.Conn, error) {
	b.mu.Lock()
	fail := b.fails > 0
	b.fails--
	b.mu.Unlock()
	if fail {
		return nil, errors.New("accept4: too many open files")
	}
	return b.Listener.Accept()
}

func TestAcceptGoesOnAfterErrors(t *testing.T) {
	f := newFixture(t, nil, func(o *Options) {
		o.Listeners[0].Listener = &brokenListener{Listener: o.Listeners[0].Listener, fails: 4}
	})
	require.Equal(t, 200, f.ask(f.raw(), "OPTIONS", "/a/b", ""))
}
