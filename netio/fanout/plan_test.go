package fanout

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"berth/media/hub"
)

// audience are viewers of one stream who are served by the test instead of a worker, so that it knows who shares what.
type audience struct {
	*stream
	pool         *Pool
	video, audio *UDPPair
	plan         plan
}

func newAudience(t *testing.T, opts Options) *audience {
	a := &audience{stream: newStream(t, hub.Options{MergeTime: time.Hour}), pool: newPool(t, opts), video: pair(t, "udp4", "127.0.0.1"), audio: pair(t, "udp4", "127.0.0.1")}
	a.picture(true, 1, 1000)
	return a
}

// watcher is one of the audience.
type watcher struct {
	*UDPSink
	rtp, sound *receiver
}

// viewer adds one who wants the tracks given, all without any, from the newest key frame on.
func (a *audience) viewer(opts SinkOptions, tracks ...int) *watcher {
	w := &watcher{rtp: newReceiver(a.t, "udp4", "127.0.0.1"), sound: newReceiver(a.t, "udp4", "127.0.0.1")}
	w.UDPSink = a.pool.NewUDPSink([]UDPTrack{{Pair: a.video, RTP: addrOf(w.rtp.conn)}, {Pair: a.audio, RTP: addrOf(w.sound.conn)}}, opts)
	r := a.hub.NewReader(hub.ReaderOptions{Tracks: tracks})
	w.reader, w.last = r, r
	return w
}

// turn serves some as a worker does.
func (a *audience) turn(all ...*watcher) {
	for _, w := range all {
		w.serve(&a.plan)
	}
}

// shared counts the channels that are laid out.
func (a *audience) shared() (n int) {
	for _, c := range a.plan.channels {
		for _, l := range c {
			if l.laid && l.whole && !l.batch.empty() {
				n++
			}
		}
	}
	return n
}

// expect reads packets of these payload sizes, the first of them the one after the last that was expected.
func (r *receiver) expect(sizes ...int) (all [][]byte) {
	r.t.Helper()
	for i, size := range sizes {
		b := r.next()
		require.Len(r.t, b, 12+size, i)
		seq := binary.BigEndian.Uint16(b[2:])
		require.True(r.t, !r.begun || seq == r.seq+1, "in order and none twice")
		r.begun, r.seq = true, seq
		all = append(all, b)
	}
	return all
}

// nothing checks that all has been read: the next datagram is the test's own.
func (r *receiver) nothing() {
	r.t.Helper()
	_, err := r.conn.WriteToUDPAddrPort([]byte("end"), addrOf(r.conn))
	require.NoError(r.t, err)
	require.Equal(r.t, "end", string(r.next()))
}

func (w *watcher) nothing() {
	w.rtp.t.Helper()
	w.rtp.nothing()
	w.sound.nothing()
}

func TestViewersInStepGetWhatTheFirstGets(t *testing.T) {
	for name, opts := range map[string]Options{"segmented": {}, "one by one": {DisableGSO: true}} {
		t.Run(name, func(t *testing.T) {
			a := newAudience(t, opts)
			all := []*watcher{a.viewer(SinkOptions{}), a.viewer(SinkOptions{}), a.viewer(SinkOptions{}), a.viewer(SinkOptions{})}
			a.turn(all[:1]...)
			require.Zero(t, a.shared(), "nothing is laid out for one")
			a.turn(all[1:]...)
			require.Equal(t, 1, a.shared())
			for _, w := range all {
				w.rtp.expect(1000)
			}

			for _, size := range []int{100, 120, 120, 80, 90, 90} { // as sounds are: the kernel can only cut runs
				a.write(1, 8, false, make([]byte, size))
			}
			a.picture(false, 5, 1300)
			a.turn(all...)
			require.Equal(t, 2, a.shared())
			var picture, sounds [][]byte
			for i, w := range all {
				p, s := w.rtp.expect(1300, 1300, 1300, 1300, 1300), w.sound.expect(100, 120, 120, 80, 90, 90)
				if i == 0 {
					picture, sounds = p, s
				}
				w.nothing()
				require.Equal(t, picture, p)
				require.Equal(t, sounds, s)
				require.Equal(t, all[0].Stats(), w.Stats())
			}
			require.EqualValues(t, 3, all[0].Stats().Writes)
			require.EqualValues(t, 12+1000+5*(12+1300)+6*12+600, all[0].Stats().Bytes)

			a.plan.reset()
			require.Zero(t, a.shared())
			require.Empty(t, a.plan.work)
			require.Nil(t, a.plan.work[:1][0], "no chunk is kept")
		})
	}
}

func TestPacketsOfAPlanAreThoseOfTheStream(t *testing.T) {
	a := newAudience(t, Options{})
	all := []*watcher{a.viewer(SinkOptions{}), a.viewer(SinkOptions{}), a.viewer(SinkOptions{})}
	random := rand.NewChaCha8([32]byte{})
	sizes := rand.New(random)
	var want [][]byte
	for round := range 50 {
		a.turn(all...)
		if round == 0 {
			for _, w := range all {
				w.rtp.next()
			}
		}
		want = want[:0]
		for i := range 1 + sizes.IntN(8) {
			payload := make([]byte, 2+sizes.IntN(1300))
			_, _ = random.Read(payload)
			payload[0], payload[1] = 0x5c, 0x01
			if i == 0 {
				payload[1] = 0x81
			}
			want = append(want, payload)
		}
		for i, payload := range want {
			a.write(0, 96, i == len(want)-1, payload)
		}
		a.turn(all...)
		for _, w := range all {
			for _, payload := range want {
				require.Equal(t, payload, w.rtp.next()[12:])
			}
		}
	}
}

func TestWhoIsNotInStepHasItsOwnWay(t *testing.T) {
	a := newAudience(t, Options{})
	ahead, first, second := a.viewer(SinkOptions{}), a.viewer(SinkOptions{}), a.viewer(SinkOptions{})
	listener := a.viewer(SinkOptions{}, 1)
	a.turn(ahead)
	a.sound()
	a.picture(false, 3, 1300)
	a.sound()
	a.picture(false, 2, 700)
	a.turn(ahead, first, listener, second, first, listener, second)
	require.Zero(t, a.shared(), "no two of them in a row wanted the same")
	a.sound()
	a.picture(false, 1, 500)
	a.turn(listener, ahead, first, second)
	require.Equal(t, 2, a.shared())
	for _, w := range []*watcher{ahead, first, second} {
		w.rtp.expect(1000, 1300, 1300, 1300, 700, 700, 500)
		w.sound.expect(160, 160, 160)
		w.nothing()
	}
	listener.sound.expect(160, 160, 160)
	listener.nothing()

	// A way that takes no segments.
	first.routes[0].gso = false
	a.picture(false, 4, 900)
	a.turn(ahead, first, second)
	require.Equal(t, 1+1, a.shared())
	for _, w := range []*watcher{ahead, first, second} {
		w.rtp.expect(900, 900, 900, 900)
		w.nothing()
	}
}

// What a plan cannot hold, as it takes several system calls, everybody sends for himself.
func TestMoreThanAPlanHolds(t *testing.T) {
	a := newAudience(t, Options{DisableGSO: true})
	all := []*watcher{a.viewer(SinkOptions{}), a.viewer(SinkOptions{}), a.viewer(SinkOptions{})}
	a.turn(all...)
	a.picture(false, 100, 50)
	a.turn(all...)
	require.Zero(t, a.shared())
	for _, w := range all {
		w.rtp.expect(1000)
		w.rtp.expect(same(50, 100)...)
		w.nothing()
		require.EqualValues(t, 3, w.Stats().Writes)
	}
}

// A viewer whose burst is used up is cut off at a packet, and finishes by its timer, while others go on with the plan and it is laid out anew.
func TestPacedViewerIsNotBoundToThePlan(t *testing.T) {
	a := newAudience(t, Options{UDPBurst: 16 << 10, UDPRate: 1 << 20})
	first, second, paced := a.viewer(SinkOptions{}), a.viewer(SinkOptions{}), a.viewer(SinkOptions{})
	a.turn(first, second, paced)
	paced.pace.Wait(time.Now())
	paced.pace.Spend(10 << 10)
	sizes := []int{1000}
	for range 8 {
		a.picture(false, 5, 200)
		sizes = append(sizes, 200, 200, 200, 200, 200)
	}
	for range 3 {
		a.picture(false, 2, 1200)
		sizes = append(sizes, 1200, 1200)
	}
	a.turn(first, second, paced)
	for range 3 {
		a.sound()
		a.picture(false, 1, 300)
		sizes = append(sizes, 300)
		a.turn(first, second, paced)
		a.plan.reset()
	}
	for _, w := range []*watcher{first, second, paced} {
		w.rtp.expect(sizes...)
		w.sound.expect(160, 160, 160)
		w.nothing()
	}
	require.NotZero(t, paced.Stats().Parks)
	eventually(t, func() bool { return !paced.Stats().Parked })
}

func TestPlanOutlivesItsViewers(t *testing.T) {
	a := newAudience(t, Options{})
	failed, onError := failure()
	first, paused, closed, last := a.viewer(SinkOptions{}), a.viewer(SinkOptions{}), a.viewer(SinkOptions{}), a.viewer(SinkOptions{})
	refused := a.viewer(SinkOptions{OnError: onError})
	to := netip.MustParseAddrPort("203.0.113.1:9") // no way there from a loopback address
	refused.routes[0].to, _ = refused.routes[0].out.Destination(to)
	all := []*watcher{first, paused, closed, refused, last}
	a.turn(all...)
	a.sound()
	a.picture(false, 3, 1300)
	a.turn(first, paused) // the plan is laid out
	require.Equal(t, 2, a.shared())
	a.picture(false, 2, 500)
	a.turn(first, paused)
	paused.Pause()
	closed.Close()
	a.sound()
	a.picture(false, 2, 600)
	a.turn(all...)
	a.turn(all...)
	first.rtp.expect(1000, 1300, 1300, 1300, 500, 500, 600, 600)
	paused.rtp.expect(1000, 1300, 1300, 1300, 500, 500)
	closed.rtp.expect(1000)
	last.rtp.expect(1000, 1300, 1300, 1300, 500, 500, 600, 600)
	first.sound.expect(160, 160)
	last.sound.expect(160, 160)
	paused.sound.expect(160)
	refused.sound.expect(160, 160)
	for _, w := range all {
		w.nothing()
	}
	require.NotZero(t, refused.Stats().Errors)
	require.Empty(t, failed)
	for _, w := range all {
		w.Close()
	}
}

// Viewers who come, pause and go while two workers serve from their plans change nothing for those who stay.
func TestPlansWithViewersWhoComeAndGo(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{Workers: 2})
	video, audio := pair(t, "udp4", "127.0.0.1"), pair(t, "udp4", "127.0.0.1")
	tracks := func(rtp, sound *net.UDPConn) []UDPTrack {
		return []UDPTrack{{Pair: video, RTP: addrOf(rtp)}, {Pair: audio, RTP: addrOf(sound)}}
	}
	s.picture(true, 2, 900)
	var staying []*watcher
	for range 8 {
		w := &watcher{rtp: newReceiver(t, "udp4", "127.0.0.1"), sound: newReceiver(t, "udp4", "127.0.0.1")}
		w.UDPSink = p.NewUDPSink(tracks(w.rtp.conn, w.sound.conn), SinkOptions{})
		require.NoError(t, w.Play(s.hub.NewReader(hub.ReaderOptions{})))
		w.rtp.expect(900, 900)
		staying = append(staying, w)
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 3 {
		rtp, sound := listenUDP(t, "udp4", "127.0.0.1"), listenUDP(t, "udp4", "127.0.0.1") // nobody reads them: what is too much is dropped
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				sink := p.NewUDPSink(tracks(rtp, sound), SinkOptions{})
				for range 2 {
					if err := sink.Play(s.hub.NewReader(hub.ReaderOptions{})); err != nil {
						t.Error(err)
					}
					runtime.Gosched()
					sink.Pause()
				}
				sink.Close()
			}
		})
	}
	for i := range 200 {
		size, count := 100+37*i%1100, 1+i%6
		s.sound()
		s.picture(i%25 == 0, count, size)
		for _, w := range staying {
			w.rtp.expect(same(size, count)...)
			w.sound.expect(160)
		}
	}
	close(stop)
	others.Wait()
	for _, w := range staying {
		w.Close()
		w.nothing()
	}
}

// same is a size several times.
func same(size, count int) []int {
	sizes := make([]int, count)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}

func TestNothingIsAllocatedPerUDPViewer(t *testing.T) {
	s := newStream(t, hub.Options{})
	p := newPool(t, Options{Workers: 1})
	video := pair(t, "udp4", "127.0.0.1")
	var sinks []*player
	for range 20 {
		sink := p.NewUDPSink([]UDPTrack{{Pair: video, RTP: addrOf(listenUDP(t, "udp4", "127.0.0.1"))}}, SinkOptions{}) // not read: what is too much is dropped
		sinks = append(sinks, &sink.player)
		require.NoError(t, sink.Play(s.hub.NewReader(hub.ReaderOptions{})))
	}
	s.requireNoAllocations(sinks)
}
