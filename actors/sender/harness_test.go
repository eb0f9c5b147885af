package sender

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"berth/actors"
	"berth/actors/actortest"
	"berth/actors/hook"
	"berth/actors/portpool"
	"berth/actors/store"
	"berth/actors/stream"
	"berth/actors/streams"
	"berth/config"
	"berth/media"
	"berth/netio/ports"
)

func TestMain(m *testing.M) { actortest.Main(m) }

var loopback = netip.MustParseAddr("127.0.0.1")

// fixture is the part of an engine that senders need, made of the real actors; the hook and the receivers are probes.
type fixture struct {
	t       *testing.T
	rt      *actors.Runtime
	config  *config.Config
	opts    Options
	pool    *actor.PID
	streams *actor.PID
	store   *actor.PID
	hook    *actortest.Probe
	senders *actor.PID
}

// newFixture starts everything; change may set what senders is made of before that.
func newFixture(t *testing.T, change func(f *fixture)) *fixture {
	t.Helper()
	actortest.CheckLeaks(t)
	f := &fixture{t: t, rt: actortest.Runtime(), config: config.Default()}
	c := f.config
	c.Pool.Bind = loopback
	c.Pool.LeaseTimeout = 10 * time.Second
	c.Pool.DrainIdle, c.Pool.DrainMax, c.Pool.CoolDown = time.Millisecond, time.Millisecond, 0
	c.RTPProxy.PortRange = config.PortRange(actortest.FreeRange(t, 18))
	f.opts = Options{RetryEvery: 5 * time.Millisecond, RestoreFor: actortest.Wait}
	f.hook = actortest.NewProbe(t, f.rt, "hook")
	if change != nil {
		change(f)
	}
	f.store = actortest.Spawn(t, f.rt, store.Props(store.Options{Runtime: f.rt, Dir: t.TempDir()}), "store")
	f.pool = actortest.Spawn(t, f.rt, portpool.Props(f.rt, portpool.Options{Config: c}), "portpool")
	f.streams = actortest.Spawn(t, f.rt, streams.Props(streams.Options{Runtime: f.rt, Config: c, Pool: f.pool}), "streams")
	f.start()
	return f
}

// start starts senders, again if it has been stopped.
func (f *fixture) start() {
	o := f.opts
	o.Runtime, o.Config, o.Store, o.Streams, o.Pool, o.Hook = f.rt, f.config, f.store, f.streams, f.pool, f.hook.PID
	f.senders = actortest.Spawn(f.t, f.rt, Props(o), "senders")
}

// restart does what a full restart does to senders.
func (f *fixture) restart() {
	f.t.Helper()
	actortest.Stop(f.t, f.rt, f.senders)
	f.opts.Restore = f.stored()
	f.start()
}

func ask[T any](f *fixture, to *actor.PID, msg any) T {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), actortest.Wait)
	defer cancel()
	answer, err := actors.Ask[T](ctx, f.rt.System, to, msg)
	require.NoError(f.t, err)
	return answer
}

func testKey(name string) media.StreamKey {
	return media.StreamKey{VHost: media.DefaultVHost, App: "live", Stream: name}
}

// source publishes a stream of G.711, whose packets a test writes.
type source struct {
	f        *fixture
	probe    *actortest.Probe
	attached *stream.Attached
	seq      uint16
}

func (f *fixture) publish(name string) *source {
	f.t.Helper()
	track, err := media.NewTrack(&format.G711{PayloadTyp: 8, SampleRate: 8000, ChannelCount: 1})
	require.NoError(f.t, err)
	return f.publishTrack(name, track)
}

func (f *fixture) publishTrack(name string, track *media.Track) *source {
	f.t.Helper()
	s := &source{f: f, probe: actortest.NewProbe(f.t, f.rt, "source")}
	s.probe.Request(f.streams, &streams.Publish{Key: testKey(name), Attach: stream.Attach{
		Publisher: s.probe.PID, Origin: stream.Origin{Type: stream.OriginPull, URL: "rtsp://192.0.2.1/x"}, Params: "a=b",
		Tracks: []*media.Track{track}, Options: stream.Options{EnableAudio: true},
	}})
	s.attached = actortest.Expect[*stream.Attached](f.t, s.probe)
	return s
}

// say writes a packet of 100 ms, which is one packet of a sender.
func (s *source) say() {
	s.f.t.Helper()
	p := &rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 8, SequenceNumber: s.seq, SSRC: 1, Timestamp: 800 * uint32(s.seq)}, Payload: make([]byte, 800)}
	binary.BigEndian.PutUint16(p.Payload, s.seq)
	s.seq++
	b, err := p.Marshal()
	require.NoError(s.f.t, err)
	require.NoError(s.f.t, s.attached.Writer.WriteRTP(0, time.Now(), b))
}

// end ends the stream in normal life.
func (s *source) end() {
	s.probe.Request(s.attached.Stream, &stream.Detach{Publisher: s.probe.PID, Final: true})
	s.probe.Watch(s.attached.Stream)
	actortest.Await[*actor.Terminated](s.f.t, s.probe)
}

func (f *fixture) startSender(d store.Sender) *Started {
	f.t.Helper()
	return ask[*Started](f, f.senders, &Start{d})
}

func (f *fixture) begin(d store.Sender) uint16 {
	f.t.Helper()
	started := f.startSender(d)
	require.NoError(f.t, started.Err)
	return started.LocalPort
}

func (f *fixture) stop(name, ssrc string) *Stopped {
	f.t.Helper()
	return ask[*Stopped](f, f.senders, &Stop{Stream: testKey(name), SSRC: ssrc})
}

func (f *fixture) list() []Snapshot {
	f.t.Helper()
	return ask[*Senders](f, f.senders, &List{}).Senders
}

func (f *fixture) leased() int {
	f.t.Helper()
	return ask[*portpool.Pool](f, f.pool, &portpool.GetPool{}).Counts[ports.Leased]
}

func (f *fixture) stored() []store.Sender {
	f.t.Helper()
	// What was put without being asked for is on disk when a later write is.
	require.NoError(f.t, ask[*store.Done](f, f.store, &store.PutOverrides{}).Err)
	return ask[*store.Senders](f, f.store, &store.ListSenders{}).Senders
}

func (f *fixture) viewers(name string) []stream.Reader {
	f.t.Helper()
	k := testKey(name)
	found := ask[*streams.Streams](f, f.streams, &streams.ListStreams{Filter: streams.Filter{VHost: k.VHost, App: k.App, Stream: k.Stream}, Readers: true}).Streams
	require.Len(f.t, found, 1)
	return found[0].Readers
}

// requireNothing requires that nothing is left of any sender.
func (f *fixture) requireNothing() {
	f.t.Helper()
	actortest.Eventually(f.t, func() bool { return len(f.list()) == 0 }, "senders are gone")
	require.Empty(f.t, f.stored())
	require.Zero(f.t, f.leased())
}

// hooked returns the next on_send_rtp_stopped.
func (f *fixture) hooked() map[string]any {
	f.t.Helper()
	n := actortest.Expect[*hook.Notify](f.t, f.hook)
	require.Equal(f.t, "on_send_rtp_stopped", n.Name)
	return n.Body
}

// udpPeer is where a sender sends to.
func udpPeer(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// hear reads one packet of a sender.
func hear(t *testing.T, conn *net.UDPConn) (*rtp.Packet, netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 2048)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(actortest.Wait)))
	n, from, err := conn.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	p := &rtp.Packet{}
	require.NoError(t, p.Unmarshal(buf[:n]))
	return p, from
}

// hearFramed reads one packet behind its length.
func hearFramed(t *testing.T, conn net.Conn) *rtp.Packet {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(actortest.Wait)))
	read := func(b []byte) {
		for n := 0; n < len(b); {
			m, err := conn.Read(b[n:])
			require.NoError(t, err)
			n += m
		}
	}
	var head [2]byte
	read(head[:])
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	read(b)
	p := &rtp.Packet{}
	require.NoError(t, p.Unmarshal(b))
	return p
}

func tcpPeer(t *testing.T) (*net.TCPListener, netip.AddrPort) {
	t.Helper()
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).AddrPort()
}

func accept(t *testing.T, l *net.TCPListener) *net.TCPConn {
	t.Helper()
	require.NoError(t, l.SetDeadline(time.Now().Add(actortest.Wait)))
	conn, err := l.AcceptTCP()
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// to is the definition of an active sender of x's sound.
func to(peer netip.AddrPort, udp bool, change func(d *store.Sender)) store.Sender {
	d := store.Sender{Stream: testKey("x"), SSRC: "77", Mode: store.SendActive, UDP: udp, Host: peer.Addr().String(), Port: peer.Port(), PayloadType: 8, CloseDelay: actortest.Wait}
	if change != nil {
		change(&d)
	}
	return d
}

// childOf finds the actor of a sender by the SSRC in its name.
func childOf(f *fixture, ssrc string) *actor.PID {
	f.t.Helper()
	for i := range 50 {
		pid := actor.NewPID(f.senders.Address, f.senders.Id+"/"+testKey("x").String()+"-"+ssrc+"-"+strconv.Itoa(i))
		if _, ok := f.rt.System.ProcessRegistry.GetLocal(pid.Id); ok {
			return pid
		}
	}
	f.t.Fatal("no such sender")
	return nil
}
