package fanout

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/media/hub"
)

func TestTCPViewerGetsTheStream(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": func(c net.Conn) net.Conn { return c },
		"other": func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }, // no file descriptor to be had
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t, hub.Options{})
			p := newPool(t, Options{})
			conn, viewer := connect(t)
			sink := p.NewTCPSink(wrap(conn), SinkOptions{})
			s.picture(true, 3, 1000)
			require.NoError(t, sink.WriteControl([]byte("RTSP/1.0 200 OK\n")))
			require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
			require.ErrorIs(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}), ErrPlaying)
			s.sound()
			s.picture(false, 2, 1400)

			require.Equal(t, framed{-1, []byte("RTSP/1.0 200 OK\n")}, viewer.next())
			var channels []int
			for range 6 {
				channels = append(channels, viewer.next().channel)
			}
			require.Equal(t, []int{0, 0, 0, 2, 0, 0}, channels)

			sink.Pause()
			s.picture(false, 1, 100)
			require.NoError(t, sink.WriteControl([]byte("paused\n")))
			require.Equal(t, "paused\n", string(viewer.next().body))
			require.False(t, sink.Stats().Playing)

			require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{Tracks: []int{0}}), []int{6}))
			for range 6 {
				require.Equal(t, 6, viewer.next().channel, "again from the key frame, on the channel that was asked for")
			}
			stats := sink.Stats()
			require.True(t, stats.Playing)
			eventually(t, func() bool { return sink.Stats().Viewer.Packets == 6 })
			sink.Close()
			sink.Close()
			require.ErrorIs(t, sink.WriteControl([]byte("x")), ErrClosed)
			require.ErrorIs(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), nil), ErrClosed)
		})
	}
}

func TestTCPViewerOfSomeTracks(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{})
	conn, viewer := connect(t)
	sink := p.NewTCPSink(conn, SinkOptions{})
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{-1, 5}))
	for range 10 {
		s.picture(true, 2, 1000)
		s.sound()
	}
	last := viewer.next()
	require.Equal(t, 5, last.channel)
	require.Len(t, last.body, 12+160)
	require.NoError(t, sink.WriteControl([]byte("end\n")))
	for {
		f := viewer.next()
		if f.channel < 0 {
			break
		}
		require.Equal(t, 5, f.channel)
		require.Equal(t, last.seq()+1, f.seq())
		last = f
	}
}

func TestTLSViewer(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{})
	conn, plain := connect(t)
	server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}})
	viewer := newPeer(t, tls.Client(plain.conn, &tls.Config{InsecureSkipVerify: true}))
	sink := p.NewTCPSink(server, SinkOptions{})
	require.Nil(t, sink.raw)
	require.NoError(t, sink.WriteControl([]byte("hello\n")))
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
	s.picture(true, 50, 1400)
	s.sound()
	require.Equal(t, "hello\n", string(viewer.next().body))
	for range 50 {
		require.Equal(t, 0, viewer.next().channel)
	}
	require.Equal(t, 2, viewer.next().channel)
	eventually(t, func() bool { return !sink.Stats().Parked })
}

// A viewer that stops reading is parked, jumps to a key frame when it reads again, and nobody else notices.
func TestSlowViewerHurtsNobody(t *testing.T) {
	s := newStream(t, hub.Options{RingPackets: 64, GOPBytes: 1 << 16})
	p := newPool(t, Options{Workers: 1})
	slowConn, slow := connect(t)
	require.NoError(t, slowConn.(*net.TCPConn).SetWriteBuffer(8<<10))
	require.NoError(t, slow.conn.(*net.TCPConn).SetReadBuffer(8<<10))
	slowSink := p.NewTCPSink(slowConn, SinkOptions{WriteTimeout: time.Hour})
	fastConn, fast := connect(t)
	fastSink := p.NewTCPSink(fastConn, SinkOptions{})
	s.picture(true, 1, 100)
	for _, sink := range []*TCPSink{slowSink, fastSink} {
		require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
	}
	var next uint16
	for i := 0; i < 200 || !slowSink.Stats().Parked || slowSink.Stats().Viewer.Lag < 1000; i++ {
		want := 10
		if i == 0 {
			want++
		}
		s.picture(i%5 == 0, 10, 1400)
		for range want { // step by step, so that the fast one cannot fall behind on a busy machine
			f := fast.next()
			if i > 0 {
				require.Equal(t, next, f.seq(), "the fast one misses nothing")
			}
			next = f.seq() + 1
		}
	}
	require.EqualValues(t, 0, fastSink.Stats().Viewer.Jumps)
	require.NotZero(t, slowSink.Stats().Parks)

	var holes int
	last := slow.next().seq()
	for end := next - 1; last != end; {
		f := slow.next()
		if f.seq() != last+1 {
			holes++
			require.Equal(t, byte(0x7c), f.body[12], "begins again at a key frame")
			require.NotZero(t, f.body[13]&0x80)
		}
		last = f.seq()
	}
	stats := slowSink.Stats().Viewer
	require.NotZero(t, holes)
	require.EqualValues(t, holes, stats.Jumps)
	require.NotZero(t, stats.Dropped)
	eventually(t, func() bool { return !slowSink.Stats().Parked })

	s.picture(false, 1, 100)
	require.Equal(t, last+1, slow.next().seq(), "and is served like the others again")
}

func TestViewerThatTakesNothingIsEnded(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": func(c net.Conn) net.Conn { return c },
		"other": func(c net.Conn) net.Conn { return struct{ net.Conn }{c} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t, hub.Options{})
			p := newPool(t, Options{})
			conn, _ := connect(t)
			failed, onError := failure()
			sink := p.NewTCPSink(wrap(conn), SinkOptions{WriteTimeout: 50 * time.Millisecond, OnError: onError, MaxControlBytes: 100})
			require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
			for !sink.Stats().Parked {
				s.picture(true, 30, 1400)
				runtime.Gosched()
			}
			full := false
			for i := 0; i < 10 && !full; i++ {
				full = sink.WriteControl(make([]byte, 60)) != nil
			}
			require.True(t, full, "responses are bounded")
			for done := false; !done; {
				s.picture(true, 30, 1400) // until no buffer on the way takes any more
				select {
				case err := <-failed:
					require.ErrorIs(t, err, ErrWriteTimeout)
					done = true
				default:
					runtime.Gosched()
				}
			}
			require.ErrorIs(t, sink.WriteControl([]byte("x")), ErrClosed)
			require.Equal(t, 0, len(failed), "told once")
			sink.Close()
		})
	}
}

func TestPolicyCloseEndsTheSlow(t *testing.T) {
	s := newStream(t, hub.Options{RingPackets: 64, GOPBytes: 1})
	p := newPool(t, Options{})
	conn, viewer := connect(t)
	failed, onError := failure()
	sink := p.NewTCPSink(conn, SinkOptions{WriteTimeout: time.Hour, OnError: onError})
	s.picture(true, 1, 100)
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{Policy: hub.PolicyClose}), []int{0, 2}))
	for sink.Stats().Viewer.Lag < 1000 {
		s.picture(true, 30, 1400)
	}
	// The end closes nothing, so a viewer that read here itself could wait for bytes that never come.
	go func() { _, _ = io.Copy(io.Discard, viewer.conn) }()
	require.ErrorIs(t, wait(t, failed), ErrTooSlow)
}

func TestViewerGoes(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{})
	conn, viewer := connect(t)
	failed, onError := failure()
	sink := p.NewTCPSink(conn, SinkOptions{OnError: func(err error) { onError(err) }})
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
	viewer.conn.Close()
	for len(failed) == 0 {
		s.picture(true, 1, 1000)
		runtime.Gosched()
	}
	require.Error(t, wait(t, failed))
	sink.Close()

	// The connection is closed under the sink.
	conn, _ = connect(t)
	sink = p.NewTCPSink(conn, SinkOptions{OnError: onError})
	conn.Close()
	_ = sink.WriteControl([]byte("x"))
	require.ErrorIs(t, wait(t, failed), net.ErrClosed)
}

func TestCloseWakesAParkedSink(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{})
	for _, wrap := range []func(net.Conn) net.Conn{
		func(c net.Conn) net.Conn { return c },
		func(c net.Conn) net.Conn { return struct{ net.Conn }{c} },
	} {
		conn, _ := connect(t)
		failed, onError := failure()
		sink := p.NewTCPSink(wrap(conn), SinkOptions{WriteTimeout: time.Hour, OnError: onError})
		require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
		for sink.Stats().Viewer.Lag < 1000 {
			s.picture(true, 30, 1400)
		}
		sink.Close()
		require.Empty(t, failed)
	}
	open := p.NewTCPSink(struct{ net.Conn }{}, SinkOptions{})
	p.Close()
	p.Close()
	require.ErrorIs(t, open.WriteControl(nil), ErrClosed, "the pool ends what is open")
	require.ErrorIs(t, p.NewTCPSink(struct{ net.Conn }{}, SinkOptions{}).WriteControl(nil), ErrClosed)
}

func TestEndOfTheStream(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{})
	conn, viewer := connect(t)
	ended := make(chan struct{}, 2)
	sink := p.NewTCPSink(conn, SinkOptions{OnEnd: func() { ended <- struct{}{} }})
	s.picture(true, 1, 1000)
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
	require.Equal(t, 0, viewer.next().channel)
	s.picture(false, 1, 1000)
	s.hub.Close()
	wait(t, ended)
	require.Equal(t, 0, viewer.next().channel)
	require.False(t, sink.Stats().Playing)
	require.NoError(t, sink.WriteControl([]byte("bye\n")))
	require.Equal(t, "bye\n", string(viewer.next().body))
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(t, p.groups)
}

// Sound between two pictures leaves with the next one, or by itself when none comes.
func TestSoundIsMergedButNotHeldForEver(t *testing.T) {
	s := newStream(t, hub.Options{MergeTime: 50 * time.Millisecond})
	p := newPool(t, Options{})
	conn, viewer := connect(t)
	sink := p.NewTCPSink(conn, SinkOptions{})
	s.picture(true, 1, 1000)
	require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
	viewer.next()
	s.sound()
	s.sound()
	require.Equal(t, 2, viewer.next().channel, "by itself")
	require.Equal(t, 2, viewer.next().channel)

	eventually(t, func() bool { // on a busy machine the time may pass between the two
		before := sink.Stats().Writes
		s.sound()
		s.picture(false, 1, 1000)
		require.Equal(t, 2, viewer.next().channel)
		require.Equal(t, 0, viewer.next().channel)
		return sink.Stats().Writes == before+1
	})

	s.write(0, 96, false, []byte{0x41, 0x9a}) // a picture without its end
	require.Equal(t, 0, viewer.next().channel)
}

func TestManyCallers(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{})
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		conn, viewer := connect(t)
		sink := p.NewTCPSink(conn, SinkOptions{})
		all.Go(func() {
			for i := 0; i < 100; i++ {
				if err := sink.Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}); err != nil {
					t.Error(err)
				}
				if err := sink.WriteControl(bytes.Repeat([]byte("x"), i+1)[:i]); err != nil {
					t.Error(err)
				}
				_ = sink.WriteControl([]byte("\n"))
				_ = sink.Stats()
				sink.Pause()
			}
			sink.Close()
			conn.Close()
		})
		all.Go(func() {
			for { // every byte is a whole packet or a whole line
				f, err := viewer.read()
				if err != nil {
					return
				}
				if f.channel > 2 {
					t.Errorf("channel %d", f.channel)
				}
			}
		})
	}
	publisher := make(chan struct{})
	go func() {
		defer close(publisher)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.picture(i%10 == 0, 3, 1200)
				s.sound()
				runtime.Gosched()
			}
		}
	}()
	all.Wait()
	close(stop)
	<-publisher
}

func TestNothingIsAllocatedPerViewer(t *testing.T) {
	if !canWriteRaw {
		t.Skip("sockets are written by goroutines here")
	}
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{Workers: 1})
	var sinks []*player
	for range 20 {
		conn, viewer := connect(t)
		sink := p.NewTCPSink(conn, SinkOptions{})
		sinks = append(sinks, &sink.player)
		channels := []int{0, 2}
		if len(sinks)%2 == 0 {
			channels = []int{4, 6}
		}
		require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{}), channels))
		go func() { // reads until the connection is closed at the end of the test
			buf := make([]byte, 1<<16)
			for {
				if _, err := viewer.conn.Read(buf); err != nil {
					return
				}
			}
		}()
	}
	s.requireNoAllocations(sinks)
}

func TestIdleViewersHaveNoGoroutine(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{})
	var viewers []*peer
	before := runtime.NumGoroutine()
	for range 50 {
		conn, viewer := connect(t)
		viewers = append(viewers, viewer)
		require.NoError(t, p.NewTCPSink(conn, SinkOptions{}).Play(s.hub.NewReader(hub.ReaderOptions{}), []int{0, 2}))
	}
	s.picture(true, 100, 1400)
	for _, v := range viewers {
		for range 100 {
			v.next()
		}
	}
	eventually(t, func() bool { return runtime.NumGoroutine() <= before+1 }) // one is asking
}
