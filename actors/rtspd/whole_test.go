package rtspd

import (
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/portpool"
	"berth/actors/streams"
	"berth/config"
	"berth/netio/fanout"
	"berth/netio/ports"
)

// whole is rtspd with the real registry, streams and port pool around it.
type whole struct {
	*fixture
	pool *actor.PID
}

func newWhole(t *testing.T, pairs int) *whole {
	t.Helper()
	actortest.CheckLeaks(t)
	cfg := config.Default()
	cfg.Pool.Bind = loopback
	cfg.Pool.DrainIdle, cfg.Pool.CoolDown = 10*time.Millisecond, 10*time.Millisecond
	rt := actortest.Runtime()
	out := fanout.New(fanout.Options{})
	t.Cleanup(out.Close)
	pool := actortest.Spawn(t, rt, portpool.Props(rt, portpool.Options{Config: cfg, Range: quietRange(t, pairs)}), "portpool")
	registry := actortest.Spawn(t, rt, streams.Props(streams.Options{Runtime: rt, Config: cfg, Pool: pool, Fanout: out}), "streams")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &fixture{t: t, rt: rt, addr: listener.Addr().String(), scheme: "rtsp"}
	f.pid = actortest.Spawn(t, rt, Props(Options{
		Runtime: rt, Config: cfg, Streams: registry, Pool: pool, Fanout: out, Listeners: []Listener{{Listener: listener, Protocol: "rtsp"}},
	}), "rtspd")
	return &whole{fixture: f, pool: pool}
}

// quietRange finds neighbouring pairs that were free a moment ago, below the ephemeral ports.
func quietRange(t *testing.T, pairs int) ports.Range {
	t.Helper()
	// A random start, since other packages' tests look for ports at the same time.
	for low := 20000 + 2*rand.IntN(4000); low < 32000; low += 2 * pairs {
		free := true
		for p := low; p < low+2*pairs && free; p++ {
			conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p})
			if free = err == nil; free {
				require.NoError(t, conn.Close())
			}
		}
		if free {
			return ports.Range{Low: uint16(low), High: uint16(low + 2*pairs - 1)}
		}
	}
	t.Fatal("no free ports")
	return ports.Range{}
}

func (w *whole) leased() int {
	w.t.Helper()
	p, err := actors.Ask[*portpool.Pool](w.t.Context(), w.rt.System, w.pool, &portpool.GetPool{})
	require.NoError(w.t, err)
	return p.Counts[ports.Leased]
}

// TestWholePath: UDP in costs a pair a track, UDP viewers share a pair a track, TCP viewers cost none; all come home.
func TestWholePath(t *testing.T) {
	w := newWhole(t, 8)
	source := w.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)})
	require.Equal(t, 2, w.leased())
	var viewers []*received
	for _, p := range []gortsplib.Protocol{gortsplib.ProtocolUDP, gortsplib.ProtocolTCP, gortsplib.ProtocolUDP, gortsplib.ProtocolUDP} {
		viewers = append(viewers, w.play("/live/cam", &gortsplib.Client{Protocol: protocol(p)}))
	}
	for _, v := range viewers {
		w.eventually(v.has(30, 30), "media for everybody")
	}
	require.Equal(t, 4, w.leased(), "the viewers over UDP share two pairs")
	for i := len(w.list()) - 1; i > 0; i-- {
		require.Equal(t, 1, w.kick(Filter{ID: w.list()[i].ID}))
		w.eventually(func() bool { return len(w.list()) == i }, "one session less")
	}
	w.eventually(func() bool { return w.leased() == 2 }, "the viewers' pairs are home")
	source.stop()
	w.eventually(func() bool { return w.leased() == 0 }, "all pairs are home")
}

// TestPublisherComesBack: viewers stay while the publisher reconnects, and see sequence numbers that go on.
func TestPublisherComesBack(t *testing.T) {
	w := newWhole(t, 8)
	first := w.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	viewer := w.play("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	w.eventually(viewer.has(10, 10), "media")
	first.stop()
	w.eventually(func() bool { return len(w.list()) == 1 }, "the publisher is gone, the viewer waits")
	viewer.mu.Lock()
	before := viewer.count["video"]
	viewer.mu.Unlock()
	w.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)})
	w.eventually(viewer.has(before+20, 20), "media of the second connection")
	require.Len(t, w.list(), 2)
}

// TestPoolExhausted: a refused UDP viewer is told the pool's reason, and its session leaves nothing behind.
func TestPoolExhausted(t *testing.T) {
	w := newWhole(t, 2)
	w.publish("/live/cam", &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)})
	client := &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)}
	conn := w.raw()
	require.Equal(t, 503, w.ask(conn, "SETUP", "/live/cam/trackID=0", "Transport: RTP/AVP;unicast;client_port=5000-5001\r\n"))
	err := client.StartRecording(w.url("/live/other"), testDescription())
	require.ErrorContains(t, err, "503")
	require.ErrorContains(t, err, "none reserved port in pool")
	w.eventually(func() bool { return w.leased() == 2 }, "only the publisher's pairs are leased")
	require.NoError(t, conn.Close())
	w.eventually(func() bool { return len(w.list()) == 1 }, "the refused are gone")
}

// TestWholeStops: nothing is leased once the server has stopped, however many sessions it had.
func TestWholeStops(t *testing.T) {
	w := newWhole(t, 16)
	for _, name := range strings.Fields("a b c") {
		w.publish("/live/"+name, &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)})
		w.play("/live/"+name, &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolUDP)})
		w.play("/live/"+name, &gortsplib.Client{Protocol: protocol(gortsplib.ProtocolTCP)})
	}
	require.Equal(t, 12, w.leased())
	actortest.Stop(t, w.rt, w.pid)
	w.eventually(func() bool { return w.leased() == 0 }, "every lease is home")
}
